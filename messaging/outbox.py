"""The outbox: every move that a message may make, and the verbs that make it.

A move is compare-and-set: it happens only from the state it starts in, so of two that come at once
one does nothing. Nothing here talks to the network.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from accounts.models import Environment
from messaging import addresses
from messaging.models import Attempt, Message, MessageStatus
from messaging.sets import Change, update_each, update_together

QUEUED, SENDING, SENT = MessageStatus.QUEUED, MessageStatus.SENDING, MessageStatus.SENT
DELIVERED, BOUNCED, COMPLAINED = (
    MessageStatus.DELIVERED,
    MessageStatus.BOUNCED,
    MessageStatus.COMPLAINED,
)
CANCELLED, FAILED, UNCERTAIN, WITHHELD = (
    MessageStatus.CANCELLED,
    MessageStatus.FAILED,
    MessageStatus.UNCERTAIN,
    MessageStatus.WITHHELD,
)

# All the moves there are. From `uncertain` no machine goes back to `queued`: it may have arrived.
EDGES: dict[MessageStatus, frozenset[MessageStatus]] = {
    QUEUED: frozenset({SENDING, CANCELLED, WITHHELD}),
    # A provider's webhook may be quicker than our own settling.
    SENDING: frozenset({SENT, FAILED, QUEUED, UNCERTAIN, DELIVERED, BOUNCED, COMPLAINED}),
    SENT: frozenset({DELIVERED, BOUNCED, COMPLAINED}),
    UNCERTAIN: frozenset({SENT, FAILED, DELIVERED, BOUNCED, COMPLAINED}),
    # Bounces also come hours after a first server took the mail; a complaint outlasts everything.
    DELIVERED: frozenset({BOUNCED, COMPLAINED}),
    BOUNCED: frozenset({COMPLAINED}),
    COMPLAINED: frozenset(),
    CANCELLED: frozenset(),
    FAILED: frozenset(),
    WITHHELD: frozenset(),
}
LEASE_DUE_FOR = timedelta(seconds=60)


def sources(target: MessageStatus) -> list[MessageStatus]:
    """The states from which a message may move to `target`."""
    return [source for source, targets in EDGES.items() if target in targets]


def move(
    rows: Sequence[Mapping[str, Any]],
    target: MessageStatus,
    *,
    start: Collection[MessageStatus] | None = None,
    where: Q | None = None,
    **same: Any,
) -> list[int]:
    """Move these rows (each a dict with `id` and its own values) to `target`; the ids that did move.

    `start` narrows the states to start from. Raises ValueError for a move that EDGES does not list.
    """
    start = sources(target) if start is None else start
    if unlisted := [state for state in start if target not in EDGES[state]]:
        raise ValueError(f"There is no move from {', '.join(unlisted)} to {target}.")
    condition = Q(status__in=[str(state) for state in start])
    if where is not None:
        condition &= where
    return update_each(Message, rows, where=condition, same={"status": target, **same})


# --- in -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class NewMessage:
    """A mail that may go now, as whoever wants it sent describes it."""

    dedupe_key: str
    account_id: int
    person_id: int
    email: str
    template_version_id: int
    sender_id: int
    category: str
    counts_toward_cap: bool
    context: dict[str, Any]
    not_after: datetime


def enqueue(new: Sequence[NewMessage], *, now: datetime) -> dict[str, int]:
    """Put mails into the outbox; the message id by dedupe key. A known key is returned, not repeated."""
    ids = addresses.known(message.email for message in new)
    Message.objects.bulk_create(
        [
            Message(
                dedupe_key=message.dedupe_key,
                account_id=message.account_id,
                person_id=message.person_id,
                address_id=ids[addresses.normalise(message.email)],
                template_version_id=message.template_version_id,
                sender_id=message.sender_id,
                category=message.category,
                counts_toward_cap=message.counts_toward_cap,
                context=message.context,
                queued_at=now,
                next_attempt_at=now,
                not_after=message.not_after,
            )
            for message in new
        ],
        ignore_conflicts=True,
    )
    keys = [message.dedupe_key for message in new]
    return dict(Message.objects.filter(dedupe_key__in=keys).values_list("dedupe_key", "pk"))


def lease_due(now: datetime, limit: int, *, hold: timedelta = LEASE_DUE_FOR) -> list[int]:
    """Queued messages whose time has come, longest waiting first, kept from other callers for `hold`."""
    with transaction.atomic():
        due = Message.objects.due(now)
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True, no_key=True)
        ids = list(due.values_list("pk", flat=True)[:limit])
        postpone(ids, now + hold)
    return ids


# --- the gate's answers -------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Claim:
    """Leave to hand this message over, with what was true when it was given.

    `message` is the row where the caller has locked it, with account and address, so that it need not be read again.
    """

    message_id: int
    receipt: dict[str, Any]
    context: dict[str, Any]
    message: Message | None = None


def claim(claims: Sequence[Claim], *, owner: str, now: datetime, lease: timedelta) -> list[int]:
    """Claim queued messages for `owner` until `now + lease`; the ids that were claimed.

    Runs in the caller's transaction. A message that this installation must not send (test
    environment, not on the allow list) is cancelled with that reason instead; one that another
    owner was quicker to take is left out. Rows that came with their claims are brought up to date.
    """
    wanted = {claim.message_id: claim for claim in claims}
    refused: dict[int, tuple[str, str]] = {}
    numbers: dict[int, int] = {}
    for pk, attempts, environment, address in _heads(claims):
        if reason := forbidden(environment, address):
            refused[pk] = reason
        else:
            numbers[pk] = attempts + 1
    cancel(refused, now=now)
    claimed = move(
        [
            {
                "id": pk,
                "receipt": wanted[pk].receipt,
                "context": wanted[pk].context,
                # Counted before working, so that a message that kills its process is seen to have been tried.
                "attempts": number,
            }
            for pk, number in sorted(numbers.items())
        ],
        SENDING,
        start=[QUEUED],
        claimed_at=now,
        lease_owner=owner,
        lease_until=now + lease,
        reason="",
        detail="",
    )
    Attempt.objects.bulk_create(
        [Attempt(message_id=pk, number=numbers[pk], owner=owner, started_at=now) for pk in claimed]
    )
    for pk in claimed:
        if (message := wanted[pk].message) is not None:
            message.status, message.attempts, message.context = (
                SENDING,
                numbers[pk],
                wanted[pk].context,
            )
            message.claimed_at, message.lease_owner, message.lease_until = now, owner, now + lease
    return claimed


def _heads(claims: Sequence[Claim]) -> list[tuple[int, int, str, str]]:
    """Id, tries so far, environment and address of those that are still queued."""
    known = [claim.message for claim in claims if claim.message is not None]
    unknown = [claim.message_id for claim in claims if claim.message is None]
    found = [(row.pk, row.attempts, row.account.environment, row.address.value) for row in known]
    if unknown:
        rows = Message.objects.filter(pk__in=unknown, status=QUEUED)
        found += rows.values_list("pk", "attempts", "account__environment", "address__value")
    return found


def forbidden(environment: str, address: str) -> tuple[str, str] | None:
    """Why this installation must not write to the address: (reason, detail); None where it may."""
    if settings.EMAIL_REDIRECT_ALL_TO:
        return None
    if environment == Environment.TEST:
        return "test_environment", "The account belongs to the test environment."
    allowed = [entry.strip().lower() for entry in settings.EMAIL_ALLOW_LIST]
    if allowed and address not in allowed and f"@{address.rpartition('@')[2]}" not in allowed:
        return "not_on_allow_list", "EMAIL_ALLOW_LIST does not name the address or its domain."
    return None


def cancel(reasons: Mapping[int, tuple[str, str]], *, now: datetime) -> list[int]:
    """Cancel queued messages, each with its reason and detail; the ids that were cancelled."""
    return move(
        [
            {"id": pk, "reason": reason, "detail": detail}
            for pk, (reason, detail) in sorted(reasons.items())
        ],
        CANCELLED,
        settled_at=now,
        next_attempt_at=None,
    )


def withhold(receipts: Mapping[int, dict[str, Any]], *, now: datetime) -> list[int]:
    """Withhold queued messages from the control group; the ids that were. They count toward their account's cap."""
    return move(
        [{"id": pk, "receipt": receipt} for pk, receipt in sorted(receipts.items())],
        WITHHELD,
        claimed_at=now,
        settled_at=now,
        next_attempt_at=None,
    )


