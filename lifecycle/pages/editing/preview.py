"""Look at an e-mail: while it is typed, for one reader or for all of them, in frames that can do nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from lifecycle.journeys import checking, link_trials
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing import typed
from lifecycle.pages.editing.matrix import matrix
from lifecycle.pages.editing.places import in_words
from lifecycle.pages.editing.rights import EDIT, VIEW
from lifecycle.pages.editing.samples import REAL, chosen, real_for, samples_for, variables
from lifecycle.pages.editing.seen import Seen, in_scheme, sealed, see, see_all, see_variant
from lifecycle.pages.editing.uses import readers, uses
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number
from messaging import drafts
from messaging.checks.remark import Remark, Sample
from messaging.content import RenderError
from messaging.models import Template, TemplateVersion
from messaging.preview import frame
from messaging.review import frozen_of

VIEWS = {"desktop": "Desktop", "phone": "Phone", "dark": "Dark", "text": "Text"}
READERS_ON_A_PAGE = 24


@require_POST
@staff(EDIT)
def preview_email(request: StaffRequest, key: str) -> HttpResponseBase:
    """The unsaved words as the chosen reader would get them: as JSON, or as a page for the frame."""
    template = get_object_or_404(Template, key=key)
    try:
        words = words_now(request, template)
    except (KeyError, ValueError):
        return HttpResponseBadRequest("This is not the form of an e-mail.")
    frozen = frozen_now(template)
    audience = audience_of(request, key, words, frozen)
    wanted = whole_number(request.POST.get("variant", ""))
    told: dict[str, Any] = {"told": audience.told}
    if audience.sample is None:
        told |= {"error": "No reader can get this e-mail.", "place": "variants"}
        return JsonResponse(told)
    sample, view = audience.sample, request.POST.get("view", "")
    if wanted is None:
        seen = see(words, frozen, sample)
    else:
        seen = see_variant(words, frozen, [*audience.real, *audience.samples], sample, wanted)
    if "application/json" not in request.headers.get("Accept", ""):
        return framed(seen, view)
    told |= {"sample": seen.sample.key, "values": values(audience.samples, seen.sample)}
    told["real"] = [{"key": one.key, "name": one.name} for one in audience.real]
    if not seen.sample.key:
        told["nobody"] = "No reader known to the journeys gets it; shown with made-up values."
    return JsonResponse(as_json(seen, view) | told)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who an e-mail can be looked at for, and the one that was chosen."""

    samples: Sequence[Sample]
    real: Sequence[Sample]
    sample: Sample | None
    told: str = ""


def audience_of(
    request: StaffRequest, key: str, words: Mapping[str, Any], frozen: Mapping[str, Any]
) -> Audience:
    """The readers for the request's form; those of a real account where one is asked for."""
    asked = request.POST if request.method == "POST" else request.GET
    samples = samples_for(key, words, frozen)
    wanted, account = asked.get("sample", ""), asked.get("account", "").strip()
    if not account and wanted.startswith(REAL):
        account = wanted
    real, told = real_for(key, request.user, account, now=timezone.now())
    # Whoever names an account wants to see somebody there, whatever else is still chosen beside it.
    if real:
        return Audience(samples, real, chosen(real, wanted))
    return Audience(samples, real, chosen(samples, wanted), told)


def frozen_now(template: Template) -> Mapping[str, Any]:
    """What the words of this template's draft refer to, with what its change set changes of it."""
    return frozen_of(drafts.unfinished(drafts.TEMPLATES, template))


def words_now(request: StaffRequest, template: Template) -> Mapping[str, Any]:
    """The words as they are typed; as they are saved where the request brings none.

    Raises ValueError or KeyError for a form that is not ours.
    """
    if "variants" in request.POST:
        return typed.words(request.POST)
    newest = template.versions.order_by("-number").first()
    return typed.plainly(newest.content if newest else {})


def as_json(seen: Seen, view: str) -> dict[str, Any]:
    told: dict[str, Any] = {"variant": seen.variant, "at": seen.at}
    if seen.rendered is None:
        return told | {"error": seen.error, "place": seen.place, "line": seen.line}
    mail = seen.rendered
    html = in_scheme(mail.html, "dark" if view == "dark" else "light")
    return told | {
        "subject": mail.subject,
        "preheader": mail.preheader,
        "html": sealed(html),
        "text": mail.text,
    }


