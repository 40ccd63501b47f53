"""Read a journey: what it does in plain words, its versions, and what changed between two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from lifecycle.engine.journey import Always, Email, Stage, Step
from lifecycle.engine.journey import Journey as Document
from lifecycle.journeys import documents, phrases
from lifecycle.journeys.drafting import JOURNEYS, problems
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.journey_editing import differences
from lifecycle.pages.journey_editing.edit import clock, draft_of
from lifecycle.pages.journey_editing.new import begin
from lifecycle.pages.journey_editing.remarks import placed
from lifecycle.pages.journey_editing.rights import EDIT, VIEW
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number
from messaging import drafts
from messaging.drafts import Conflict, Refused
from messaging.models import Template, VersionStatus


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step as people read it; `template` is the key of the e-mail that it sends."""

    step: Step
    deed: str
    moment: str
    only_if: str
    purpose: str
    template: str
    details: Sequence[str]


@dataclass(frozen=True, slots=True)
class StageRow:
    stage: Stage
    condition: str
    steps: Sequence[StepRow]


def stage_rows(journey: Document, templates: Mapping[str, str]) -> Sequence[StageRow]:
    """The stages in their order, each with its steps."""
    return [
        StageRow(
            stage,
            phrases.condition(journey, stage.when),
            [_step_row(journey, step, templates) for step in stage.steps],
        )
        for stage in journey.stages
    ]


def _step_row(journey: Document, step: Step, templates: Mapping[str, str]) -> StepRow:
    said = "" if isinstance(step.when, Always) else phrases.condition(journey, step.when)
    # The purpose and the condition stand beside it already.
    more = [line for line in phrases.details(journey, step)[1:] if not line.startswith("Only if ")]
    template = step.do.template if isinstance(step.do, Email) else ""
    return StepRow(
        step,
        phrases.deed(step, templates),
        phrases.moment(step),
        said,
        phrases.PURPOSES[step.purpose],
        template if template in templates else "",
        more,
    )


def names() -> dict[str, str]:
    """The e-mails' names by key."""
    return dict(Template.objects.values_list("key", "name"))


def read(version: JourneyVersion | None) -> Document | None:
    """The version's document, or None where it cannot be read."""
    if version is None or problems(version.document):
        return None
    return documents.read(version.document)


@require_GET
@staff(VIEW)
def show_journey(request: StaffRequest, key: str) -> HttpResponse:
    journey = get_object_or_404(Journey.objects.select_related("sender"), key=key)
    rows = list(
        journey.versions.select_related("created_by", "saved_by", "approved_by").order_by("-number")
    )
    live = next((row for row in rows if row.status == VersionStatus.LIVE), None)
    draft = next((row for row in rows if row.status in drafts.UNFINISHED), None)
    asked = request.GET.get("version", "")
    chosen = next((row for row in rows if str(row.number) == asked), None)
    shown = chosen or live or draft or (rows[0] if rows else None)
    templates = names()
    document = read(shown)
    context: dict[str, Any] = {
        "journey": journey,
        "versions": list(zip(rows, [*rows[1:], None], strict=True)),
        "live": live,
        "draft": draft,
        "open": draft is not None and draft.status in drafts.OPEN,
        "shown": shown,
        "read": document,
        "may_edit": request.user.has_perm(EDIT),
        # What is live has passed the checks; what is written next may not.
        "checked": draft or shown,
        "remarks": placed(journey, (draft or shown).document, templates) if shown else (),
    }
    if document is not None:
        context |= in_words(document, templates)
    return screen(request, "journey", context, title=journey.name)


def in_words(document: Document, templates: Mapping[str, str]) -> dict[str, Any]:
    """The document for its page: path, rules and stages."""
    said = differences.blocks(document, templates)
    path = document.path
    return {
        "path": said["path"][1:],
        "milestones": [(one, phrases.milestone(one)) for one in path.milestones],
        "errors": [(one, said[f"error.{one.key}"][1:]) for one in path.errors],
        "rules": said["rules"][1:],
        "stages": stage_rows(document, templates),
    }


@require_GET
@staff(VIEW)
def compare_journey(request: StaffRequest, key: str) -> HttpResponse:
    """What changed between the versions `from` and `to`; without them, between the live one and the newest."""
    journey = get_object_or_404(Journey, key=key)
    rows = {str(row.number): row for row in journey.versions.order_by("-number")}
    newest = next(iter(rows.values()), None)
    live = next((row for row in rows.values() if row.status == VersionStatus.LIVE), None)
    new = rows.get(request.GET.get("to", ""), newest)
    others = [row for row in rows.values() if row != new]
    old = rows.get(request.GET.get("from", ""), live if live != new else next(iter(others), None))
    context = {
        "journey": journey,
        "versions": list(rows.values()),
        "old": old,
        "new": new,
        "unread": [row for row in (old, new) if row is not None and read(row) is None],
        "differences": differences.between(read(old), read(new), names()),
    }
    return screen(request, "compare_journey", context, title=f"{journey.name}: what changed")


@require_POST
@staff(EDIT)
def begin_journey(request: StaffRequest, key: str) -> HttpResponseBase:
    journey = get_object_or_404(Journey, key=key)
    begin(journey, by=request.user, now=timezone.now())
    return redirect("edit_journey", key)


@require_POST
@staff(EDIT)
def discard_journey(request: StaffRequest, key: str) -> HttpResponseBase:
    journey = get_object_or_404(Journey, key=key)
    draft = draft_of(journey)
    revision = whole_number(request.POST.get("revision", ""))
    if revision is None:
        return HttpResponseBadRequest("This is not the form of a journey.")
    if draft is not None:
        outcome = drafts.discard(
            draft.pk, revision=revision, by=request.user, now=timezone.now(), kind=JOURNEYS
        )
        match outcome:
            case None:
                messages.success(request, f"{draft} was discarded.")
            case Conflict():
                said = f"Not discarded: {outcome.by} saved it at {clock(outcome.saved_at)}. Look at it first."
                messages.warning(request, said)
            case Refused():
                messages.warning(request, outcome.reason)
    return redirect("journey", key)
