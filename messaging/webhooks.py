"""What mail providers tell us afterwards: delivered, bounced, complained, left, answered.

Providers repeat events and send them in any order. Each is kept once, and a message only moves
along the outbox's edges, so that whatever comes last cannot undo what weighs more.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, assert_never

from anymail.signals import (
    AnymailInboundEvent,
    AnymailTrackingEvent,
    EventType,
    RejectReason,
    inbound,
    tracking,
)
from django.db import IntegrityError, transaction
from django.dispatch import receiver
from django.utils import timezone

from messaging import addresses, breaker, outbox, replies, suppression
from messaging.models import Attempt, Message, MessageStatus, ProviderEvent, Suppression
from messaging.replies import printable

# An address that bounced "softly" on this many days within the window, with no delivery since the
# first of them, is suppressed: a full mailbox that nobody empties is not read either.
SOFT_BOUNCE_DAYS = 3
SOFT_BOUNCE_WINDOW = timedelta(days=30)

Kind = Literal["accepted", "delivered", "hard_bounce", "soft_bounce", "complaint", "unsubscribe"]
# What some providers call a bounce although the address may work tomorrow; the field that says so.
SOFT_WORDS = {
    "transient",
    "softbounce",
    "temporary",
    "undetermined",
    "dnserror",
    "blocked",
    "block",
}


@dataclass(frozen=True, slots=True)
class Report:
    """One event of a provider, in our words."""

    provider: str
    provider_id: str
    our_id: int | None
    recipient: str
    type: str
    kind: Kind | None
    at: datetime
    detail: str

    @property
    def fingerprint(self) -> str:
        """The same for every delivery of the same event; event ids are not (SendGrid's change)."""
        parts = (self.provider, self.provider_id, self.recipient, self.type, self.at.isoformat())
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


@receiver(tracking, dispatch_uid="messaging.webhooks")
def on_tracking(
    sender: Any,  # noqa: ARG001
    event: AnymailTrackingEvent,
    esp_name: str,
    **_: Any,
) -> None:
    """Anymail checked the secret or the signature before it called."""
    now = timezone.now()
    take_in(read(event, esp_name, now), now=now)


@receiver(inbound, dispatch_uid="messaging.webhooks.inbound")
def on_inbound(
    sender: Any,  # noqa: ARG001
    event: AnymailInboundEvent,
    esp_name: str,
    **_: Any,
) -> None:
    """A mail to one of our reply addresses; what a provider could not receive it only reports."""
    if event.message is not None:
        replies.take_in(event.message, provider=esp_name, now=timezone.now())


def read(event: AnymailTrackingEvent, esp_name: str, now: datetime) -> Report:
    """Anymail's event as a report."""
    metadata = event.metadata or {}
    told = str(metadata.get("message_id", ""))
    recipient = addresses.normalise(printable(event.recipient)) if event.recipient else ""
    return Report(
        provider=esp_name[:40],
        provider_id=printable(event.message_id or "")[:255],
        our_id=int(told) if told.isdecimal() and len(told) < 19 else None,
        recipient=recipient[:254],
        type=str(event.event_type)[:30],
        kind=kind_of(event),
        # Without a time of its own an event cannot be told from its repetition; the first one counts.
        at=event.timestamp or (now if event.event_id else datetime.fromtimestamp(0, tz=now.tzinfo)),
        detail=printable(
            " ".join(filter(None, [event.reject_reason, event.description, event.mta_response]))
        )[:2000],
    )


def kind_of(event: AnymailTrackingEvent) -> Kind | None:
    """What the event means for us; None for what changes nothing (opens, clicks, robots' answers)."""
    match event.event_type:
        case EventType.QUEUED | EventType.SENT | EventType.DEFERRED:
            return "accepted"
        case EventType.DELIVERED:
            return "delivered"
        case EventType.COMPLAINED:
            return "complaint"
        case EventType.UNSUBSCRIBED:
            return "unsubscribe"
        case EventType.BOUNCED | EventType.REJECTED | EventType.FAILED:
            return bounce_kind(event)
        case _:
            return None


def bounce_kind(event: AnymailTrackingEvent) -> Kind:
    """Whether the address is gone for good. Only what is said to be permanent counts as that."""
    match event.reject_reason:
        case RejectReason.SPAM:
            # Postmark and SendGrid refuse with this what was marked as spam before.
            return "complaint" if event.event_type == EventType.REJECTED else "soft_bounce"
        case RejectReason.UNSUBSCRIBED:
            return "unsubscribe"
        case RejectReason.INVALID:
            return "hard_bounce"
        case RejectReason.BOUNCED:
            return "soft_bounce" if said_soft(event.esp_event) else "hard_bounce"
        case _:
            return "soft_bounce"


def said_soft(raw: Any) -> bool:
    """Whether the provider's own words call the bounce temporary."""
    if not isinstance(raw, dict):
        return False
    inner = [raw, *(value for value in raw.values() if isinstance(value, dict))]
    words = {
        str(one.get(name, "")).lower().replace("_", "").replace(" ", "")
        for one in inner
        for name in ("bounceType", "Type", "type", "severity", "bounce_classification")
    }
    return bool(words & SOFT_WORDS)


def take_in(report: Report, *, now: datetime) -> bool:
    """Keep the event and do what follows from it; False where it was known already. All or nothing."""
    if report.kind is None:
        return False
    message = message_of(report)
    with transaction.atomic():
        try:
            with transaction.atomic():
                ProviderEvent.objects.create(
                    provider=report.provider,
                    fingerprint=report.fingerprint,
                    message=message,
                    recipient=report.recipient,
                    type=report.kind,
                    at=report.at,
                    received_at=now,
                    detail=report.detail,
                )
        except IntegrityError:
            return False
        if message is not None:
            settle(message, report, now=now)
        email = message.address.value if message is not None else report.recipient
        # The address is gone, or complained, also when we no longer know which mail it was.
        if addresses.usable(email):
            suppress(email, report, now=now)
    if message is not None and report.kind in ("hard_bounce", "complaint"):
        breaker.check(now=now, domains=[message.sender.domain_id])
    return True


def message_of(report: Report) -> Message | None:
    """The message that the event is about: by our id, else by the provider's.

    Our id counts only with a second match, since another installation may share the provider's account.
    """
    rows = Message.objects.select_related("address", "sender")
    if report.our_id is not None:
        message = rows.filter(pk=report.our_id).first()
        if message is not None and (
            message.address.value == report.recipient
            or (report.provider_id and message.provider_id == report.provider_id)
        ):
            return message
    if not report.provider_id:
        return None
    return rows.filter(provider_id__in=spellings(report.provider_id)).order_by("-pk").first()


def spellings(provider_id: str) -> list[str]:
    bare = provider_id.strip("<>")
    return [bare, f"<{bare}>"]


def settle(message: Message, report: Report, *, now: datetime) -> None:
    """Move the message to where the event says it is, if it may move there."""
    row: dict[str, Any] = {"id": message.pk}
    common: dict[str, Any] = {
        "settled_at": now,
        "provider_id": message.provider_id or report.provider_id,
    }
    match report.kind:
        case "accepted":
            outbox.move(
                [row], MessageStatus.SENT, start=[MessageStatus.UNCERTAIN],
                sent_at=report.at, reason="", detail="", **common,
            )  # fmt: skip
        case "delivered":
            outbox.move([row], MessageStatus.DELIVERED, reason="", detail="", **common)
        case "hard_bounce" | "soft_bounce":
            bounced = {**row, "reason": report.kind, "detail": report.detail}
            outbox.move([bounced], MessageStatus.BOUNCED, **common)
        case "complaint":
            outbox.move([row], MessageStatus.COMPLAINED, **common)
        case "unsubscribe" | None:
            return
        case _:
            assert_never(report.kind)
    Message.objects.filter(pk=message.pk, sent_at=None).exclude(
        status__in=[MessageStatus.QUEUED, MessageStatus.SENDING, MessageStatus.UNCERTAIN]
    ).update(sent_at=report.at)
    Attempt.objects.filter(message=message, finished_at=None).exclude(
        message__status=MessageStatus.SENDING
    ).update(finished_at=now, outcome="told_by_provider")


def suppress(email: str, report: Report, *, now: datetime) -> None:
    """Stop writing to an address that is gone, complained, left, or keeps bouncing."""
    source = f"{report.provider}: {report.detail}".strip(": ")
    match report.kind:
        case "hard_bounce":
            suppression.suppress(email, Suppression.Reason.HARD_BOUNCE, source=source, now=now)
        case "complaint":
            suppression.suppress(email, Suppression.Reason.COMPLAINT, source=source, now=now)
        case "unsubscribe":
            suppression.unsubscribe(email, source=source, now=now)
        case "soft_bounce" if bounces_again_and_again(email, now):
            suppression.suppress(email, Suppression.Reason.SOFT_BOUNCES, source=source, now=now)
        case _:
            return


def bounces_again_and_again(email: str, now: datetime) -> bool:
    """The rule for soft bounces, stated at the top."""
    events = ProviderEvent.objects.filter(recipient=email, at__gt=now - SOFT_BOUNCE_WINDOW)
    delivered = events.filter(type="delivered").order_by("-at").values_list("at", flat=True).first()
    bounces = events.filter(type="soft_bounce")
    if delivered is not None:
        bounces = bounces.filter(at__gt=delivered)
    return len({at.date() for at in bounces.values_list("at", flat=True)}) >= SOFT_BOUNCE_DAYS
