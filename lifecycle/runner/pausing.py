"""Pause everything, one journey or one account, and let it go on: everybody stays where they are meanwhile."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from accounts import pausing as accounts_pausing
from accounts.models import Account, User
from events import log
from lifecycle.journeys.models import Enrolment, Journey
from lifecycle.runner.models import Pause
from lifecycle.runner.tick import spread

ACCOUNT_PAUSED = "staff_account_paused"
ACCOUNT_RESUMED = "staff_account_resumed"


def pause_all(*, by: str, now: datetime, reason: str = "") -> bool:
    """Nothing is sent to anybody from now on. False when all was paused already."""
    pause = Pause(paused_at=now, paused_by=by, reason=reason)
    # The constraint, not a look beforehand, keeps a second pause from staying behind.
    Pause.objects.bulk_create([pause], ignore_conflicts=True)
    return Pause.objects.filter(is_open=True, paused_at=now, paused_by=by).exists()


@transaction.atomic
def resume_all(*, now: datetime) -> bool:
    """Let mail go on, at a pace: what came due meanwhile and is not too late. False when nothing was paused."""
    if not Pause.objects.filter(is_open=True).update(is_open=False, resumed_at=now):
        return False
    spread(_on(Enrolment.objects.filter(left_at=None).values_list("account_id", flat=True)), now)
    return True


def pause_journey(journey_id: int, *, now: datetime) -> bool:
    """The journey sends nothing from now on. False when it was paused already."""
    return bool(Journey.objects.filter(pk=journey_id, paused_at=None).update(paused_at=now))


@transaction.atomic
def resume_journey(journey_id: int, *, now: datetime) -> bool:
    """Let the journey go on, at a pace. False when it was not paused."""
    paused = Journey.objects.filter(pk=journey_id, paused_at__isnull=False)
    if not paused.update(paused_at=None):
        return False
    still_on = Enrolment.objects.filter(journey=journey_id, left_at=None)
    spread(_on(still_on.values_list("account_id", flat=True)), now)
    return True


@transaction.atomic
def pause_account(account_id: int, *, by: User, now: datetime) -> bool:
    """Nothing is sent to anybody in the account from now on. False as `accounts.pausing` says."""
    Account.objects.locked([account_id])
    done = accounts_pausing.pause(account_id, now=now)
    if done:
        _tell(ACCOUNT_PAUSED, account_id, by, now)
    return done


@transaction.atomic
def resume_account(account_id: int, *, by: User, now: datetime) -> bool:
    """Let mail to the account go on. False as `accounts.pausing` says."""
    Account.objects.locked([account_id])
    done = accounts_pausing.resume(account_id, now=now)
    if done:
        _tell(ACCOUNT_RESUMED, account_id, by, now)
    return done


def _tell(name: str, account_id: int, by: User, now: datetime) -> None:
    """Put it into the account's story; whether it is paused stands in its row."""
    entry = log.OwnEvent(
        source="staff",
        message_id=f"{name}:{account_id}:{now.isoformat()}",
        name=name,
        account_id=account_id,
        occurred_at=now,
        properties={"by": by.get_username()},
    )
    log.append([entry], now=now)


def _on(account_ids: Iterable[int]) -> list[int]:
    return sorted(set(account_ids))
