"""Troubles with our messages that a person should see."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Finding(models.Model):
    """Something about our messages that a person should look at; lifecycle turns it into an alert."""

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200, help_text="What it is about, such as a template key")
    detail = models.TextField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "trouble found"
        verbose_name_plural = "trouble found"
        constraints: ClassVar = [
            # The same trouble is one row until it is over.
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(closed_at__isnull=True),
                name="finding_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"
