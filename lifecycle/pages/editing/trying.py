"""Send oneself an e-mail as it stands on the page, to see it in a real mail program."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBadRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from lifecycle.journeys.models import Journey
from lifecycle.journeys.samples import journeys_with
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing.edit import form
from lifecycle.pages.editing.preview import audience_of, frozen_now, words_now
from lifecycle.pages.editing.rights import EDIT
from lifecycle.pages.editing.seen import see
from messaging import proof
from messaging.models import Sender, Template, TemplateVersion


@require_POST
@staff(EDIT)
def send_test(request: StaffRequest, key: str) -> HttpResponseBase:
    template = get_object_or_404(Template, key=key)
    version = template.versions.order_by("-number").first()
    if version is None:
        return redirect("email", key)
    try:
        words = words_now(request, template)
        # Without words it comes from a page that has no form.
        pk, revision = (int(request.POST.get(name) or 0) for name in ("version", "revision"))
    except (KeyError, ValueError):
        return HttpResponseBadRequest("This is not the form of an e-mail.")
    refused = sent(request, version, words)
    said = refused or f"Sent to {request.user.email}."
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"said": said, "sent": not refused})
    messages.add_message(request, messages.WARNING if refused else messages.SUCCESS, said)
    if "variants" not in request.POST:
        return redirect("email", key)
    # What was typed and is not saved yet stays on the page.
    return form(request, template, pk, words, revision, request.POST.get("began_with", "{}"))


def sent(request: StaffRequest, version: TemplateVersion, words: Mapping[str, Any]) -> str:
    """Why nothing was sent, "" when it was."""
    key = version.template.key
    frozen = frozen_now(version.template)
    sample = audience_of(request, key, words, frozen).sample
    if sample is None:
        return "No reader can get this e-mail."
    seen = see(words, frozen, sample)
    if seen.rendered is None:
        return f"Not sent, since it cannot be rendered: {seen.error}"
    now = timezone.now()
    return proof.send(
        seen.rendered, version=version, sender=sender_of(key), by=request.user, now=now
    )


def sender_of(key: str) -> Sender | None:
    """Who customers would get it from; None where no journey sends it."""
    keys = [journey.key for journey in journeys_with(key)]
    row = Journey.objects.filter(key__in=keys).select_related("sender").first()
    return row.sender if row else None
