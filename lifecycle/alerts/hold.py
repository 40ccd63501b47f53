"""An alert holds mail about a setup: written to the log, so that the fold knows when it began and ended."""

from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.models import User
from events import log
from lifecycle.alerts.models import Alert
from lifecycle.engine.fold import HOLD_ENDED, HOLD_STARTED
from lifecycle.journeys.models import Setup


def record(alert: Alert, *, started: bool, by: User | None = None, now: datetime) -> None:
    """Append the hold's beginning or end, and who brought it about, to the account's log.

    Call it with the account locked, and with the alert as it is after the move.

    An alert about a setup holds that setup; one about the account alone holds all its setups.
    What another alert holds stays held.
    """
    if alert.account_id is None:
        return
    setup = alert.enrolment.setup if alert.enrolment else None
    if started:
        log.append([_event(alert, setup, HOLD_STARTED, by, now)], now=now)
        return
    still = _held_by_others(alert)
    if still.filter(enrolment=None).exists() or (
        setup and still.filter(enrolment__setup=setup).exists()
    ):
        return
    entries = [_event(alert, setup, HOLD_ENDED, by, now)]
    if setup is None:
        entries += [
            _event(other, other.enrolment.setup, HOLD_STARTED, other.taken_by, now)
            for other in still
            if other.enrolment
        ]
    log.append(entries, now=now)


def _held_by_others(alert: Alert) -> QuerySet[Alert]:
    holding = Q(taken_by__isnull=False) | Q(kind=Alert.Kind.REPLY)
    held = Alert.objects.filter(holding, account=alert.account_id)
    unresolved = held.exclude(pk=alert.pk).exclude(status=Alert.Status.RESOLVED)
    return unresolved.select_related("enrolment__setup", "taken_by")


def _event(
    alert: Alert, setup: Setup | None, name: str, by: User | None, now: datetime
) -> log.OwnEvent:
    assert alert.account_id is not None
    about: dict[str, str | int] = {"alert_id": alert.pk}
    if alert.kind == Alert.Kind.REPLY:
        about["because"] = "reply"
    if by:
        about["by"] = by.get_username()
    if name == HOLD_ENDED:
        about["how"] = "resolved" if alert.status == Alert.Status.RESOLVED else "given_back"
    if setup:
        about |= {"setup_id": setup.pk, "integration_type": setup.integration_type}
    # While only the type is known the type alone says which setup is meant.
    if setup and setup.key:
        about["setup_key"] = setup.key
    return log.OwnEvent(
        source="staff",
        # An alert may be taken and given back many times; each is an event of its own.
        message_id=f"{name}:{alert.pk}:{setup.pk if setup else '-'}:{now.isoformat()}",
        name=name,
        account_id=alert.account_id,
        occurred_at=now,
        properties=about,
    )
