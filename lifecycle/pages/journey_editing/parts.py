"""The parts of a journey's document that are written one at a time: `rules`, `path`, `stage.blocked` …

A part is named by its key, never by its place, so that a colleague who moves it does not mix them up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from lifecycle.engine import journey as language

DOCUMENT = "document"
# Kind of part → where its list stands.
LISTS: Mapping[str, tuple[str, ...]] = {
    "milestone": ("path", "milestones"),
    "error": ("path", "errors"),
    "stage": ("stages",),
}


def listed(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The list that parts of this kind stand in; empty where the document has none."""
    found: Any = document
    for name in LISTS[kind]:
        found = found.get(name) or {}
    return found or []


def stages(document: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    return document.get("stages") or []


def steps(stage: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    return stage.get("steps") or []


def all_steps(document: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every step with its stage, in their order."""
    for stage in stages(document):
        for step in steps(stage):
            yield stage, step


def kind_of(part: str) -> str:
    return part.partition(".")[0]


def key_of(part: str) -> str:
    return part.partition(".")[2]


def locate(document: dict[str, Any], part: str) -> dict[str, Any] | None:
    """The part within the document, to read or to write; None where it is not there."""
    kind, key = kind_of(part), key_of(part)
    match kind:
        case "rules" if not key:
            return document
        case "path" if not key:
            path: dict[str, Any] = document.setdefault("path", {})
            return path
        case "step":
            return next((step for _, step in all_steps(document) if step["key"] == key), None)
        case _ if kind in LISTS:
            return next((one for one in listed(document, kind) if one["key"] == key), None)
        case _:
            return None


def every(document: Mapping[str, Any]) -> Iterator[str]:
    """Every part's name, in the order in which it is read."""
    yield from ("rules", "path")
    yield from (f"milestone.{one['key']}" for one in listed(document, "milestone"))
    yield from (f"error.{one['key']}" for one in listed(document, "error"))
    for stage in stages(document):
        yield f"stage.{stage['key']}"
        yield from (f"step.{step['key']}" for step in steps(stage))


def part_at(document: Mapping[str, Any], place: str) -> tuple[str, str]:
    """The part that a place of the document belongs to, and the field's path within it."""
    match place.split("."):
        case ["stages", at, "steps", step, *rest] if _there(stages(document), at) and _there(
            steps(stages(document)[int(at)]), step
        ):
            key = steps(stages(document)[int(at)])[int(step)]["key"]
            return f"step.{key}", ".".join(rest)
        case ["stages", at, *rest] if _there(stages(document), at):
            return f"stage.{stages(document)[int(at)]['key']}", ".".join(rest)
        case ["path", ("milestones" | "errors") as name, at, *rest] if _there(
            listed(document, name[:-1]), at
        ):
            kind = name[:-1]
            return f"{kind}.{listed(document, kind)[int(at)]['key']}", ".".join(rest)
        case ["path", *rest]:
            return "path", ".".join(rest)
        case ["stages"]:
            return DOCUMENT, place
        case _:
            return "rules", place


def _there(entries: Sequence[Any], at: str) -> bool:
    return at.isdecimal() and int(at) < len(entries)


def name_of(document: Mapping[str, Any], part: str, templates: Mapping[str, str]) -> str:
    """What the part is called."""
    kind, key = kind_of(part), key_of(part)
    match kind:
        case "rules":
            return "General rules"
        case "path":
            return "The path"
        case "document":
            return "The whole document"
        case "step":
            step = next((step for _, step in all_steps(document) if step["key"] == key), None)
            return step_name(step, templates) if step else key
        case _ if kind in LISTS:
            found = next((one for one in listed(document, kind) if one["key"] == key), None)
            return str(found["name"]) if found else key
        case _:
            return key


def step_name(step: Mapping[str, Any], templates: Mapping[str, str]) -> str:
    """What a step is called: its e-mail, or what a person is called in for."""
    match step["do"]:
        case {"kind": "email", "template": key}:
            return templates.get(key, key)
        case {"kind": "alert", "title": title}:
            return f"Alert: {title}"
        case _:
            return "Hand-off"


# The language's own order, for a database may keep an object's keys in another.
_CLASSES = (
    language.Journey, language.Path, language.Milestone, language.ErrorClass, language.Stage,
    language.Step, language.Email, language.Cap, language.Hours, language.Entry,
)  # fmt: skip
_ORDER = list(
    dict.fromkeys(["key", "name", "kind", *(one.name for each in _CLASSES for one in fields(each))])
)


def ordered(value: Any) -> Any:
    """The same document with its keys in the order in which people read them."""
    if isinstance(value, dict):
        known = sorted(
            value, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)
        )
        return {name: ordered(value[name]) for name in known}
    return [ordered(one) for one in value] if isinstance(value, list) else value
