"""The rules of review: what a hash covers, whose work a change set is, who may not decide it."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from accounts.models import User
from messaging.models import ChangeSet, Participant, Reviewed, SharedChange


class NotAllowed(Exception):
    """The move is against the rules of review; the message says which and what to do."""


def content_hash(content: Any) -> str:
    """SHA-256 of the canonical JSON: equal content, equal hash."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_of_all(members: Iterable[Reviewed], shared: Iterable[SharedChange]) -> str:
    """One hash over everything that is approved together."""
    versions = sorted([member.subject_key, member.content_hash] for member in members)
    changes = sorted([change.subject_key, content_hash(change.after)] for change in shared)
    return content_hash([versions, changes])


def writers(version: Reviewed) -> set[int]:
    """Everybody who wrote any of it, by id. A version begins after the last approval, so all of them count."""
    ids = set(version.editors.values_list("pk", flat=True))
    return ids | ({version.created_by_id} if version.created_by_id else set())


def add_authors(change_set: ChangeSet, users: Iterable[int]) -> None:
    """They took part as authors from now on. Who is one already stays one."""
    Participant.objects.bulk_create(
        [Participant(change_set=change_set, user_id=pk, part="author") for pk in sorted(users)],
        ignore_conflicts=True,
    )


def is_author(change_set: ChangeSet, user: User) -> bool:
    return change_set.participants.filter(user=user, part=Participant.Part.AUTHOR).exists()


def refuse_own_work(change_set: ChangeSet, by: User) -> None:
    """Raises NotAllowed when `by` wrote any of what they would decide; superusers are no exception."""
    if is_author(change_set, by):
        raise NotAllowed(f"“{change_set}” is your own work; ask another reviewer to decide it.")
