"""What one version of a journey says otherwise than another, in plain words, part by part."""

from collections.abc import Mapping
from dataclasses import dataclass

from lifecycle.engine.journey import Journey
from lifecycle.journeys import phrases
from lifecycle.pages.reviewing.pieces import Piece, compare

ORDER = "Stages and steps in their order"


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that differs, as a reader compares it."""

    label: str
    pieces: tuple[Piece, ...]
    is_new: bool
    is_gone: bool


def blocks(journey: Journey, templates: Mapping[str, str]) -> dict[str, list[str]]:
    """The journey's lines in plain words, by part: `path`, `rules`, `milestone.x`, `stage.x`, `step.x` …"""
    found: dict[str, list[str]] = {}
    here = section = ""
    for line in phrases.lines(journey, templates):
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            here = section = _section(line)
        elif depth == 2:
            here = _named(line, section)
        found.setdefault(here, []).append(line.strip() if depth < 4 else f"  {line.strip()}")
    return found


def _section(line: str) -> str:
    if line.startswith("Stage: "):
        return f"stage.{_key(line)}"
    return "rules" if line == "The rules" else "path" if line == "The path" else "name"


def _named(line: str, section: str) -> str:
    text = line.strip()
    if text.startswith("Milestone: "):
        return f"milestone.{_key(text)}"
    if text.startswith("Error: "):
        return f"error.{_key(text)}"
    if section.startswith("stage.") and not text.startswith("While "):
        return f"step.{_key(text)}"
    return section


def _key(line: str) -> str:
    return line.rpartition("(")[2].rstrip(")")


def between(
    old: Journey | None, new: Journey | None, templates: Mapping[str, str]
) -> tuple[Difference, ...]:
    """Every part that differs, in the order in which it is read; empty when both say the same."""
    before = blocks(old, templates) if old else {}
    after = blocks(new, templates) if new else {}
    found = [
        _difference(_label((after.get(part) or before[part])[0], part), before, after, part)
        for part in dict.fromkeys([*after, *before])
        if before.get(part) != after.get(part)
    ]
    orders = (_order(old), _order(new))
    if old and new and orders[0] != orders[1]:
        found.append(Difference(ORDER, compare(*orders), is_new=False, is_gone=False))
    return tuple(found)


def of_part(
    old: Journey, new: Journey, part: str, templates: Mapping[str, str]
) -> tuple[Piece, ...]:
    """One part as it was and as it shall be."""
    before, after = (lines_of(one, part, templates) for one in (old, new))
    return compare("\n".join(before), "\n".join(after))


def lines_of(journey: Journey, part: str, templates: Mapping[str, str]) -> list[str]:
    """One part in plain words, without its heading; the journey's name is among the general rules."""
    found = blocks(journey, templates)
    match part:
        case "rules":
            return [*found["name"], *found["rules"][1:]]
        case "path":
            return found["path"][1:]
        case _:
            return found.get(part, [])


def _difference(
    label: str, before: Mapping[str, list[str]], after: Mapping[str, list[str]], part: str
) -> Difference:
    texts = ("\n".join(side.get(part, [])) for side in (before, after))
    return Difference(label, compare(*texts), part not in before, part not in after)


def _label(line: str, part: str) -> str:
    kind, _, key = part.partition(".")
    if kind == "step":
        return f"Step {key}"
    return "Name" if kind == "name" else line


def _order(journey: Journey | None) -> str:
    said: list[str] = []
    for stage in journey.stages if journey else ():
        said.append(f"{stage.name} ({stage.key})")
        said += [f"  {step.key}" for step in stage.steps]
    return "\n".join(said)
