"""How much of each event arrives: seven days by name, and how much of it breaks its schema.

The log has no index by name, which would slow every insert; so what is read is bounded instead.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Count, F, Max, Q, QuerySet, Window
from django.db.models.functions import RowNumber, TruncDate

from events import naming
from events.models import Event, EventType

DAYS = 7
# Of a busier week only so many of the newest events are counted, and the page says so.
MOST_COUNTED = 200_000
# How many of the latest events of each name are looked into.
SAMPLED = 100
# Calls have no name of their own, so they are counted by their type.
CALLS = ("identify", "group")


@dataclass(slots=True)
class Traffic:
    """What arrived of one event in the last seven days, the oldest day first."""

    days: list[int] = field(default_factory=lambda: [0] * DAYS)
    test: int = 0
    broken: int = 0
    last_seen_at: datetime | None = None

    @property
    def total(self) -> int:
        return sum(self.days)

    @property
    def share_broken(self) -> float:
        """The share that breaks its schema, 0 to 1."""
        return self.broken / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Week:
    """The traffic of every name that was asked for; `since` where not all of it could be counted."""

    by_name: Mapping[str, Traffic]
    since: datetime | None


def of_week(names: Iterable[str], *, now: datetime) -> Week:
    """What arrived under these names of ours, and under those that stand for them; also `CALLS`."""
    wanted = set(names)
    read_as = naming.current().names
    floor = _floor()
    rows = (
        Event.objects.filter(_named(wanted), pk__gt=floor, received_at__gt=now - timedelta(DAYS))
        .order_by()
        .annotate(day=TruncDate("received_at"))
        .values("type", "name", "day")
        .annotate(
            count=Count("pk"),
            test=Count("pk", filter=Q(environment="test")),
            broken=Count("pk", filter=Q(problems__isnull=False)),
            seen=Max("received_at"),
        )
    )
    found = {name: Traffic(last_seen_at=at) for name, at in _last_seen(wanted)}
    for row in rows:
        ours = read_as[row["name"]][0] if row["name"] in read_as else row["name"] or row["type"]
        traffic = found.setdefault(ours, Traffic())
        traffic.days[_place(row["day"], now)] += row["count"]
        traffic.test += row["test"]
        traffic.broken += row["broken"]
        traffic.last_seen_at = max(filter(None, (traffic.last_seen_at, row["seen"])))
    oldest = Event.objects.filter(pk__gt=floor).order_by("pk").first() if floor else None
    since = oldest.received_at if oldest and oldest.received_at > now - timedelta(DAYS) else None
    return Week({name: found.get(name, Traffic()) for name in wanted}, since)


def _last_seen(names: set[str]) -> Iterable[tuple[str, datetime | None]]:
    return EventType.objects.filter(name__in=names).values_list("name", "last_seen_at")


def _place(day: date, now: datetime) -> int:
    """Where a day stands among the last seven; what is left of an eighth belongs to the first."""
    return min(max(DAYS - 1 - (now.date() - day).days, 0), DAYS - 1)


def _named(names: set[str]) -> Q:
    calls = [name for name in CALLS if name in names]
    return Q(name__in=naming.current().sent_as(names)) | Q(name="", type__in=calls)


def _floor() -> int:
    """Only events with a greater id are read."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return max(newest - MOST_COUNTED, 0)


def latest(names: Iterable[str]) -> Sequence[Event]:
    """The latest events of each of these names of ours, `SAMPLED` of each incoming name at most."""
    rows = Event.objects.counting().filter(
        pk__gt=_floor(), name__in=naming.current().sent_as(names)
    )
    nth = Window(RowNumber(), partition_by=F("name"), order_by=F("pk").desc())
    ids = list(
        rows.annotate(nth=nth).filter(nth__lte=SAMPLED).order_by().values_list("pk", flat=True)
    )
    newest: QuerySet[Event] = Event.objects.filter(pk__in=ids).order_by("-pk")
    return list(newest.only("name", "properties", "problems", "received_at", "environment"))
