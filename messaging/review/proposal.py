"""What would be submitted: the versions and shared changes, frozen and hashed, nothing saved."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from messaging import uses
from messaging.models import (
    OPEN,
    ChangeSet,
    Reviewed,
    SharedChange,
    TemplateVersion,
    VersionStatus,
)
from messaging.rendering import freeze
from messaging.review.rules import content_hash, hash_of_all


@dataclass(frozen=True)
class Proposal:
    """Versions as they would be submitted, `frozen` and `content_hash` worked out on them."""

    title: str
    members: tuple[Reviewed, ...]
    shared: tuple[SharedChange, ...]
    content_hash: str
    change_set: ChangeSet | None = None

    @property
    def templates(self) -> tuple[TemplateVersion, ...]:
        return tuple(one for one in self.members if isinstance(one, TemplateVersion))


def propose(
    title: str,
    members: Iterable[Reviewed],
    *,
    shared: Iterable[SharedChange] = (),
    change_set: ChangeSet | None = None,
) -> Proposal:
    """The proposal of these versions as they stand, with the shared changes laid over what they refer to."""
    versions, changes = tuple(members), tuple(shared)
    frozen = freeze(changes)
    for version in versions:
        if isinstance(version, TemplateVersion):
            version.frozen = frozen
        version.content_hash = content_hash(version.matter())
    return Proposal(title, versions, changes, hash_of_all(versions, changes), change_set)


def proposed(change_set: ChangeSet) -> Proposal:
    """What a change set would submit now: an author's draft, or one that changes were requested of."""
    shared = shared_of(change_set)
    members = members_of(change_set)
    return propose(change_set.title, members, shared=shared, change_set=change_set)


def frozen_of(version: TemplateVersion | None) -> dict[str, Any]:
    """What the version refers to: what was frozen with it, or would be if it were submitted now.

    Its change set's own changes of shared texts and screens count for it already.
    """
    if version is None:
        return freeze()
    if version.status not in OPEN and version.frozen:
        frozen: dict[str, Any] = version.frozen
        return frozen
    return freeze(shared_of(version.change_set) if version.change_set else ())


def left_out(members: Iterable[Reviewed], shared: Iterable[SharedChange]) -> list[str]:
    """The live e-mails that show what is changed here and are not in here, by name: they would keep the old."""
    inside = {one.template_id for one in members if isinstance(one, TemplateVersion)}
    found = {
        str(template)
        for change in shared
        for template in uses.users_of(change.target, [VersionStatus.LIVE])
        if template.pk not in inside
    }
    return sorted(found)


def members_of(change_set: ChangeSet, *, lock: bool = False) -> list[Reviewed]:
    """The versions in it: templates, and whatever else is reviewed by these rules."""
    found: list[Reviewed] = []
    for model in sorted(Reviewed.__subclasses__(), key=lambda model: model._meta.label):
        rows = model._default_manager.filter(change_set=change_set).order_by("pk").select_related()
        if lock:
            rows = rows.select_for_update(no_key=True, of=("self",))
        found += rows
    return found


def locked(members: Sequence[Reviewed]) -> list[Reviewed]:
    """The same versions as they stand now, kept from everybody else until the transaction ends."""
    found: list[Reviewed] = []
    for model in sorted({type(one) for one in members}, key=lambda model: model._meta.label):
        ids = [one.pk for one in members if type(one) is model]
        rows = model._default_manager.filter(pk__in=ids).order_by("pk")
        found += rows.select_related().select_for_update(no_key=True, of=("self",))
    return found


def shared_of(change_set: ChangeSet) -> list[SharedChange]:
    rows = change_set.shared_changes.order_by("pk")
    return list(rows.select_related("snippet", "destination__host"))
