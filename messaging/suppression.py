"""Who must not be written to any more, and why; and how that ends.

A suppression without a category stops every mail to its address. One with a category stops that kind
only, for whoever is known by the address now or later; staff write the person's own word beside it.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from accounts import consent
from accounts.models import Account, Membership, Person, User
from messaging import addresses
from messaging.models import Address, Suppression


@transaction.atomic
def suppress(email: str, reason: str, *, source: str, now: datetime, category: str = "") -> bool:
    """Send nothing (of this category, if given) to the address any more.

    False where it was suppressed for this reason already.
    """
    # Claims wait for the same lock: once this is stored, none follows.
    address_id = addresses.lock([email])[addresses.normalise(email)]
    known = Suppression.objects.filter(
        address=address_id, reason=reason, category=category, lifted_at=None
    )
    if known.exists():
        return False
    # The constraint, not the look above, keeps two at once from becoming two rows.
    Suppression.objects.bulk_create(
        [
            Suppression(
                address_id=address_id, reason=reason, category=category, source=source[:120], at=now
            )
        ],
        ignore_conflicts=True,
    )
    return True


def lift(suppression: Suppression, *, by: User, now: datetime) -> bool:
    """Allow mail again, keep who said so, and look again at the accounts of whoever has the address.

    False where it was lifted already.
    """
    standing = Suppression.objects.filter(pk=suppression.pk, lifted_at=None)
    with transaction.atomic():
        members = Membership.objects.current().filter(person__in=known_by(suppression.address))
        # Accounts are locked before anything else, and in the order of their ids.
        locked = Account.objects.locked(sorted(set(members.values_list("account_id", flat=True))))
        if not standing.update(lifted_at=now, lifted_by=by):
            return False
        Account.objects.filter(pk__in=[account.pk for account in locked]).mark_changed(now)
    return True


# --- the reader's own word ----------------------------------------------------------------
def unsubscribe(email: str, *, source: str, now: datetime) -> bool:
    """The reader wants no more mail at all. False where they had said so before."""
    return suppress(email, Suppression.Reason.UNSUBSCRIBE, source=source, now=now)


@transaction.atomic
def refuse(address: Address, category: str, *, source: str, now: datetime) -> None:
    """The reader wants no more mail of this category: everybody known by the address withdraws their consent.

    The address keeps it in mind, so that it also holds for whom we come to know by it later.
    """
    addresses.lock([address.value])
    reason = Suppression.Reason.UNSUBSCRIBE
    suppress(address.value, reason, category=category, source=source, now=now)
    consent.withdraw(known_by(address), category, source=source, now=now)


def known_by(address: Address) -> list[int]:
    """The ids of the people whose address it is, however their product spells it."""
    rows = Person.objects.filter(Q(email__iexact=address.value) | Q(message__address=address))
    spelt = rows.values_list("pk", "email").distinct()
    return [pk for pk, email in spelt if addresses.normalise(email) == address.value]


def refused(emails: Iterable[str]) -> dict[str, set[str]]:
    """The categories that each address refuses apart, by normalised address."""
    found: dict[str, set[str]] = {}
    wanted = {addresses.normalise(email) for email in emails if email}
    rows = Suppression.objects.filter(lifted_at=None, address__value__in=wanted).exclude(
        category=""
    )
    for value, category in rows.values_list("address__value", "category"):
        found.setdefault(value, set()).add(category)
    return found


def allow_again(emails: Collection[str], category: str, *, by: User, now: datetime) -> int:
    """Forget what these addresses refused of this category; how many did."""
    values = {addresses.normalise(email) for email in emails if email}
    standing = Suppression.objects.filter(
        address__value__in=values, category=category, lifted_at=None
    )
    return standing.update(lifted_at=now, lifted_by=by)
