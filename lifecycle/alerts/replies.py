"""A customer's reply as an alert: it holds the reminders about its setup until somebody has answered."""

from datetime import datetime

from django.db import transaction

from accounts.models import Account
from lifecycle.alerts import desk, hold
from lifecycle.alerts.models import Alert
from messaging.models import Reply

AT_ONCE = 200
# The desk shows what it takes to answer; the whole of it stands in the list of replies.
SHOWN = 2_000


def follow(now: datetime) -> None:
    """Take up every reply that a person wrote and nobody has taken up yet, the oldest first."""
    waiting = Reply.objects.filter(taken_up_at=None, automatic="").order_by("pk")
    for reply in waiting.select_related("message__account").defer("original")[:AT_ONCE]:
        _take_up(reply, now)


@transaction.atomic
def _take_up(reply: Reply, now: datetime) -> None:
    # A message that no step sent, such as a test, is about the account alone.
    run = getattr(reply.message, "step_run", None)
    enrolment = run.enrolment if run else None
    account = enrolment.account if enrolment else reply.message.account
    Account.objects.locked([account.pk])
    # Of two that come at once the second waits for the lock and finds it taken up.
    if not Reply.objects.filter(pk=reply.pk, taken_up_at=None).update(taken_up_at=now):
        return
    key = f"reply:{enrolment.pk}" if enrolment else f"reply:account:{account.pk}"
    alert = desk.open_alert(
        kind=Alert.Kind.REPLY,
        dedupe_key=key,
        title=f"{reply.from_name or reply.from_email or 'Somebody'} replied: {account}",
        detail=_words(reply),
        account=account,
        enrolment=enrolment,
        now=now,
    )
    if alert is None:
        desk.add_to(key, _words(reply))
    else:
        hold.record(alert, started=True, now=now)


def _words(reply: Reply) -> str:
    text = reply.text if len(reply.text) <= SHOWN else f"{reply.text[:SHOWN].rstrip()} …"
    head = f"{reply.from_email}, {reply.received_at:%d %b %Y, %H:%M} UTC: {reply.subject}"
    return f"{head}\n{text}"
