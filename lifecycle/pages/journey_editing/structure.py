"""Stages, steps, milestones and errors: adding, moving and taking them out of a document."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from lifecycle.pages.journey_editing import parts
from lifecycle.pages.journey_editing.scalars import Unreadable

KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
WHAT = {"milestone": "milestone", "error": "kind of error", "stage": "stage", "step": "step"}


def added(
    document: Mapping[str, Any], kind: str, form: Mapping[str, str]
) -> tuple[dict[str, Any], str]:
    """The document with a new part of this kind, and the part's name. Raises Unreadable."""
    key, name = form.get("key", "").strip(), " ".join(form.get("name", "").split())
    if not KEY.fullmatch(key):
        raise Unreadable(
            "A key has small letters, digits, _ and -, 64 at most, such as “api_blocked”."
        )
    new = copy.deepcopy(dict(document))
    if f"{kind}.{key}" in set(parts.every(new)):
        raise Unreadable(f"There is a {WHAT[kind]} “{key}” already.")
    if kind == "step":
        _add_step(new, key, form)
        return new, f"step.{key}"
    if not name:
        raise Unreadable(f"Give the {WHAT[kind]} a name.")
    if kind == "stage":
        # The last stage always holds; what comes after it never would.
        _place(new, ("stages",)).insert(
            max(len(parts.stages(new)) - 1, 0),
            {"key": key, "name": name, "when": _first_condition(new), "steps": []},
        )
    elif kind == "milestone":
        milestone = {"key": key, "name": name, "action": "…", "expected_minutes": 1440}
        _place(new, parts.LISTS[kind]).append({**milestone, "events": []})
    else:
        error = {"key": key, "name": name, "events": [], "threshold": 3, "window_minutes": 60}
        _place(new, parts.LISTS[kind]).append(error)
    return new, f"{kind}.{key}"


def _place(document: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    """The list at this place, made where it is missing."""
    found: dict[str, Any] = document
    for name in names[:-1]:
        found = found.setdefault(name, {})
    if not isinstance(found.get(names[-1]), list):
        found[names[-1]] = list(found.get(names[-1]) or [])
    entries: list[Any] = found[names[-1]]
    return entries


def _first_condition(document: Mapping[str, Any]) -> dict[str, Any]:
    """A condition to begin with that is none of the other stages'."""
    taken = [stage.get("when") for stage in parts.stages(document)]
    for milestone in reversed(parts.listed(document, "milestone")):
        found = {"kind": "reached", "milestone": milestone["key"]}
        if found not in taken:
            return found
    return {"kind": "intent"}


def _add_step(document: dict[str, Any], key: str, form: Mapping[str, str]) -> None:
    stage = parts.locate(document, f"stage.{form.get('stage', '')}")
    if stage is None:
        raise Unreadable("The stage is not there any more.")
    match form.get("do"):
        case "email":
            if not form.get("template"):
                raise Unreadable("Choose the e-mail that is sent.")
            do = {"kind": "email", "template": form["template"], "to": "able"}
        case "alert":
            title = " ".join(form.get("title", "").split())
            if not title:
                raise Unreadable("Say in a few words what the person is called in for.")
            do = {"kind": "alert", "title": title}
        case "hand_off":
            do = {"kind": "hand_off"}
        case _:
            raise Unreadable("Choose what the step does.")
    when = stage.get("when", {}).get("kind")
    purpose = {"usable": "confirmation", "blocked": "resolution"}.get(when, "nudge")
    step = {"key": key, "purpose": purpose, "do": do, "after_minutes": 1440}
    stage["steps"] = [*parts.steps(stage), step]


def moved(document: Mapping[str, Any], part: str, *, up: bool) -> dict[str, Any]:
    """The document with the part one place further up or down; as it was at the end of its list.

    A step that leaves its stage at one end goes to the next stage. Raises Unreadable.
    """
    new = copy.deepcopy(dict(document))
    entries = _siblings(new, part)
    at = _index(entries, parts.key_of(part))
    to = at - 1 if up else at + 1
    if 0 <= to < len(entries):
        entries[at], entries[to] = entries[to], entries[at]
    elif parts.kind_of(part) == "step":
        _to_next_stage(new, entries, at, up=up)
    return new


def _to_next_stage(
    document: dict[str, Any], entries: list[dict[str, Any]], at: int, *, up: bool
) -> None:
    all_stages = parts.stages(document)
    here = next(place for place, one in enumerate(all_stages) if one.get("steps") is entries)
    to = here - 1 if up else here + 1
    if 0 <= to < len(all_stages):
        step = entries.pop(at)
        there = parts.steps(all_stages[to])
        all_stages[to]["steps"] = [*there, step] if up else [step, *there]


def removed(document: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The document without the part. Raises Unreadable."""
    new = copy.deepcopy(dict(document))
    entries = _siblings(new, part)
    del entries[_index(entries, parts.key_of(part))]
    return new


def _siblings(document: dict[str, Any], part: str) -> list[dict[str, Any]]:
    kind, key = parts.kind_of(part), parts.key_of(part)
    if kind == "step":
        for stage in parts.stages(document):
            if any(step["key"] == key for step in parts.steps(stage)):
                found: list[dict[str, Any]] = stage["steps"]
                return found
    elif kind in parts.LISTS:
        return _place(document, parts.LISTS[kind])
    raise Unreadable("It is not there any more.")


def _index(entries: list[dict[str, Any]], key: str) -> int:
    for at, entry in enumerate(entries):
        if entry["key"] == key:
            return at
    raise Unreadable("It is not there any more.")
