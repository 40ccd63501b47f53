"""Follow-up for a person on the support team."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import Account
from lifecycle.journeys.models import Enrolment


class Alert(models.Model):
    """Something that e-mail will not solve, waiting for a person."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        TAKEN = "taken", "Taken"
        SNOOZED = "snoozed", "Snoozed"
        RESOLVED = "resolved", "Resolved"

    class Kind(models.TextChoices):
        STEP = "step", "Opened by a journey"
        MANUAL_PATH = "manual_path", "Provider with a manual path"
        FINDING = "finding", "Trouble with our mail"
        INCIDENT = "incident", "Incident"
        REPLY = "reply", "A customer replied"

    kind = models.CharField(max_length=12, choices=Kind)
    dedupe_key = models.CharField(max_length=200)
    account = models.ForeignKey(Account, models.PROTECT, null=True, related_name="alerts")
    enrolment = models.ForeignKey(Enrolment, models.PROTECT, null=True, related_name="alerts")
    title = models.CharField(max_length=200)
    detail = models.TextField(blank=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.OPEN, editable=False)
    opened_at = models.DateTimeField()
    # Who has it; of a resolved one, who had it last.
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="alerts"
    )
    taken_at = models.DateTimeField(null=True, blank=True)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar = ["-opened_at"]
        constraints: ClassVar = [
            # The same trouble is one alert until it is resolved.
            models.UniqueConstraint(
                fields=["dedupe_key"],
                condition=~Q(status="resolved"),
                name="alert_open_once",
            ),
            models.CheckConstraint(
                condition=~Q(status="taken") | Q(taken_by__isnull=False),
                name="alert_taken_by_somebody",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["status", "-opened_at"], name="alert_status")]

    def __str__(self) -> str:
        return self.title

    @property
    def holds(self) -> bool:
        """Whether mail about its setup waits: somebody has it, or a customer waits for an answer."""
        if self.status == self.Status.RESOLVED:
            return False
        return self.taken_by_id is not None or self.kind == self.Kind.REPLY
