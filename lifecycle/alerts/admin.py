"""The admin's list of all alerts, resolved ones too; they are worked on at the desk."""

from django.contrib import admin
from unfold.decorators import display

from accounts.readonly import ReadOnlyAdmin
from lifecycle.alerts.models import Alert


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("title", "account", "kind", "shown_status", "taken_by", "opened_at")
    list_select_related = ("account", "taken_by")
    list_filter = ("status", "kind", "taken_by")
    search_fields = ("title", "detail", "account__name", "account__external_id")

    @display(
        description="status",
        ordering="status",
        label={"Open": "danger", "Taken": "info", "Snoozed": "warning", "Resolved": "success"},
    )
    def shown_status(self, alert: Alert) -> str:
        return alert.get_status_display()
