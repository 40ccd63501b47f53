"""The analyst's list: per journey, how many setups started, how many work, and how long it took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import Environment
from lifecycle.journeys.models import Enrolment, Journey
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen

# Below this many setups a rate says little: its 95 % interval is wider than 35 points.
SMALL_SAMPLE = 30


@dataclass(frozen=True)
class JourneyNumbers:
    """What became of the setups on one journey, control group included."""

    name: str
    started: int
    working: int
    median: timedelta | None

    @property
    def rate(self) -> float | None:
        """Working setups per started setup, 0 to 1; None when none has started."""
        return self.working / self.started if self.started else None

    @property
    def is_small(self) -> bool:
        return self.started < SMALL_SAMPLE


def numbers(now: datetime) -> Sequence[JourneyNumbers]:
    """Every journey's numbers: production's setups that are enrolled, each in its current attempt."""
    rows = (
        Enrolment.objects.filter(
            account__environment=Environment.PRODUCTION,
            # What stays behind in a merge is known twice.
            account__merged_into=None,
            attempt=F("setup__attempt"),
        )
        .order_by()
        .values_list("journey_id", "setup__started_at", "setup__usable_at")
    )
    times: dict[int, list[tuple[timedelta, bool]]] = {}
    for journey, started, usable in rows.iterator():
        if started is not None:
            times.setdefault(journey, []).append(((usable or now) - started, usable is not None))
    return [
        _numbers_of(journey.name, times.get(journey.pk, []))
        for journey in Journey.objects.order_by("name")
    ]


def _numbers_of(name: str, times: list[tuple[timedelta, bool]]) -> JourneyNumbers:
    return JourneyNumbers(
        name=name,
        started=len(times),
        working=sum(finished for _, finished in times),
        median=median_time(times),
    )


def median_time(times: Iterable[tuple[timedelta, bool]]) -> timedelta | None:
    """When half of them had finished; None while fewer have. An entry is (how long, finished?).

    The unfinished count for as long as they have been watched (Kaplan and Meier, JASA 53, 1958);
    the plain median of the finished ones would look better than it is.
    """
    ordered = sorted(times)
    surviving, at_risk, index = 1.0, len(ordered), 0
    while index < len(ordered):
        moment = ordered[index][0]
        here = [finished for length, finished in ordered[index:] if length == moment]
        surviving *= 1 - sum(here) / at_risk
        if surviving <= 0.5:
            return moment
        at_risk -= len(here)
        index += len(here)
    return None


@require_GET
@staff("pages.see_numbers")
def show_numbers(request: StaffRequest) -> HttpResponse:
    rows = numbers(timezone.now())
    context = {"rows": rows, "small": SMALL_SAMPLE, "any_small": any(row.is_small for row in rows)}
    return screen(request, "numbers", context, title="Numbers")
