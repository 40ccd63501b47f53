"""What the queue's workers run: verbs on ids, each of which may run twice."""

from collections.abc import Sequence

from django.utils import timezone

from lifecycle.memory import keep_what_is_loaded
from lifecycle.runner import handoff, isolation, link_watch
from lifecycle.runner.deliver import LASTS_AT_MOST, deliver
from lifecycle.runner.health import QUEUE
from lifecycle.runner.heartbeats import beat
from lifecycle.runner.look import look_at
from messaging import forwarding
from messaging.review import notices


def look(account_ids: Sequence[int]) -> None:
    """Look at the accounts and hand over at once what they are due."""
    keep_what_is_loaded()
    until = timezone.now() + LASTS_AT_MOST
    groups = isolation.begin(account_ids, now=timezone.now())
    for place, group in enumerate(groups):
        if timezone.now() > until:
            rest = [account for later in groups[place:] for account in later]
            isolation.put_off(rest, now=timezone.now())
            return
        queued = look_at(group, now=timezone.now())
        beat(QUEUE, timezone.now())
        if queued:
            deliver(queued, clock=timezone.now)
            beat(QUEUE, timezone.now())


def send(message_ids: Sequence[int]) -> None:
    """Hand over queued messages: those that were postponed, or whose worker was lost."""
    keep_what_is_loaded()
    deliver(message_ids, clock=timezone.now)
    beat(QUEUE, timezone.now())


def hand_off(hand_off_id: int) -> None:
    """Try one outgoing webhook."""
    handoff.deliver(hand_off_id, now=timezone.now())
    beat(QUEUE, timezone.now())


def forward(reply_id: int) -> None:
    """Pass one customer's reply on to its support mailbox."""
    forwarding.forward(reply_id, clock=timezone.now)
    beat(QUEUE, timezone.now())


def list_links(version_ids: Sequence[int]) -> None:
    """Write down where these versions' mails lead to."""
    link_watch.list_links(version_ids, now=timezone.now())
    beat(QUEUE, timezone.now())


def probe(link_ids: Sequence[int]) -> None:
    """Ask whether these links still work."""
    link_watch.probe(link_ids, clock=timezone.now)
    beat(QUEUE, timezone.now())


def confirm_links() -> None:
    """Take customers' page views as a sign that links work."""
    link_watch.confirm(timezone.now())
    beat(QUEUE, timezone.now())


def notify(notice_id: int) -> None:
    """Mail one of our staff that a change set waits for them, or was decided."""
    notices.mail(notice_id, clock=timezone.now)
    beat(QUEUE, timezone.now())


def pulse() -> None:
    """Do nothing but show that tasks travel through the queue from end to end."""
    beat(QUEUE, timezone.now())
