"""The support team's list: alerts to take, to put off, to give back and to resolve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Max, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number

SHOWN = 100
SNOOZES = ((1, "an hour"), (24, "a day"), (72, "three days"), (168, "a week"))
TOO_LATE = "Somebody else was first. This is how it stands now."


@dataclass(frozen=True)
class Group:
    """Alerts that ask the same thing of the person who looks."""

    key: str
    title: str
    empty: str
    alerts: Page[Alert]


@dataclass(frozen=True)
class Card:
    """One alert after a click on it: what came of the click, and what was typed and not used."""

    alert: Alert
    place: str
    notice: str
    tone: str
    typed: str = ""


def place_of(alert: Alert, user: User, now: datetime) -> str:
    """The key of the group in which this person finds it; "done" when it is resolved."""
    if alert.status == Alert.Status.RESOLVED:
        return "done"
    if alert.taken_by_id == user.pk:
        return "mine"
    if alert.status == Alert.Status.TAKEN:
        return "others"
    return "later" if alert.snoozed_until and alert.snoozed_until > now else "waiting"


def desk_for(
    user: User, now: datetime, *, pages: Mapping[str, str], apart: Sequence[int] = ()
) -> Sequence[Group]:
    """The unresolved alerts as this person sees them, the longest waiting first; without those shown `apart`.

    `pages` says by a group's key which hundred of it is meant.
    """
    rows = _shown().exclude(pk__in=apart).order_by("opened_at", "pk")
    waiting = desk.waiting(now).values("pk")
    mine = rows.filter(taken_by=user).exclude(status=Alert.Status.RESOLVED)
    free = rows.filter(pk__in=waiting).exclude(taken_by=user)
    later = rows.filter(status=Alert.Status.SNOOZED, snoozed_until__gt=now).exclude(taken_by=user)
    others = rows.filter(status=Alert.Status.TAKEN).exclude(taken_by=user)
    return [
        Group(key, title, empty, Paginator(alerts, SHOWN).get_page(pages.get(key)))
        for key, title, empty, alerts in (
            ("mine", "Yours", "", mine),
            ("waiting", "To take", "Nothing waits for you.", free),
            ("later", "Put off", "", later),
            ("others", "With your colleagues", "", others),
        )
    ]


def _shown() -> QuerySet[Alert]:
    return Alert.objects.select_related("account", "enrolment__journey", "taken_by")


def show(request: StaffRequest, acted: Card | None = None) -> HttpResponse:
    apart = [acted.alert.pk] if acted else []
    context = {
        "groups": desk_for(request.user, timezone.now(), pages=request.GET, apart=apart),
        "acted": acted,
        "newest": Alert.objects.aggregate(newest=Max("pk"))["newest"] or 0,
        **_acts(request),
    }
    return screen(request, "alerts", context, title="Alerts")


def _acts(request: StaffRequest) -> dict[str, Any]:
    return {"snoozes": SNOOZES, "may_act": request.user.has_perm("alerts.change_alert")}


def answer(
    request: StaffRequest, pk: int, *, moved: bool, said: str, used: bool = False
) -> HttpResponse:
    """The alert as it is now, with what became of the click, and with what was typed unless that was `used`."""
    alert, now = _shown().get(pk=pk), timezone.now()
    card = Card(
        alert=alert,
        place=place_of(alert, request.user, now),
        notice=said if moved else TOO_LATE,
        tone="good" if moved else "warn",
        typed="" if moved and used else _typed(request),
    )
    if request.htmx:
        return screen(request, "alert", {**vars(card), **_acts(request)}, title="Alerts")
    if card.typed:
        return show(request, card)
    messages.add_message(request, messages.SUCCESS if moved else messages.WARNING, card.notice)
    return redirect("alerts")


def _held_by(request: StaffRequest) -> int | None:
    """Who had the alert when the page was made that the click comes from."""
    return whole_number(request.POST.get("held_by", ""))


def _typed(request: StaffRequest) -> str:
    return request.POST.get("resolution", "").strip()[:300]


@require_GET
@staff("pages.see_alerts")
def show_alerts(request: StaffRequest) -> HttpResponse:
    return show(request)


@require_GET
@staff("pages.see_alerts")
def new_alerts(request: StaffRequest) -> HttpResponse:
    """How many alerts came after the newest of the page, or these alone when they are asked for."""
    if not request.htmx:
        return redirect("alerts")
    after = whole_number(request.GET.get("after", "")) or 0
    waiting = desk.waiting(timezone.now()).filter(pk__gt=after)
    if "show" in request.GET:
        return _show_new(request, waiting, after)
    count = waiting.count()
    if count == whole_number(request.GET.get("told", "")):
        # What was said already is not said again to whoever has the page read out.
        return HttpResponse(status=204)
    return screen(request, "new_alerts", {"newest": after, "waiting": count}, title="Alerts")


def _show_new(request: StaffRequest, waiting: QuerySet[Alert], after: int) -> HttpResponse:
    alerts = list(_shown().filter(pk__in=waiting.values("pk")).order_by("pk")[:SHOWN])
    newest = alerts[-1].pk if alerts else after
    context = {"alerts": alerts, "newest": newest, **_acts(request)}
    return screen(request, "new_alerts", context, title="Alerts")


@require_POST
@staff("alerts.change_alert")
def take_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    moved = desk.take(alert.pk, by=request.user, held_by=_held_by(request), now=timezone.now())
    return answer(request, pk, moved=moved, said="It is yours now.")


@require_POST
@staff("alerts.change_alert")
def snooze_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert, now = get_object_or_404(Alert, pk=pk), timezone.now()
    hours = {str(hours): hours for hours, _ in SNOOZES}.get(request.POST.get("hours", ""), 24)
    moved = desk.snooze(
        alert.pk,
        until=now + timedelta(hours=hours),
        by=request.user,
        held_by=_held_by(request),
        now=now,
    )
    return answer(request, pk, moved=moved, said=f"Put off for {dict(SNOOZES)[hours]}.")


@require_POST
@staff("alerts.change_alert")
def release_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    moved = desk.release(alert.pk, by=request.user, held_by=_held_by(request), now=timezone.now())
    return answer(request, pk, moved=moved, said="Given back for anybody to take.")


@require_POST
@staff("alerts.change_alert")
def resolve_alert(request: StaffRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    resolution = _typed(request) or "Resolved"
    moved = desk.resolve(
        alert.pk,
        resolution=resolution,
        by=request.user,
        held_by=_held_by(request),
        now=timezone.now(),
    )
    return answer(request, pk, moved=moved, said="Resolved.", used=True)
