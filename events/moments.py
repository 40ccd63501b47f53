"""Moments as clients write them, and what their clocks are off by."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

# A client's clock and ours never agree to the second; correcting for less than this would only
# shuffle events of one client that travelled in parallel batches.
TOLERANCE = timedelta(seconds=2)
# Unix time from here on is meant in milliseconds (as seconds it would be the year 5138).
MILLISECONDS_FROM = 100_000_000_000
_LOOSE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*(Z|[+-]\d{2}:?\d{2})?$",
    re.IGNORECASE,
)


def parse(value: Any) -> datetime | None:
    """The moment in UTC; None where the value is not one. A time without a zone is taken as UTC."""
    try:
        if type(value) is str:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return _loosely(value.strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(
                value / 1000 if abs(value) >= MILLISECONDS_FROM else value, UTC
            )
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _loosely(text: str) -> datetime | None:
    """Forms that the standard library refuses: one-digit months, unix time as text."""
    if found := _LOOSE.match(text):
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        written = (
            f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second or '00'}"
            f".{(fraction or '0')[:6]:0<6}{(zone or 'Z').upper()}"
        )
        return datetime.fromisoformat(written).astimezone(UTC)
    return parse(float(text)) if re.fullmatch(r"\d{9,13}(\.\d+)?", text) else None


def skew(sent_at: datetime | None, received_at: datetime) -> timedelta | None:
    """What to add to the client's times, zero where its clock is right; None where that is unknown."""
    if sent_at is None:
        return None
    off = received_at - sent_at
    return timedelta(0) if -TOLERANCE < off < TOLERANCE else off
