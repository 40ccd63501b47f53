"""A batch from a client into the log: all of it in one transaction, or none of it.

The order matters: who is meant → lock the accounts → append → change people and accounts by what
is new → mark. A look at an account that runs afterwards sees everything of the batch; one that
runs before is asked for again.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from django.db import OperationalError, transaction
from pydantic_core import PydanticSerializationError

from events import calls, catalogue, identities, log, moments, validation
from events.models import IngestKey, RejectedEvent
from events.properties import Check
from events.validation import Entry, Refused

# Two batches can still meet in different orders (the same message id sent for two accounts).
# PostgreSQL then ends one of them, and it starts again from the beginning.
ATTEMPTS = 4
DEADLOCK, SERIALIZATION = "40P01", "40001"


@dataclass(slots=True)
class Report:
    """What became of a batch; everything it counts is durable. `tell` says it event by event."""

    stored: int
    duplicates: int
    rejected: int
    # The accounts that now wait for a look.
    accounts: set[int]
    entries: list[Entry] = field(repr=False)
    # The message ids that were new; None where all were.
    new: set[str] | None = field(repr=False)
    refusals: "dict[int, Refusal]" = field(repr=False)


class Moved(Exception):
    """What was found out no longer holds, or was found too hastily; the batch starts again."""


class Unstorable(Exception):
    """Some entry holds text that no database can; it goes to the quarantine and the rest is stored."""


def ingest(
    messages: Sequence[Any],
    *,
    key: IngestKey,
    now: datetime,
    sent_at: datetime | None = None,
    historical: bool = False,
    path: str = "",
) -> Report:
    """Store a batch. `sent_at` is the client's clock when it sent, `now` ours when it arrived at `path`.

    `historical` fills in the past: it changes state and never makes an old reminder due.
    Raises OperationalError where the database is away; then nothing of the batch is stored.
    """
    entries, refusals = read(messages, now=now, sent_at=sent_at, historical=historical)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                new, accounts = _store(entries, key=key, now=now, hasty=attempt == 1)
                _quarantine(
                    refusals.values(),
                    key=key,
                    now=now,
                    sent_at=sent_at,
                    historical=historical,
                    path=path,
                )
            break
        except Moved:
            if attempt == ATTEMPTS:
                raise
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if attempt == ATTEMPTS or state not in (DEADLOCK, SERIALIZATION):
                raise
        except (Unstorable, UnicodeEncodeError, PydanticSerializationError):
            refusals |= _refuse_unstorable(entries, messages)
            if attempt == ATTEMPTS or not any(entry.index in refusals for entry in entries):
                raise
            entries = [entry for entry in entries if entry.index not in refusals]
        for entry in entries:
            entry.begin_again()
    stored = len(entries) if new is None else len(new)
    return Report(
        stored=stored,
        duplicates=len(entries) - stored,
        rejected=len(refusals),
        accounts=accounts,
        entries=entries,
        new=new,
        refusals=refusals,
    )


def read(
    messages: Sequence[Any], *, now: datetime, sent_at: datetime | None, historical: bool
) -> tuple[list[Entry], dict[int, "Refusal"]]:
    """The entries of a batch, and by index what was refused."""
    off = moments.skew(sent_at, now)
    entries: list[Entry] = []
    refusals: dict[int, Refusal] = {}
    for index, message in enumerate(messages):
        try:
            entries.append(validation.read(message, index, now=now, off=off, historical=historical))
        except Refused as refused:
            refusals[index] = Refusal(refused.code, refused.detail, message)
    return entries, refusals


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was not stored, and the message."""

    code: str
    detail: str
    message: Any

    @property
    def message_id(self) -> str | None:
        given = self.message.get("messageId") if isinstance(self.message, dict) else None
        return given[:100] if isinstance(given, str) else None

    def raw(self, sent_at: datetime | None, historical: bool) -> str:
        """The message as text, with what its batch said about it, so that it can be replayed."""
        message = self.message
        if isinstance(message, dict):
            message = dict(message)
            if sent_at is not None:
                message.setdefault("sentAt", sent_at.isoformat())
            if historical:
                message["historical"] = True
        return json.dumps(message, default=str)

    @property
    def digest(self) -> str:
        """The same for every time that the message is sent."""
        message = self.message
        if isinstance(message, dict):
            message = {k: v for k, v in message.items() if k not in validation.CHANGES_ON_RESEND}
        return hashlib.sha256(json.dumps(message, default=str).encode()).hexdigest()


