"""One change set: what changes, what the checks say, what publishing does, what was said and done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from lifecycle.journeys import changes
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing.rights import EDIT
from lifecycle.pages.reviewing import comparing
from lifecycle.pages.reviewing.rights import APPROVE, OVERRULE, SUBMIT, VIEW
from lifecycle.pages.screen import screen
from messaging import drafts, review
from messaging.models import ChangeSet, Comment, Reviewed, TemplateVersion
from messaging.review.proposal import shared_of
from messaging.review.rules import is_author

Status = ChangeSet.Status
TONES = {
    Status.IN_REVIEW: "tag-warn",
    Status.CHANGES_REQUESTED: "tag-bad",
    Status.PUBLISHED: "tag-good",
}


@dataclass(frozen=True)
class Said:
    """The comments on one place."""

    place: str
    comments: tuple[Comment, ...]


def show(request: StaffRequest, change_set: ChangeSet, **more: Any) -> HttpResponse:
    """The page; `more` says what became of a click, such as `again` (what is different now)."""
    change_set.refresh_from_db()
    members = review.members_of(change_set)
    own = is_author(change_set, request.user)
    in_review = change_set.status == Status.IN_REVIEW
    plan = changes.plan(change_set, now=timezone.now()) if in_review else None
    comments = list(change_set.comments.select_related("by", "resolved_by").order_by("pk"))
    parts = change_set.participants.select_related("user").order_by("pk")
    worded = comparing.said_at((one.get("place", "") for one in change_set.remarks), members)
    remarks = [{**one, "place": worded[one.get("place", "")]} for one in change_set.remarks]
    context = {
        "change_set": change_set,
        "tone": TONES.get(Status(change_set.status), ""),
        "authors": [part.user for part in parts if part.part == "author"],
        "own": own,
        "members": [comparing.compared(member) for member in members],
        "shared": comparing.of_shared(shared_of(change_set)),
        "blocking": [one for one in remarks if one.get("blocking")],
        "advice": [one for one in remarks if not one.get("blocking")],
        "plan": plan,
        "plan_token": plan.token() if plan else "",
        "said": _said(comments),
        "unresolved": sum(one.resolved_at is None for one in comments),
        "record": change_set.record.select_related("by").order_by("pk"),
        "to_write": to_write(members) if request.user.has_perm(EDIT) else (),
        "may_decide": in_review and not own and request.user.has_perm(APPROVE),
        "may_overrule": request.user.has_perm(OVERRULE),
        "may_submit": change_set.status in (Status.DRAFT, Status.CHANGES_REQUESTED)
        and request.user.has_perm(SUBMIT),
        "may_withdraw": change_set.status in (Status.DRAFT, Status.CHANGES_REQUESTED, Status.IN_REVIEW)
        and request.user.has_perm(SUBMIT),
        **more,
    }  # fmt: skip
    return screen(request, "change_set", context, title=change_set.title)


def to_write(members: Sequence[Reviewed]) -> list[TemplateVersion]:
    """The e-mails in it whose words may change now."""
    return [
        one for one in members if isinstance(one, TemplateVersion) and one.status in drafts.OPEN
    ]


def _said(comments: list[Comment]) -> list[Said]:
    places = dict.fromkeys(one.place for one in comments)
    return [Said(place, tuple(one for one in comments if one.place == place)) for place in places]


def change_set_or_404(pk: int) -> ChangeSet:
    rows = ChangeSet.objects.select_related("submitted_by", "decided_by")
    return get_object_or_404(rows, pk=pk)


@require_GET
@staff(VIEW)
def show_change_set(request: StaffRequest, pk: int) -> HttpResponse:
    return show(request, change_set_or_404(pk))
