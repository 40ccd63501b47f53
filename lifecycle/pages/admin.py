"""What only lifecycle can add to the admin's lists: the journeys, the mails sent, and events of what was imported."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from accounts.admin import AccountAdmin, MembershipAdmin
from accounts.models import Account, Membership
from events.admin.plan import EventTypeAdmin
from events.admin.voids import VoidAdmin
from events.models import EventType, Void
from lifecycle.pages import meaning, mistaken
from lifecycle.runner import definition
from lifecycle.runner.imported import ToldAccounts, ToldMemberships

admin.site.unregister([Account, Membership, EventType, Void])


@admin.register(Account)
class ToldAccountAdmin(AccountAdmin):
    """Accounts whose imports are told in their stories."""

    resource_classes: ClassVar = [ToldAccounts]


@admin.register(Membership)
class ToldMembershipAdmin(MembershipAdmin):
    """Memberships whose imports are told in the accounts' stories."""

    resource_classes: ClassVar = [ToldMemberships]


@admin.register(EventType)
class CatalogueAdmin(EventTypeAdmin):
    """The tracking plan, with what the live journeys make of each event; they say it, nobody here."""

    list_display = (*EventTypeAdmin.list_display, "feeds")
    readonly_fields = ("feeds", *EventTypeAdmin.readonly_fields)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        uses = _uses()
        for each in changes.result_list:
            each.uses = uses.get(each.name, ())
        return changes

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        kind = super().get_object(request, object_id, from_field)
        if kind is not None:
            kind.uses = _uses().get(kind.name, ())
        return kind

    @display(description="feeds")
    def feeds(self, kind: Any) -> str:
        lines = [(use.journey, use.does, use.condition) for use in getattr(kind, "uses", ())]
        shown = format_html_join("", "<li>{} {} {}</li>", lines)
        return format_html('<ul style="min-width: 18rem">{}</ul>', shown) if lines else "-"


def _uses() -> Any:
    journeys = definition.current().journeys.values()
    return meaning.by_event(live.document for live in journeys)


@admin.register(Void)
class VoidWithMailsAdmin(VoidAdmin):
    """A void, with the mails that were sent while its events counted."""

    fields = (*VoidAdmin.fields, "mails")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), "mails")

    @display(description="mails sent while they counted")
    def mails(self, void: Void) -> str:
        if void.pk is None:
            return "Save it to see which mails were sent while these events counted."
        found = mistaken.mails(void)
        if not found.count:
            return "None."
        rows = (
            (
                reverse("admin:messaging_message_change", args=[mail.pk]),
                date_format(timezone.localtime(mail.claimed_at), "j M Y, H:i"),
                mail.person,
                mail.account,
                mail.subject or mail.template_version.template.name,
                mail.get_status_display(),
            )
            for mail in found.newest
        )
        lines = format_html_join("", '<li><a href="{}">{}</a>: {} ({}): {}, {}</li>', rows)
        said = (
            "{} handed over to people of these accounts after the first of these events had been "
            "taken into account and before it was taken out. Not each was caused by one of them, "
            "and none can be called back.{}<ul>{}</ul>"
        )
        more = f" The newest {mistaken.SHOWN}:" if found.count > mistaken.SHOWN else ""
        return format_html(said, found.count, more, lines)
