"""Pause all sending or one journey, and let it go on."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from lifecycle.journeys.models import Journey
from lifecycle.pages import journeys, work
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.runner import pausing


@require_POST
@staff("runner.add_pause")
def pause_all(request: StaffRequest) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()[:300]
    if not reason:
        return _answer(request, done=False, said="", otherwise="Say why, for your colleagues.")
    by = request.user.get_username()
    done = pausing.pause_all(by=by, reason=reason, now=timezone.now())
    return _answer(
        request, done=done, said="All sending is paused.", otherwise="It was paused already."
    )


@require_POST
@staff("runner.change_pause")
def resume_all(request: StaffRequest) -> HttpResponse:
    done = pausing.resume_all(now=timezone.now())
    return _answer(
        request, done=done, said="Sending goes on, at a pace.", otherwise="It was not paused."
    )


def _answer(request: StaffRequest, *, done: bool, said: str, otherwise: str) -> HttpResponse:
    """The switch as it is now; the banner and the status beside it ask anew."""
    work.forget()
    if request.htmx:
        # What was done shows in the switch itself.
        shown = work.show_switch(request, notice="" if done else otherwise)
        return trigger_client_event(shown, "sending")
    messages.add_message(
        request, messages.SUCCESS if done else messages.WARNING, said if done else otherwise
    )
    return redirect("status")


@require_POST
@staff("journeys.change_journey")
def pause_journey(request: StaffRequest, pk: int) -> HttpResponse:
    journey = get_object_or_404(Journey, pk=pk)
    done = pausing.pause_journey(journey.pk, now=timezone.now())
    said = f"{journey} is paused." if done else f"{journey} was paused already."
    return journeys.answer(request, done=done, said=said)


@require_POST
@staff("journeys.change_journey")
def resume_journey(request: StaffRequest, pk: int) -> HttpResponse:
    journey = get_object_or_404(Journey, pk=pk)
    done = pausing.resume_journey(journey.pk, now=timezone.now())
    said = f"{journey} goes on, at a pace." if done else f"{journey} was not paused."
    return journeys.answer(request, done=done, said=said)
