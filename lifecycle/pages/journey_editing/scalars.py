"""Single values as people type them, and back: numbers, texts, lengths of time, lists of words."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

Raw = Mapping[str, str]
UNITS = ((1, "minutes"), (60, "hours"), (1440, "days"))
# Ten years: longer than any setup, and short enough for every clock.
LONGEST_MINUTES = 10 * 366 * 1440
MOST_ROWS = 60


class Unreadable(ValueError):
    """What was typed cannot be what it should be; the message tells whoever typed it."""


def scalar(text: str) -> Any:
    """A number, true, false or null where it reads as one, else the text; `"10"` in quotes is text."""
    text = text.strip()
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(found, list | dict) else found


def scalar_text(value: Any) -> str:
    """The value as it is typed, so that `scalar` gives it back."""
    if isinstance(value, str) and scalar(value) == value and type(scalar(value)) is str:
        return value
    return json.dumps(value, ensure_ascii=False)


def scalars(text: str) -> list[Any]:
    """Several values, with commas between them; or a JSON list, where a value has a comma."""
    if text.strip().startswith("["):
        try:
            found = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise Unreadable("This list is not complete JSON.") from None
        if any(isinstance(one, list | dict) for one in found):
            raise Unreadable("A list has texts and numbers, no lists within.")
        return list(found)
    return [scalar(one) for one in text.split(",") if one.strip()]


def scalars_text(values: Sequence[Any]) -> str:
    """The values as they are typed, so that `scalars` gives them back."""
    text = ", ".join(scalar_text(value) for value in values)
    return text if _same(values, text) else json.dumps(list(values), ensure_ascii=False)


def _same(values: Sequence[Any], text: str) -> bool:
    try:
        return scalars(text) == list(values)
    except Unreadable:
        return False


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def words(text: str) -> list[str]:
    """Several words, with commas between them; or a JSON list of texts."""
    if text.strip().startswith("["):
        return [str(one) for one in scalars(text)]
    return [one.strip() for one in text.split(",") if one.strip()]


def words_text(values: Sequence[str]) -> str:
    """The words as they are typed, so that `words` gives them back."""
    text = ", ".join(values)
    return text if words(text) == list(values) else json.dumps(list(values), ensure_ascii=False)


def number(text: str, *, least: float, most: float, whole: bool = True) -> int | float:
    """The number. Raises Unreadable, which says what was expected."""
    kind = "a whole number" if whole else "a number"
    try:
        found: int | float = int(text.strip()) if whole else float(text.strip())
    except ValueError:
        raise Unreadable(f"“{text[:40]}” is not {kind}.") from None
    if not math.isfinite(found) or not least <= found <= most:
        raise Unreadable(f"Give {kind} from {least:g} to {most:,g}.")
    return int(found) if found == int(found) else found


def length(raw: Raw, lead: str = "") -> int:
    """Whole minutes from a number and a unit. Raises Unreadable."""
    unit = raw.get(f"{lead}unit", "1")
    if unit not in {str(size) for size, _ in UNITS}:
        raise Unreadable("Choose minutes, hours or days.")
    minutes = number(raw.get(f"{lead}n", ""), least=0, most=LONGEST_MINUTES / int(unit)) * int(unit)
    return int(minutes)


def length_raw(minutes: int, lead: str = "") -> dict[str, str]:
    """The number and the largest unit that it is whole in."""
    unit = next((size for size, _ in reversed(UNITS) if minutes and minutes % size == 0), 1)
    return {f"{lead}n": str(minutes // unit), f"{lead}unit": str(unit)}


def rows(raw: Raw) -> list[dict[str, str]]:
    """The rows of a list, `0.name`, `1.name` …, in their order. Raises Unreadable for too many."""
    found: dict[int, dict[str, str]] = {}
    for name, value in raw.items():
        at, dot, rest = name.partition(".")
        if dot and at.isdecimal():
            if len(at) > 3 or int(at) >= MOST_ROWS:
                raise Unreadable(f"At most {MOST_ROWS} can be listed here.")
            found.setdefault(int(at), {})[rest] = value
    return [found[at] for at in sorted(found)]


def numbered(entries: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Rows as one raw value, for `rows` to read."""
    return {
        f"{at}.{name}": value for at, entry in enumerate(entries) for name, value in entry.items()
    }
