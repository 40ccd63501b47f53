"""The event catalogue at hand: what is planned, and what is wrong with an event's properties."""

import math
import time
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from events import naming, properties
from events.models import EventType
from events.properties import Check

# How long a process may go on with what it read; a change in the browser is seen after this.
SECONDS_REMEMBERED = 5.0
# "Last seen" is for people; it need not be exact to the second.
SECONDS_BETWEEN_SIGHTINGS = 60.0
# A client that makes up a name per event must not fill the catalogue with them.
MOST_UNPLANNED = 2000


def _translated(name: str, check: Check | None, names: naming.Naming) -> Check | None:
    """The check of an event type, for events that arrive under another name."""
    if check is None:
        return None
    return lambda said: check(names.read(name, said)[1])


class Catalogue:
    """What the catalogue said a moment ago."""

    __slots__ = ("checks", "ours", "read_at", "unplanned")

    def __init__(self) -> None:
        self.read_at = time.monotonic()
        # Planned or not, every known name is here; the value is its check.
        self.checks: dict[str, Check | None] = {}
        self.unplanned = 0
        for name, schema, planned in EventType.objects.values_list("name", "schema", "planned"):
            # What is wrong with a schema is left out; the catalogue's page shows it.
            self.checks[name] = properties.read(schema).check
            self.unplanned += not planned
        names = naming.current()
        # What arrives under another name is seen under ours.
        self.ours = {theirs: ours for theirs, (ours, _) in names.names.items()}
        for theirs, ours in self.ours.items():
            self.checks[theirs] = _translated(theirs, self.checks.get(ours), names)


_remembered: Catalogue | None = None
_seen: dict[str, float] = {}


def current() -> Catalogue:
    """The catalogue, at most a few seconds old."""
    global _remembered
    if _remembered is None or time.monotonic() - _remembered.read_at > SECONDS_REMEMBERED:
        _remembered = Catalogue()
    return _remembered


def forget() -> None:
    """Read the catalogue anew at the next event."""
    global _remembered
    _remembered = None
    _seen.clear()


def note_seen(names: Iterable[str], *, now: datetime) -> None:
    """Remember when events of these names arrived, at most once a minute per name and process."""
    tick, known = time.monotonic(), current()
    late = [
        name
        for name in names
        if name in known.checks and tick - _seen.get(name, -math.inf) > SECONDS_BETWEEN_SIGHTINGS
    ]
    if not late:
        return
    _seen.update(dict.fromkeys(late, tick))
    rows = EventType.objects.filter(name__in={known.ours.get(name, name) for name in late})
    with transaction.atomic():
        # Whoever holds a row is writing the same minute into it: nobody waits, nothing deadlocks.
        mine = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
        EventType.objects.filter(pk__in=mine).update(last_seen_at=now)


def note_unplanned(names: Iterable[str], catalogue: Catalogue) -> None:
    """Put names that nobody planned into the catalogue, marked as such."""
    room = MOST_UNPLANNED - catalogue.unplanned
    fresh = [
        EventType(name=name, planned=False, description="Arrived without being planned")
        for name in sorted(names)[: max(room, 0)]
    ]
    if fresh:
        EventType.objects.bulk_create(fresh, ignore_conflicts=True)
        catalogue.unplanned += len(fresh)
