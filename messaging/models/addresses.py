"""Addresses and why nothing is sent to them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ConsentCategory


class Address(models.Model):
    """A normalised e-mail address: the row whose lock guards what may be sent to it."""

    value = models.CharField(max_length=254, unique=True)

    class Meta:
        verbose_name_plural = "addresses"

    def __str__(self) -> str:
        return self.value


class Suppression(models.Model):
    """Why nothing is sent to an address. Lifting it keeps the row, as the history."""

    class Reason(models.TextChoices):
        HARD_BOUNCE = "hard_bounce", "It bounced for good"
        SOFT_BOUNCES = "soft_bounces", "It bounced again and again"
        COMPLAINT = "complaint", "Marked as spam"
        UNSUBSCRIBE = "unsubscribe", "Unsubscribed"
        STAFF = "staff", "Set by staff"

    address = models.ForeignKey(Address, models.CASCADE, related_name="suppressions")
    reason = models.CharField(max_length=12, choices=Reason)
    category = models.CharField(
        max_length=20, choices=ConsentCategory, blank=True, help_text="Empty: every kind of mail"
    )
    source = models.CharField(max_length=120)
    at = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = "suppressed address"
        verbose_name_plural = "suppressed addresses"
        constraints: ClassVar = [
            # One standing reason per address and kind of mail, however often the provider repeats it.
            models.UniqueConstraint(
                fields=["address", "reason", "category"],
                condition=Q(lifted_at__isnull=True),
                name="suppression_standing_once",
            )
        ]

    def __str__(self) -> str:
        kind = f" ({self.get_category_display()})" if self.category else ""
        return f"{self.address}: {self.get_reason_display()}{kind}"
