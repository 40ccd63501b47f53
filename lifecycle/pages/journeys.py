"""The marketer's list: every journey, which version is live, and how many setups are on it."""

from django.contrib import messages
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen
from messaging.models import VersionStatus


def journeys_with_counts() -> QuerySet[Journey]:
    """Journeys with `live_number` and `live_since`, the newest unpublished version's `next_number` and
    `next_status`, and how many setups ever were (`enrolled`) and now are on it (`open_now`).
    """
    live = JourneyVersion.objects.filter(journey=OuterRef("pk"), status=VersionStatus.LIVE)
    drafts = (
        JourneyVersion.objects.filter(journey=OuterRef("pk"))
        .exclude(status__in=[VersionStatus.LIVE, VersionStatus.RETIRED])
        .order_by("-number")
    )
    return Journey.objects.annotate(
        live_number=Subquery(live.values("number")[:1]),
        live_since=Subquery(live.values("published_at")[:1]),
        next_number=Subquery(drafts.values("number")[:1]),
        next_status=Subquery(drafts.values("status")[:1]),
        enrolled=Count("enrolment"),
        open_now=Count("enrolment", filter=Q(enrolment__left_at=None)),
    ).order_by("name")


def show(request: StaffRequest, notice: str = "", tone: str = "") -> HttpResponse:
    context = {
        "journeys": journeys_with_counts(),
        "statuses": dict(VersionStatus.choices),
        "notice": notice,
        "tone": tone,
        "may_pause": request.user.has_perm("journeys.change_journey"),
    }
    return screen(request, "journeys", context, title="Journeys")


def answer(request: StaffRequest, *, done: bool, said: str) -> HttpResponse:
    """The list as it is now, with what became of the click."""
    if request.htmx:
        return show(request, said, "good" if done else "warn")
    messages.add_message(request, messages.SUCCESS if done else messages.WARNING, said)
    return redirect("journeys")


@require_GET
@staff("pages.see_journeys")
def show_journeys(request: StaffRequest) -> HttpResponse:
    return show(request)
