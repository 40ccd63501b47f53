"""Journeys as drafts that two people may write: what is kept however unfinished, and what is refused."""

import math
from collections.abc import Iterator
from typing import Any

from lifecycle.journeys import documents
from lifecycle.journeys.models import JourneyVersion
from messaging.drafts import Kind

# Ten years: longer than any setup. A longer time would end beyond the last date a clock can tell.
LONGEST_MINUTES = 10 * 366 * 1440
LARGEST = 10**12
MOST_SAID = 5
# Conditions within conditions. Reading tries every kind at every level, so the time doubles with each.
DEEPEST = 5
TOO_DEEP = f"Conditions within conditions go {DEEPEST} deep at most; say it more plainly."


def fault(words: Any) -> str:
    """Why these words are no journey at all, however unfinished; "" when they have the form of one."""
    return " ".join(str(problem) for problem in problems(words)[:MOST_SAID])


def problems(words: Any) -> list[documents.Problem]:
    """Everything that keeps the words from being read as a journey, by place."""
    if not isinstance(words, dict):
        return [documents.Problem("document", "A journey is a JSON object.")]
    if nests_too_deeply(words):
        return [documents.Problem("document", TOO_DEEP)]
    try:
        found = list(_unkeepable(words, ""))
        if found:
            return found
        documents.read(words)
    except documents.BadDocument as bad:
        return bad.problems
    except RecursionError:
        return [documents.Problem("document", "It is nested too deeply.")]
    return list(_twins(words))


def nests_too_deeply(value: Any) -> bool:
    """Whether conditions stand within conditions further down than `DEEPEST`."""
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > DEEPEST:
            return True
        if isinstance(one, dict):
            waiting += [(inner, depth + (name == "of")) for name, inner in one.items()]
        elif isinstance(one, list):
            waiting += [(inner, depth) for inner in one]
    return False


def _unkeepable(value: Any, place: str) -> Iterator[documents.Problem]:
    """Values that no database or clock can take."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _unkeepable(key, f"{place}.{key}".strip("."))
                yield from _unkeepable(inner, f"{place}.{key}".strip("."))
        case list():
            for at, inner in enumerate(value):
                yield from _unkeepable(inner, f"{place}.{at}".strip("."))
        case str() if "\0" in value or not _encodes(value):
            yield documents.Problem(
                _plain(place), "A character of this text cannot be stored; type it again."
            )
        case int() | float():
            most = LONGEST_MINUTES if place.endswith("_minutes") else LARGEST
            if not math.isfinite(value) or abs(value) > most:
                yield documents.Problem(_plain(place), f"At most {most:,}, please.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(place: str) -> str:
    return place.encode(errors="replace").decode().replace("\0", "?")[:200]


def _twins(document: dict[str, Any]) -> Iterator[documents.Problem]:
    """Keys that two parts share: nobody could tell which of them is written."""
    path = document["path"]
    stages = document["stages"]
    steps = [step for stage in stages for step in stage.get("steps") or ()]
    for place, entries in (
        ("path.milestones", path["milestones"]),
        ("path.errors", path["errors"]),
        ("stages", stages),
        ("stages", steps),
    ):
        keys = [entry["key"] for entry in entries]
        for key in sorted({key for key in keys if keys.count(key) > 1}):
            yield documents.Problem(place, f"The key “{key}” stands there twice.")


JOURNEYS = Kind(
    model=JourneyVersion,
    parent="journey",
    words="document",
    empty={},
    fault=fault,
    carried=("integration_type",),
)
