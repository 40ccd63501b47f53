"""Changing a shared text or a setup screen: at once while nothing uses it, else as one change set of its users."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from messaging import drafts, uses
from messaging.content import RenderError
from messaging.language import compile_source
from messaging.models import (
    UNFINISHED,
    ChangeSet,
    Destination,
    Reviewed,
    SharedChange,
    Snippet,
    Template,
    TemplateVersion,
    VersionStatus,
)
from messaging.review import record
from messaging.review.rules import NotAllowed, add_authors

# What of a row decides what is sent or to whom; the rest may be edited at any time.
FIELDS: Mapping[type[Snippet] | type[Destination], tuple[str, ...]] = {
    Snippet: ("body",),
    Destination: ("name", "host", "path", "capability"),
}
Shared = Snippet | Destination


@dataclass(frozen=True)
class Users:
    """Who uses a shared thing: templates by what is live or in review, and whose drafts stand in the way."""

    templates: tuple[Template, ...]
    in_the_way: tuple[TemplateVersion, ...]


def values_of(row: Shared) -> dict[str, Any]:
    """The fields that review is about, by name."""
    return {name: getattr(row, "host_id" if name == "host" else name) for name in FIELDS[type(row)]}


def fault(row: Shared) -> str:
    """Why a mail with this text or link could not be written; "" when it can."""
    try:
        if isinstance(row, Snippet):
            compile_source("body", row.body)
        else:
            compile_source("address", row.path)
    except RenderError as error:
        return str(error)
    return ""


def users_of(row: Shared) -> Users:
    """The templates that show it, live or in review, and the unfinished versions that cannot be joined."""
    using = uses.users_of(row, [VersionStatus.LIVE, VersionStatus.IN_REVIEW])
    unfinished = TemplateVersion.objects.filter(template__in=using, status__in=UNFINISHED)
    return Users(
        tuple(using),
        tuple(
            version
            for version in unfinished.select_related("template", "change_set", "saved_by")
            if not _is_free(version) and not _is_of(version, row)
        ),
    )


def open_change(row: Shared) -> ChangeSet | None:
    """The change set under way that changes this row already."""
    changes = SharedChange.objects.filter(
        **_target(row), change_set__status__in=["draft", "in_review", "changes_requested"]
    )
    change = changes.select_related("change_set").first()
    return change.change_set if change else None


@dataclass(frozen=True)
class Hindrance:
    """Why a row cannot be changed now, and the change sets to decide or to withdraw first."""

    reason: str
    change_sets: tuple[ChangeSet, ...]


def why_not(row: Shared) -> Hindrance | None:
    """What keeps a change of this row from being drafted now; None where nothing does."""
    under_way = open_change(row)
    if under_way and under_way.status == ChangeSet.Status.IN_REVIEW:
        said = (
            f"“{under_way}” changes it and is in review; it has to be decided or withdrawn first."
        )
        return Hindrance(said, (under_way,))
    ways = users_of(row).in_the_way
    if not ways:
        return None
    named = [
        f"{version} ({version.get_status_display().lower()}, by {_by(version)}, in “{version.change_set}”)"
        for version in ways
    ]
    said = (
        "Every e-mail that uses it changes with it, and these are part of another change, which has to "
        f"be decided or withdrawn first: {', '.join(named)}."
    )
    found = {version.change_set_id: version.change_set for version in ways if version.change_set}
    return Hindrance(said, tuple(found.values()))


def change(row: Shared, after: Mapping[str, Any], *, by: User, now: datetime) -> ChangeSet | None:
    """Draft the change with new versions of all its users; None where nothing uses it and it is done at once.

    `after` has the fields of FIELDS by name; a host by its key. Raises NotAllowed.
    """
    with transaction.atomic():
        there = type(row)._default_manager.select_for_update().get(pk=row.pk)
        before = values_of(there)
        new = {name: value for name, value in after.items() if before[name] != value}
        users = users_of(there)
        if not users.templates:
            _in_place(there, new, by, now)
            return None
        if refusal := why_not(there):
            raise NotAllowed(refusal.reason)
        change_set = open_change(there) or ChangeSet.objects.create(
            title=f"{there.name} ({_kind(there)})"[:200], created_by=by, created_at=now
        )
        entry, _ = SharedChange.objects.update_or_create(
            change_set=change_set,
            **_target(there),
            defaults={"before": before, "after": {**before, **new}},
        )
        add_authors(change_set, [by.pk])
        for template in users.templates:
            version = drafts.begin(template, by=by, now=now)
            TemplateVersion.objects.filter(pk=version.pk).update(change_set=change_set)
        record.note("drafted", entry, change_set=change_set, by=by, now=now)
    return change_set


def _in_place(row: Shared, new: Mapping[str, Any], by: User, now: datetime) -> None:
    if not new:
        return
    columns = {("host_id" if name == "host" else name): value for name, value in new.items()}
    type(row)._default_manager.filter(pk=row.pk).update(**columns)
    entry = SharedChange(**_target(row))
    record.note(
        "shared", entry, change_set=None, by=by, now=now, words="Nothing that is live used it."
    )


def _kind(row: Shared) -> str:
    return "shared text" if isinstance(row, Snippet) else "setup screen"


def _target(row: Shared) -> dict[str, Any]:
    return {"snippet": row} if isinstance(row, Snippet) else {"destination": row}


def _is_free(version: Reviewed) -> bool:
    return version.status == VersionStatus.DRAFT and version.change_set_id is None


def _is_of(version: TemplateVersion, row: Shared) -> bool:
    """Whether it is in the change set that changes this row already, and can still be edited."""
    under_way = open_change(row)
    return (
        under_way is not None
        and version.change_set_id == under_way.pk
        and version.status != VersionStatus.IN_REVIEW
    )


def _by(version: TemplateVersion) -> str:
    who = version.saved_by or version.created_by
    return who.get_username() if who else "the blueprint"
