"""The admin's list of ingest keys."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from accounts.actions import report
from events import keys
from events.models import IngestKey


@admin.register(IngestKey)
class IngestKeyAdmin(ModelAdmin):
    """A key is shown once, when it is made; after that there is only its hash, which nobody needs to see."""

    list_fullwidth = True
    list_display = (
        "named",
        "environment",
        "state",
        "rate_per_second",
        "last_used_at",
        "created_by",
    )
    list_filter = ("environment", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("created_by",)
    search_fields = ("name", "hint")
    fields = ("name", "environment", "rate_per_second")
    actions: ClassVar = ["revoke"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # What was sent with it belongs to the world that the key was made for.
        return ("environment",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: IngestKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        row, plain = keys.create(
            obj.name,
            environment=obj.environment,
            rate_per_second=obj.rate_per_second,
            by=request.user,  # type: ignore[arg-type]
        )
        obj.pk = row.pk
        obj.refresh_from_db()
        messages.warning(
            request,
            format_html("Copy this key now, it is not shown again: <code>{}</code>", plain),
        )

    @display(description="key", ordering="name")
    def named(self, key: IngestKey) -> str:
        return str(key)

    @display(
        description="state", label={"in use": "success", "never used": "info", "revoked": "danger"}
    )
    def state(self, key: IngestKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "in use" if key.last_used_at else "never used"

    @action(description="Revoke these keys for good", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[IngestKey]) -> None:
        now = timezone.now()
        done = [keys.revoke(key, now=now) for key in queryset]
        report(request, sum(done), "revoked", len(done) - sum(done), "revoked already")
