"""The admin's lists of journeys, their versions, and who is on them."""

import json
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from accounts.filters import ValueOrNone, whether
from accounts.readonly import ReadOnlyAdmin, ReadOnlyInline
from lifecycle.engine.reasons import sentence
from lifecycle.journeys import documents, phrases
from lifecycle.journeys.models import Enrolment, Journey, JourneyVersion, Setup
from messaging.models import Template, VersionStatus

VERSION_LABELS = {
    VersionStatus.DRAFT.label: "info",
    VersionStatus.IN_REVIEW.label: "warning",
    VersionStatus.CHANGES_REQUESTED.label: "danger",
    VersionStatus.LIVE.label: "success",
}


def as_document(content: Any) -> SafeString:
    """A JSON value as indented, escaped text."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return format_html('<pre class="document">{}</pre>', text)


class VersionInline(ReadOnlyInline):
    model = JourneyVersion
    fields = ("number", "status", "created_by", "approved_by", "published_at")
    readonly_fields = fields
    ordering = ("-number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[JourneyVersion]:
        return super().get_queryset(request).select_related("created_by", "approved_by", "journey")


@admin.register(Journey)
class JourneyAdmin(ModelAdmin):
    """A journey's name and sender; what it does stands in its versions."""

    list_display = ("name", "integration_type", "sender", "paused", "first_published_at")
    list_select_related = ("sender",)
    list_filter = ("integration_type", whether("paused_at", title="sending", yes="paused", no="on"))
    search_fields = ("name", "key", "integration_type")
    fields = ("name", "key", "integration_type", "sender", "paused_at", "first_published_at")
    readonly_fields = ("paused_at", "first_published_at")
    inlines: ClassVar = [VersionInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Versions, setups and enrolments are tied to the key and to the type.
        fixed: tuple[str, ...] = ("key", "integration_type") if obj else ()
        # Who live mail comes from is not changed past review; an administrator answers for it.
        if obj and obj.first_published_at and not request.user.has_perm("messaging.change_sender"):
            fixed = (*fixed, "sender")
        return (*self.readonly_fields, *fixed)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="sending", label={"on": "success", "paused": "warning"})
    def paused(self, journey: Journey) -> str:
        return "paused" if journey.paused_at else "on"


@admin.register(JourneyVersion)
class JourneyVersionAdmin(ReadOnlyAdmin):
    list_display = (
        "journey",
        "number",
        "shown_status",
        "created_by",
        "submitted_at",
        "approved_by",
        "published_at",
    )
    list_select_related = ("journey", "created_by", "approved_by")
    list_filter = ("status", "journey")
    search_fields = ("journey__name", "journey__key")
    ordering = ("journey__name", "-number")
    fields = (
        "journey",
        "number",
        "shown_status",
        "created_by",
        "created_at",
        "submitted_at",
        "approved_by",
        "published_at",
        "shown_document",
    )

    @display(description="status", ordering="status", label=VERSION_LABELS)
    def shown_status(self, version: JourneyVersion) -> str:
        return version.get_status_display()

    @display(description="what it does")
    def shown_document(self, version: JourneyVersion) -> SafeString:
        try:
            journey = documents.read(version.document)
        except documents.BadDocument:
            return as_document(version.document)
        names = dict(Template.objects.values_list("key", "name"))
        said = "\n".join(phrases.lines(journey, names))
        return format_html(
            '<pre class="document plain">{}</pre><details><summary>As JSON</summary>{}</details>',
            said,
            as_document(version.document),
        )


@admin.register(Setup)
class SetupAdmin(ReadOnlyAdmin):
    list_display = (
        "account",
        "integration_type",
        "provider",
        "standing",
        "attempt",
        "started_at",
        "working_since",
    )
    list_select_related = ("account",)
    list_filter = (
        "integration_type",
        ("provider", ValueOrNone),
        whether("usable_at", title="integration", yes="working", no="not working yet"),
        whether("blocked_class", title="blocked", yes="yes", no="no"),
    )
    search_fields = ("account__name", "account__external_id", "provider", "integration_id")
    ordering = ("-pk",)
    exclude = ("milestones",)
    readonly_fields = ("shown_milestones",)

    @display(
        description="standing",
        label={"working": "success", "blocked": "danger", "under way": "info"},
    )
    def standing(self, setup: Setup) -> str:
        if setup.usable_at:
            return "working"
        return "blocked" if setup.blocked_class else "under way"

    @display(description="working since", ordering="usable_at")
    def working_since(self, setup: Setup) -> datetime | None:
        return setup.usable_at

    @display(description="steps reached")
    def shown_milestones(self, setup: Setup) -> SafeString:
        return as_document(setup.milestones)


@admin.register(Enrolment)
class EnrolmentAdmin(ReadOnlyAdmin):
    list_display = (
        "account",
        "journey",
        "stage",
        "stage_since",
        "group",
        "entered_at",
        "left",
    )
    list_select_related = ("account", "journey")
    list_filter = (
        "journey",
        ("stage", ValueOrNone),
        "arm",
        whether("left_at", title="on the journey", yes="has left", no="now"),
    )
    search_fields = ("account__name", "account__external_id")
    ordering = ("-pk",)

    @display(description="group", ordering="arm", label={"control": "info", "gets mail": "success"})
    def group(self, enrolment: Enrolment) -> str:
        return "control" if enrolment.arm == Enrolment.Arm.HOLDOUT else "gets mail"

    @display(description="left", ordering="left_at")
    def left(self, enrolment: Enrolment) -> str:
        if enrolment.left_at is None:
            return "still on it"
        when = date_format(timezone.localtime(enrolment.left_at), "j M Y")
        return f"{when}: {sentence(enrolment.left_reason)}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Enrolment]:
        # The row's own page names the setup and the version, which name their account and journey.
        rows = super().get_queryset(request)
        return rows.select_related("account", "journey", "setup__account", "version__journey")
