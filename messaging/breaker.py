"""The breaker: a domain whose mails bounce or annoy too often stops sending until a person looks.

Only what happened in the last day, and since a person last let it go on, counts. Large volumes are
judged by rate, small ones by count, since one complaint among ten mails says little about the tenth
of a percent.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from messaging import findings
from messaging.models import Message, MessageStatus, SendingDomain
from messaging.refusals import NO_SUCH_MAILBOX_REASON

WINDOW = timedelta(days=1)
KIND = "breaker"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Trips at `count` below `volume` mails a day, and at `rate` from there on."""

    what: str
    count: int
    rate: float
    volume: int

    def crossed(self, happened: int, sent: int) -> bool:
        if sent < self.volume:
            return happened >= self.count
        return happened / sent >= self.rate


# Gmail and Yahoo ask senders to stay below 0.3 % spam complaints (Google's e-mail sender guidelines).
COMPLAINTS = Threshold("marked as spam", count=3, rate=0.003, volume=1_000)
# Amazon SES reviews accounts from 5 % hard bounces on (its sending review process FAQs).
BOUNCES = Threshold("bounced for good", count=10, rate=0.05, volume=200)


@dataclass(frozen=True, slots=True)
class Volume:
    """What a domain sent and what came of it."""

    sent: int
    bounces: int
    complaints: int


def volume(domain: SendingDomain, *, now: datetime) -> Volume:
    """The domain's day, as far as it counts."""
    since = now - WINDOW
    if domain.resumed_at is not None:
        since = max(since, domain.resumed_at)
    gone = Q(status=MessageStatus.BOUNCED, reason="hard_bounce") | Q(
        status=MessageStatus.FAILED, reason=NO_SUCH_MAILBOX_REASON
    )
    counts = (
        Message.objects.filter(sender__domain=domain, claimed_at__gte=since)
        .exclude(
            status__in=[
                MessageStatus.QUEUED,
                MessageStatus.SENDING,
                MessageStatus.CANCELLED,
                MessageStatus.WITHHELD,
            ]
        )
        .aggregate(
            sent=Count("pk"),
            bounces=Count("pk", filter=gone),
            complaints=Count("pk", filter=Q(status=MessageStatus.COMPLAINED)),
        )
    )
    return Volume(**counts)


def verdict(day: Volume) -> str:
    """Why the domain must stop, in words; empty where it may go on."""
    reasons = [
        f"{happened} of {day.sent} mails were {threshold.what}"
        for threshold, happened in ((COMPLAINTS, day.complaints), (BOUNCES, day.bounces))
        if happened and threshold.crossed(happened, day.sent)
    ]
    return " and ".join(reasons) + (" within a day." if reasons else "")


def check(*, now: datetime, domains: Collection[int] | None = None) -> list[int]:
    """Pause every domain (of these, if given) that must stop, and open a finding for each; their ids."""
    rows = SendingDomain.objects.filter(paused_at=None)
    if domains is not None:
        rows = rows.filter(pk__in=domains)
    return [
        domain.pk
        for domain in rows
        if (reason := verdict(volume(domain, now=now))) and pause(domain.pk, reason, now=now)
    ]


def pause(domain_id: int, reason: str, *, now: datetime) -> bool:
    """Stop sending from the domain and open a finding. False where it was paused already."""
    rows = SendingDomain.objects.filter(pk=domain_id, paused_at=None)
    if not rows.update(paused_at=now, paused_reason=reason[:200]):
        return False
    name = SendingDomain.objects.values_list("name", flat=True).get(pk=domain_id)
    findings.report(KIND, name, f"Sending from {name} is paused: {reason}", now=now)
    return True


def resume(domain: SendingDomain, *, now: datetime) -> bool:
    """A person lets sending go on; what happened before does not count any more. False where it was on."""
    rows = SendingDomain.objects.filter(pk=domain.pk, paused_at__isnull=False)
    if not rows.update(paused_at=None, paused_reason="", resumed_at=now):
        return False
    findings.close(KIND, domain.name, now=now)
    return True
