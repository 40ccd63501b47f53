"""The audit record: one entry for every move in review, only ever added."""

from datetime import datetime

from accounts.models import User
from messaging.models import AuditEntry, ChangeSet, Reviewed, SharedChange

# What happened, as the record's page says it.
ACTS = {
    "begun": "began the draft",
    "discarded": "discarded the draft",
    "shared": "changed a shared text or screen",
    "drafted": "drafted a change of a shared text or screen",
    "proofed": "sent themselves a test of",
    "submitted": "submitted",
    "withdrawn": "withdrew",
    "changes_requested": "asked for changes to",
    "approved": "approved",
    "overruled": "overruled the checks of",
    "published": "published",
    "retired": "retired",
}


def note(
    act: str,
    subject: ChangeSet | Reviewed | SharedChange,
    *,
    change_set: ChangeSet | None,
    by: User | None,
    now: datetime,
    content_hash: str = "",
    words: str = "",
) -> AuditEntry:
    """The entry that `by` did this to `subject`, saved."""
    assert act in ACTS, act
    if isinstance(subject, SharedChange):
        named, key = str(subject.target), subject.subject_key
    elif isinstance(subject, ChangeSet):
        named, key = str(subject), f"changeset:{subject.pk}"
    else:
        named, key = str(subject), subject.subject_key
    return AuditEntry.objects.create(
        at=now,
        by=by,
        act=act,
        subject=named[:200],
        subject_key=key,
        change_set=change_set,
        content_hash=content_hash,
        note=words,
    )
