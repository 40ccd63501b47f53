"""When a mail may go: send window and quiet hours in the recipient's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from lifecycle.engine.journey import Hours

DAYS_AHEAD = 16  # two weeks, as a clock put forward may skip a whole window, and the zone's days


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """The time zone of that IANA name; UTC where it is empty or unknown."""
    return _zone(name) or UTC


def known(name: str) -> bool:
    """Whether it names a time zone."""
    return _zone(name) is not None


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


@lru_cache(maxsize=256)
def clock(text: str) -> time:
    """ "HH:MM" as a time; "24:00" is the last moment of the day. Raises ValueError."""
    if text == "24:00":
        return time.max
    return time.fromisoformat(text)


def is_open(at: datetime, zone_name: str, hours: Hours) -> bool:
    """Whether a mail may go at this moment."""
    local = at.astimezone(zone(zone_name))
    here = local.time().replace(tzinfo=None)
    if local.weekday() not in hours.days:
        return False
    if not clock(hours.start) <= here < clock(hours.end):
        return False
    quiet_from, quiet_until = clock(hours.quiet_start), clock(hours.quiet_end)
    if quiet_from == quiet_until:
        return True
    if quiet_from < quiet_until:
        return not quiet_from <= here < quiet_until
    return quiet_until <= here < quiet_from


def next_open(at: datetime, zone_name: str, hours: Hours) -> datetime:
    """The first moment at or after `at` when a mail may go, in UTC.

    Where the hours never open (no days, or quiet hours over the whole window) it is `at` plus
    a year: such a journey is refused by its checks, and must not loop here.
    """
    if is_open(at, zone_name, hours):
        return at.astimezone(UTC)
    place = zone(zone_name)
    today = at.astimezone(place).date()
    for day in range(DAYS_AHEAD):
        for moment in _openings(today + timedelta(days=day), place, hours):
            if moment >= at and is_open(moment, zone_name, hours):
                return moment
    return at.astimezone(UTC) + timedelta(days=365)


def _openings(day: date, place: tzinfo, hours: Hours) -> list[datetime]:
    """The moments of a local day at which hours may open, in order, in UTC.

    Those are the clock times at which they begin, twice where the clock is put back over them, and
    the change of the clock itself, which can jump into the hours or out of them.
    """
    clocks = {clock(hours.start), clock(hours.quiet_end)}
    local = [datetime.combine(day, opening, tzinfo=place) for opening in clocks]
    moments = {moment.replace(fold=fold).astimezone(UTC) for moment in local for fold in (0, 1)}
    # From well before midnight on, as some zones change their clocks at midnight.
    begin, end = (
        datetime.combine(day, time.min, tzinfo=UTC) + timedelta(hours=h) for h in (-18, 42)
    )
    if begin.astimezone(place).utcoffset() != end.astimezone(place).utcoffset():
        change = _change(begin, end, place)
        if change.astimezone(place).date() == day:
            moments.add(change)
    return sorted(moments)


def _change(low: datetime, high: datetime, place: tzinfo) -> datetime:
    """The moment between these two at which the zone's offset changes, to the second."""
    before = low.astimezone(place).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(place).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
