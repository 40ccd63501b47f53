"""Write an e-mail: its form, saving it as a page or while typing, and what to do when two write at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, assert_never

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.views.decorators.http import require_http_methods, require_POST

from lifecycle.engine.journey import (
    Blocked,
    Condition,
    Not,
    Reached,
    SomebodyAble,
    StarterLacks,
    Usable,
)
from lifecycle.journeys import phrases
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing import differing, typed
from lifecycle.pages.editing.components import COMPONENTS, TAGS
from lifecycle.pages.editing.matrix import matrix
from lifecycle.pages.editing.preview import VIEWS, frozen_now, remarks
from lifecycle.pages.editing.rights import EDIT
from lifecycle.pages.editing.samples import chosen, grouped, samples_for, variables
from lifecycle.pages.editing.uses import Use, readers, uses
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number
from messaging import drafts
from messaging.drafts import Conflict, Refused, Saved
from messaging.filters import FILTERS
from messaging.models import Template, TemplateVersion


def draft_of(template: Template) -> TemplateVersion | None:
    """The version that somebody is at work on, if there is one."""
    found: TemplateVersion | None = drafts.unfinished(drafts.TEMPLATES, template)
    return found


@require_http_methods(["GET", "POST"])
@staff(EDIT)
def edit_email(request: StaffRequest, key: str) -> HttpResponseBase:
    template = get_object_or_404(Template, key=key)
    if request.method == "POST":
        return save(request, template)
    draft = draft_of(template)
    if draft is None or draft.status not in drafts.OPEN:
        return redirect("email", key)
    words = typed.plainly(draft.content)
    return form(request, template, draft.pk, words, draft.revision, differing.marks(words))


def form(
    request: StaffRequest,
    template: Template,
    pk: int,
    words: Mapping[str, Any],
    revision: int,
    began_with: str,
    *,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """The editor's page with these words, whether they are saved or not."""
    frozen = frozen_now(template)
    found = uses().get(template.key, ())
    who = readers(found)
    samples = samples_for(template.key, words, frozen)
    sample = chosen(samples, request.POST.get("sample") or request.GET.get("sample", ""))
    context = {
        "template": template,
        "draft": TemplateVersion.objects.filter(pk=pk).defer("content", "frozen").first(),
        "variants": typed.shown(words),
        "claims": told_claims(words, found),
        "version": pk,
        "revision": revision,
        "began_with": began_with,
        "uses": found,
        "readers": who,
        "tables": matrix(words, who),
        "groups": grouped(samples),
        "sample": sample,
        "variables": variables(samples, sample),
        "components": COMPONENTS,
        "views": VIEWS,
        "view": request.POST.get("view") or "desktop",
        **remarks(template.key, words, frozen),
        "data": editor_data(frozen),
        **more,
    }
    return screen(request, "edit_email", context, title=f"Write: {template.name}", status=status)


@dataclass(frozen=True, slots=True)
class ToldClaim:
    """One claim with the conditions to choose from, (JSON, plain words), its own among them."""

    says: str
    holds: str
    choices: Sequence[tuple[str, str]]


def told_claims(words: Mapping[str, Any], found: Sequence[Use]) -> Sequence[ToldClaim]:
    """The claims as the form shows them. Without a journey there is nothing to choose from."""
    known = facts(found)
    told = []
    for one in typed.shown_claims(words):
        # The same condition may be written with its parts in another order, and stays as it is.
        same = next((key for key in known if one.holds and _same(key, one.holds)), None)
        choices = [(one.holds if key == same else key, name) for key, name in known.items()]
        if known and one.holds and same is None:
            choices.insert(0, (one.holds, f"as written: {one.holds}"))
        told.append(ToldClaim(one.says, one.holds, choices))
    return told


