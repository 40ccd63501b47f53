"""The admin's lists of e-mails and their versions."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from accounts.readonly import ReadOnlyAdmin, ReadOnlyInline
from messaging import preview
from messaging.admin.frames import frames
from messaging.content import ContentError, RenderError, read
from messaging.models import (
    Template,
    TemplateVersion,
    VersionStatus,
)

VERSION_LABELS = {
    VersionStatus.DRAFT.label: "info",
    VersionStatus.IN_REVIEW.label: "warning",
    VersionStatus.CHANGES_REQUESTED.label: "danger",
    VersionStatus.LIVE.label: "success",
}


class VersionInline(ReadOnlyInline):
    model = TemplateVersion
    fields = ("number", "status", "created_by", "approved_by", "published_at")
    readonly_fields = fields
    ordering = ("-number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TemplateVersion]:
        rows = super().get_queryset(request).select_related("created_by", "approved_by", "template")
        return rows.defer("content", "frozen")


@admin.register(Template)
class TemplateAdmin(ModelAdmin):
    """An e-mail's name; what it says stands in its versions."""

    list_display = ("name", "key", "description")
    search_fields = ("name", "key", "description")
    inlines: ClassVar = [VersionInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Journeys name the e-mail by its key.
        return (*super().get_readonly_fields(request, obj), *(("key",) if obj else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TemplateVersion)
class TemplateVersionAdmin(ReadOnlyAdmin):
    list_display = (
        "template",
        "number",
        "shown_status",
        "created_by",
        "approved_by",
        "published_at",
    )
    list_select_related = ("template", "created_by", "approved_by")
    list_filter = ("status", "template")
    search_fields = ("template__name", "template__key")
    fieldsets = (
        (None, {"fields": ("template", "number", "shown_status", "created_by", "created_at", "submitted_at", "approved_by", "published_at")}),
        ("What it says", {"fields": ("variants", "looks")}),
    )  # fmt: skip
    readonly_fields = ("shown_status", "variants", "looks")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TemplateVersion]:
        return super().get_queryset(request).defer("frozen")

    @display(description="status", ordering="status", label=VERSION_LABELS)
    def shown_status(self, version: TemplateVersion) -> str:
        return version.get_status_display()

    @display(description="variants")
    def variants(self, version: TemplateVersion) -> SafeString | str:
        try:
            found = read(version.content).variants
        except ContentError as error:
            return f"The content is not valid: {error}"
        return format_html_join(
            "",
            "<details><summary><strong>{}</strong>: {}</summary><p>{}</p><pre style='white-space:pre-wrap'>{}</pre></details>",
            ((one.name, one.subject, one.preheader, one.body) for one in found),
        )

    @display(description="as an example reader gets it")
    def looks(self, version: TemplateVersion) -> SafeString | str:
        try:
            found = read(version.content).variants
        except ContentError:
            return "–"
        return format_html_join(
            "",
            "<details {}><summary>{}</summary>{}</details>",
            (
                (
                    "open" if number == 0 else "",
                    one.name,
                    frames(reverse("admin:messaging_version_preview", args=[version.pk, number])),
                )
                for number, one in enumerate(found)
            ),
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview)
        name = "messaging_version_preview"
        return [path("<int:pk>/preview/<int:variant>/", view, name=name), *super().get_urls()]

    def preview(self, request: HttpRequest, pk: int, variant: int) -> HttpResponse:
        version = get_object_or_404(TemplateVersion, pk=pk)
        if not self.has_view_permission(request, version):
            return HttpResponse(status=403)
        try:
            shown: Any = preview.of_version(version, variant)
        except (RenderError, ContentError) as error:
            shown = error
        return preview.frame(shown, part=request.GET.get("part", "html"))
