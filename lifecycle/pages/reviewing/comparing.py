"""What a change set changes: the words of each e-mail, the lines of each journey, the shared texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifecycle.journeys import claims, phrases
from lifecycle.journeys.models import JourneyVersion
from lifecycle.pages.editing import differing, places, typed
from lifecycle.pages.editing.uses import uses
from lifecycle.pages.reviewing import documents
from lifecycle.pages.reviewing.pieces import Piece, compare
from messaging.models import (
    ChangeSet,
    Reviewed,
    SharedChange,
    TemplateVersion,
    VersionStatus,
)
from messaging.review.proposal import members_of, shared_of


@dataclass(frozen=True)
class Change:
    """One text that differs, at a place that comments can name."""

    place: str
    label: str
    pieces: tuple[Piece, ...]
    is_new: bool = False
    is_gone: bool = False


@dataclass(frozen=True)
class Look:
    """One variant to look at: its position as it is and as it shall be; None where it is not there."""

    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Compared:
    """One version beside the one that it replaces, or replaced."""

    version: Reviewed
    before: Reviewed | None
    kind: str
    name: str
    changes: tuple[Change, ...]
    looks: tuple[Look, ...] = ()
    is_new: bool = field(default=False)

    @property
    def anchor(self) -> str:
        return f"{self.version._meta.model_name}-{self.version.pk}"


def compared(version: Reviewed) -> Compared:
    """The version with what it changes."""
    before = replaced_by(version)
    if isinstance(version, TemplateVersion):
        assert before is None or isinstance(before, TemplateVersion)
        return _template(version, before)
    assert isinstance(version, JourneyVersion)
    assert before is None or isinstance(before, JourneyVersion)
    return _journey(version, before)


def replaced_by(version: Reviewed) -> Reviewed | None:
    """What is live while this is not, or what was live before this was."""
    others = version.siblings().exclude(pk=version.pk)
    if version.status in (VersionStatus.LIVE, VersionStatus.RETIRED):
        return others.filter(
            status=VersionStatus.RETIRED, number__lt=version.number
        ).order_by("-number").first()  # fmt: skip
    return others.filter(status=VersionStatus.LIVE).first()


def _template(version: TemplateVersion, before: TemplateVersion | None) -> Compared:
    new: Mapping[str, Any] = typed.plainly(version.content)
    old: Mapping[str, Any] = typed.plainly(before.content) if before else {}
    key = version.template.key
    if new.get("claims") != old.get("claims"):
        new, old = _claims_in_words(new, old, key)
    changes = tuple(
        Change(
            place=f"{version.template.name}: {each.label}"[:200],
            label=each.label,
            pieces=compare(each.theirs or "", each.mine or ""),
            is_new=each.theirs is None,
            is_gone=each.mine is None,
        )
        for each in differing.differences(new, old)
    )
    after_at = {name: at for at, name in enumerate(differing.named(new))}
    before_at = {name: at for at, name in enumerate(differing.named(old))}
    looks = tuple(
        Look(name, before_at.get(name), after_at.get(name))
        for name in dict.fromkeys([*after_at, *before_at])
    )
    name = version.template.name
    return Compared(version, before, "E-mail", name, changes, looks, before is None)


def _claims_in_words(
    new: Mapping[str, Any], old: Mapping[str, Any], key: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Both with the conditions of their claims in plain words, unless these do not tell them apart."""
    found = uses().get(key, ())
    if not found:
        return new, old
    journey = found[0].journey

    def told(words: Mapping[str, Any]) -> list[Any]:
        said = []
        for document in words.get("claims", ()):
            claim, _ = claims.read(document)
            said.append(
                {"says": claim.says, "holds": phrases.condition(journey, claim.holds)}
                if claim
                else document
            )
        return said

    plain_new, plain_old = told(new), told(old)
    if plain_new == plain_old:
        return new, old
    return {**new, "claims": plain_new}, {**old, "claims": plain_old}


def _journey(version: JourneyVersion, before: JourneyVersion | None) -> Compared:
    new = documents.lines(version.document)
    old = documents.lines(before.document) if before else {}
    changes = tuple(
        Change(
            place=f"{version.journey.name}: {place}"[:200],
            label=place,
            pieces=compare(old.get(place, ""), new.get(place, "")),
            is_new=place not in old,
            is_gone=place not in new,
        )
        for place in dict.fromkeys([*new, *old])
        if new.get(place) != old.get(place)
    )
    return Compared(
        version, before, "Journey", version.journey.name, changes, is_new=before is None
    )


def said_at(found: Iterable[str], members: Sequence[Reviewed]) -> dict[str, str]:
    """Each place of a remark as the comparison names it: `templates.api_started.variants.0.body` in words.

    What is in the change set no more is named by the newest version of its e-mail or journey.
    """
    split = {place: place.split(".", 2) for place in found}
    within = {
        place: parts
        for place, parts in split.items()
        if parts[0] in ("templates", "journeys") and parts[2:]
    }
    keys = {(kind, key) for kind, key, _ in within.values()}
    emails = TemplateVersion.objects.filter(template__key__in={key for _, key in keys})
    journeys = JourneyVersion.objects.filter(journey__key__in={key for _, key in keys})
    known = {
        _lead(one): one
        for one in (
            *emails.select_related("template").defer("frozen").order_by("number"),
            *journeys.select_related("journey").order_by("number"),
            *members,
        )
    }
    worded = {place: place for place in split}
    for place, (kind, key, rest) in within.items():
        match known.get((kind, key)):
            case TemplateVersion() as one:
                there = places.in_words(rest, typed.plainly(one.content))
                worded[place] = f"{one.template.name}: {there}"
            case JourneyVersion() as one:
                there = documents.in_words(one.document, rest)
                worded[place] = f"{one.journey.name}: {there}"
    return worded


def _lead(version: Reviewed) -> tuple[str, str]:
    """What the places of remarks on it begin with."""
    if isinstance(version, TemplateVersion):
        return "templates", version.template.key
    assert isinstance(version, JourneyVersion)
    return "journeys", version.journey.key


def of_shared(changes: Sequence[SharedChange]) -> list[tuple[SharedChange, tuple[Change, ...]]]:
    """Each shared text or screen with the fields that change."""
    return [
        (
            one,
            tuple(
                Change(
                    place=f"{one.target.name}: {name.capitalize()}"[:200],
                    label=name.capitalize(),
                    pieces=compare(str(one.before.get(name, "")), str(value)),
                )
                for name, value in one.after.items()
                if one.before.get(name) != value
            ),
        )
        for one in changes
    ]


def commentable(change_set: ChangeSet) -> set[str]:
    """The places in it that can be commented on."""
    found = {
        change.place for member in members_of(change_set) for change in compared(member).changes
    }
    shared = of_shared(shared_of(change_set))
    return found | {change.place for _, changes in shared for change in changes}