def values(samples: Sequence[Sample], sample: Sample) -> Mapping[str, str]:
    return {row["path"]: row["value"] for row in variables(samples, sample)}


def framed(seen: Seen, view: str) -> HttpResponse:
    """The mail in a frame of its own, which runs nothing and reaches nobody."""
    if seen.rendered is None:
        return frame(RenderError(seen.error), part="html")
    html = in_scheme(seen.rendered.html, "dark" if view == "dark" else "light")
    return frame(replace(seen.rendered, html=html), part="text" if view == "text" else "html")


@require_POST
@staff(EDIT)
def check_email(request: StaffRequest, key: str) -> HttpResponseBase:
    """What the checks say about the unsaved words, and who would get which of them."""
    template = get_object_or_404(Template, key=key)
    try:
        words = words_now(request, template)
    except (KeyError, ValueError):
        return HttpResponseBadRequest("This is not the form of an e-mail.")
    context = {
        **remarks(key, words, frozen_now(template)),
        "tables": matrix(words, readers(uses().get(key, ()))),
        "writing": True,
        "swapped": True,
    }
    return render(request, "pages/_remarks.html", context)


@require_POST
@staff(EDIT)
def try_links(request: StaffRequest, key: str) -> HttpResponse:
    """Follow the links of the unsaved words as their readers would, and say what is broken."""
    template = get_object_or_404(Template, key=key)
    try:
        words = words_now(request, template)
    except (KeyError, ValueError):
        return HttpResponseBadRequest("This is not the form of an e-mail.")
    trip = link_trials.follow(key, words, frozen_now(template))
    context = {
        "template": template,
        "trip": trip,
        "tried": [located(one, words) for one in trip.links.remarks],
        "is_on": settings.PROBE_LINKS,
    }
    return screen(request, "try_links", context, title=f"Links of {template.name}")


def remarks(key: str, words: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, Any]:
    """The remarks, placed in words, with the field of the form to which each leads; how many block."""
    found = checking.check_template(key, words, frozen)
    return {
        "remarks": [located(one, words) for one in found],
        "blocking": sum(one.blocking for one in found),
    }


def located(remark: Remark, words: Mapping[str, Any]) -> tuple[Remark, str]:
    return replace(remark, place=in_words(remark.place, words)), field_of(remark.place)


def field_of(place: str) -> str:
    """The id of the field that a remark's place names: `variants.2.body` is `v2-body`."""
    match place.split("."):
        case ["variants", at, name, *_] if at.isdecimal():
            return f"v{at}-{name}"
        case ["variants", at] if at.isdecimal():
            return f"v{at}"
        case ["claims", at, *_]:
            return f"claim{at}-holds"
        case _:
            return ""


@require_GET
@staff(VIEW)
def frame_email(request: StaffRequest, key: str, number: int) -> HttpResponse:
    """A saved version as one reader gets it, for a frame."""
    version = get_object_or_404(TemplateVersion, template__key=key, number=number)
    frozen = frozen_of(version)
    words = typed.plainly(version.content)
    sample = audience_of(request, key, words, frozen).sample
    if sample is None:
        return frame(RenderError("No reader can get this e-mail."), part="html")
    return framed(see(words, frozen, sample), request.GET.get("view", ""))


@require_GET
@staff(VIEW)
def show_readers(request: StaffRequest, key: str, number: int) -> HttpResponse:
    """A saved version as every reader gets it."""
    version = get_object_or_404(TemplateVersion, template__key=key, number=number)
    frozen = frozen_of(version)
    words = typed.plainly(version.content)
    samples = samples_for(key, words, frozen)
    page = Paginator(samples, READERS_ON_A_PAGE).get_page(request.GET.get("page"))
    view = request.GET.get("view", "")
    context = {
        "template": version.template,
        "version": version,
        "page": page,
        "seen": see_all(words, frozen, list(page.object_list)),
        "view": view if view in VIEWS else "desktop",
        "views": VIEWS,
        "may_edit": request.user.has_perm(EDIT),
    }
    title = f"{version.template.name}: every reader of version {number}"
    return screen(request, "email_readers", context, title=title)
