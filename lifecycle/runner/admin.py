"""The admin's lists of what was decided and done, and of what waits for an engineer."""

from typing import ClassVar

# django-q2 registers its own lists when its admin is imported: first let it, then take them away.
import django_q.admin
from django.contrib import admin
from django.utils.safestring import SafeString
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import display

from accounts.readonly import LogAdmin, ReadOnlyAdmin
from lifecycle.engine.reasons import sentence
from lifecycle.journeys.admin import as_document
from lifecycle.runner.models import (
    Decision,
    HandOff,
    Heartbeat,
    ParkedAccount,
    Pause,
    StepRun,
)

# One malformed schedule stops all the others, and a task resubmitted by hand may run twice:
# neither belongs in an operator's reach.
for _model in (Schedule, OrmQ, Success, Failure):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
assert django_q.admin  # imported for what it registers


@admin.register(StepRun)
class StepRunAdmin(LogAdmin):
    list_display = ("step_key", "customer", "recipient_key", "shown_status", "at", "message")
    list_select_related = ("enrolment__account", "message")
    # Typed, not chosen: the choices of a column without a list would be gathered from all rows.
    list_filter = ("status", ("step_key", FieldTextFilter))
    list_filter_submit = True
    search_fields = ("step_key", "enrolment__account__name", "enrolment__account__external_id")
    ordering = ("-pk",)

    @display(description="account", ordering="enrolment__account__name")
    def customer(self, run: StepRun) -> str:
        return str(run.enrolment.account)

    @display(
        description="status",
        ordering="status",
        label={
            StepRun.Status.DONE.label: "success",
            StepRun.Status.CANCELLED.label: "info",
            StepRun.Status.BOUNCED.label: "warning",
            StepRun.Status.NOT_SENT.label: "info",
        },
    )
    def shown_status(self, run: StepRun) -> str:
        return run.get_status_display()


@admin.register(Decision)
class DecisionAdmin(LogAdmin):
    list_display = ("account", "step", "concluded", "why", "person", "due_at", "at")
    list_select_related = ("account", "person")
    list_filter = (
        ("outcome", FieldTextFilter),
        ("reason", FieldTextFilter),
        ("step_key", FieldTextFilter),
    )
    list_filter_submit = True
    search_fields = ("account__name", "account__external_id", "person__email", "reason")
    ordering = ("-pk",)
    exclude = ("detail",)
    readonly_fields = ("shown_detail",)

    @display(description="step", ordering="step_key")
    def step(self, decision: Decision) -> str:
        return decision.step_key or "joining or leaving"

    @display(
        description="so",
        ordering="outcome",
        label={"goes out": "success", "waits": "info", "does not go": "warning"},
    )
    def concluded(self, decision: Decision) -> str:
        if not decision.step_key:
            return "–"
        known = {"due": "goes out", "done": "goes out", "wait": "waits", "no": "does not go"}
        return known.get(decision.outcome, decision.outcome)

    @display(description="because", ordering="reason")
    def why(self, decision: Decision) -> str:
        if decision.reason == "moved":
            return f"It moved on to “{decision.stage}”."
        return sentence(decision.reason)

    @display(description="what was seen")
    def shown_detail(self, decision: Decision) -> SafeString:
        return as_document(decision.detail)


@admin.register(ParkedAccount)
class ParkedAccountAdmin(ReadOnlyAdmin):
    list_display = ("account", "failures", "parked_at", "what_went_wrong")
    list_select_related = ("account",)
    search_fields = ("account__name", "account__external_id", "error")
    ordering = ("-parked_at",)

    @display(description="error")
    def what_went_wrong(self, parked: ParkedAccount) -> str:
        # A traceback's last line says what happened.
        return (parked.error.strip().splitlines() or [""])[-1][:160]


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "at")
    ordering = ("name",)


@admin.register(Pause)
class PauseAdmin(ReadOnlyAdmin):
    list_display = ("paused_at", "paused_by", "reason", "resumed_at")
    list_filter = ("is_open",)
    ordering = ("-paused_at",)


@admin.register(HandOff)
class HandOffAdmin(ReadOnlyAdmin):
    list_display = ("customer", "shown_status", "attempts", "next_attempt_at")
    list_select_related = ("enrolment__account", "enrolment__journey")
    list_filter = ("status",)
    search_fields = ("enrolment__account__name", "enrolment__account__external_id")
    ordering = ("-pk",)
    exclude = ("payload", "log")
    readonly_fields: ClassVar = ["shown_payload", "shown_log"]

    @display(description="account", ordering="enrolment__account__name")
    def customer(self, hand_off: HandOff) -> str:
        return str(hand_off.enrolment.account)

    @display(
        description="status",
        ordering="status",
        label={"Waiting": "info", "Delivered": "success", "Given up": "danger"},
    )
    def shown_status(self, hand_off: HandOff) -> str:
        return hand_off.get_status_display()

    @display(description="what is sent")
    def shown_payload(self, hand_off: HandOff) -> SafeString:
        return as_document(hand_off.payload)

    @display(description="every try")
    def shown_log(self, hand_off: HandOff) -> SafeString:
        return as_document(hand_off.log)
