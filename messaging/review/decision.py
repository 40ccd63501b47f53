"""Deciding a change set: ask for changes, or approve and publish."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import IntegrityError, connection, transaction

from accounts.models import User
from messaging import uses
from messaging.checks.remark import Remark
from messaging.models import (
    ChangeSet,
    Destination,
    Notice,
    Participant,
    Reviewed,
    SharedChange,
    Snippet,
    TemplateVersion,
    VersionStatus,
)
from messaging.rendering import freeze
from messaging.review import comments, notices, record
from messaging.review.proposal import left_out, members_of, propose, shared_of
from messaging.review.rules import NotAllowed, content_hash, hash_of_all, refuse_own_work
from messaging.review.submission import stored, submit

# Any number will do, as long as nothing else in the database takes it.
PUBLISH_LOCK = 7_201_733
OVERRULE = "messaging.overrule_checks"


@dataclass(frozen=True)
class Decided:
    """It is live; these versions are."""

    members: tuple[Reviewed, ...]


@dataclass(frozen=True)
class Again:
    """Nothing was published: what the reviewer saw is no longer so, and these are the differences."""

    changes: tuple[str, ...]


def take_turns() -> None:
    """From here to the end of the transaction nobody else publishes, so what was checked stays so.

    On SQLite a transaction that writes is alone anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PUBLISH_LOCK])


def refuse_decided(change_set: ChangeSet) -> None:
    """Raises NotAllowed where there is nothing to decide, saying who was first."""
    match change_set.status:
        case ChangeSet.Status.IN_REVIEW:
            return
        case ChangeSet.Status.PUBLISHED:
            what = "was approved and published"
        case ChangeSet.Status.CHANGES_REQUESTED:
            what = "was given back to its authors"
        case _:
            raise NotAllowed(f"“{change_set}” was taken back by its authors; nothing is to decide.")
    raise NotAllowed(
        f"“{change_set}” {what} already, by {change_set.decided_by}; nothing is left to decide."
    )


def request_changes(change_set: ChangeSet, *, by: User, comment: str, now: datetime) -> None:
    """Give it back to its authors, saying why. Raises NotAllowed."""
    if not comment.strip():
        raise NotAllowed("Say what should change, for the authors.")
    refuse_own_work(change_set, by)
    with transaction.atomic():
        mine = ChangeSet.objects.filter(pk=change_set.pk, status=ChangeSet.Status.IN_REVIEW)
        if not mine.update(
            status=ChangeSet.Status.CHANGES_REQUESTED, decided_at=now, decided_by=by
        ):
            refuse_decided(ChangeSet.objects.get(pk=change_set.pk))
        for member in members_of(change_set, lock=True):
            rows = type(member)._default_manager.filter(pk=member.pk)
            rows.update(status=VersionStatus.CHANGES_REQUESTED)
        comments.comment(change_set, by=by, text=comment, now=now)
        record.note(
            "changes_requested", change_set, change_set=change_set, by=by, now=now, words=comment
        )
        notices.tell_authors(change_set, Notice.Kind.CHANGES, now=now)


def publish(
    change_set: ChangeSet,
    *,
    by: User,
    hash_shown: str,
    remarks: Sequence[Remark],
    overrule: str = "",
    now: datetime,
) -> Decided | Again:
    """Approve exactly what was shown and make all of it live, in the caller's transaction.

    `remarks` are what the checks say of it now. Raises NotAllowed, and then nothing may be kept.
    """
    assert connection.in_atomic_block, "what is published is published together"
    take_turns()
    row = ChangeSet.objects.select_for_update(no_key=True).get(pk=change_set.pk)
    members, shared = members_of(row, lock=True), shared_of(row)
    refuse_decided(row)
    refuse_own_work(row, by)
    if row.content_hash != hash_shown or _hash_now(members, shared) != row.content_hash:
        return Again(("It was submitted anew, with other content.",))
    if stale := _stale(members, shared):
        raise NotAllowed(
            f"{', '.join(stale)} changed since this was submitted. "
            "Ask its author to withdraw it and to submit it again."
        )
    if missing := left_out(members, shared):
        raise NotAllowed(
            f"It changes what {', '.join(missing)} shows too, which went live meanwhile and is not in here. "
            "Ask its author to withdraw it and to change the shared text or screen again."
        )
    _refuse_blocking(row, remarks, by, overrule)
    _sign(row, by)
    _keep_decision(row, remarks, by, overrule, now)
    for change in shared:
        _apply(change)
        record.note("shared", change, change_set=row, by=by, now=now)
    for member in members:
        _make_live(member, row, by, now)
    notices.tell_authors(row, Notice.Kind.PUBLISHED, now=now)
    return Decided(tuple(members))


