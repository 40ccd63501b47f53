"""The page on which one part of a journey's draft is written, whether what stands in it is saved or not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from lifecycle.engine.journey import Journey as Document
from lifecycle.journeys import documents
from lifecycle.journeys.drafting import problems
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.access import StaffRequest
from lifecycle.pages.journey_editing import conditions, differences, forms, parts
from lifecycle.pages.journey_editing.fields import FIELDS, STEP_KEY, Field
from lifecycle.pages.journey_editing.forms import Typed
from lifecycle.pages.journey_editing.looks import look
from lifecycle.pages.journey_editing.options import Choices, choices
from lifecycle.pages.journey_editing.remarks import Placed, placed
from lifecycle.pages.screen import screen
from messaging.models import VersionStatus

PUBLISHED = (VersionStatus.LIVE, VersionStatus.RETIRED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One part in the list beside the form."""

    part: str
    name: str
    level: int
    here: bool
    blocking: int
    advice: int

    @property
    def moves(self) -> bool:
        return parts.kind_of(self.part) in ("stage", "step", "milestone", "error")


@dataclass(frozen=True, slots=True)
class Desk:
    """The draft on the page: its document, and the same as the engine reads it, where it can."""

    journey: Journey
    version: JourneyVersion | None
    document: dict[str, Any]
    read: Document | None
    choices: Choices

    @property
    def shape(self) -> dict[str, Any]:
        """The document with its parts; one that nobody can read has none."""
        return self.document if self.read else {}

    @property
    def templates(self) -> Mapping[str, str]:
        return self.choices.names("template")


def desk(journey: Journey, version: JourneyVersion | None, document: dict[str, Any]) -> Desk:
    read = None if problems(document) else documents.read(document)
    return Desk(journey, version, document, read, choices(read))


def live_keys(journey: Journey) -> set[str]:
    """The steps that were ever live: their keys say who has had them, so they stay."""
    rows = journey.versions.filter(status__in=PUBLISHED).values_list("document", flat=True)
    return {step["key"] for document in rows for _, step in parts.all_steps(document)}


def fields_of(journey: Journey, part: str) -> Sequence[Field]:
    """The fields of this part; a step's key only while it was never live."""
    kind = parts.kind_of(part)
    if kind == "step" and parts.key_of(part) not in live_keys(journey):
        return (STEP_KEY, *FIELDS[kind])
    return FIELDS.get(kind, ())


def show(
    request: StaffRequest,
    on: Desk,
    part: str,
    *,
    typed: Typed | None = None,
    revision: int | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """The page; with `typed`, what was typed stands in the form in place of what the draft says."""
    found = placed(on.journey, on.document, on.templates)
    node = parts.locate(on.shape, part)
    kind = parts.kind_of(part)
    if node is None and part != parts.DOCUMENT and typed is None:
        part = kind = "rules"
        node = on.shape
        more.setdefault("notice", "It is not there any more.")
    context = {
        "journey": on.journey,
        "draft": on.version,
        "part": part,
        "kind": kind,
        "key": parts.key_of(part),
        "name": parts.name_of(on.shape, part, on.templates),
        "revision": revision or (on.version.revision if on.version else 0),
        "entries": entries(on, part, found),
        "here": [one for one in found if one.part == part],
        "remarks": found,
        "blocking": sum(one.remark.blocking for one in found),
        "choices": on.choices,
        "words": words(on, part),
        "key_is_fixed": kind == "step" and parts.key_of(part) in live_keys(on.journey),
        **_form(on, part, node, typed, found),
        **more,
    }
    title = f"Write: {on.journey.name}"
    # HTMX shows no answer that says it failed.
    return screen(
        request, "edit_journey", context, title=title, status=200 if request.htmx else status
    )


def _form(
    on: Desk,
    part: str,
    node: dict[str, Any] | None,
    typed: Typed | None,
    found: Sequence[Placed],
) -> dict[str, Any]:
    if part == parts.DOCUMENT:
        text = json.dumps(parts.ordered(on.document), ensure_ascii=False, indent=2)
        return {"text": text, "began": json.dumps(on.document)}
    fields = fields_of(on.journey, part)
    now = forms.values(fields, node) if node is not None else dict(typed.began if typed else {})
    looks = []
    for one in fields:
        raw = one.kind.show(now[one.path])
        error = typed.errors.get(one.path, "") if typed else ""
        if typed and (error or one.path in typed.touched):
            raw = dict(typed.raw[one.path])
        about = [each for each in found if each.part == part and _is_about(each.path, one.path)]
        words = conditions.in_words(on.read, now[one.path]) if one.kind.look == "condition" else ""
        looks.append(look(one, raw, on.choices, error=error, remarks=about, words=words))
    wrong = [one for one in looks if one.error]
    return {"looks": looks, "began": json.dumps(now), "wrong": wrong}


def _is_about(path: str, field: str) -> bool:
    return path == field or path.startswith(f"{field}.")


def entries(on: Desk, here: str, found: Sequence[Placed]) -> Sequence[Entry]:
    """Every part with how many remarks there are on it."""
    listed = []
    for part in (*parts.every(on.shape), parts.DOCUMENT):
        about = [one.remark.blocking for one in found if one.part == part]
        listed.append(
            Entry(
                part=part,
                name=parts.name_of(on.shape, part, on.templates),
                level=1 if parts.kind_of(part) in ("step", "milestone", "error") else 0,
                here=part == here,
                blocking=sum(about),
                advice=len(about) - sum(about),
            )
        )
    return listed


def words(on: Desk, part: str) -> Sequence[str]:
    """The part in plain words; empty while nobody can read the document."""
    if on.read is None:
        return ()
    return differences.lines_of(on.read, part, on.templates)
