"""The reviewer's and the author's moves: approve and publish, ask for changes, withdraw."""

from collections.abc import Sequence
from typing import assert_never

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from lifecycle.journeys import changes
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.reviewing.change_set import change_set_or_404, show
from lifecycle.pages.reviewing.rights import APPROVE, SUBMIT
from lifecycle.runner.tick import spread
from messaging import review
from messaging.models import ChangeSet, Reviewed
from messaging.review import NotAllowed

LONGEST = 4000


def typed(request: StaffRequest, name: str) -> str:
    return request.POST.get(name, "").replace("\r\n", "\n").strip()[:LONGEST]


@require_POST
@staff(APPROVE)
def approve_change_set(request: StaffRequest, pk: int) -> HttpResponse:
    change_set, now = change_set_or_404(pk), timezone.now()
    try:
        done = changes.approve(
            change_set,
            by=request.user,
            hash_shown=request.POST.get("hash", ""),
            plan_shown=request.POST.get("plan", ""),
            overrule=typed(request, "overrule"),
            now=now,
        )
    except NotAllowed as refusal:
        return show(request, change_set, refused=str(refusal))
    match done:
        case review.Again():
            return show(request, change_set, again=done.changes)
        case changes.Published():
            spread(done.accounts, now)
            messages.success(request, f"“{change_set}” is live.")
            return redirect("change_set", pk)
        case _:
            assert_never(done)


@require_POST
@staff(APPROVE)
def request_changes(request: StaffRequest, pk: int) -> HttpResponse:
    change_set = change_set_or_404(pk)
    comment = typed(request, "comment")
    try:
        review.request_changes(change_set, by=request.user, comment=comment, now=timezone.now())
    except NotAllowed as refusal:
        return show(request, change_set, refused=str(refusal), typed=comment)
    messages.success(request, "The authors are asked for changes.")
    return redirect("change_set", pk)


@require_POST
@staff(SUBMIT)
def withdraw_change_set(request: StaffRequest, pk: int) -> HttpResponse:
    change_set = change_set_or_404(pk)
    try:
        kept = review.withdraw(change_set, by=request.user, now=timezone.now())
    except NotAllowed as refusal:
        return show(request, change_set, refused=str(refusal))
    messages.success(request, f"“{change_set}” is withdrawn; {_left(kept)}.")
    return redirect("change_set", pk)


def _left(kept: Sequence[Reviewed]) -> str:
    """What of a withdrawn change set can still be written in."""
    if not kept:
        return "what is live stays as it is, and no draft is left of it"
    names = ", ".join(map(str, kept))
    return f"{names} {'is a draft' if len(kept) == 1 else 'are drafts'} again"


@require_POST
@staff(APPROVE)
def check_change_set(request: StaffRequest, pk: int) -> HttpResponse:
    change_set = change_set_or_404(pk)
    if change_set.status == ChangeSet.Status.IN_REVIEW:
        changes.check_again(change_set, now=timezone.now())
        messages.success(request, "The checks ran again.")
    return redirect("change_set", pk)
