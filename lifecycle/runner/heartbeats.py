"""Signs of life, as rows that every process and page can read."""

from datetime import datetime

from lifecycle.runner.models import Heartbeat


def beat(name: str, at: datetime) -> None:
    """Note that `name` showed a sign of life."""
    Heartbeat.objects.bulk_create(
        [Heartbeat(name=name, at=at)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["at"],
    )
