"""Who we send as: senders and their domains."""

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator, validate_domain_name
from django.db import models
from django.db.models import Q
from django.utils import timezone

SELECTORS = RegexValidator(
    r"^[\w.-]+(\s*,\s*[\w.-]+)*$",
    "Write the selectors as your mail provider names them, separated by commas: s1, s2",
)


class SendingDomain(models.Model):
    """A domain that we send from: its rate and whether it may send at all."""

    name = models.CharField(max_length=253, unique=True, validators=[validate_domain_name])
    rate_per_second = models.FloatField(
        default=20,
        validators=[MinValueValidator(0.001, "More than 0; to send nothing, pause the domain.")],
    )
    burst = models.PositiveIntegerField(default=40)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_reason = models.CharField(max_length=200, blank=True)
    # What happened before a person let sending go on does not trip the breaker again.
    resumed_at = models.DateTimeField(null=True, blank=True, editable=False)
    dkim_selectors = models.CharField(
        "DKIM selectors",
        max_length=200,
        blank=True,
        validators=[SELECTORS],
        help_text="As your mail provider names them, separated by commas: s1, s2",
    )
    # The bucket that all workers on all machines draw from.
    tokens = models.FloatField(default=0, editable=False)
    tokens_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [
            # A rate of zero would wait for ever; pausing says the same and can be seen.
            models.CheckConstraint(condition=Q(rate_per_second__gt=0), name="domain_rate_positive")
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        self.name = self.name.lower()


class Sender(models.Model):
    """Who a journey's mails come from."""

    key = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    address = models.EmailField()
    reply_to = models.EmailField(blank=True)
    support_mailbox = models.EmailField(blank=True, help_text="Where customers' replies go")
    domain = models.ForeignKey(SendingDomain, models.PROTECT)

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>"

    def clean(self) -> None:
        at = self.address.rpartition("@")[2].lower()
        if at and self.domain_id and at != self.domain.name:
            # Rates, records and the breaker go by the domain; they would watch the wrong one.
            raise ValidationError({"address": f"It has to be an address at {self.domain.name}."})
