"""The engineer's list: does each backend's traffic arrive, what was refused, what has no account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from events.models import Event, IngestKey, RejectedEvent
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen

SHOWN = 50


@dataclass(frozen=True)
class KeyTraffic:
    """What came in with one ingest key."""

    key: IngestKey
    last_hour: int
    last_day: int
    unattributed: int
    rejected: int


def traffic(now: datetime) -> Sequence[KeyTraffic]:
    """Every key's traffic of the last day, and its rejected events that still wait for somebody."""
    recent = {
        row["source"]: row
        for row in Event.objects.filter(received_at__gt=now - timedelta(days=1))
        .order_by()
        .values("source")
        .annotate(
            day=Count("pk"),
            hour=Count("pk", filter=Q(received_at__gt=now - timedelta(hours=1))),
            loose=Count("pk", filter=Q(account__isnull=True)),
        )
    }
    keys = IngestKey.objects.annotate(
        rejected=Count("rejectedevent", filter=Q(rejectedevent__status=RejectedEvent.Status.OPEN))
    )
    nothing = {"day": 0, "hour": 0, "loose": 0}
    return [
        KeyTraffic(
            key=key,
            last_hour=row["hour"],
            last_day=row["day"],
            unattributed=row["loose"],
            rejected=key.rejected,
        )
        for key in keys.order_by("name")
        for row in [recent.get(key.source, nothing)]
    ]


@require_GET
@staff("pages.see_event_health")
def show_event_health(request: StaffRequest) -> HttpResponse:
    context = {
        "traffic": traffic(timezone.now()),
        "events": Event.objects.select_related("account", "person").order_by("-pk")[:SHOWN],
        "rejects": RejectedEvent.objects.in_short()
        .filter(status=RejectedEvent.Status.OPEN)
        .select_related("key")
        .order_by("-received_at")[:SHOWN],
        "shown": SHOWN,
    }
    return screen(request, "event_health", context, title="Event health")
