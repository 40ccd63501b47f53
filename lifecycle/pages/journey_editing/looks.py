"""A field as its template draws it: what stands in each input, and what could be chosen."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.pages.journey_editing import scalars
from lifecycle.pages.journey_editing.fields import Field
from lifecycle.pages.journey_editing.kinds import Choice, Deed, Length, Names, Number, Text, Ticks
from lifecycle.pages.journey_editing.options import Choices
from lifecycle.pages.journey_editing.remarks import Placed

Raw = dict[str, str]
EMPTY_ROWS = 1


@dataclass(frozen=True, slots=True)
class Look:
    """One field of the form. `at` holds what its template needs besides."""

    field: Field
    raw: Raw
    error: str = ""
    remarks: Sequence[Placed] = ()
    words: str = ""
    at: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.field.path

    @property
    def id(self) -> str:
        return f"f-{self.field.path.replace('.', '-')}"

    @property
    def template(self) -> str:
        return f"pages/journey_fields/_{self.field.kind.look}.html"

    @property
    def value(self) -> str:
        return self.raw.get("", "")


def look(
    one: Field,
    raw: Raw,
    choices: Choices,
    *,
    error: str = "",
    remarks: Sequence[Placed] = (),
    words: str = "",
) -> Look:
    """The field with what stands in it; `words` say a condition in plain words."""
    more = {"units": scalars.UNITS, **_more(one, raw, choices)}
    return Look(one, raw, error, remarks, words, more)


def _more(one: Field, raw: Raw, choices: Choices) -> dict[str, Any]:
    kind = one.kind
    match kind:
        case Choice():
            return {"options": _with(choices.of(kind.among), raw.get("", "")), "none": kind.nothing}
        case Ticks():
            known = _all_with(choices.of(kind.among), list(raw))
            return {"options": [(key, label, key in raw) for key, label in known]}
        case Length():
            return {"none": kind.nothing}
        case Number():
            return {"kind": kind}
        case Text():
            return {"suggest": kind.suggest}
        case Names():
            return {"rows": rows(raw)}
        case Deed():
            lists = {name: choices.of(name) for name in ("to", "category")}
            return {
                "template": _with(choices.of("template"), raw.get("template", "")),
                **lists,
            }
    match kind.look:
        case "limits":
            return {"rows": rows(raw, {"scope": "person", "unit": "1440"})}
        case "events":
            return {"rows": [_event(at, row) for at, row in rows(raw)], "ops": choices.of("ops")}
        case "condition":
            facts = choices.of("facts")
            return {
                "rows": [(at, row, _with(facts, row.get("what", ""))) for at, row in rows(raw)],
                "ops": choices.of("ops"),
                "mode": raw.get("mode", "all"),
                "json": raw.get("json", ""),
            }
        case "test":
            return {"ops": choices.of("ops"), "raw": raw}
        case _:
            return {}


def rows(raw: Raw, empty: Raw | None = None) -> list[tuple[int, Raw]]:
    """What stands in each row, and an empty one to go on with."""
    try:
        found = scalars.rows(raw)
    except scalars.Unreadable:
        found = []
    return list(enumerate([*found, *([empty or {}] * EMPTY_ROWS)]))


def _event(at: int, row: Raw) -> dict[str, Any]:
    tests = {
        name.removeprefix("where."): text for name, text in row.items() if name.startswith("where.")
    }
    return {"at": at, "event": row.get("event", ""), "tests": rows(tests)}


def _with(options: Sequence[tuple[str, str]], value: str) -> Sequence[tuple[str, str]]:
    """The options, and the value itself where it is none of them: it must not be lost."""
    return _all_with(options, [value] if value else [])


def _all_with(
    options: Sequence[tuple[str, str]], values: Sequence[str]
) -> Sequence[tuple[str, str]]:
    known = {key for key, _ in options}
    return [
        *options,
        *((value, f"{value} (not there any more)") for value in values if value not in known),
    ]
