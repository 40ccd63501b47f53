"""Whether background work progresses: the banner on every page, and the page that tells all of it."""

import time
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_GET

from lifecycle.pages.access import ANY_STAFF, StaffRequest, staff
from lifecycle.pages.screen import screen
from lifecycle.runner.health import Health, health
from lifecycle.runner.models import Pause

KEEP_SECONDS = 3.0
PAUSES_SHOWN = 5
# The last answer and when it was made: every page asks, and a few seconds' age does no harm.
_kept: tuple[float, Health] | None = None


def recent_health(now: datetime) -> Health:
    """Health as of `now`, or as of a few seconds ago."""
    global _kept
    clock = time.monotonic()
    if _kept is None or clock - _kept[0] > KEEP_SECONDS:
        _kept = (clock, health(now))
    return _kept[1]


def forget() -> None:
    """Ask the database again next time."""
    global _kept
    _kept = None


def banner(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `work`, asked for only by templates that show the banner to staff."""
    user = getattr(request, "user", None)
    if user is None or not user.is_staff:
        return {}
    return {"work": SimpleLazyObject(lambda: recent_health(timezone.now()))}


@require_GET
@staff(ANY_STAFF)
def show_status(request: StaffRequest) -> HttpResponse:
    context = {"found": health(timezone.now()), **_switch()}
    return screen(request, "status", context, title="Background work")


def show_switch(request: StaffRequest, notice: str) -> HttpResponse:
    """The switch for all sending alone, after it was used."""
    context = {**_switch(), "notice": notice}
    return screen(request, "switch", context, title="Background work")


def _switch() -> dict[str, Any]:
    pauses = Pause.objects.order_by("-paused_at")
    return {
        "pause": pauses.filter(is_open=True).first(),
        "pauses": pauses.filter(is_open=False)[:PAUSES_SHOWN],
    }


@require_GET
@staff(ANY_STAFF)
def show_banner(request: StaffRequest) -> HttpResponse:
    """The banner alone, as HTMX refreshes it; for everybody else the page that tells more."""
    if not request.htmx:
        return redirect("status")
    return screen(request, "banner", {}, title="Background work")
