"""Submit for review: what will be in it and what the checks say, before anything moves."""

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from lifecycle.journeys import changes
from lifecycle.journeys.models import Journey
from lifecycle.journeys.publish_plan import plan_of
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.reviewing import comparing
from lifecycle.pages.reviewing.change_set import change_set_or_404
from lifecycle.pages.reviewing.deciding import typed
from lifecycle.pages.reviewing.rights import SUBMIT
from lifecycle.pages.screen import screen
from messaging.models import ChangeSet, Template, VersionStatus
from messaging.review import NotAllowed


@require_http_methods(["GET", "POST"])
@staff(SUBMIT)
def submit_template(request: StaffRequest, key: str) -> HttpResponse:
    template = get_object_or_404(Template, key=key)
    return _submit(request, changes.of_template(template), _in_review(template.versions.all()))


@require_http_methods(["GET", "POST"])
@staff(SUBMIT)
def submit_journey(request: StaffRequest, key: str) -> HttpResponse:
    journey = get_object_or_404(Journey, key=key)
    return _submit(request, changes.of_journey(journey), _in_review(journey.versions.all()))


@require_http_methods(["GET", "POST"])
@staff(SUBMIT)
def submit_again(request: StaffRequest, pk: int) -> HttpResponse:
    return _submit(request, changes.of_change_set(change_set_or_404(pk)))


def _in_review(versions: QuerySet[Any]) -> ChangeSet | None:
    """The change set in which one of these versions waits for its decision."""
    return ChangeSet.objects.filter(
        pk__in=versions.filter(status=VersionStatus.IN_REVIEW).values("change_set")
    ).first()


def _submit(
    request: StaffRequest, gathered: changes.Gathered, waiting: ChangeSet | None = None
) -> HttpResponse:
    proposal = gathered.proposal
    refused = ""
    if request.method == "POST":
        if request.POST.get("hash", "") != proposal.content_hash:
            refused = "Something of it was changed while you looked. This is how it stands now."
        else:
            try:
                change_set = changes.submit(
                    gathered, by=request.user, note=typed(request, "note"), now=timezone.now()
                )
            except NotAllowed as refusal:
                refused = str(refusal)
            else:
                messages.success(request, "Submitted: the reviewers are told.")
                return redirect(change_set)
    members = proposal.members
    found = changes.check(members)
    worded = comparing.said_at((one.place for one in found), members)
    remarks = [replace(one, place=worded[one.place]) for one in found]
    context = {
        "proposal": proposal,
        "left_out": gathered.left_out,
        "waiting": waiting,
        "members": [comparing.compared(member) for member in members],
        "shared": comparing.of_shared(proposal.shared),
        "blocking": [one for one in remarks if one.blocking],
        "advice": [one for one in remarks if not one.blocking],
        "plan": plan_of(members, proposal.shared, timezone.now()),
        "note": typed(request, "note") or (proposal.change_set.note if proposal.change_set else ""),
        "refused": refused,
    }
    return screen(request, "submit", context, title=f"Submit for review: {proposal.title}")