def postpone(message_ids: Collection[int], until: datetime) -> int:
    """Let queued messages wait until then; how many are."""
    return Message.objects.filter(pk__in=message_ids, status=QUEUED).update(next_attempt_at=until)


# --- the hand-over's outcomes -------------------------------------------------------------
Outcome = Literal["sent", "failed", "temporary", "uncertain"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one hand-over ended. `retry_at` belongs to `temporary`, `reason` to all but `sent`."""

    message_id: int
    outcome: Outcome
    at: datetime
    reason: str = ""
    detail: str = ""
    retry_at: datetime | None = None
    provider: str = ""
    provider_id: str = ""
    subject: str = ""
    variant: str = ""
    started: datetime | None = None


def settle(settlements: Sequence[Settlement], *, owner: str) -> list[int]:
    """Record how this owner's hand-overs ended, all together or not at all; the ids that moved.

    What the reaper has meanwhile called `uncertain` is still settled by the owner who knows better,
    but never back to `queued`: somebody may already have been told that it is uncertain.
    """
    moved: list[int] = []
    by_outcome: dict[str, list[Settlement]] = {}
    for settlement in settlements:
        by_outcome.setdefault(settlement.outcome, []).append(settlement)
    if by_outcome.keys() == {"sent"}:
        return _settle_sent(settlements, owner)
    mine = Q(lease_owner=owner)
    with transaction.atomic():
        for outcome, group in by_outcome.items():
            group.sort(key=lambda settlement: settlement.message_id)
            rows = [_values(settlement) for settlement in group]
            match outcome:
                case "sent":
                    moved += _settle_sent(group, owner)
                case "failed":
                    moved += move(
                        rows, FAILED, start=[SENDING, UNCERTAIN], where=mine, lease_until=None
                    )
                case "uncertain":
                    moved += move(rows, UNCERTAIN, where=mine, lease_until=None)
                case "temporary":
                    moved += _back_to_queue(group, mine)
                case _:
                    raise ValueError(f"There is no outcome {outcome!r}.")
        _finish_attempts([one for one in settlements if one.outcome != "sent"], owner)
    return moved


def _settle_sent(group: Sequence[Settlement], owner: str) -> list[int]:
    """The usual outcome, and therefore in as few statements as can be."""
    rows = [{**_values(settlement), "sent_at": settlement.at} for settlement in group]
    mine = Q(lease_owner=owner, status__in=[SENDING.value, UNCERTAIN.value])
    return update_together(
        Change(Message, rows, mine, {"status": SENT, "lease_until": None}), _finished(group, owner)
    )


def _values(settlement: Settlement) -> dict[str, Any]:
    return {
        "id": settlement.message_id,
        "settled_at": settlement.at,
        "reason": settlement.reason,
        "detail": settlement.detail,
        "provider": settlement.provider,
        "provider_id": settlement.provider_id,
        "subject": settlement.subject,
        "variant": settlement.variant,
    }


def _back_to_queue(group: Sequence[Settlement], mine: Q) -> list[int]:
    if any(settlement.retry_at is None for settlement in group):
        raise ValueError("A temporary refusal needs the time of the next try.")
    moved = move(
        [
            {
                "id": settlement.message_id,
                "next_attempt_at": settlement.retry_at,
                "reason": settlement.reason,
                "detail": settlement.detail,
            }
            for settlement in group
        ],
        QUEUED,
        where=mine,
        lease_owner="",
        lease_until=None,
    )
    late = [_values(settlement) for settlement in group if settlement.message_id not in moved]
    return moved + move(late, FAILED, start=[UNCERTAIN], where=mine)


def _finish_attempts(settlements: Sequence[Settlement], owner: str) -> None:
    change = _finished(settlements, owner)
    update_each(change.model, change.rows, key=change.key, where=change.where)


def _finished(settlements: Iterable[Settlement], owner: str) -> Change:
    return Change(
        Attempt,
        [
            {
                "message_id": settlement.message_id,
                # Until here the time of the claim stood there.
                "started_at": settlement.started or settlement.at,
                "finished_at": settlement.at,
                "outcome": settlement.outcome,
                "detail": " ".join(filter(None, [settlement.reason, settlement.detail])),
            }
            for settlement in settlements
        ],
        key="message_id",
        where=Q(owner=owner) & (Q(finished_at=None) | Q(outcome="lease_expired")),
    )


def give_back(message_ids: Collection[int], *, owner: str, now: datetime) -> list[int]:
    """Put claimed messages that this owner did not try back into the queue, due at once; their ids."""
    if not message_ids:
        return []
    with transaction.atomic():
        given_back = move(
            [{"id": pk} for pk in sorted(message_ids)],
            QUEUED,
            where=Q(lease_owner=owner),
            next_attempt_at=now,
            lease_owner="",
            lease_until=None,
        )
        Attempt.objects.filter(message__in=given_back, owner=owner, finished_at=None).update(
            finished_at=now, outcome="not_tried"
        )
    return given_back


def reap(now: datetime) -> list[int]:
    """Messages whose sender went silent become `uncertain`; their ids."""
    with transaction.atomic():
        expired = Message.objects.expired(now).order_by("pk")
        if connection.features.has_select_for_update_skip_locked:
            expired = expired.select_for_update(skip_locked=True, no_key=True)
        reaped = move(
            [{"id": pk} for pk in expired.values_list("pk", flat=True)],
            UNCERTAIN,
            settled_at=now,
            lease_until=None,
            reason="lease_expired",
            detail="The process that was handing it over went silent, so it may or may not have gone.",
        )
        Attempt.objects.filter(message__in=reaped, finished_at=None).update(
            finished_at=now, outcome="lease_expired"
        )
    return reaped


def settle_by_hand(
    message: Message, outcome: Literal["sent", "failed"], *, by: str, now: datetime
) -> bool:
    """What a person found out about an uncertain message; False where it is not uncertain any more."""
    row: dict[str, Any] = {
        "id": message.pk,
        "reason": "settled_by_hand",
        "detail": f"{by} settled it as {'sent' if outcome == 'sent' else 'not sent'}.",
    }
    if outcome == "sent":
        # If it went, it went when it was claimed, not when somebody found that out.
        went = message.claimed_at or now
        return bool(move([row], SENT, start=[UNCERTAIN], settled_at=now, sent_at=went))
    return bool(move([row], FAILED, start=[UNCERTAIN], settled_at=now))
