"""Submitting a change set, and taking it back."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from accounts.models import User
from messaging.checks.remark import Remark
from messaging.models import (
    OPEN,
    ChangeSet,
    Notice,
    Reviewed,
    TemplateVersion,
    VersionStatus,
)
from messaging.review import notices, record
from messaging.review.proposal import (
    Proposal,
    left_out,
    locked,
    members_of,
    propose,
    shared_of,
)
from messaging.review.rules import NotAllowed, add_authors, writers

SUBMITTABLE = (ChangeSet.Status.DRAFT, ChangeSet.Status.CHANGES_REQUESTED)
WITHDRAWABLE = (*SUBMITTABLE, ChangeSet.Status.IN_REVIEW)


def submit(
    proposal: Proposal,
    *,
    by: User | None,
    note: str,
    remarks: Sequence[Remark],
    now: datetime,
) -> ChangeSet:
    """Put exactly this proposal up for review; `remarks` are what the checks said of it.

    A change set that changes were requested of is submitted again, with its history. Raises NotAllowed
    where any of it was edited, submitted or discarded since the proposal was made.
    """
    if not proposal.members:
        raise NotAllowed("There is no draft to submit.")
    with transaction.atomic():
        change_set = _change_set(proposal, by, now)
        members = locked(proposal.members)
        _refuse_taken(members, change_set)
        shared = shared_of(change_set)
        if missing := left_out(members, shared):
            raise NotAllowed(
                f"It changes what {', '.join(missing)} shows too, which is not in here. "
                "Withdraw it and change the shared text or screen again, so that all come with it."
            )
        now_there = propose(proposal.title, members, shared=shared, change_set=change_set)
        if now_there.content_hash != proposal.content_hash:
            raise NotAllowed(
                "Something of it was changed while you looked. Look again, then submit."
            )
        authors = {pk for member in members for pk in writers(member)}
        add_authors(change_set, authors | ({by.pk} if by else set()))
        for member in members:
            _move_in(member, change_set, now)
        ChangeSet.objects.filter(pk=change_set.pk).update(
            status=ChangeSet.Status.IN_REVIEW,
            note=note,
            submitted_at=now,
            submitted_by=by,
            content_hash=proposal.content_hash,
            **stored(remarks, now),
        )
        change_set.refresh_from_db()
        record.note(
            "submitted", change_set, change_set=change_set, by=by, now=now,
            content_hash=proposal.content_hash, words=note,
        )  # fmt: skip
        notices.tell_reviewers(change_set, now=now)
    return change_set


def stored(remarks: Sequence[Remark], now: datetime) -> dict[str, object]:
    """The columns of a change set that keep what the checks said."""
    return {"remarks": [asdict(remark) for remark in remarks], "checked_at": now}


def _change_set(proposal: Proposal, by: User | None, now: datetime) -> ChangeSet:
    if proposal.change_set is None:
        return ChangeSet.objects.create(title=proposal.title[:200], created_by=by, created_at=now)
    there = ChangeSet.objects.select_for_update(no_key=True).get(pk=proposal.change_set.pk)
    if there.status not in SUBMITTABLE:
        raise NotAllowed(f"“{there}” is {there.get_status_display().lower()} already.")
    return there


def _refuse_taken(members: Sequence[Reviewed], change_set: ChangeSet) -> None:
    for member in members:
        if member.status not in OPEN:
            raise NotAllowed(f"{member} is {member.get_status_display().lower()} already.")
        if member.change_set_id not in (None, change_set.pk):
            raise NotAllowed(f"{member} belongs to another change, “{member.change_set}”.")


def _move_in(member: Reviewed, change_set: ChangeSet, now: datetime) -> None:
    values: dict[str, object] = {
        "status": VersionStatus.IN_REVIEW,
        "content_hash": member.content_hash,
        "change_set": change_set,
        "submitted_at": now,
        **member.settled(),
    }
    mine = type(member)._default_manager.filter(pk=member.pk, status=member.status)
    if not mine.filter(revision=member.revision).update(**values):
        raise NotAllowed(f"{member} was changed while you looked. Look again, then submit.")


def withdraw(change_set: ChangeSet, *, by: User, now: datetime) -> list[Reviewed]:
    """Take it back, and answer with its versions that are drafts again. Raises NotAllowed.

    Shared texts stay as they are, and what was drafted only to carry one is gone.
    """
    kept = []
    with transaction.atomic():
        mine = ChangeSet.objects.filter(pk=change_set.pk, status__in=WITHDRAWABLE)
        if not mine.update(status=ChangeSet.Status.WITHDRAWN):
            raise NotAllowed(f"“{change_set}” is decided already.")
        was_shared = bool(shared_of(change_set))
        for member in members_of(change_set, lock=True):
            rows = type(member)._default_manager.filter(pk=member.pk)
            rows.update(status=VersionStatus.DRAFT, change_set=None)
            if was_shared and _says_what_is_live(member):
                rows.delete()
            else:
                kept.append(member)
        record.note("withdrawn", change_set, change_set=change_set, by=by, now=now)
        Notice.objects.filter(change_set=change_set, mail=Notice.Mail.WAITING).update(
            mail=Notice.Mail.NOT_NEEDED, next_attempt_at=None
        )
    return kept


def _says_what_is_live(member: Reviewed) -> bool:
    live = member.siblings().filter(status=VersionStatus.LIVE).first()
    return (
        isinstance(member, TemplateVersion)
        and isinstance(live, TemplateVersion)
        and live.content == member.content
    )
