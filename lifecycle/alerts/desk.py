"""The support desk: open an alert, take it, put it off, give it back, resolve it.

Every move is a compare-and-set: False means that somebody else was first. `held_by` is the id of
whoever had the alert when the one who acts looked at it; None: nobody had. So nobody acts on an
alert that went to a colleague meanwhile. An alert holds the mail about its setup while somebody has
it, one about a customer's reply until it is resolved. Beginning and ending a hold are written to the
account's log, because what may be sent depends on them.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from accounts.models import Account, User
from lifecycle.alerts import hold
from lifecycle.alerts.models import Alert
from lifecycle.journeys.models import Enrolment

Status = Alert.Status
Change = dict[str, User | datetime | str | None]


def open_alert(
    *,
    kind: str,
    dedupe_key: str,
    title: str,
    detail: str = "",
    account: Account | None = None,
    enrolment: Enrolment | None = None,
    now: datetime,
) -> Alert | None:
    """A new open alert, or None when an unresolved one with this `dedupe_key` exists already."""
    try:
        with transaction.atomic():
            return Alert.objects.create(
                kind=kind,
                dedupe_key=dedupe_key,
                title=title[:200],
                detail=detail,
                account=account,
                enrolment=enrolment,
                opened_at=now,
            )
    except IntegrityError:
        if Alert.objects.filter(dedupe_key=dedupe_key).exclude(status=Status.RESOLVED).exists():
            return None
        raise


def waiting(now: datetime) -> QuerySet[Alert]:
    """Alerts that somebody should take: open ones, and put-off ones whose time has come."""
    again = Q(status=Status.SNOOZED, snoozed_until__lte=now)
    return Alert.objects.filter(Q(status=Status.OPEN) | again)


def take(alert_id: int, *, by: User, held_by: int | None = None, now: datetime) -> bool:
    """Make it this person's; mail about the setup stops, except for the confirmation."""
    return _move(
        alert_id,
        from_=(Status.OPEN, Status.SNOOZED),
        to=Status.TAKEN,
        change={"taken_by": by, "taken_at": now, "snoozed_until": None},
        by=by,
        held_by=held_by,
        now=now,
    )


def snooze(
    alert_id: int, *, until: datetime, by: User, held_by: int | None = None, now: datetime
) -> bool:
    """Put it off until then. Whoever had taken it keeps it, and mail about the setup stays stopped."""
    return _move(
        alert_id,
        from_=(Status.OPEN, Status.TAKEN, Status.SNOOZED),
        to=Status.SNOOZED,
        change={"snoozed_until": until},
        by=by,
        held_by=held_by,
        now=now,
    )


def release(alert_id: int, *, by: User, held_by: int | None, now: datetime) -> bool:
    """Give it back for anybody to take; mail about the setup goes on, unless a customer waits for an answer."""
    return _move(
        alert_id,
        from_=(Status.TAKEN, Status.SNOOZED),
        to=Status.OPEN,
        change={"taken_by": None, "taken_at": None, "snoozed_until": None},
        by=by,
        held_by=held_by,
        now=now,
    )


def resolve(
    alert_id: int,
    *,
    resolution: str,
    by: User | None = None,
    held_by: int | None = None,
    now: datetime,
) -> bool:
    """Close it for good, with what came of it. Whoever does so has it from then on.

    Without `by` the trouble itself is over, and it does not matter who has the alert.
    """
    change: Change = {"resolution": resolution[:300], "resolved_at": now, "snoozed_until": None}
    if by is not None and by.pk != held_by:
        change |= {"taken_by": by, "taken_at": now}
    return _move(
        alert_id,
        from_=(Status.OPEN, Status.TAKEN, Status.SNOOZED),
        to=Status.RESOLVED,
        change=change,
        by=by,
        held_by=held_by,
        now=now,
    )


def add_to(dedupe_key: str, detail: str) -> bool:
    """Add to what the unresolved alert says, and bring it back where it was put off; False where there is none.

    Call it with the account locked.
    """
    alert = Alert.objects.filter(dedupe_key=dedupe_key).exclude(status=Status.RESOLVED).first()
    if alert is None:
        return False
    change: dict[str, str | None] = {"detail": f"{alert.detail}\n\n{detail}"}
    if alert.status == Status.SNOOZED:
        change |= {
            "status": Status.TAKEN if alert.taken_by_id else Status.OPEN,
            "snoozed_until": None,
        }
    return bool(Alert.objects.filter(pk=alert.pk, status=alert.status).update(**change))


@transaction.atomic
def _move(
    alert_id: int,
    *,
    from_: tuple[Status, ...],
    to: Status,
    change: Change,
    by: User | None,
    held_by: int | None,
    now: datetime,
) -> bool:
    alert = Alert.objects.select_related("enrolment__setup").get(pk=alert_id)
    if alert.account_id is not None:
        # The lock comes first, so that the hold's event and the alert's status are seen together.
        Account.objects.locked([alert.account_id])
        held = alert.account_id
        alert.refresh_from_db(fields=["status", "taken_by", "account"])
        if alert.account_id != held:
            # It went to another account, by a merge, while we waited for the lock.
            return False
    if alert.status not in from_ or (by is not None and alert.taken_by_id != held_by):
        return False
    held_before = alert.holds
    as_seen = Alert.objects.filter(pk=alert_id, status=alert.status, taken_by=alert.taken_by_id)
    if not as_seen.update(status=to, **change):
        return False
    alert.refresh_from_db(fields=["status", "taken_by"])
    held_after = alert.holds
    if held_after != held_before:
        hold.record(alert, started=held_after, by=by, now=now)
    return True
