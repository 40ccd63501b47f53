"""The kinds of fields that a journey's forms have: a value as inputs, and what was typed as a value.

`show` gives the inputs' values by their names within the field, `read` takes them back and raises
Unreadable; `same` tells whether two values mean the same. What a field does not show, it never changes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from lifecycle.pages.journey_editing import conditions
from lifecycle.pages.journey_editing.scalars import (
    Raw,
    Unreadable,
    length,
    length_raw,
    number,
    numbered,
    rows,
    words,
    words_text,
)
from lifecycle.pages.whole_number import whole_number

CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
MOST_LETTERS = 400


@dataclass(frozen=True, slots=True)
class Kind:
    """What every kind of field is; `look` names its template."""

    look: ClassVar[str] = "text"

    def show(self, value: Any) -> dict[str, str]:
        raise NotImplementedError

    def read(self, raw: Raw) -> Any:
        raise NotImplementedError

    def same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and bool(one == other)

    def merged(self, old: Any, new: Any) -> Any:  # noqa: ARG002
        """The new value as it is written over the old one."""
        return new

    def unknown(self, value: Any, options: "Options") -> str:  # noqa: ARG002
        """Why this value cannot be chosen, or ""."""
        return ""


class Options(Protocol):
    """What may be chosen, as (value, label), by the name of the list."""

    def of(self, name: str) -> Sequence[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """One line of text; `suggest` names the list that is offered while typing."""

    required: bool = False
    suggest: str = ""

    def show(self, value: Any) -> dict[str, str]:
        return {"": str(value)}

    def read(self, raw: Raw) -> str:
        text = " ".join(raw.get("", "").split())
        if self.required and not text:
            raise Unreadable("This cannot be empty.")
        if len(text) > MOST_LETTERS:
            raise Unreadable(f"At most {MOST_LETTERS} characters, please.")
        return text


@dataclass(frozen=True, slots=True)
class Clock(Kind):
    """A time of day."""

    look: ClassVar[str] = "clock"

    def show(self, value: Any) -> dict[str, str]:
        return {"": str(value)}

    def read(self, raw: Raw) -> str:
        text = raw.get("", "").strip()
        if not CLOCK.fullmatch(text):
            raise Unreadable("Write the time as HH:MM, such as 08:30.")
        return text


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A number between two others."""

    look: ClassVar[str] = "number"
    least: float = 0
    most: float = 1_000_000
    whole: bool = True
    unit: str = ""

    def show(self, value: Any) -> dict[str, str]:
        return {"": f"{value:g}" if isinstance(value, float) else str(value)}

    def read(self, raw: Raw) -> int | float:
        return number(raw.get("", ""), least=self.least, most=self.most, whole=self.whole)

    def same(self, one: Any, other: Any) -> bool:
        # 5 and 5.0 are one number.
        return bool(one == other)


@dataclass(frozen=True, slots=True)
class Length(Kind):
    """A length of time, as a number and its unit; with `nothing`, also none, in these words."""

    look: ClassVar[str] = "length"
    nothing: str = ""

    def show(self, value: Any) -> dict[str, str]:
        return {"n": "", "unit": "none"} if value is None else length_raw(value)

    def read(self, raw: Raw) -> int | None:
        if self.nothing and raw.get("unit") == "none":
            return None
        return length(raw)


