"""What is said about places in a change set."""

from datetime import datetime

from accounts.models import User
from messaging.models import ChangeSet, Comment


def comment(
    change_set: ChangeSet, *, by: User, text: str, place: str = "", now: datetime
) -> Comment:
    """Keep what `by` says about the place; an empty place is the whole."""
    return Comment.objects.create(
        change_set=change_set, by=by, text=text, place=place[:200], at=now
    )


def resolve(comment: Comment, *, by: User, now: datetime) -> bool:
    """Mark it as settled; False where somebody did already."""
    mine = Comment.objects.filter(pk=comment.pk, resolved_at=None)
    return bool(mine.update(resolved_at=now, resolved_by=by))
