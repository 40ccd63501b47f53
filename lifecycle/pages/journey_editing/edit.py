"""Write a journey: save one part of its draft, and what to do when two write at once."""

import copy
import json
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from lifecycle.journeys import documents
from lifecycle.journeys.drafting import JOURNEYS, problems
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.journey_editing import differences, forms, parts
from lifecycle.pages.journey_editing.forms import Typed
from lifecycle.pages.journey_editing.page import Desk, desk, fields_of, show
from lifecycle.pages.journey_editing.rights import EDIT
from messaging import drafts
from messaging.drafts import Conflict, Refused, Saved


def draft_of(journey: Journey) -> JourneyVersion | None:
    """The version that somebody is at work on, if there is one."""
    found: JourneyVersion | None = drafts.unfinished(JOURNEYS, journey)
    return found


@require_http_methods(["GET", "POST"])
@staff(EDIT)
def edit_journey(request: StaffRequest, key: str) -> HttpResponseBase:
    journey = get_object_or_404(Journey, key=key)
    part = request.GET.get("part", "rules")
    if request.method == "POST":
        return (
            save_document(request, journey)
            if part == parts.DOCUMENT
            else save(request, journey, part)
        )
    draft = draft_of(journey)
    if draft is None or draft.status not in drafts.OPEN:
        return redirect("journey", key)
    on = desk(journey, draft, draft.document)
    # What nobody can read has no parts to show, only its text.
    return show(request, on, part if on.read else parts.DOCUMENT)


def save(request: StaffRequest, journey: Journey, part: str) -> HttpResponseBase:
    """Keep the values that were touched in this part's form."""
    fields = fields_of(journey, part)
    try:
        pk, revision = int(request.POST["version"]), int(request.POST["revision"])
        began = forms.began(fields, request.POST)
    except (KeyError, ValueError, TypeError, AttributeError):
        return HttpResponseBadRequest("This is not the form of a journey.")
    version = JourneyVersion.objects.filter(pk=pk, journey=journey).first()
    on = desk(journey, version, copy.deepcopy(version.document if version else newest(journey)))
    typed = forms.read(fields, request.POST, began, on.choices)
    if typed.errors:
        return show(request, on, part, typed=typed, revision=revision, status=422)
    node = parts.locate(on.document, part)
    if version is None or node is None:
        gone = (
            "This draft was discarded meanwhile."
            if version is None
            else "A colleague took this part out."
        )
        return show(request, on, part, typed=typed, status=409, refused=gone, lost=True)
    new = _with(on.document, part, forms.apply(fields, node, typed.touched))
    # Where a colleague changed other values only, both stand: nothing is overwritten.
    now = forms.values(fields, node)
    if all(now[path] == began[path] for path in typed.touched):
        revision = version.revision
    outcome = drafts.save(
        pk, new, revision=revision, by=request.user, now=timezone.now(), kind=JOURNEYS
    )
    return answer(request, on, part, new, typed, outcome)


def _with(document: dict[str, Any], part: str, node: dict[str, Any]) -> dict[str, Any]:
    new = copy.deepcopy(document)
    there = parts.locate(new, part)
    assert there is not None
    there.clear()
    there.update(node)
    return new


def newest(journey: Journey) -> dict[str, Any]:
    """The document of the newest version, to show what was typed into a draft that is gone."""
    version = journey.versions.order_by("-number").first()
    return version.document if version else {}


def answer(
    request: StaffRequest,
    on: Desk,
    part: str,
    new: dict[str, Any],
    typed: Typed,
    outcome: Saved | Conflict | Refused,
) -> HttpResponseBase:
    match outcome:
        case Saved():
            there = (
                f"step.{typed.touched['key']}"
                if part.startswith("step.") and "key" in typed.touched
                else part
            )
            return saved(request, on.journey, there, f"Saved {clock(outcome.saved_at)}.")
        case Refused():
            return show(request, on, part, typed=typed, status=409, refused=outcome.reason)
        case Conflict():
            theirs = desk(on.journey, on.version, dict(outcome.words))
            return show(
                request, theirs, part, typed=typed, revision=outcome.revision, status=409,
                **told_apart(request, theirs, new, part, outcome),
            )  # fmt: skip


def told_apart(
    request: StaffRequest, theirs: Desk, mine: dict[str, Any], part: str, conflict: Conflict
) -> dict[str, Any]:
    """What the page needs to show what saving would change of the colleague's words."""
    own = conflict.by == request.user.get_username()
    found: dict[str, Any] = {
        "conflict": conflict,
        "other": "you, in another window" if own else conflict.by,
    }
    if theirs.read is not None and not problems(mine):
        read, names = documents.read(mine), theirs.templates
        if part == parts.DOCUMENT:
            found["differences"] = differences.between(theirs.read, read, names)
        else:
            found["pieces"] = differences.of_part(theirs.read, read, part, names)
    return found


def saved(request: StaffRequest, journey: Journey, part: str, said: str) -> HttpResponseBase:
    """The part as it is now, with what became of the click."""
    if request.htmx:
        draft = draft_of(journey)
        if draft is not None:
            answer = show(request, desk(journey, draft, draft.document), part, notice=said)
            # Each page of the history is one of its own, so that the browser asks before it leaves one.
            answer["HX-Replace-Url"] = address(journey, part)
            return answer
    messages.success(request, said)
    return redirect(address(journey, part))


def address(journey: Journey, part: str) -> str:
    return f"{reverse('edit_journey', args=[journey.key])}?{urlencode({'part': part})}"


def clock(moment: Any) -> str:
    return date_format(timezone.localtime(moment), "H:i")


def save_document(request: StaffRequest, journey: Journey) -> HttpResponseBase:
    """Keep the whole document as it was typed, or say everything that is wrong with it."""
    try:
        pk, revision = int(request.POST["version"]), int(request.POST["revision"])
        text = request.POST["text"].replace("\r\n", "\n")
    except (KeyError, ValueError):
        return HttpResponseBadRequest("This is not the form of a journey.")
    version = JourneyVersion.objects.filter(pk=pk, journey=journey).first()
    on = desk(journey, version, version.document if version else newest(journey))
    document, faults = read_document(journey, text)
    if version is None:
        gone = "This draft was discarded meanwhile."
        return show(request, on, parts.DOCUMENT, text=text, status=409, refused=gone, lost=True)
    if faults:
        return show(
            request, on, parts.DOCUMENT, text=text, revision=revision, faults=faults, status=422
        )
    outcome = drafts.save(
        pk, document, revision=revision, by=request.user, now=timezone.now(), kind=JOURNEYS
    )
    match outcome:
        case Saved():
            return saved(request, journey, parts.DOCUMENT, f"Saved {clock(outcome.saved_at)}.")
        case Refused():
            return show(request, on, parts.DOCUMENT, text=text, status=409, refused=outcome.reason)
        case Conflict():
            theirs = desk(journey, version, dict(outcome.words))
            told = told_apart(request, theirs, document, parts.DOCUMENT, outcome)
            return show(
                request, theirs, parts.DOCUMENT, text=text, revision=outcome.revision, status=409, **told
            )  # fmt: skip


def read_document(journey: Journey, text: str) -> tuple[dict[str, Any], list[documents.Problem]]:
    """The document that was typed, and everything that keeps it from being one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, [documents.Problem("document", f"This is not JSON: {error}.")]
    if found := problems(document):
        return {}, found
    if document["key"] != journey.key:
        said = f"The journey's key is “{journey.key}” and stays."
        return {}, [documents.Problem("key", said)]
    return document, []
