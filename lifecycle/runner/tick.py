"""The tick: find what is due and tell the queue to look. The row is the job; the queue only says "look".

Everything found is leased by moving its own due time forward, so that ticks of several supervisors
share the work, and what a lost task leaves undone is simply due again when the lease is over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django_q.models import OrmQ
from django_q.tasks import async_task

from accounts.models import Account
from lifecycle.alerts import mail_trouble, replies
from lifecycle.engine import ENGINE_VERSION
from lifecycle.journeys.models import Setup
from lifecycle.runner import handoff
from lifecycle.runner.models import EngineRelease, StepRun
from messaging import findings, forwarding, outbox
from messaging.models import Message, MessageStatus
from messaging.review import notices

LOOK_CHUNK = 50
SEND_CHUNK = 100  # enough for several senders at once
MOST_ACCOUNTS = 500  # per tick
LEASE = timedelta(seconds=settings.TASK_TIMEOUT_SECONDS + 30)
# Accounts this far behind waited out a stop; they are taken up slowly, fresh ones at once.
OVERDUE = timedelta(minutes=15)
# Looks per second for what an outage, a pause or a publish makes due all at once.
PACE_PER_SECOND = 20
# Why a message may fail for good because of whom it was for.
ADDRESS_REFUSED = ("no_such_mailbox", "refused", "bad_address")
# As many as are looked at, at that pace, until the next sweep.
WELCOMED_AT_ONCE = 5 * PACE_PER_SECOND
# Besides what each queue has fetched for its own workers.
TASKS_WAITING_AT_MOST: int = 4 * settings.WORKERS


def tick(now: datetime, *, seconds: float = 0.25) -> int:
    """Lease what is due and fan it out; how many tasks that made. `seconds` since the last tick."""
    if queue_is_full(now):
        return 0
    overdue_share = max(1, round(PACE_PER_SECOND * seconds))
    tasks = 0
    for due, limit in (
        (Account.objects.due(now).filter(next_look_at__gt=now - OVERDUE), MOST_ACCOUNTS),
        (Account.objects.due(now).filter(next_look_at__lte=now - OVERDUE), overdue_share),
    ):
        if not due.exists():
            continue
        with transaction.atomic():
            ids = _lease(due, limit, now)
            tasks += _fan_out("lifecycle.runner.tasks.look", ids, LOOK_CHUNK)
    if Message.objects.due(now).exists():
        with transaction.atomic():
            messages = outbox.lease_due(now, MOST_ACCOUNTS)
            tasks += _fan_out("lifecycle.runner.tasks.send", messages, SEND_CHUNK)
    for hand_off in handoff.lease_due(now):
        async_task("lifecycle.runner.tasks.hand_off", hand_off)
        tasks += 1
    return tasks


def queue_is_full(now: datetime) -> bool:
    """Whether as many tasks wait as should.

    Those that somebody has fetched do not count: the fetched tasks of a process that died stay where they
    are for minutes, and whoever lives has to go on.
    """
    waiting: int = OrmQ.objects.filter(lock__lte=now).count()
    return waiting >= TASKS_WAITING_AT_MOST


def _lease(due: "QuerySet[Account]", limit: int, now: datetime) -> list[int]:
    rows = due
    if connection.features.has_select_for_update_skip_locked:
        rows = due.select_for_update(skip_locked=True, no_key=True)
    ids = list(rows.values_list("pk", flat=True)[:limit])
    Account.objects.filter(pk__in=ids).update(next_look_at=now + LEASE)
    return ids


def _fan_out(task: str, ids: Sequence[int], chunk: int) -> int:
    """One task per chunk of ids, spread over the workers; how many."""
    size = max(1, min(chunk, -(-len(ids) // settings.WORKERS)))
    chunks = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
    for part in chunks:
        async_task(task, part)
    return len(chunks)


def sweep(now: datetime) -> None:
    """What a second's delay does no harm to: silent senders, bounces, replies, findings, a new engine."""
    outbox.reap(now)
    forwarding.reap(now)
    take_back_bounced(now)
    replies.follow(now)
    findings.follow(now)
    mail_trouble.follow(now)
    for reply in forwarding.lease_due(now):
        async_task("lifecycle.runner.tasks.forward", reply)
    notices.reap(now)
    for notice in notices.lease_due(now):
        async_task("lifecycle.runner.tasks.notify", notice)
    welcome_engine(now)


def take_back_bounced(now: datetime) -> None:
    """A step whose mail bounced or was refused may go to somebody else: messaging's fact, our row."""
    # A failure of ours, such as a template that does not render, says nothing about the person.
    refused = Q(message__status=MessageStatus.FAILED, message__reason__in=ADDRESS_REFUSED)
    runs = StepRun.objects.filter(
        refused | Q(message__status=MessageStatus.BOUNCED),
        status=StepRun.Status.DONE,
        message__settled_at__gt=now - timedelta(days=3),
    )
    for run_id, account in runs.values_list("pk", "enrolment__account_id")[:200]:
        with transaction.atomic():
            Account.objects.locked([account])
            moved = StepRun.objects.filter(pk=run_id, status=StepRun.Status.DONE)
            if moved.update(status=StepRun.Status.BOUNCED):
                Account.objects.filter(pk=account).mark_changed(now)


def welcome_engine(now: datetime) -> None:
    """After a deploy that changed the engine, look at everybody again: so many per sweep."""
    newest = EngineRelease.objects.order_by("-since").first()
    if newest is None or newest.version != ENGINE_VERSION:
        begun = {"since": now, "swept_to": 0}
        newest, _ = EngineRelease.objects.update_or_create(version=ENGINE_VERSION, defaults=begun)
    if newest.swept_to is None:
        return
    # Also those that are on no journey: what refused or ended them may have changed.
    rest = Setup.objects.filter(account_id__gt=newest.swept_to)
    ids = rest.order_by("account_id").values_list("account_id", flat=True).distinct()
    group = list(ids[:WELCOMED_AT_ONCE])
    # Where two do this at once, or it is cut short and done again, accounts are only asked for twice.
    spread(group, now)
    reached = group[-1] if len(group) == WELCOMED_AT_ONCE else None
    EngineRelease.objects.filter(pk=newest.pk).update(swept_to=reached)


def spread(account_ids: Sequence[int], now: datetime) -> None:
    """Look at these accounts again, at a pace, so that nothing goes out in a burst."""
    for start in range(0, len(account_ids), PACE_PER_SECOND):
        group = account_ids[start : start + PACE_PER_SECOND]
        later = now + timedelta(seconds=start // PACE_PER_SECOND)
        with transaction.atomic():
            Account.objects.locked(list(group))
            Account.objects.filter(pk__in=group).mark_changed(later)
