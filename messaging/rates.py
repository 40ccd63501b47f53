"""How fast a domain may send: one token bucket per domain, shared by all workers on all machines."""

from datetime import datetime, timedelta

from django.db import transaction

from messaging.models import SendingDomain

PAUSED_LOOK_AGAIN = timedelta(seconds=60)


def take(domain_id: int, n: int, now: datetime) -> tuple[int, datetime | None]:
    """Take up to `n` tokens: how many were granted, and, if fewer, when to ask again.

    A paused domain grants none. Call it in a transaction of its own: the bucket is locked until it ends.
    """
    with transaction.atomic():
        domain = SendingDomain.objects.select_for_update(no_key=True).get(pk=domain_id)
        if domain.paused_at is not None:
            return 0, now + PAUSED_LOOK_AGAIN
        # Machines' clocks differ a little; time that ran backwards earns nothing.
        passed = max((now - domain.tokens_at).total_seconds(), 0.0)
        tokens = min(domain.tokens + passed * domain.rate_per_second, float(domain.burst))
        granted = min(n, int(tokens))
        SendingDomain.objects.filter(pk=domain_id).update(
            tokens=tokens - granted, tokens_at=max(now, domain.tokens_at)
        )
    if granted == n:
        return granted, None
    seconds = max(1.0 - (tokens - granted), 0.0) / domain.rate_per_second
    return granted, now + timedelta(seconds=seconds)
