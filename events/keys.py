"""Ingest keys: made, recognised, revoked, and held to their rate.

Only a key's hash is stored. A key is 256 random bits, so a plain hash cannot be guessed back.
"""

import hashlib
import hmac
import math
import secrets
import threading
import time
from datetime import datetime

from accounts.models import Environment, User
from events.models import IngestKey

PREFIX = "lk_"
# A revoked key is refused by every process after this at the latest.
SECONDS_REMEMBERED = 2.0
MOST_REMEMBERED = 1024
# "Last used" is for people; it need not be exact to the second.
SECONDS_BETWEEN_USES = 60.0
# How many seconds' worth of events may arrive at once after a quiet time.
BURST_SECONDS = 10
# What a process leases at a time, so that the key's row is written a few times a second at most.
LEASE_SECONDS = 0.25
LONGEST_WAIT = 300

_guard = threading.Lock()
_remembered: dict[str, tuple[float, IngestKey]] = {}
_leases: dict[int, float] = {}
_uses: dict[int, float] = {}


def create(
    name: str,
    *,
    environment: str = Environment.PRODUCTION,
    rate_per_second: int = 2000,
    by: User | None = None,
) -> tuple[IngestKey, str]:
    """A new key's row, and the key itself, which nobody can read again."""
    plain = PREFIX + secrets.token_urlsafe(32)
    row = IngestKey.objects.create(
        name=name,
        environment=Environment(environment),
        key_hash=hashed(plain),
        hint=plain[-4:],
        rate_per_second=rate_per_second,
        created_by=by,
    )
    return row, plain


def hashed(plain: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()


def verify(presented: str) -> IngestKey | None:
    """The key that this is, unless it is unknown or revoked."""
    if not presented:
        return None
    digest = hashed(presented)
    known = _remembered.get(digest)
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    row = IngestKey.objects.filter(key_hash=digest, revoked_at=None).first()
    if row is None or not hmac.compare_digest(row.key_hash, digest):
        _remembered.pop(digest, None)
        return None
    with _guard:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[digest] = (time.monotonic() + SECONDS_REMEMBERED, row)
    return row


def revoke(key: IngestKey, *, now: datetime) -> bool:
    """End a key's life; False where that had happened already."""
    done = IngestKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now) == 1
    with _guard:
        _remembered.pop(key.key_hash, None)
    return done


def note_use(key: IngestKey, *, now: datetime) -> None:
    """Remember that the key was used, at most once a minute per process."""
    tick = time.monotonic()
    if tick - _uses.get(key.pk, -SECONDS_BETWEEN_USES) < SECONDS_BETWEEN_USES:
        return
    _uses[key.pk] = tick
    IngestKey.objects.filter(pk=key.pk).update(last_used_at=now)


def wait_for(key: IngestKey, events: int, *, now: datetime) -> int:
    """0 where the key's rate allows so many events now, otherwise whole seconds to wait.

    Processes lease the rate in blocks from the key's row, so that no request waits for another.
    """
    with _guard:
        left = _leases.get(key.pk, 0.0)
        if left >= events:
            _leases[key.pk] = left - events
            return 0
    leased, seconds = _lease(key, events - left, now)
    with _guard:
        _leases[key.pk] = _leases.get(key.pk, 0.0) + leased
        if seconds:
            return seconds
        _leases[key.pk] -= events
    return 0


def _lease(key: IngestKey, need: float, now: datetime) -> tuple[float, int]:
    """Lease at least `need` events; how many were leased, and how long to wait if none."""
    for _ in range(20):
        row = IngestKey.objects.values("rate_per_second", "leased", "leased_at").get(pk=key.pk)
        rate = max(row["rate_per_second"], 1)
        burst = rate * BURST_SECONDS
        elapsed = max((now - row["leased_at"]).total_seconds(), 0.0)
        owed = max(row["leased"] - elapsed * rate, 0.0)
        # A batch larger than the burst passes when nothing is owed, and is paid back afterwards.
        short = owed + min(need, burst) - burst
        if short > 0:
            return 0.0, min(max(math.ceil(short / rate), 1), LONGEST_WAIT)
        block = max(need, min(rate * LEASE_SECONDS, burst - owed))
        moved = IngestKey.objects.filter(
            pk=key.pk, leased=row["leased"], leased_at=row["leased_at"]
        ).update(leased=owed + block, leased_at=max(now, row["leased_at"]))
        if moved:
            return block, 0
    return 0.0, 1


def forget() -> None:
    """Drop what this process remembers of every key."""
    with _guard:
        _remembered.clear()
        _leases.clear()
        _uses.clear()
