"""The mails that were sent while events counted that were sent by mistake."""

from dataclasses import dataclass

from django.db.models import BigIntegerField, Exists, OuterRef, Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from events import voiding
from events.models import Event, Void
from messaging.models import Message, MessageStatus

SHOWN = 50
# Claimed, and not certain to have stayed with us.
HANDED_OVER = (
    MessageStatus.SENDING,
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
    MessageStatus.BOUNCED,
    MessageStatus.COMPLAINED,
    MessageStatus.UNCERTAIN,
)


@dataclass(frozen=True)
class Mails:
    """How many there are, and the newest of them."""

    count: int
    newest: list[Message]


def mails(void: Void) -> Mails:
    """Mails whose decision had seen an event of this void, while that event counted.

    A mail's receipt names the last event of its account that the decision had seen. Where that is an
    event of the void, or a later one, the decision rested on a log with the mistake in it.
    """
    is_out = void.applied_at is not None and void.undone_at is None
    events = Event.objects.filter(void=void) if is_out else voiding.meant(void)
    seen = Exists(events.filter(account=OuterRef("account"), pk__lte=OuterRef("last_event")))
    rows = (
        Message.objects.filter(status__in=HANDED_OVER, claimed_at__gte=void.since)
        .annotate(
            last_event=Cast(KeyTextTransform("last_event", "receipt"), BigIntegerField()),
        )
        .filter(seen)
    )
    if void.applied_at:
        counted = Q(claimed_at__lt=void.applied_at)
        if void.undone_at:
            counted |= Q(claimed_at__gte=void.undone_at)
        rows = rows.filter(counted)
    newest = rows.select_related("account", "person", "template_version__template")
    return Mails(rows.count(), list(newest.order_by("-claimed_at", "-pk")[:SHOWN]))