@dataclass(frozen=True, slots=True)
class Switch(Kind):
    """Yes or no."""

    look: ClassVar[str] = "switch"

    def show(self, value: Any) -> dict[str, str]:
        return {"": "on"} if value else {}

    def read(self, raw: Raw) -> bool:
        return raw.get("", "") == "on"


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a list; with `nothing`, also none of it, in these words."""

    look: ClassVar[str] = "choice"
    among: str = ""
    nothing: str = ""
    what: str = "choice"

    def show(self, value: Any) -> dict[str, str]:
        return {"": str(value)}

    def read(self, raw: Raw) -> str:
        return raw.get("", "")

    def unknown(self, value: Any, options: Options) -> str:
        known = {key for key, _ in options.of(self.among)} | ({""} if self.nothing else set())
        return "" if value in known else f"There is no {self.what} “{str(value)[:60]}”."


@dataclass(frozen=True, slots=True)
class Ticks(Kind):
    """Some of a list; `numbers` where they are kept as numbers."""

    look: ClassVar[str] = "ticks"
    among: str = ""
    numbers: bool = False

    def show(self, value: Any) -> dict[str, str]:
        return {str(one): "on" for one in value}

    def read(self, raw: Raw) -> list[Any]:
        ticked = [name for name, value in raw.items() if value == "on"]
        if not self.numbers:
            return ticked
        return [number for name in ticked if (number := whole_number(name)) is not None]

    def same(self, one: Any, other: Any) -> bool:
        return sorted(one) == sorted(other)

    def unknown(self, value: Any, options: Options) -> str:
        known = {key for key, _ in options.of(self.among)}
        strange = [one for one in value if str(one) not in known]
        return f"There is no “{str(strange[0])[:60]}” to choose." if strange else ""


@dataclass(frozen=True, slots=True)
class Words(Kind):
    """Several words, with commas between them."""

    def show(self, value: Any) -> dict[str, str]:
        return {"": words_text(value)}

    def read(self, raw: Raw) -> list[str]:
        return words(raw.get("", ""))


@dataclass(frozen=True, slots=True)
class Names(Kind):
    """Keys and their names."""

    look: ClassVar[str] = "names"

    def show(self, value: Any) -> dict[str, str]:
        return numbered([{"key": key, "name": name} for key, name in value])

    def read(self, raw: Raw) -> list[list[str]]:
        found = []
        for row in rows(raw):
            key, name = row.get("key", "").strip(), row.get("name", "").strip()
            if name and not key:
                raise Unreadable(f"Say which provider “{name[:40]}” is the name of.")
            if key:
                found.append([key, name])
        return found


@dataclass(frozen=True, slots=True)
class Limits(Kind):
    """At most so many mails in a rolling time, per person or account."""

    look: ClassVar[str] = "limits"

    def show(self, value: Any) -> dict[str, str]:
        return numbered(
            [
                {
                    "limit": str(one["limit"]),
                    "scope": one["scope"],
                    **length_raw(one["window_minutes"]),
                }
                for one in value
            ]
        )

    def read(self, raw: Raw) -> list[dict[str, Any]]:
        found = []
        for row in rows(raw):
            if not row.get("limit", "").strip():
                if row.get("n", "").strip():
                    raise Unreadable("Say how many mails, or empty the time as well.")
                continue
            if row.get("scope") not in ("person", "account"):
                raise Unreadable("A limit is per person or per account.")
            limit = number(row["limit"], least=0, most=1000)
            found.append({"scope": row["scope"], "limit": limit, "window_minutes": length(row)})
        return found


@dataclass(frozen=True, slots=True)
class Events(Kind):
    """Events, each with the tests that its properties pass."""

    look: ClassVar[str] = "events"

    def show(self, value: Any) -> dict[str, str]:
        shown = []
        for match in value:
            tests = numbered([conditions.show_test(test) for test in match.get("where", ())])
            shown.append(
                {
                    "event": match["event"],
                    **{f"where.{name}": text for name, text in tests.items()},
                }
            )
        return numbered(shown)

    def read(self, raw: Raw) -> list[dict[str, Any]]:
        found = []
        for row in rows(raw):
            tests = rows(
                {
                    name.removeprefix("where."): text
                    for name, text in row.items()
                    if name.startswith("where.")
                }
            )
            where = [test for each in tests if (test := conditions.read_test(each)) is not None]
            event = row.get("event", "").strip()
            if not event and where:
                raise Unreadable("Name the event whose properties are tested.")
            if event:
                found.append({"event": event, **({"where": where} if where else {})})
        return found

    def same(self, one: Any, other: Any) -> bool:
        return [_tested(match) for match in one] == [_tested(match) for match in other]


def _tested(match: Mapping[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    return match["event"], [
        {**test, "op": test.get("op", "eq")} for test in match.get("where") or ()
    ]


@dataclass(frozen=True, slots=True)
class Holds(Kind):
    """A condition."""

    look: ClassVar[str] = "condition"

    def show(self, value: Any) -> dict[str, str]:
        return conditions.show(value)

    def read(self, raw: Raw) -> dict[str, Any]:
        return conditions.read(raw)


@dataclass(frozen=True, slots=True)
class OfAccount(Kind):
    """A test of one property of the account, or none."""

    look: ClassVar[str] = "test"

    def show(self, value: Any) -> dict[str, str]:
        return {} if value is None else conditions.show_test(value["test"])

    def read(self, raw: Raw) -> dict[str, Any] | None:
        test = conditions.read_test(raw)
        return None if test is None else {"kind": "trait", "test": test}


# What each kind of deed has, with the value that need not be written.
DEEDS: Mapping[str, Mapping[str, str | None]] = {
    "email": {"template": None, "to": None, "capability": "", "category": "setup_help"},
    "alert": {"title": None},
    "hand_off": {},
}


@dataclass(frozen=True, slots=True)
class Deed(Kind):
    """What a step does: send an e-mail, call in a person, hand off."""

    look: ClassVar[str] = "deed"

    def show(self, value: Any) -> dict[str, str]:
        defaults = {name: text or "" for name, text in DEEDS[value["kind"]].items()}
        return {**defaults, **{name: str(text) for name, text in value.items()}}

    def read(self, raw: Raw) -> dict[str, Any]:
        kind = raw.get("kind", "")
        if kind not in DEEDS:
            raise Unreadable("Choose what the step does.")
        found = {name: raw.get(name, text or "").strip() for name, text in DEEDS[kind].items()}
        if kind == "alert" and not found["title"]:
            raise Unreadable("Say in a few words what the person is called in for.")
        if kind == "email" and not found["template"]:
            raise Unreadable("Choose the e-mail that is sent.")
        return {"kind": kind, **found}

    def same(self, one: Any, other: Any) -> bool:
        return self.show(one) == self.show(other)

    def merged(self, old: Any, new: Any) -> dict[str, Any]:
        before = old if old.get("kind") == new["kind"] else {}
        defaults = DEEDS[new["kind"]]
        return {
            name: text
            for name, text in new.items()
            if name in before or name == "kind" or text != defaults[name]
        }

    def unknown(self, value: Any, options: Options) -> str:
        if value["kind"] != "email":
            return ""
        for name, what in (("template", "e-mail"), ("to", "reader"), ("category", "kind of mail")):
            if value[name] not in {key for key, _ in options.of(name)}:
                return f"There is no {what} “{value[name][:60]}”."
        return "" if value["capability"] in ("", "next") else "Choose who may get it."
