"""The outbox: messages, their attempts, and what providers said of them."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import Account, ConsentCategory, Person
from messaging.models.addresses import Address
from messaging.models.senders import Sender
from messaging.models.templates import TemplateVersion


class MessageStatus(models.TextChoices):
    """Where a message is on its way. The allowed moves stand in messaging.outbox."""

    QUEUED = "queued", "Queued"
    SENDING = "sending", "Being handed over"
    SENT = "sent", "Sent"
    DELIVERED = "delivered", "Delivered"
    BOUNCED = "bounced", "Bounced"
    COMPLAINED = "complained", "Marked as spam"
    CANCELLED = "cancelled", "Not sent"
    FAILED = "failed", "Refused"
    UNCERTAIN = "uncertain", "Outcome unknown"
    WITHHELD = "withheld", "Withheld (control group)"


class MessageQuerySet(models.QuerySet["Message"]):
    def due(self, now: datetime) -> "MessageQuerySet":
        """Queued messages whose time for a (next) attempt has come, longest waiting first."""
        return self.filter(status=MessageStatus.QUEUED, next_attempt_at__lte=now).order_by(
            "next_attempt_at"
        )

    def for_hand_over(self) -> "MessageQuerySet":
        """With what finding the template version takes (`messaging.sending.with_versions`)."""
        return self.annotate(version_hash=F("template_version__content_hash")).defer("receipt")

    def expired(self, now: datetime) -> "MessageQuerySet":
        """Messages whose sender went silent: claimed, and the lease has run out."""
        return self.filter(status=MessageStatus.SENDING, lease_until__lt=now)


class Message(models.Model):
    """One e-mail to one person: the outbox. A row exists only when it may go now."""

    # Opaque to messaging: whoever enqueues says what "the same mail" means.
    dedupe_key = models.CharField(max_length=200, unique=True)
    account = models.ForeignKey(Account, models.PROTECT)
    person = models.ForeignKey(Person, models.PROTECT)
    address = models.ForeignKey(Address, models.PROTECT)
    template_version = models.ForeignKey(TemplateVersion, models.PROTECT)
    sender = models.ForeignKey(Sender, models.PROTECT)
    category = models.CharField(
        max_length=20, choices=ConsentCategory, default=ConsentCategory.SETUP_HELP
    )
    counts_toward_cap = models.BooleanField(default=True)
    # What the template's variables resolve to, as of the claim.
    context = models.JSONField(default=dict)
    variant = models.CharField(max_length=120, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    status = models.CharField(
        max_length=10, choices=MessageStatus, default=MessageStatus.QUEUED, editable=False
    )
    reason = models.CharField(max_length=64, blank=True, help_text="Why it was not sent")
    detail = models.TextField(blank=True, help_text="The provider's words, or what went wrong")
    queued_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True)
    not_after = models.DateTimeField(help_text="Later than this it is no help any more")
    attempts = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    # What was true when it was claimed: facts seen, versions, time.
    receipt = models.JSONField(null=True)
    sent_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    provider = models.CharField(max_length=40, blank=True)
    provider_id = models.CharField(max_length=255, blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            # Whoever is handing over a message is known, and for how long.
            models.CheckConstraint(
                condition=~Q(status="sending")
                | (~Q(lease_owner="") & Q(lease_until__isnull=False) & Q(receipt__isnull=False)),
                name="message_sending_has_lease_and_receipt",
            ),
            # A no without a reason could not be looked up.
            models.CheckConstraint(
                condition=~Q(status__in=["cancelled", "failed"]) | ~Q(reason=""),
                name="message_no_has_reason",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"], name="message_due", condition=Q(status="queued")
            ),
            models.Index(
                fields=["lease_until"], name="message_lease", condition=Q(status="sending")
            ),
            # The caps' rolling windows.
            models.Index(fields=["address", "claimed_at"], name="message_of_address"),
            models.Index(fields=["account", "claimed_at"], name="message_of_account"),
            models.Index(fields=["provider_id"], name="message_provider_id"),
            models.Index(fields=["status", "queued_at"], name="message_status"),
        ]

    def __str__(self) -> str:
        return self.subject or f"Message {self.pk}"


class Attempt(models.Model):
    """One try at handing a message over."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="tries")
    number = models.PositiveIntegerField()
    owner = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            # Two owners cannot both hold the same try.
            models.UniqueConstraint(fields=["message", "number"], name="attempt_once")
        ]

    def __str__(self) -> str:
        return f"try {self.number} of message {self.message_id}"


class ProviderEvent(models.Model):
    """A tracking event as a provider sent it, once."""

    provider = models.CharField(max_length=40)
    # SHA-256 over provider, message id, recipient, type and time: SendGrid's event ids change on redelivery.
    fingerprint = models.CharField(max_length=64, unique=True)
    message = models.ForeignKey(Message, models.CASCADE, null=True, related_name="provider_events")
    recipient = models.CharField(max_length=254, blank=True)
    type = models.CharField(max_length=30)
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    detail = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.provider} {self.type}"
