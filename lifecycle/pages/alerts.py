"""The support team's list: alerts to take, to put off, to give back and to resolve."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen

SHOWN = 100
SNOOZES = ((1, "an hour"), (24, "a day"), (72, "three days"), (168, "a week"))
TOO_LATE = "Somebody else was first. This is how it stands now."


@dataclass(frozen=True)
class Group:
    """Alerts that ask the same thing of the person who looks."""

    key: str
    title: str
    empty: str
    alerts: QuerySet[Alert]


def desk_for(user: User, now: datetime) -> Sequence[Group]:
    """The unresolved alerts as this person sees them, the longest waiting first."""
    rows = Alert.objects.select_related("account", "enrolment__journey", "taken_by").order_by(
        "opened_at"
    )
    waiting = desk.waiting(now).values("pk")
    mine = rows.filter(taken_by=user).exclude(status=Alert.Status.RESOLVED)
    free = rows.filter(pk__in=waiting).exclude(taken_by=user)
    later = rows.filter(status=Alert.Status.SNOOZED, snoozed_until__gt=now).exclude(taken_by=user)
    others = rows.filter(status=Alert.Status.TAKEN).exclude(taken_by=user)
    return [
        Group("mine", "Yours", "", mine[:SHOWN]),
        Group("waiting", "To take", "Nothing waits for you.", free[:SHOWN]),
        Group("later", "Put off", "", later[:SHOWN]),
        Group("others", "With your colleagues", "", others[:SHOWN]),
    ]


def show(request: StaffRequest, notice: str = "") -> HttpResponse:
    context = {
        "groups": desk_for(request.user, timezone.now()),
        "snoozes": SNOOZES,
        "notice": notice,
        "may_act": request.user.has_perm("alerts.change_alert"),
    }
    return screen(request, "alerts", context, title="Alerts")


def answer(request: StaffRequest, *, moved: bool, said: str) -> HttpResponse:
    """The list as it is now, with what became of the click."""
    notice = said if moved else TOO_LATE
    if request.htmx:
        return show(request, notice)
    messages.add_message(request, messages.SUCCESS if moved else messages.WARNING, notice)
    return redirect("alerts")


@require_GET
@staff("pages.see_alerts")
def show_alerts(request: StaffRequest) -> HttpResponse:
    return show(request)


@require_POST
@staff("alerts.change_alert")
def take_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    moved = desk.take(alert.pk, by=request.user, now=timezone.now())
    return answer(request, moved=moved, said="It is yours now.")


@require_POST
@staff("alerts.change_alert")
def snooze_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert, now = get_object_or_404(Alert, pk=pk), timezone.now()
    hours = {str(hours): hours for hours, _ in SNOOZES}.get(request.POST.get("hours", ""), 24)
    moved = desk.snooze(alert.pk, until=now + timedelta(hours=hours), now=now)
    return answer(request, moved=moved, said=f"Put off for {dict(SNOOZES)[hours]}.")


@require_POST
@staff("alerts.change_alert")
def release_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    moved = desk.release(alert.pk, now=timezone.now())
    return answer(request, moved=moved, said="Given back for anybody to take.")


@require_POST
@staff("alerts.change_alert")
def resolve_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    resolution = request.POST.get("resolution", "").strip() or "Resolved"
    moved = desk.resolve(alert.pk, resolution=resolution, now=timezone.now())
    return answer(request, moved=moved, said="Resolved.")
