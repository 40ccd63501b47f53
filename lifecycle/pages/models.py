"""The screens that a role may open; no table, only the permissions."""

from typing import ClassVar

from django.db import models


class Screen(models.Model):
    """Carries the permissions of pages that show more than one kind of row."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions: ClassVar = [
            ("see_journeys", "Can open the list of journeys"),
            ("see_review_queue", "Can open the review queue"),
            ("see_alerts", "Can open the alerts"),
            ("see_numbers", "Can open the numbers"),
            ("see_event_health", "Can open event health"),
            ("export_events", "Can take events away as a file"),
        ]

    def __str__(self) -> str:
        return "screens"