def _same(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def facts(found: Sequence[Use]) -> Mapping[str, str]:
    """What an e-mail may claim of its setup: conditions as JSON, each with its meaning in plain words."""
    plain: dict[str, str] = {}
    for use in found[:1]:
        reached = [Reached(milestone.key) for milestone in use.journey.path.milestones]
        states: list[Condition] = [Usable(), Blocked(), StarterLacks(), SomebodyAble(), *reached]
        for state in states:
            for one in (state, Not(state)):
                plain[condition_json(one)] = phrases.condition(use.journey, one)
    return plain


def condition_json(condition: Condition) -> str:
    """The condition as a document has it, without what it leaves open."""

    def said(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Its kind first, as people write it.
        pairs = sorted(pairs, key=lambda pair: pair[0] != "kind")
        return {key: value for key, value in pairs if value != ""}

    return json.dumps(asdict(condition, dict_factory=said))


def editor_data(frozen: Mapping[str, Any]) -> dict[str, Any]:
    """What the editor completes besides variables: shared texts and screens, by key with their names."""
    screens = frozen.get("destinations") or {}
    return {
        "snippets": sorted(frozen.get("snippets") or {}),
        "destinations": [{"key": key, "name": screens[key]["name"]} for key in sorted(screens)],
        "components": [{"label": one.label, "source": one.source} for one in COMPONENTS],
        "tags": [{"label": name, "info": what} for name, what in TAGS.items()],
        "filters": sorted(FILTERS),
    }


def save(request: StaffRequest, template: Template) -> HttpResponseBase:
    """Keep what was typed and answer with the page, or with JSON while somebody types."""
    act = request.POST.get("act", "")
    try:
        words = typed.words(request.POST)
        pk, revision = int(request.POST["version"]), int(request.POST["revision"])
        if "merge" in request.POST:
            words = with_theirs(request, words, pk)
        if act:
            words = typed.changed(words, act)
    except (KeyError, ValueError, IndexError):
        return HttpResponseBadRequest("This is not the form of an e-mail.")
    if TemplateVersion.objects.filter(pk=pk).exclude(template=template).exists():
        return HttpResponseBadRequest("This draft belongs to another e-mail.")
    outcome = drafts.save(pk, words, revision=revision, by=request.user, now=timezone.now())
    if "application/json" in request.headers.get("Accept", ""):
        return answer_typing(request, words, outcome)
    return answer_page(request, template, pk, words, outcome)


def with_theirs(request: StaffRequest, words: Mapping[str, Any], pk: int) -> dict[str, Any]:
    """The words with the colleague's texts that were chosen on the page."""
    there = get_object_or_404(TemplateVersion, pk=pk)
    return differing.merged(words, typed.plainly(there.content), request.POST.getlist("take"))


def answer_typing(
    request: StaffRequest, words: Mapping[str, Any], outcome: Saved | Conflict | Refused
) -> JsonResponse:
    match outcome:
        case Saved():
            return JsonResponse(
                {
                    "revision": outcome.revision,
                    "saved": clock(outcome.saved_at),
                    "began_with": differing.marks(words),
                }
            )
        case Conflict():
            told = render_to_string(
                "pages/_two_writers.html", told_apart(request, words, outcome), request
            )
            return JsonResponse({"revision": outcome.revision, "conflict": told}, status=409)
        case Refused():
            return JsonResponse({"refused": outcome.reason}, status=422)
        case _:
            assert_never(outcome)


def answer_page(
    request: StaffRequest,
    template: Template,
    pk: int,
    words: Mapping[str, Any],
    outcome: Saved | Conflict | Refused,
) -> HttpResponseBase:
    began_with = request.POST.get("began_with", "{}")
    match outcome:
        case Saved():
            messages.success(request, f"Saved {clock(outcome.saved_at)}.")
            return redirect(reverse("edit_email", args=[template.key]) + anchor(request))
        case Conflict():
            told = told_apart(request, words, outcome)
            revision = outcome.revision
            return form(request, template, pk, words, revision, began_with, status=409, **told)
        case Refused():
            refused = {"refused": outcome.reason}
            return form(request, template, pk, words, 0, began_with, status=409, **refused)
        case _:
            assert_never(outcome)


def told_apart(
    request: StaffRequest, words: Mapping[str, Any], conflict: Conflict
) -> dict[str, Any]:
    """What the page needs to show both writers' words side by side."""
    theirs = typed.plainly(conflict.words)
    own = conflict.by == request.user.get_username()
    return {
        "conflict": conflict,
        "other": "you, in another window" if own else conflict.by,
        "differences": differing.differences(words, theirs, request.POST.get("began_with", "{}")),
    }


def anchor(request: StaffRequest) -> str:
    """Where the page goes on after a button: at the variant that it made."""
    verb, _, at = request.POST.get("act", "").partition("|")
    match verb:
        case "add":
            return f"#v{request.POST['variants']}"
        case "copy":
            return f"#v{int(at) + 1}"
        case _:
            return request.POST.get("at", "")[:8]


def clock(moment: Any) -> str:
    return date_format(timezone.localtime(moment), "H:i")


@require_POST
@staff(EDIT)
def begin_email(request: StaffRequest, key: str) -> HttpResponseBase:
    template = get_object_or_404(Template, key=key)
    drafts.begin(template, by=request.user, now=timezone.now())
    return redirect("edit_email", key)


@require_POST
@staff(EDIT)
def discard_email(request: StaffRequest, key: str) -> HttpResponseBase:
    template = get_object_or_404(Template, key=key)
    draft = draft_of(template)
    revision = whole_number(request.POST.get("revision", ""))
    if revision is None:
        return HttpResponseBadRequest("This is not the form of an e-mail.")
    if draft is not None:
        now = timezone.now()
        outcome = drafts.discard(draft.pk, revision=revision, by=request.user, now=now)
        match outcome:
            case None:
                messages.success(request, f"{draft} was discarded.")
            case Conflict():
                said = f"Not discarded: {outcome.by} saved it at {clock(outcome.saved_at)}. Look at it first."
                messages.warning(request, said)
            case Refused():
                messages.warning(request, outcome.reason)
    return redirect("email", key)
