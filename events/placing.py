"""Events that fitted no account, or more than one, put where they turn out to belong."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from accounts.models import Account, Membership, User
from events import calls, identities, log
from events.models import Event

PLACED = "event_attributed"


def place(event: Event, account: Account, *, by: User, now: datetime) -> bool:
    """Give the event its account; False where it has one already.

    Every account that it might have belonged to is looked at again: what was held because of it goes on.
    Raises ValueError where the account is of the other environment.
    """
    if account.environment != event.environment:
        raise ValueError(f"The event is from {event.environment}, the account is not.")
    # Also those that the person has left: it is held there too.
    candidates = Membership.objects.filter(person=event.person_id, person__isnull=False)
    ids = {account.pk, *candidates.values_list("account_id", flat=True)}
    with transaction.atomic():
        locked = log.lock(ids, now=now)
        mine = Event.objects.filter(pk=event.pk, account=None)
        if mine.update(account=account) != 1:
            return False
        log.mark(locked, changed=ids, rewritten=[account.pk], now=now)
        log.append(
            [
                log.OwnEvent(
                    source="staff",
                    message_id=f"{PLACED}:{event.pk}",
                    name=PLACED,
                    account_id=account.pk,
                    person_id=event.person_id,
                    occurred_at=now,
                    properties={"event": event.pk, "name": event.name, "by": by.get_username()},
                )
            ],
            now=now,
        )
    return True


def settle_members(pairs: Iterable[tuple[int, int]], *, now: datetime) -> set[int]:
    """Make these people members of these accounts (account, person), and place what they did before.

    The same as when a `group` call says it: only for somebody who was never in another account. The
    caller holds the accounts' locks. The accounts that gained events; they are to be folded anew.
    """
    wanted = sorted(set(pairs))
    if not wanted:
        return set()
    people = {person for _, person in wanted}
    identities.hold_people(changed=people, read=())
    Membership.objects.bulk_create(
        [
            # One moment for both: the role they come with is no change of role.
            Membership(account_id=account, person_id=person, joined_at=now, role_since=now)
            for account, person in wanted
        ],
        ignore_conflicts=True,
    )
    only: dict[int, int] = {}
    for person, everywhere in identities.memberships(people).items():
        if len(everywhere) == 1 and everywhere[0].ended_at is None:
            only[person] = everywhere[0].account_id
    gained = calls.settle(only)
    log.mark((), changed=(), rewritten=gained, now=now)
    return gained
