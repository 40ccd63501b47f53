"""Saying something about a place in a change set, and settling it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.reviewing.change_set import change_set_or_404
from lifecycle.pages.reviewing.comparing import commentable
from lifecycle.pages.reviewing.deciding import typed
from lifecycle.pages.reviewing.rights import VIEW
from messaging import review
from messaging.models import Comment


@require_POST
@staff(VIEW)
def comment_change_set(request: StaffRequest, pk: int) -> HttpResponse:
    change_set = change_set_or_404(pk)
    if text := typed(request, "text"):
        asked = request.POST.get("place", "")
        # A text that is gone by now is no place any more; what was said of it is about the whole.
        place = asked if asked in commentable(change_set) else ""
        review.comment(change_set, by=request.user, text=text, place=place, now=timezone.now())
    else:
        messages.warning(request, "There is nothing in the comment.")
    return redirect(f"{change_set.get_absolute_url()}#comments")


@require_POST
@staff(VIEW)
def resolve_comment(request: StaffRequest, pk: int, comment: int) -> HttpResponse:
    change_set = change_set_or_404(pk)
    row = get_object_or_404(Comment, pk=comment, change_set=change_set)
    review.resolve(row, by=request.user, now=timezone.now())
    return redirect(f"{change_set.get_absolute_url()}#comments")
