"""What was refused: kept with its reason, replayed after a fix, or dismissed by somebody."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import User
from events import keys
from events.api import body, routes
from events.ingest import ingest, tell
from events.models import Event, IngestKey, RejectedEvent

WRONG_KEY = "invalid_write_key"
# There is nothing to mend where nothing was kept. What came while its key was valid may be
# replayed after the key was revoked.
NOTHING_KEPT = {
    WRONG_KEY: "Nothing of it was kept: send it again with a valid key.",
    "empty_body": "It was empty.",
}
# Anybody can send wrong keys; so many are enough to see that somebody does.
MOST_WRONG_KEYS = 100
# Rows from before the address was kept, and what did not come over the wire.
ANY_ROUTE = routes.ROUTES["/v1/batch"]
# Of a body that cannot be unpacked nobody can make anything; enough to see what it was.
PACKED_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: stored (perhaps as a duplicate), or refused again and why."""

    stored: bool
    code: str = ""
    message: str = ""


def keep_body(
    sent: bytes, code: str, detail: str, *, key: IngestKey, presented: str, path: str, now: datetime
) -> None:
    """Keep all of a body that could not be read, unpacked if it could be, without the key in it."""
    text = sent.decode("utf-8", "replace").replace("\x00", "\ufffd")
    if presented:
        text = text.replace(presented, "…")
    RejectedEvent.objects.bulk_create(
        [
            RejectedEvent(
                key=key,
                received_at=now,
                code=code,
                detail=detail[:1000],
                path=path,
                raw=text,
                # Sent elsewhere, the same words mean something else.
                raw_hash=hashlib.sha256(path.encode() + sent).hexdigest(),
            )
        ],
        ignore_conflicts=True,
    )


_wrong_keys_seen: set[str] = set()


def note_wrong_key(presented: str, *, path: str, now: datetime) -> None:
    """Show that a request came with a key that is unknown or revoked: once per key, without its body."""
    digest = keys.hashed(presented)
    if digest in _wrong_keys_seen or len(_wrong_keys_seen) >= MOST_WRONG_KEYS:
        return
    _wrong_keys_seen.add(digest)
    kept = RejectedEvent.objects.filter(code=WRONG_KEY, status=RejectedEvent.Status.OPEN)
    if kept.filter(raw_hash=digest).exists() or kept.count() >= MOST_WRONG_KEYS:
        return
    revoked = IngestKey.objects.filter(key_hash=digest).first()
    what = "a revoked key" if revoked else "a key that we do not know"
    if len(presented) > 12 and presented.isprintable() and presented.isascii():
        what += f", ending in …{presented[-4:]}"
    RejectedEvent.objects.bulk_create(
        [
            RejectedEvent(
                key=revoked,
                received_at=now,
                code=WRONG_KEY,
                detail=f"A request to {path} came with {what}.",
                raw="",
                raw_hash=digest,
            )
        ],
        ignore_conflicts=True,
    )


def why_not(row: RejectedEvent) -> str:
    """Why the row cannot be replayed; empty where it can."""
    if row.status != RejectedEvent.Status.OPEN:
        return "It was replayed or dismissed already."
    if row.key is None and row.code not in NOTHING_KEPT:
        return "We know of no key that it came with."
    return NOTHING_KEPT.get(row.code, "")


def replay(
    rejected: RejectedEvent, raw: str | None = None, *, by: User | None, now: datetime
) -> Replayed:
    """Send a refused event or body in again, as it came or as `raw` says now, read as the endpoint does.

    A replay that is refused again stores nothing and leaves the row open.
    Raises ValueError, with the reason, where the row cannot be replayed.
    """
    with transaction.atomic():
        row = RejectedEvent.objects.select_for_update().get(pk=rejected.pk)
        if (why := why_not(row)) or row.key is None:
            raise ValueError(why)
        text = row.raw if raw is None else raw
        try:
            content = body.understood(text.encode("utf-8", "surrogatepass"))
        except body.Unreadable as error:
            return Replayed(False, error.code, error.message)
        sent = routes.read(content, routes.ROUTES.get(row.path, ANY_ROUTE))
        # As it arrived then: the moment of receipt is part of what its times mean.
        report = ingest(
            sent.messages,
            key=row.key,
            now=row.received_at,
            sent_at=sent.sent_at,
            historical=sent.historical,
        )
        told = tell(report)
        if not told:
            return Replayed(False, "empty_batch", "There is no event in it.")
        bad = next((line for line in told if line["status"] == "rejected"), None)
        if bad is not None:
            transaction.set_rollback(True)
            return Replayed(False, bad["code"], bad["message"])
        row.status = RejectedEvent.Status.REPLAYED
        row.event = Event.objects.filter(
            source=row.key.source, message_id__in=[line["messageId"] for line in told]
        ).first()
        row.closed_at, row.closed_by = now, by
        row.save(update_fields=["status", "event", "closed_at", "closed_by"])
    return Replayed(True)


def dismiss(rows: Iterable[RejectedEvent], *, by: User | None, now: datetime) -> int:
    """Close these rows without storing anything; how many were open."""
    return RejectedEvent.objects.filter(
        pk__in=[row.pk for row in rows], status=RejectedEvent.Status.OPEN
    ).update(status=RejectedEvent.Status.DISMISSED, closed_at=now, closed_by=by)
