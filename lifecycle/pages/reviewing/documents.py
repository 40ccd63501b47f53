"""A journey's document as lines that a person can compare: where, and what stands there."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from lifecycle.pages.templatetags.wording import span

# What an entry of a list is called, the first of these that it has.
NAMES = ("name", "key", "event", "template", "kind", "capability")
CONDITIONS = ("when", "usable")


def lines(document: Mapping[str, Any]) -> dict[str, str]:
    """Everything the document says, as place → value, in its order."""
    return dict(_lines(document, ()))


def _lines(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping() if "kind" in value and place and place[-1].lower() in CONDITIONS:
            yield " › ".join(place), condition(value)
        case Mapping():
            for key, inner in value.items():
                yield from _lines(inner, (*place, _label(key)))
        case list() | tuple() if any(isinstance(one, Mapping) for one in value):
            names = _names(value)
            # What stands first is tried first, so the order says something too.
            yield " › ".join((*place, "order")), ", ".join(names)
            for name, inner in zip(names, value, strict=True):
                yield from _lines(inner, (*place, name))
        case list() | tuple():
            yield " › ".join(place), ", ".join(_text(one, "") for one in value)
        case _:
            yield " › ".join(place), _text(value, place[-1] if place else "")


def in_words(document: Mapping[str, Any], place: str) -> str:
    """A place such as `stages.0.steps.1.do.template` as `lines` names it; what is not there as it is."""
    found: list[str] = []
    here: Any = document
    for part in place.split("."):
        match here:
            case Mapping() if part in here:
                found.append(_label(part))
                here = here[part]
            case list() | tuple() if part.isdecimal() and int(part) < len(here):
                found.append(_names(here)[int(part)])
                here = here[int(part)]
            case _:
                found.append(_label(part))
                here = None
    return " › ".join(found)


def condition(value: Any) -> str:
    """A condition in words: "all of (reached: key_created; not (blocked))"."""
    if not isinstance(value, Mapping):
        return str(value)
    kind = str(value.get("kind", "")).replace("_", " ")
    inner = value.get("of")
    if isinstance(inner, list | tuple):
        return f"{kind} of ({'; '.join(condition(one) for one in inner)})"
    if isinstance(inner, Mapping):
        return f"{kind} ({condition(inner)})"
    rest = [
        _text(one, key) for key, one in value.items() if key != "kind" and one not in ("", None)
    ]
    return f"{kind}: {', '.join(rest)}" if rest else kind


def _label(key: str) -> str:
    return key.removesuffix("_minutes").replace("_", " ").capitalize()


def _names(entries: Sequence[Any]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        named = (entry.get(name) for name in NAMES) if isinstance(entry, Mapping) else (entry,)
        name = base = str(next(filter(None, named), "entry"))
        number = 1
        while name in found:
            number += 1
            name = f"{base} ({number})"
        found.append(name)
    return found


def _text(value: Any, label: str) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and label.lower() in ("after", "late after", "expected", "window"):
        return span(timedelta(minutes=value))
    return str(value)
