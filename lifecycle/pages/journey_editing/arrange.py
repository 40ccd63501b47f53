"""Add a part to a journey's draft, move it, or take it out."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from lifecycle.journeys.drafting import JOURNEYS
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.journey_editing import parts, structure
from lifecycle.pages.journey_editing.edit import address, clock, draft_of, saved
from lifecycle.pages.journey_editing.page import desk, show
from lifecycle.pages.journey_editing.rights import EDIT
from lifecycle.pages.journey_editing.scalars import Unreadable
from lifecycle.pages.whole_number import whole_number
from messaging import drafts
from messaging.drafts import Conflict, Refused, Saved

TRIES = 3
Change = Callable[[dict[str, Any]], tuple[dict[str, Any], str]]


@require_POST
@staff(EDIT)
def arrange_journey(request: StaffRequest, key: str) -> HttpResponseBase:
    """One click: what it does is done to the draft as it stands, whoever saved other things meanwhile.

    Only what takes something out asks for the draft as it was shown, for somebody may have worked on it.
    """
    journey = get_object_or_404(Journey, key=key)
    act, part = request.POST.get("act", ""), request.POST.get("part", "")
    draft = draft_of(journey)
    if draft is None or draft.status not in drafts.OPEN:
        messages.warning(request, "There is no draft to write in.")
        return redirect("journey", key)
    try:
        change = _change(request, act, part)
    except KeyError:
        return HttpResponseBadRequest("There is no such act.")
    shown = whole_number(request.POST.get("revision", "")) if act == "remove" else None
    try:
        return _done(request, journey, draft, change, shown)
    except Unreadable as why_not:
        on = desk(journey, draft, draft.document)
        here = request.POST.get("here", "rules") if act == "add" else part
        typed: dict[str, Any] = {"add_error": str(why_not), "added": request.POST, "add_kind": part}
        return show(request, on, here, status=422, **typed)


def _change(request: StaffRequest, act: str, part: str) -> Change:
    """What the click does to a document, and the part to show afterwards. Raises KeyError for no act of ours."""
    match act:
        case "add" if part in structure.WHAT:
            return lambda document: structure.added(document, part, request.POST)
        case "up" | "down":
            return lambda document: (structure.moved(document, part, up=act == "up"), part)
        case "remove":
            return lambda document: (structure.removed(document, part), _beside(document, part))
        case _:
            raise KeyError(act)


def _beside(document: dict[str, Any], part: str) -> str:
    """The part to show when this one is gone."""
    for stage, step in parts.all_steps(document):
        if part == f"step.{step['key']}":
            return f"stage.{stage['key']}"
    return "path" if parts.kind_of(part) in ("milestone", "error") else "rules"


def _done(
    request: StaffRequest,
    journey: Journey,
    draft: JourneyVersion,
    change: Change,
    shown: int | None,
) -> HttpResponseBase:
    for _ in range(TRIES):
        document, there = change(draft.document)
        revision = draft.revision if shown is None else shown
        now = timezone.now()
        outcome = drafts.save(
            draft.pk, document, revision=revision, by=request.user, now=now, kind=JOURNEYS
        )
        match outcome:
            case Saved():
                return saved(request, journey, there, f"Saved {clock(outcome.saved_at)}.")
            case Refused():
                messages.warning(request, outcome.reason)
                return redirect("journey", journey.key)
            case Conflict() if shown is not None:
                said = f"Not taken out: {outcome.by} saved at {clock(outcome.saved_at)}. Look at it first."
                messages.warning(request, said)
                return redirect(address(journey, request.POST.get("part", "rules")))
        draft.refresh_from_db()
    messages.warning(request, "Others are saving all the time; nothing was changed. Try again.")
    return redirect(address(journey, "rules"))
