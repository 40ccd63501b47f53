"""Stop all mail to one account, and let it go on."""

from datetime import datetime

from accounts.models import Account


def pause(account_id: int, *, now: datetime) -> bool:
    """Nothing is sent to anybody in it from now on. False when it was paused already, or is part of another."""
    sending = Account.objects.filter(pk=account_id, paused_at=None, merged_into=None)
    return bool(sending.update(paused_at=now))


def resume(account_id: int, *, now: datetime) -> bool:
    """Let mail go on, and ask for a look at the account. False when it was not paused, or is part of another."""
    paused = Account.objects.filter(pk=account_id, paused_at__isnull=False, merged_into=None)
    if not paused.update(paused_at=None):
        return False
    Account.objects.filter(pk=account_id).mark_changed(now)
    return True