def _refuse_unstorable(entries: Iterable[Entry], messages: Sequence[Any]) -> dict[int, "Refusal"]:
    """The refusals of those entries that no database can hold."""
    refusals = {}
    for entry in entries:
        message = messages[entry.index]
        if _has_nul(message):
            said = "Text with a NUL character (\\u0000) cannot be stored."
            refusals[entry.index] = Refusal("nul_character", said, message)
            continue
        try:
            log.pack([message])
        except PydanticSerializationError as error:
            refusals[entry.index] = Refusal("not_json", str(error)[:500], message)
    return refusals


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(each) for key, each in value.items())
    return isinstance(value, (list, tuple)) and any(map(_has_nul, value))


def _store(
    entries: list[Entry], *, key: IngestKey, now: datetime, hasty: bool
) -> tuple[set[str] | None, set[int]]:
    """Append the entries and apply what they say; the new message ids (None: all) and accounts."""
    if not entries:
        return None, set()
    environment = key.environment
    told = [entry for entry in entries if calls.tells(entry)]
    if told:
        stored = log.known(key.source, [entry.message_id for entry in told])
        told = [
            entry
            for entry in _first_of(entries, {entry.message_id for entry in entries} - stored)
            if calls.tells(entry)
        ]
    # Most batches only say what happened in accounts that we know: their ids are looked up and
    # locked in one go. Whatever else comes up, the batch starts again the long way.
    if hasty and not told and all(entry.group_id for entry in entries):
        known, locked = _who_hastily(entries, environment, now)
        plan = calls.Plan()
        candidates = _attribute(entries, known, plan, catalogue.current())
    else:
        known = _who(entries, told, environment, now)
        plan = calls.planned(told, known, environment)
        candidates = _attribute(entries, known, plan, catalogue.current())
        touched = {entry.account_id for entry in entries if entry.account_id is not None}
        locked = log.lock(touched | candidates | plan.account_ids, now=now)
    if any(account.is_merged for account in locked):
        raise Moved
    new = log.insert(
        _packed(entries),
        source=key.source,
        environment=environment,
        received_at=now,
        expected=len(entries),
    )
    fresh = entries if new is None else _first_of(entries, new)
    if told and new is not None and not new.issuperset(entry.message_id for entry in told):
        # Somebody else stored one of the calls meanwhile, so what it says is not ours to apply.
        raise Moved
    changed = {entry.account_id for entry in fresh if entry.account_id is not None}
    if candidates:
        changed |= {
            pk for entry in fresh if _is_in_doubt(entry) for pk in known.candidates(entry.person_id)
        }
    known_otherwise, rewritten = calls.apply(plan, environment=environment, now=now)
    changed |= known_otherwise | plan.doubted
    log.mark(locked, changed=changed, rewritten=rewritten, now=now)
    return new, changed | rewritten


def _who_hastily(
    entries: Iterable[Entry], environment: str, now: datetime
) -> tuple[identities.Known, list[log.Locked]]:
    """Who is meant where every event names an account that exists. Raises Moved where one does not."""
    known = identities.Known()
    # People first: whoever waits for somebody else's new person must not hold an account.
    known.people, known.links = identities.people(
        {entry.user_id for entry in entries if entry.user_id},
        {entry.anonymous_id for entry in entries if entry.anonymous_id and not entry.user_id},
        environment,
        now,
    )
    groups = {entry.group_id for entry in entries if entry.group_id}
    locked = log.lock_known(groups, environment, now=now)
    known.accounts = {account.external_id: account.id for account in locked}
    if len(locked) != len(groups):
        raise Moved
    return known, locked


def _who(
    entries: Iterable[Entry], told: Sequence[Entry], environment: str, now: datetime
) -> identities.Known:
    users = {entry.user_id for entry in entries if entry.user_id}
    users |= {entry.member_id for entry in told if entry.member_id}
    anonymous = {entry.anonymous_id for entry in entries if entry.anonymous_id}
    anonymous |= {entry.previous_id for entry in told if entry.previous_id}
    groups = {entry.group_id for entry in entries if entry.group_id}
    known = identities.Known()
    known.accounts = identities.accounts(groups, environment, now)
    identities.hold(
        changed=[
            f"{environment}:{each}"
            for entry in told
            for each in (entry.user_id, entry.member_id, entry.previous_id, entry.anonymous_id)
            if each
        ],
        read=[
            f"{environment}:{entry.user_id or entry.anonymous_id}"
            for entry in entries
            if not entry.group_id and (entry.user_id or entry.anonymous_id)
        ],
    )
    known.people, known.links = identities.people(users, anonymous, environment, now)
    placed = {
        known.people[entry.user_id] if entry.user_id else known.links.get(entry.anonymous_id or "")
        for entry in entries
        if not entry.group_id
    }
    changed = {
        known.people[each]
        for entry in told
        for each in (entry.user_id, entry.member_id, entry.previous_id)
        if each in known.people
    }
    changed |= {
        known.links[entry.anonymous_id] for entry in told if entry.anonymous_id in known.links
    }
    asked = {each for each in placed if each is not None}
    identities.hold_people(changed=changed, read=asked)
    known.memberships = identities.memberships(asked | changed)
    return known


