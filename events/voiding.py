"""Events sent by mistake: taken out of account, shown beforehand, and brought back on request."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Membership, User
from events import log
from events.models import Event, Void

# How many of the events a preview shows.
PREVIEWED = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """What a void takes out: how many events, of how many accounts, and the latest of them.

    `calls` counts the identify, group and alias calls among them: what those said of people and accounts
    is written there already and stays, until another call says otherwise.
    """

    events: int
    accounts: int
    calls: int
    latest: list[Event]


def meant(void: Void) -> QuerySet[Event]:
    """The events that a void speaks of, as long as none has taken them out."""
    rows = Event.objects.counting().filter(
        received_at__gte=void.since, received_at__lt=void.until, source__startswith="key:"
    )
    if void.key is not None:
        rows = rows.filter(source=void.key.source)
    return rows.filter(name=void.name) if void.name else rows


def preview(void: Void) -> Preview:
    rows = meant(void)
    return Preview(
        events=rows.count(),
        accounts=rows.order_by().values("account").distinct().count(),
        calls=rows.filter(type__in=("identify", "group", "alias")).count(),
        latest=list(rows.select_related("account").order_by("-pk")[:PREVIEWED]),
    )


def apply(void: Void, *, by: User, now: datetime) -> int | None:
    """Take the events out and fold their accounts again; how many, None where it was done already."""
    with transaction.atomic():
        rows = Void.objects.filter(pk=void.pk, applied_at=None)
        if rows.update(applied_at=now, applied_by=by) != 1:
            return None
        accounts = _locked(meant(void), now)
        count = meant(void).update(void=void)
        log.mark(accounts, changed=(), rewritten=[each.id for each in accounts], now=now)
        return count


def undo(void: Void, *, by: User, now: datetime) -> int | None:
    """Let the events count again; how many, None where there is nothing to undo."""
    with transaction.atomic():
        rows = Void.objects.filter(pk=void.pk, applied_at__isnull=False, undone_at=None)
        if rows.update(undone_at=now, undone_by=by) != 1:
            return None
        taken = Event.objects.filter(void=void)
        accounts = _locked(taken, now)
        count = taken.update(void=None)
        log.mark(accounts, changed=(), rewritten=[each.id for each in accounts], now=now)
        return count


def _locked(events: QuerySet[Event], now: datetime) -> list[log.Locked]:
    """The accounts of these events, locked; of an unplaced one every account that its person is or was in."""
    rows = events.order_by()
    ids = set(rows.filter(account__isnull=False).values_list("account_id", flat=True).distinct())
    people = rows.filter(account=None, person__isnull=False).values("person")
    held = Membership.objects.filter(person__in=people).order_by()
    ids |= set(held.values_list("account_id", flat=True).distinct())
    return log.lock((pk for pk in ids if pk is not None), now=now)
