"""The addresses that mails lead to."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from messaging.models.templates import Destination, TemplateVersion


class LinkHealthQuerySet(models.QuerySet["LinkHealth"]):
    def due(self, now: datetime) -> "LinkHealthQuerySet":
        """Links whose time for a probe has come, longest waiting first."""
        return self.filter(next_check_at__lte=now).order_by("next_check_at", "pk")

    def broken(self) -> "LinkHealthQuerySet":
        """Links whose steps are held."""
        return self.filter(verdict=LinkHealth.Verdict.BROKEN)


class LinkHealth(models.Model):
    """An address that mails lead to, and what came of asking it."""

    class Verdict(models.TextChoices):
        UNKNOWN = "unknown", "Not probed yet"
        OK = "ok", "Works"
        CONFIRMED = "confirmed", "Customers were there"
        CANNOT_TELL = "cannot_tell", "Cannot tell"
        FAILING = "failing", "Failed lately"
        BROKEN = "broken", "Broken: its e-mails are held"

    url = models.CharField("address", max_length=1000, unique=True)
    destination = models.ForeignKey(
        Destination,
        models.SET_NULL,
        null=True,
        related_name="links",
        verbose_name="setup screen",
    )
    versions = models.ManyToManyField(TemplateVersion, related_name="links")
    verdict = models.CharField(max_length=11, choices=Verdict, default=Verdict.UNKNOWN)
    status = models.PositiveSmallIntegerField(
        "HTTP status", null=True, help_text="Of the last answer"
    )
    detail = models.CharField(max_length=300, blank=True)
    chain = models.JSONField("way there", default=list, help_text="Every address asked, in turn")
    checked_at = models.DateTimeField("last probed", null=True)
    # When somebody asked for a probe out of turn.
    asked_at = models.DateTimeField(null=True, editable=False)
    # Empty: no live e-mail leads there any more.
    next_check_at = models.DateTimeField("next probe", null=True)
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField("failures in a row", default=0)
    confirmed_at = models.DateTimeField(
        "customers seen", null=True, help_text="When a customer's page view last came from there"
    )
    # What the open finding is about, while it is broken.
    trouble = models.CharField(max_length=200, blank=True, editable=False)
    # It works again, and whoever held mails because of it has not let them go yet.
    released_at = models.DateTimeField(null=True, editable=False)

    objects = LinkHealthQuerySet.as_manager()

    class Meta:
        verbose_name = "link"
        verbose_name_plural = "links in e-mails"
        constraints: ClassVar = [
            # A hold whose finding is unknown could never be closed.
            models.CheckConstraint(
                condition=~Q(verdict="broken") | (~Q(trouble="") & Q(failing_since__isnull=False)),
                name="link_broken_has_trouble",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_check_at"],
                name="link_due",
                condition=Q(next_check_at__isnull=False),
            ),
            models.Index(fields=["id"], name="link_broken", condition=Q(verdict="broken")),
            models.Index(
                fields=["id"], name="link_released", condition=Q(released_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def is_watched(self) -> bool:
        """Whether an e-mail that may be sent leads there."""
        return self.next_check_at is not None

    @property
    def is_being_probed(self) -> bool:
        """Whether somebody asked for a probe whose result is not there yet."""
        return self.asked_at is not None and (
            self.checked_at is None or self.checked_at < self.asked_at
        )
