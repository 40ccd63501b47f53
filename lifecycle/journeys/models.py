"""Journeys, their versions, and who is on them."""

import secrets
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account
from messaging.models import Reviewed, Sender


def new_salt() -> str:
    """A fresh salt for a journey's control group."""
    return secrets.token_hex(8)


class Journey(models.Model):
    """The way to a usable integration of one type. What it does stands in its live version."""

    key = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    integration_type = models.CharField(max_length=64)
    sender = models.ForeignKey(Sender, models.PROTECT)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    holdout_salt = models.CharField(max_length=32, default=new_salt, editable=False)
    # Setups that started before this moment are not enrolled.
    first_published_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["key"]

    def __str__(self) -> str:
        return self.name


class JourneyVersion(Reviewed):
    """One version of a journey's document; immutable once submitted."""

    journey = models.ForeignKey(Journey, models.PROTECT, related_name="versions")
    integration_type = models.CharField(max_length=64, editable=False)
    document = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["journey", "number"], name="journey_number_once"),
            # Two drafts side by side would each lose what the other says.
            models.UniqueConstraint(
                fields=["journey"],
                condition=Q(status__in=["draft", "in_review", "changes_requested"]),
                name="journey_one_unfinished",
            ),
            # Two live journeys for one integration type would both claim its setups.
            models.UniqueConstraint(
                fields=["integration_type"],
                condition=Q(status="live"),
                name="integration_type_one_live",
            ),
            # What is live is exactly what was approved.
            models.CheckConstraint(
                condition=~Q(status="live")
                | (~Q(content_hash="") & Q(approved_hash=F("content_hash"))),
                name="journey_live_is_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.journey} v{self.number}"

    def matter(self) -> Any:
        return self.document

    def settled(self) -> dict[str, Any]:
        return {"integration_type": self.document.get("integration_type", self.integration_type)}

    def siblings(self) -> "models.QuerySet[Self]":
        return type(self).objects.filter(journey=self.journey_id)


class Setup(models.Model):
    """One account's attempt to set up one integration. What it knows is a cache of the fold."""

    account = models.ForeignKey(Account, models.PROTECT, related_name="setups")
    integration_type = models.CharField(max_length=64)
    # `id:…`, `provider:…` or empty while nothing more is known than the type.
    key = models.CharField(max_length=300, blank=True)
    provider = models.CharField(max_length=120, blank=True)
    integration_id = models.CharField(max_length=255, blank=True)
    attempt = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField(null=True)
    usable_at = models.DateTimeField(null=True)
    blocked_class = models.CharField(max_length=64, blank=True)
    milestones = models.JSONField(default=dict, help_text="Milestone → when it was reached")
    finished_by = models.JSONField(
        default=list, help_text="Ids of the people who reached milestones"
    )
    # Why the present attempt is on no journey; empty while it is on one.
    entry_reason = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints: ClassVar = [
            # One setup cannot be followed twice.
            models.UniqueConstraint(
                fields=["account", "integration_type", "key"], name="setup_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.provider or self.integration_type}"


class Enrolment(models.Model):
    """One attempt of a setup in a journey."""

    class Arm(models.TextChoices):
        TREATED = "treated", "Gets the mails"
        HOLDOUT = "holdout", "Control group"

    journey = models.ForeignKey(Journey, models.PROTECT)
    version = models.ForeignKey(JourneyVersion, models.PROTECT)
    setup = models.ForeignKey(Setup, models.PROTECT, related_name="enrolments")
    account = models.ForeignKey(Account, models.PROTECT, related_name="enrolments")
    attempt = models.PositiveIntegerField()
    arm = models.CharField(max_length=8, choices=Arm, default=Arm.TREATED)
    entered_at = models.DateTimeField(default=timezone.now)
    left_at = models.DateTimeField(null=True)
    left_reason = models.CharField(max_length=64, blank=True)
    # Caches for lists: where the setup is, since when, and when we look next.
    stage = models.CharField(max_length=64, blank=True)
    stage_since = models.DateTimeField(null=True)
    next_look_at = models.DateTimeField(null=True)
    # The last verdict of each step of the stage, so that only changes become decisions.
    verdicts = models.JSONField(default=dict)

    class Meta:
        verbose_name = "setup on a journey"
        verbose_name_plural = "on a journey"
        constraints: ClassVar = [
            # An attempt is enrolled once, however many workers look.
            models.UniqueConstraint(fields=["journey", "setup", "attempt"], name="enrolment_once"),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | ~Q(left_reason=""),
                name="enrolment_left_for_a_reason",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["account"], name="enrolment_open", condition=Q(left_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.setup} in {self.journey}"