def _attribute(
    entries: Iterable[Entry],
    known: identities.Known,
    plan: calls.Plan,
    planned: catalogue.Catalogue,
) -> set[int]:
    """Give every entry its person and account; the accounts that an unplaced one may belong to."""
    candidates: set[int] = set()
    unplanned: set[str] = set()
    people, links, accounts = known.people, known.links, known.accounts
    checks = planned.checks
    for entry in entries:
        if entry.user_id:
            entry.person_id = people[entry.user_id]
        elif entry.anonymous_id:
            entry.person_id = links.get(entry.anonymous_id) or plan.links.get(entry.anonymous_id)
        if entry.group_id:
            entry.account_id = accounts[entry.group_id]
        else:
            entry.account_id = known.only_account_of(entry.person_id)
            if _is_in_doubt(entry):
                candidates.update(known.candidates(entry.person_id))
        if entry.type == "track":
            check = checks.get(entry.name, _UNPLANNED)
            if check is _UNPLANNED:
                unplanned.add(entry.name)
            elif check is not None and (problems := check(entry.properties)):
                entry.problems = [*(entry.problems or ()), *problems]
        elif entry.type == "identify":
            calls.flag_email(entry)
    if unplanned:
        catalogue.note_unplanned(unplanned, planned)
    return candidates


def _is_in_doubt(entry: Entry) -> bool:
    """May it complete a setup in any of several accounts? Which events do, only the journeys know."""
    return entry.type == "track" and entry.account_id is None and entry.person_id is not None


def _nothing(_: Any) -> list[dict[str, str]]:
    return []


_UNPLANNED: Check = _nothing


def _packed(entries: Iterable[Entry]) -> str:
    try:
        packed = log.pack([_row(entry) for entry in entries])
    except PydanticSerializationError as error:
        raise Unstorable from error
    if b"\\u0000" in packed and any(_has_nul((entry.properties, entry.extra)) for entry in entries):
        raise Unstorable
    return packed.decode()


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "m": entry.message_id, "t": entry.type, "n": entry.name, "a": entry.account_id,
        "p": entry.person_id, "x": entry.anonymous_id or "", "w": entry.actor,
        "h": entry.historical, "o": entry.occurred_at, "d": entry.properties,
        "e": entry.extra,
    }  # fmt: skip
    if entry.problems:
        row["q"] = entry.problems
    return row


def _first_of(entries: Iterable[Entry], new: set[str]) -> list[Entry]:
    """The entries that were stored: of several with one id the first."""
    left = set(new)
    fresh = []
    for entry in entries:
        if entry.message_id in left:
            left.discard(entry.message_id)
            fresh.append(entry)
    return fresh


def _quarantine(
    refusals: Iterable[Refusal],
    *,
    key: IngestKey,
    now: datetime,
    sent_at: datetime | None,
    historical: bool,
    path: str,
) -> None:
    """Keep what was refused until somebody acts. The same words again are the same row."""
    rows = {
        refusal.digest: RejectedEvent(
            key=key,
            received_at=now,
            code=refusal.code,
            detail=refusal.detail[:1000],
            path=path,
            raw=refusal.raw(sent_at, historical),
            raw_hash=refusal.digest,
        )
        for refusal in refusals
    }
    if rows:
        RejectedEvent.objects.bulk_create(
            [rows[each] for each in sorted(rows)], ignore_conflicts=True, batch_size=1000
        )


def tell(report: Report) -> list[dict[str, Any]]:
    """The report event by event, in the batch's order, as the endpoint answers it."""
    fresh = report.entries if report.new is None else _first_of(report.entries, report.new)
    told: list[dict[str, Any]] = [
        {"index": entry.index, "messageId": entry.message_id, "status": "stored"}
        if entry.problems is None
        else {
            "index": entry.index,
            "messageId": entry.message_id,
            "status": "stored",
            "warnings": entry.problems,
        }
        for entry in fresh
    ]
    if report.duplicates:
        stored = {entry.index for entry in fresh}
        told += [
            {
                "index": entry.index,
                "messageId": entry.message_id,
                "status": "duplicate",
                "code": "duplicate",
                "message": "An event with this messageId is stored already.",
            }
            for entry in report.entries
            if entry.index not in stored
        ]
    told += [
        {
            "index": index,
            "messageId": refusal.message_id,
            "status": "rejected",
            "code": refusal.code,
            "message": refusal.detail,
        }
        for index, refusal in report.refusals.items()
    ]
    if report.duplicates or report.refusals:
        told.sort(key=itemgetter("index"))
    return told
