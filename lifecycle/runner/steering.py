"""What staff do to one setup: each act is an event in its account's log, or is refused with the reason.

The fold reads these events, so that an act still holds when the log is folded again. Every verb takes
the account's lock before it looks, and so of two clicks at once only the first finds something to do.
"""

from datetime import datetime
from enum import StrEnum

from django.db import transaction

from accounts.models import Account, User
from events import log
from lifecycle.engine.fold import PLACED, RESTARTED, STOPPED, UNBLOCKED
from lifecycle.journeys.models import Enrolment, Setup
from lifecycle.runner.definition import current
from lifecycle.runner.gather import Case, Dossier, gather


class Act(StrEnum):
    """What can be done to a setup; the value is the event that says so."""

    UNBLOCK = UNBLOCKED
    STOP = STOPPED
    RESTART = RESTARTED


class Refusal(StrEnum):
    """Why an act makes no sense now, in words for whoever asked for it."""

    GONE = "There is no such setup any more."
    NOT_BLOCKED = "It is not blocked any more."
    WORKS = "The integration works already, so there is nothing to stop."
    STOPPED_ALREADY = "It is stopped already."
    NOT_STOPPED = "It is not stopped."
    ENDED = "The integration works already, so there is nothing to start again."
    LEFT = "It is on no journey any more."
    NOT_IN_DOUBT = "It has its place already."
    NOT_A_CANDIDATE = "It cannot belong to that setup."


def refusal(act: Act, case: Case) -> Refusal | None:
    """Why this cannot be done to the setup as it is; None where it can."""
    state = case.state
    match act:
        case Act.UNBLOCK:
            return None if state.block else Refusal.NOT_BLOCKED
        case Act.STOP:
            if state.stopped_at:
                return Refusal.STOPPED_ALREADY
            if state.usable:
                return Refusal.WORKS
            return Refusal.LEFT if _has_left(case) else None
        case Act.RESTART:
            if not state.stopped_at:
                return Refusal.NOT_STOPPED
            return Refusal.ENDED if state.usable else None


def possible(case: Case) -> tuple[Act, ...]:
    """What can be done to the setup as it is."""
    return tuple(act for act in Act if refusal(act, case) is None)


def unblock(setup_id: int, *, by: User, now: datetime) -> Refusal | None:
    """The block is over: reminders go on, their clocks start now. None when it was done."""
    return _do(Act.UNBLOCK, setup_id, by=by, now=now)


def stop(setup_id: int, *, by: User, now: datetime) -> Refusal | None:
    """The setup leaves its journey, and gets no more mail. None when it was done."""
    return _do(Act.STOP, setup_id, by=by, now=now)


def restart(setup_id: int, *, by: User, now: datetime) -> Refusal | None:
    """A stopped setup goes on where it is; what it got before, it does not get again. None when it was done."""
    return _do(Act.RESTART, setup_id, by=by, now=now)


@transaction.atomic
def _do(act: Act, setup_id: int, *, by: User, now: datetime) -> Refusal | None:
    dossier, case = _locked(setup_id)
    if case is None:
        return Refusal.GONE
    refused = refusal(act, case)
    if refused is None:
        _append(act, dossier, case, setup_id, by=by, now=now)
        if act is Act.RESTART and case.enrolment is not None:
            # A publish meanwhile moved only those that were on the journey.
            Enrolment.objects.filter(pk=case.enrolment.pk).update(version=case.live.version_id)
    return refused


@transaction.atomic
def place(event_id: int, setup_id: int, *, by: User, now: datetime) -> Refusal | None:
    """Say which setup a success belongs to that could belong to several. None when it was done.

    Only setups of the event's own account can be meant, so nothing crosses from the test world.
    """
    dossier, case = _locked(setup_id)
    if case is None:
        return Refusal.GONE
    doubtful = next((one for one in dossier.state.unplaced if one.event_id == event_id), None)
    if doubtful is None:
        return Refusal.NOT_IN_DOUBT
    if not any(dossier.state.setup(*name) is case.state for name in doubtful.candidates):
        return Refusal.NOT_A_CANDIDATE
    about: dict[str, str | int] = {"event_id": event_id, "name": doubtful.name}
    _append(PLACED, dossier, case, setup_id, by=by, now=now, about=about)
    return None


def _locked(setup_id: int) -> tuple[Dossier, Case | None]:
    """The account's facts, locked, and the case of this setup among them."""
    account_id = Setup.objects.values_list("account_id", flat=True).get(pk=setup_id)
    (dossier,) = gather(current(), Account.objects.locked([account_id]))
    return dossier, next((c for c in dossier.cases if c.row and c.row.pk == setup_id), None)


def _append(
    name: str,
    dossier: Dossier,
    case: Case,
    setup_id: int,
    *,
    by: User,
    now: datetime,
    about: dict[str, str | int] | None = None,
) -> None:
    properties = {
        "setup_id": setup_id,
        "integration_type": case.state.integration_type,
        "setup_key": case.state.key,
        "by": by.get_username(),
        **(about or {}),
    }
    subject = f"{about['event_id']}:{setup_id}" if about else f"{setup_id}:{now.isoformat()}"
    entry = log.OwnEvent(
        source="staff",
        message_id=f"{name}:{subject}",
        name=str(name),
        account_id=dossier.account.pk,
        occurred_at=now,
        properties=properties,
    )
    log.append([entry], now=now)


def _has_left(case: Case) -> bool:
    enrolment = case.enrolment
    return (
        enrolment is not None
        and enrolment.left_at is not None
        and enrolment.attempt >= case.state.attempt
    )
