"""Which traits of identify and group calls fill our columns: the usual names, and your own."""

import time
from collections.abc import Mapping

from events.models import TraitName

# By what they fill: whose column it is, and which. Of several names the first that is present counts.
USUAL: Mapping[str, tuple[str, ...]] = {
    "account.name": ("name",),
    "account.plan": ("plan",),
    "account.value": ("value", "annual_value", "arr"),
    "account.acquisition_source": ("acquisition_source", "acquisitionSource"),
    "account.time_zone": ("time_zone", "timezone", "timeZone"),
    "account.language": ("language", "locale"),
    "account.created_at": ("created_at", "createdAt"),
    "person.email": ("email",),
    "person.name": ("name",),
    "person.time_zone": ("time_zone", "timezone", "timeZone"),
    "person.language": ("language", "locale"),
    "membership.role": ("role",),
}
# A membership that ends says so in this trait; it fills no column.
STATUS = "status"
# How long a process may go on with what it read.
SECONDS_REMEMBERED = 5.0

_remembered: tuple[float, "Names"] | None = None


class Names:
    """Every name under which a trait may arrive, by what it fills; your own come before the usual."""

    __slots__ = ("by_target", "of_membership")

    def __init__(self, own: Mapping[str, tuple[str, ...]]) -> None:
        self.by_target = {target: (*own.get(target, ()), *names) for target, names in USUAL.items()}
        # These speak of the membership, not of the account or the person.
        self.of_membership = frozenset((*self.by_target["membership.role"], STATUS))

    def columns(self, whose: str) -> Mapping[str, tuple[str, ...]]:
        """The names for each column of an `account` or a `person`."""
        prefix = f"{whose}."
        return {
            target.removeprefix(prefix): names
            for target, names in self.by_target.items()
            if target.startswith(prefix)
        }


def read() -> Names:
    """The names as they stand in the database; one query."""
    own: dict[str, tuple[str, ...]] = {}
    for fills, name in TraitName.objects.order_by("pk").values_list("fills", "name"):
        own[fills] = (*own.get(fills, ()), name)
    return Names(own)


def current() -> Names:
    """The names, at most a few seconds old."""
    global _remembered
    if _remembered is None or time.monotonic() - _remembered[0] > SECONDS_REMEMBERED:
        _remembered = (time.monotonic(), read())
    return _remembered[1]


def forget() -> None:
    """Read the names anew at the next call."""
    global _remembered
    _remembered = None
