"""The one list of change sets: what waits for a decision, for its authors, or to be submitted, and what was decided."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from accounts.models import User
from lifecycle.journeys.models import JourneyVersion
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen
from messaging.models import ChangeSet, Participant, TemplateVersion

DECIDED_SHOWN = 15
Status = ChangeSet.Status


@dataclass(frozen=True)
class Row:
    """A change set as the list shows it; `own` where this user wrote any of it."""

    change_set: ChangeSet
    holds: str
    authors: tuple[str, ...]
    own: bool
    since: datetime | None
    blocking: int


@dataclass(frozen=True)
class Group:
    key: str
    title: str
    empty: str
    rows: Sequence[Row]


def groups_for(user: User) -> Sequence[Group]:
    """The list as this user sees it: each group with the longest waiting first, the decided last."""
    part = Participant.objects.filter(change_set=OuterRef("pk"), user=user, part="author")
    rows = ChangeSet.objects.annotate(own=Exists(part)).select_related("submitted_by")
    open_rows = rows.order_by(F("submitted_at").asc(nulls_last=True), "pk")
    decided = rows.filter(status__in=[Status.PUBLISHED, Status.WITHDRAWN]).order_by("-pk")
    found = [
        Group(
            "waiting", "To decide", "Nothing waits for review.",
            _rows(open_rows.filter(status=Status.IN_REVIEW)),
        ),
        Group(
            "changes", "Changes requested: with the authors", "",
            _rows(open_rows.filter(status=Status.CHANGES_REQUESTED)),
        ),
        Group(
            "drafts", "Drafted, not submitted yet", "",
            _rows(open_rows.filter(status=Status.DRAFT)),
        ),
        Group("decided", "Decided lately", "", _rows(decided[:DECIDED_SHOWN])),
    ]  # fmt: skip
    return [group for group in found if group.rows or group.empty]


def _rows(change_sets: "QuerySet[ChangeSet]") -> list[Row]:
    found = list(change_sets)
    ids = [row.pk for row in found]
    authors: dict[int, list[str]] = {}
    parts = Participant.objects.filter(change_set__in=ids, part="author").select_related("user")
    for part in parts.order_by("pk"):
        authors.setdefault(part.change_set_id, []).append(part.user.get_username())
    holds = _holds(ids)
    return [
        Row(
            change_set=row,
            holds=holds.get(row.pk, ""),
            authors=tuple(authors.get(row.pk, ())),
            own=row.own,  # type: ignore[attr-defined]
            since=row.decided_at if row.status == Status.CHANGES_REQUESTED else row.submitted_at,
            blocking=sum(bool(remark.get("blocking")) for remark in row.remarks),
        )
        for row in found
    ]


def _holds(ids: Iterable[int]) -> dict[int, str]:
    """What each consists of, such as "1 journey, 3 e-mails"."""
    counts: dict[int, dict[str, int]] = {}
    for model, word in ((JourneyVersion, "journey"), (TemplateVersion, "e-mail")):
        rows = model.objects.filter(change_set__in=list(ids))
        for pk in rows.values_list("change_set_id", flat=True):
            mine = counts.setdefault(pk, {})
            mine[word] = mine.get(word, 0) + 1
    return {
        pk: ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in mine.items())
        for pk, mine in counts.items()
    }


@require_GET
@staff("pages.see_review_queue")
def show_reviews(request: StaffRequest) -> HttpResponse:
    context = {"groups": groups_for(request.user)}
    return screen(request, "reviews", context, title="Review queue")
