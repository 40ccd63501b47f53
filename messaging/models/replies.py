"""What comes back to a message."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from messaging.models.outbox import Message


class Reply(models.Model):
    """What came back to a message, and whether it was passed on."""

    class Status(models.TextChoices):
        IGNORED = "ignored", "Written by a machine"
        WAITING = "waiting", "To be forwarded"
        FORWARDING = "forwarding", "Being forwarded"
        FORWARDED = "forwarded", "Forwarded"
        UNCERTAIN = "uncertain", "Perhaps forwarded"
        REFUSED = "refused", "Not forwarded"

    message = models.ForeignKey(Message, models.PROTECT, related_name="replies")
    provider = models.CharField(max_length=40)
    # SHA-256 over our message and the reply's own Message-ID: a provider delivers it again and again.
    fingerprint = models.CharField(max_length=64, unique=True)
    from_email = models.CharField(max_length=254, blank=True)
    from_name = models.CharField(max_length=120, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    text = models.TextField(blank=True)
    automatic = models.CharField(
        max_length=30, blank=True, help_text="What shows that a machine wrote it"
    )
    # The whole mail until it was forwarded, where the text alone would lose something.
    original = models.BinaryField(default=b"", editable=False)
    received_at = models.DateTimeField()
    # When whoever cares for customers acted upon it.
    taken_up_at = models.DateTimeField(null=True, editable=False)
    status = models.CharField(max_length=10, choices=Status, editable=False)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    forwarded_at = models.DateTimeField(null=True)
    detail = models.TextField(blank=True, help_text="Why it was not forwarded")

    class Meta:
        verbose_name_plural = "replies"
        constraints: ClassVar = [
            # A forward without an end in sight would never be called uncertain.
            models.CheckConstraint(
                condition=~Q(status="forwarding") | Q(lease_until__isnull=False),
                name="reply_forwarding_has_lease",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"], name="reply_due", condition=Q(status="waiting")
            ),
            models.Index(
                fields=["id"],
                name="reply_not_taken_up",
                condition=Q(taken_up_at__isnull=True, automatic=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_email}: {self.subject}"