def publish_template(version: TemplateVersion, *, by: User, now: datetime) -> None:
    """Submit a template alone, as its author's work, and approve it at once; for what ships and for tests.

    The checks are not asked. Raises NotAllowed.
    """
    author = version.created_by
    if version.status in (VersionStatus.LIVE, VersionStatus.RETIRED):
        raise NotAllowed(f"{version} is {version.get_status_display().lower()} already.")
    with transaction.atomic():
        proposal = propose(str(version.template), [version])
        change_set = submit(proposal, by=author, note="", remarks=(), now=now)
        publish(change_set, by=by, hash_shown=proposal.content_hash, remarks=(), now=now)
    version.refresh_from_db()


def _hash_now(members: Sequence[Reviewed], shared: Sequence[SharedChange]) -> str:
    """The hash of what stands there, whatever the column says."""
    for member in members:
        member.content_hash = content_hash(member.matter())
    return hash_of_all(members, shared)


def _stale(members: Iterable[Reviewed], shared: Sequence[SharedChange]) -> list[str]:
    """Shared texts and screens that would be sent as they were when this was submitted, not as they are."""
    now = freeze(shared)
    found: set[str] = set()
    for member in members:
        if not isinstance(member, TemplateVersion) or member.frozen == now:
            continue
        used = uses.of_content(member.content, now["snippets"])
        for kind, named in (("snippets", used.snippet), ("destinations", used.destination)):
            then = member.frozen.get(kind) or {}
            # What was added since is no fault of it: it names it nowhere, or the checks would say so.
            found |= {key for key in then if named(key) and then[key] != now[kind].get(key)}
    return [f"“{key}”" for key in sorted(found)]


def _refuse_blocking(row: ChangeSet, remarks: Sequence[Remark], by: User, overrule: str) -> None:
    blocking = [remark for remark in remarks if remark.blocking]
    if not blocking:
        return
    first = f"{blocking[0].place}: {blocking[0].message}"
    if not overrule.strip():
        raise NotAllowed(f"“{row}” cannot be approved while a check blocks it. {first}")
    if not by.has_perm(OVERRULE):
        raise NotAllowed("You may not overrule the checks; an administrator can.")


def _sign(row: ChangeSet, by: User) -> None:
    """The database decides who reviews: one reviewer, and nobody who wrote any of it."""
    try:
        with transaction.atomic():
            Participant.objects.create(change_set=row, user=by, part=Participant.Part.REVIEWER)
    except IntegrityError:
        raise NotAllowed(f"“{row}” is your own work, or somebody else has decided it.") from None


def _keep_decision(
    row: ChangeSet, remarks: Sequence[Remark], by: User, overrule: str, now: datetime
) -> None:
    blocked = any(remark.blocking for remark in remarks)
    reason = overrule.strip() if blocked else ""
    ChangeSet.objects.filter(pk=row.pk).update(
        status=ChangeSet.Status.PUBLISHED,
        decided_at=now,
        decided_by=by,
        approved_hash=row.content_hash,
        overruled_because=reason,
        **stored(remarks, now),
    )
    note = partial(record.note, change_set=row, by=by, now=now, content_hash=row.content_hash)
    if reason:
        note("overruled", row, words=reason)
    note("approved", row)


def _apply(change: SharedChange) -> None:
    model = Snippet if change.snippet_id else Destination
    values = {
        ("host_id" if name == "host" else name): value for name, value in change.after.items()
    }
    model._default_manager.filter(pk=change.target.pk).update(**values)


def _make_live(member: Reviewed, row: ChangeSet, by: User, now: datetime) -> None:
    note = partial(record.note, change_set=row, by=by, now=now)
    for old in member.siblings().filter(status=VersionStatus.LIVE):
        old.siblings().filter(pk=old.pk).update(status=VersionStatus.RETIRED)
        note("retired", old, content_hash=old.content_hash)
    waiting = member.siblings().filter(pk=member.pk, status=VersionStatus.IN_REVIEW)
    moved = waiting.filter(content_hash=member.content_hash).update(
        status=VersionStatus.LIVE,
        approved_by=by,
        approved_hash=member.content_hash,
        published_at=now,
    )
    if not moved:
        raise NotAllowed(f"{member} is not in review any more.")
    note("published", member, content_hash=member.content_hash)
    member.refresh_from_db()
