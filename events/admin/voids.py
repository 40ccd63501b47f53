"""The admin's list of events that were taken out again."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from accounts.actions import report
from events import voiding
from events.models import Void


@admin.register(Void)
class VoidAdmin(ModelAdmin):
    """First written down and looked at, then applied; nothing stored is lost, and it can be undone."""

    list_fullwidth = True
    list_display = ("__str__", "key", "since", "until", "state", "applied_by")
    list_select_related = ("key", "applied_by")
    list_filter = (
        ("applied_at", admin.EmptyFieldListFilter),
        ("undone_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("name", "reason")
    fields: tuple[str, ...] = ("key", "name", "since", "until", "reason", "what")
    actions: ClassVar = ["apply_these", "undo_these"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # What was applied stays written down as it was.
        return self.fields if obj and obj.applied_at else ("what",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(
        description="state",
        label={"not applied yet": "warning", "applied": "info", "undone": "success"},
    )
    def state(self, void: Void) -> str:
        if void.undone_at:
            return "undone"
        return "applied" if void.applied_at else "not applied yet"

    @display(description="what it takes out")
    def what(self, void: Void) -> str:
        if void.pk is None:
            return "Save it to see which events it would take out; nothing happens before you apply it."
        if void.applied_at:
            return f"{void.events.count()} events are taken out."
        shown = voiding.preview(void)
        line = "<li>{}: {} ({})</li>"
        lines = (
            (each.received_at, str(each), each.account or "no account") for each in shown.latest
        )
        said = "{} events of {} accounts would be taken out, the latest being: <ul>{}</ul>{}"
        stays = (
            f"{shown.calls} of them are identify, group or alias calls. Their traits, memberships and "
            "links stay as they are; send a call that says otherwise to correct them."
            if shown.calls
            else ""
        )
        listed = format_html_join("", line, lines)
        return format_html(said, shown.events, shown.accounts, listed, stays)

    @action(description="Take the events of these out", permissions=["change"])
    def apply_these(self, request: HttpRequest, queryset: QuerySet[Void]) -> None:
        now = timezone.now()
        counts = [voiding.apply(each, by=request.user, now=now) for each in queryset]  # type: ignore[arg-type]
        done = [count for count in counts if count is not None]
        text = f"events taken out by {len(done)} voids"
        report(request, sum(done), text, len(counts) - len(done), "applied already")

    @action(description="Let the events of these count again", permissions=["change"])
    def undo_these(self, request: HttpRequest, queryset: QuerySet[Void]) -> None:
        now = timezone.now()
        counts = [voiding.undo(each, by=request.user, now=now) for each in queryset]  # type: ignore[arg-type]
        done = [count for count in counts if count is not None]
        text = f"events count again by undoing {len(done)} voids"
        report(request, sum(done), text, len(counts) - len(done), "not applied, or undone already")
