"""E-mail addresses in one spelling, their locks, and why nothing is sent to some."""

from collections.abc import Collection, Iterable
from functools import lru_cache

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from messaging.models import Address, Suppression

# What weighs more is what we name as the reason.
SUPPRESSION_ORDER = [
    Suppression.Reason.COMPLAINT,
    Suppression.Reason.UNSUBSCRIBE,
    Suppression.Reason.HARD_BOUNCE,
    Suppression.Reason.STAFF,
    Suppression.Reason.SOFT_BOUNCES,
]


def normalise(email: str) -> str:
    """The address in the spelling under which it is known: lower case, the domain in ASCII.

    Case in the local part is significant by RFC 5321, but no provider we know of tells two mailboxes
    apart by it, and one person must not escape a cap or a suppression by typing in capitals.
    """
    local, _, domain = email.strip().rpartition("@")
    return f"{local.lower()}@{_domain(domain)}" if local else email.strip().lower()


@lru_cache(maxsize=4096)
def _domain(name: str) -> str:
    try:
        name = idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        name = name.lower()
    return name.rstrip(".")


def usable(email: str) -> bool:
    """Whether a mail can be addressed to it at all. Local parts beyond ASCII need SMTPUTF8, which few speak."""
    value = normalise(email)
    try:
        validate_email(value)
    except ValidationError:
        return False
    return value.isascii() and len(value) <= 254


@lru_cache(maxsize=50_000)
def reachable(email: str) -> str:
    """The normalised address; empty where there is none that mail can be addressed to."""
    return normalise(email) if usable(email) else ""


def known(values: Iterable[str]) -> dict[str, int]:
    """The ids of these addresses by normalised value; rows are made for those not known yet."""
    wanted = sorted({normalise(value) for value in values})
    found = dict(Address.objects.filter(value__in=wanted).values_list("value", "pk"))
    if missing := [value for value in wanted if value not in found]:
        Address.objects.bulk_create(
            [Address(value=value) for value in missing], ignore_conflicts=True
        )
        found |= dict(Address.objects.filter(value__in=missing).values_list("value", "pk"))
    return found


def lock(values: Iterable[str]) -> dict[str, int]:
    """The ids of these addresses by normalised value, locked in the order of their ids until the transaction ends."""
    ids = known(values)
    lock_rows(ids.values())
    return ids


def lock_rows(address_ids: Collection[int]) -> None:
    """Lock these addresses in the order of their ids until the transaction ends."""
    rows = Address.objects.filter(pk__in=set(address_ids)).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk", flat=True))


def suppressions(address_ids: Collection[int]) -> dict[int, str]:
    """The weightiest standing reason why nothing at all is sent, by address id; others are left out."""
    standing: dict[int, str] = {}
    rows = Suppression.objects.filter(address__in=address_ids, category="", lifted_at=None)
    for address_id, reason in rows.values_list("address_id", "reason"):
        other = standing.get(address_id)
        if other is None or _weight(reason) < _weight(other):
            standing[address_id] = reason
    return standing


def _weight(reason: str) -> int:
    return SUPPRESSION_ORDER.index(Suppression.Reason(reason))
