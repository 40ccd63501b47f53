"""Drafts of what is reviewed: begun from the live version, saved as they are typed, discarded.

Whoever saves names the revision they began from, so nobody overwrites what a colleague wrote meanwhile.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import F, Max

from accounts.models import User
from messaging.models import OPEN as OPEN
from messaging.models import UNFINISHED as UNFINISHED
from messaging.models import Reviewed, TemplateVersion, VersionStatus
from messaging.review import record

# Far above any honest draft: twenty variants of the longest body.
WORDS_LIMIT = 400_000
_SELECTORS = ("provider", "error_class", "role")
_TEXTS = (*_SELECTORS, "subject", "preheader", "body")


@dataclass(frozen=True, slots=True)
class Saved:
    """The words are kept; the next save names this revision."""

    revision: int
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else saved meanwhile, and nothing was overwritten: this is what they wrote."""

    revision: int
    words: Mapping[str, Any]
    by: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was kept, and why, as a sentence for whoever typed it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of reviewed document: its rows, what they belong to, which column holds the words.

    `fault` says why words have not even the form of such a document ("" when they have it);
    `carried` names the other columns that a new draft takes over.
    """

    model: type[Reviewed]
    parent: str
    words: str
    empty: Mapping[str, Any]
    fault: Callable[[Any], str]
    carried: tuple[str, ...] = ()


def template_fault(words: Any) -> str:
    """Why these are no template's words, however unfinished; "" when they have the form."""
    if not isinstance(words, dict) or set(words) - {"variants", "claims"}:
        return "An e-mail is a list of variants and a list of what it says is true."
    variants, claims = words.get("variants"), words.get("claims", [])
    if not isinstance(variants, list) or not isinstance(claims, list):
        return "Variants and claims are lists."
    for variant in variants:
        if not isinstance(variant, dict) or set(variant) - set(_TEXTS):
            return f"A variant has {', '.join(_TEXTS)} and nothing else."
        if not all(isinstance(text, str) for text in variant.values()):
            return "Everything in a variant is text."
    return ""


TEMPLATES = Kind(
    model=TemplateVersion,
    parent="template",
    words="content",
    empty={"variants": [{**dict.fromkeys(_TEXTS, "")}], "claims": []},
    fault=template_fault,
)


def unfinished(kind: Kind, parent: models.Model) -> Any:
    """The parent's version that is not yet live, or None; there is at most one."""
    rows = kind.model._default_manager.filter(**{kind.parent: parent}, status__in=UNFINISHED)
    return rows.first()


def begin(parent: models.Model, *, by: User, now: datetime, kind: Kind = TEMPLATES) -> Any:
    """The parent's unfinished version, or a new draft with the words of the live one.

    Two who begin at once get the same draft: the database keeps one unfinished version at most.
    """
    for _ in range(3):
        if found := unfinished(kind, parent):
            return found
        try:
            with transaction.atomic():
                return _new(kind, parent, by, now)
        except IntegrityError:
            # Somebody else was first; what they began is there now.
            continue
    raise RuntimeError(f"No draft of {parent} could be begun.")


def _new(kind: Kind, parent: models.Model, by: User, now: datetime) -> Reviewed:
    rows = kind.model._default_manager.filter(**{kind.parent: parent})
    model = rows.filter(status=VersionStatus.LIVE).first() or rows.order_by("-number").first()
    words = getattr(model, kind.words) if model else kind.empty
    version = kind.model._default_manager.create(
        **{kind.parent: parent, kind.words: words},
        **{name: getattr(model, name) for name in kind.carried if model},
        number=(rows.aggregate(highest=Max("number"))["highest"] or 0) + 1,
        created_by=by,
        created_at=now,
        saved_by=by,
        saved_at=now,
    )
    note = f"From version {model.number}." if model else "From nothing."
    record.note("begun", version, change_set=None, by=by, now=now, words=note)
    return version


def save(
    pk: int, words: Any, *, revision: int, by: User, now: datetime, kind: Kind = TEMPLATES
) -> Saved | Conflict | Refused:
    """Keep the words if the draft still stands at `revision`, however unfinished they are.

    Words that change nothing are kept already: they make nobody an author, whatever the revision.
    """
    if fault := kind.fault(words):
        return Refused(fault)
    if (size := _size(words)) > WORDS_LIMIT:
        return Refused(f"That is {size:,} characters; {WORDS_LIMIT:,} can be kept.")
    rows = kind.model._default_manager.filter(pk=pk)
    with transaction.atomic():
        there = rows.select_related("saved_by").first()
        if there is None:
            return Refused("This draft was discarded meanwhile.")
        if there.status not in OPEN:
            return Refused(
                f"This version is {there.get_status_display().lower()} and cannot change any more."
            )
        if getattr(there, kind.words) == words:
            return Saved(there.revision, there.saved_at)
        saved = {"revision": F("revision") + 1, "saved_at": now, "saved_by": by}
        mine = rows.filter(revision=revision, status__in=OPEN)
        if mine.update(**{kind.words: words}, **saved):
            there.editors.add(by)
            return Saved(revision + 1, now)
    return _lost(kind, pk)


def _lost(kind: Kind, pk: int) -> Conflict | Refused:
    """What stands there now, for whoever's words were not kept."""
    there = kind.model._default_manager.select_related("saved_by").filter(pk=pk).first()
    if there is None:
        return Refused("This draft was discarded meanwhile.")
    if there.status not in OPEN:
        return Refused(
            f"This version is {there.get_status_display().lower()} and cannot change any more."
        )
    by = there.saved_by.get_username() if there.saved_by else "somebody"
    return Conflict(there.revision, getattr(there, kind.words), by, there.saved_at)


def discard(
    pk: int, *, revision: int, by: User, now: datetime, kind: Kind = TEMPLATES
) -> Conflict | Refused | None:
    """Delete the draft as it stood at `revision`; None when it is gone.

    The words go with it; who threw it away, and when, stays.
    """
    with transaction.atomic():
        mine = kind.model._default_manager.filter(pk=pk, revision=revision, status__in=OPEN)
        version = mine.select_for_update().first()
        if version is not None:
            words = f"At revision {revision}."
            of = version.change_set
            if of is not None and of.shared_changes.exists():
                return Refused(
                    f"It belongs to “{of}”, and what that changes must change in every e-mail that shows it. "
                    "Withdraw the whole change instead."
                )
            record.note("discarded", version, change_set=of, by=by, now=now, words=words)
            version.delete()
            return None
    return _lost(kind, pk)


def _size(words: Any) -> int:
    match words:
        case str():
            return len(words)
        case dict():
            return sum(_size(key) + _size(value) for key, value in words.items())
        case list():
            return sum(map(_size, words))
        case _:
            return 1
