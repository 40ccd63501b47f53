"""Troubles with our mail as alerts: what messaging found, and mails whose outcome nobody knows.

Messaging writes findings and knows no alerts; a finding's alert closes by itself once the finding does.
"""

from datetime import datetime, timedelta

from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from messaging.models import Finding, Message, MessageStatus

OVER = "It is over."
# Most unknown outcomes are settled by the provider's webhook within minutes.
UNKNOWN_FOR = timedelta(minutes=10)
# The home page counts them all the time; the desk is told of them this often.
TELL_AGAIN_AFTER = timedelta(days=1)
UNKNOWN = "uncertain"
TITLES = {
    "breaker": "Sending is paused: {}",
    "render_error": "An e-mail cannot be written: {}",
    "mail_configuration": "The mail provider refuses us: {}",
    "broken_link": "A link in e-mails does not work: {}",
    "mail_down": "The mail provider cannot be reached: {}",
    "reply_not_forwarded": "A customer's reply did not reach {}",
}


def follow(now: datetime) -> None:
    """Open an alert for every open finding that never had one, close those of findings that closed."""
    _open_for_findings(now)
    _close_for_findings(now)
    _tell_of_unknown_outcomes(now)


def dedupe_key(finding_id: int) -> str:
    return f"finding:{finding_id}"


def _open_for_findings(now: datetime) -> None:
    found = {dedupe_key(row.pk): row for row in Finding.objects.filter(closed_at=None)}
    # Resolved ones count too: what a person has put aside does not come back while it goes on.
    told = Alert.objects.filter(kind=Alert.Kind.FINDING, dedupe_key__in=found)
    for key in found.keys() - set(told.values_list("dedupe_key", flat=True)):
        finding = found[key]
        title = TITLES.get(finding.kind, finding.kind.replace("_", " ").capitalize() + ": {}")
        desk.open_alert(
            kind=Alert.Kind.FINDING,
            dedupe_key=key,
            title=title.format(finding.subject),
            detail=finding.detail,
            now=now,
        )


def _close_for_findings(now: datetime) -> None:
    alerts = Alert.objects.filter(kind=Alert.Kind.FINDING).exclude(status=Alert.Status.RESOLVED)
    standing = {
        int(key.partition(":")[2]): pk
        for pk, key in alerts.values_list("pk", "dedupe_key")
        if key != UNKNOWN
    }
    closed = Finding.objects.filter(pk__in=standing, closed_at__isnull=False)
    for finding_id in closed.values_list("pk", flat=True):
        desk.resolve(standing[finding_id], resolution=OVER, now=now)


def _tell_of_unknown_outcomes(now: datetime) -> None:
    """One alert while there are any, and at most one a day."""
    unknown = Message.objects.filter(status=MessageStatus.UNCERTAIN)
    alerts = Alert.objects.filter(kind=Alert.Kind.FINDING, dedupe_key=UNKNOWN)
    standing = alerts.exclude(status=Alert.Status.RESOLVED).first()
    if standing is not None:
        if not unknown.exists():
            desk.resolve(standing.pk, resolution=OVER, now=now)
        return
    count = unknown.filter(settled_at__lte=now - UNKNOWN_FOR).count()
    if not count or alerts.filter(opened_at__gt=now - TELL_AGAIN_AFTER).exists():
        return
    mails = "1 e-mail" if count == 1 else f"{count} e-mails"
    desk.open_alert(
        kind=Alert.Kind.FINDING,
        dedupe_key=UNKNOWN,
        title=f"{mails} may or may not have been delivered",
        detail="Look them up at the mail provider and settle them in the list of messages. "
        "None of them is sent again by itself.",
        now=now,
    )
