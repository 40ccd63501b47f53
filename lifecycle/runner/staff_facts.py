"""What staff know better than the customer's product: a member's role, their consent, that they left.

The row and the event that tells of it are written in one transaction, under the locks of all accounts
that depend on it. What the product says later about a role or a membership counts again.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction

from accounts.models import Account, Consent, ConsentCategory, Membership, Person, Role, User
from events import log
from messaging import addresses, suppression

ROLE_CHANGED = "staff_role_changed"
CONSENT_CHANGED = "staff_consent_changed"
MEMBERSHIP_ENDED = "staff_membership_ended"


class Refusal(StrEnum):
    """Why a fact is not changed, in words for whoever asked for it."""

    NO_SUCH_ROLE = "There is no such role."
    SAME_ROLE = "That is the role already."
    ENDED = "The membership has ended."
    SAME_WORD = "That is what we have on record already."


@transaction.atomic
def change_role(membership_id: int, role: str, *, by: User, now: datetime) -> Refusal | None:
    """Give a member one of the known roles. None when it was done."""
    row = _locked(membership_id)
    if not Role.objects.filter(key=role).exists():
        return Refusal.NO_SUCH_ROLE
    if row.ended_at:
        return Refusal.ENDED
    if row.role == role:
        return Refusal.SAME_ROLE
    before, row.role, row.role_since, row.role_said_at = row.role, role, now, now
    row.save(update_fields=["role", "role_since", "role_said_at"])
    _tell(ROLE_CHANGED, [row.account_id], row.person_id, {"before": before, "role": role}, by, now)
    return None


@transaction.atomic
def end_membership(membership_id: int, *, by: User, now: datetime) -> Refusal | None:
    """The person is in this account no more. None when it was done."""
    row = _locked(membership_id)
    if row.ended_at:
        return Refusal.ENDED
    row.ended_at = now
    row.save(update_fields=["ended_at"])
    _tell(MEMBERSHIP_ENDED, [row.account_id], row.person_id, {}, by, now)
    return None


@transaction.atomic
def change_consent(person_id: int, *, given: bool, by: User, now: datetime) -> Refusal | None:
    """Write down that the person wants setup help, or refuses it, in all their accounts. None when it was done."""
    accounts = Account.objects.filter(memberships__person=person_id).order_by("pk").distinct()
    ids = list(accounts.values_list("pk", flat=True))
    Account.objects.locked(ids)
    person = Person.objects.select_for_update(no_key=True).get(pk=person_id)
    if given is not (person_id in refusing([person])):
        return Refusal.SAME_WORD
    if given:
        suppression.allow_again([person.email], ConsentCategory.SETUP_HELP, by=by, now=now)
    Consent.objects.update_or_create(
        person_id=person_id,
        category=ConsentCategory.SETUP_HELP,
        defaults={"given": given, "source": f"staff: {by.get_username()}"[:120], "at": now},
    )
    _tell(CONSENT_CHANGED, ids, person_id, {"given": given}, by, now)
    return None


def refusing(people: Collection[Person]) -> set[int]:
    """Those of them who refuse setup help: by their own word, or as whoever has their address said."""
    word = Consent.objects.filter(person__in=people, category=ConsentCategory.SETUP_HELP)
    left = suppression.refused(person.email for person in people)
    return set(word.filter(given=False).values_list("person_id", flat=True)) | {
        person.pk
        for person in people
        if ConsentCategory.SETUP_HELP in left.get(addresses.normalise(person.email), ())
    }


def _locked(membership_id: int) -> Membership:
    """The membership as it is now that its account is locked."""
    account_id = Membership.objects.values_list("account_id", flat=True).get(pk=membership_id)
    Account.objects.locked([account_id])
    return Membership.objects.get(pk=membership_id)


def _tell(
    name: str, accounts: list[int], person: int, about: dict[str, Any], by: User, now: datetime
) -> None:
    log.append(
        [
            log.OwnEvent(
                source="staff",
                message_id=f"{name}:{account}:{person}:{now.isoformat()}",
                name=name,
                account_id=account,
                person_id=person,
                occurred_at=now,
                properties={**about, "by": by.get_username()},
            )
            for account in accounts
        ],
        now=now,
    )
