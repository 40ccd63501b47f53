"""An account whose look ends its worker (memory, time) must not take the other accounts with it.

Looks are counted in the account's row before they begin and forgotten when one comes to its end. What
did not come to its end before is looked at alone, after the others, and in the end put aside.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F

from accounts.models import Account
from lifecycle.runner.look import park

GIVE_UP_AFTER = 3  # looks in a row that began and never ended


class LookNeverEnded(Exception):
    """The account's looks ended their worker; nothing is known but how often."""


def begin(account_ids: Sequence[int], *, now: datetime) -> list[list[int]]:
    """Count the looks that begin now; the groups to look at, in this order, each in one transaction."""
    with transaction.atomic():
        accounts = Account.objects.locked(sorted(set(account_ids)))
        ids = [account.pk for account in accounts]
        Account.objects.filter(pk__in=ids).update(looks_begun=F("looks_begun") + 1)
    together = [account.pk for account in accounts if account.looks_begun == 0]
    alone = [account for account in accounts if account.looks_begun > 0]
    for account in alone:
        if account.looks_begun >= GIVE_UP_AFTER:
            park(
                account.pk,
                LookNeverEnded(f"{account.looks_begun} looks began and never ended"),
                now,
            )
            # When it is due again it gets one more try.
            Account.objects.filter(pk=account.pk).update(looks_begun=GIVE_UP_AFTER - 1)
    apart = [[account.pk] for account in alone if account.looks_begun < GIVE_UP_AFTER]
    return [together, *apart] if together else apart


def put_off(account_ids: Sequence[int], *, now: datetime) -> None:
    """These looks did not begin after all, for want of time: somebody else may, at once."""
    with transaction.atomic():
        Account.objects.locked(sorted(account_ids))
        accounts = Account.objects.filter(pk__in=account_ids)
        accounts.filter(looks_begun__gt=0).update(looks_begun=F("looks_begun") - 1)
        accounts.mark_changed(now)
