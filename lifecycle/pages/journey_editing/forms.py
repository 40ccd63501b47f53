"""One part of a journey as a form, and what somebody typed into it laid over the part, value by value.

A value is written only where what was typed differs from what stood there when the form was opened. So
an untouched form changes nothing, and two who change different values of one part do not undo each other.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.pages.journey_editing.fields import Field
from lifecycle.pages.journey_editing.kinds import Kind, Options
from lifecycle.pages.journey_editing.scalars import Unreadable

Raw = dict[str, str]


@dataclass(frozen=True, slots=True)
class Typed:
    """What a submitted form says: the values that were touched, and what nobody can read, by path."""

    raw: Mapping[str, Raw]
    began: Mapping[str, Any]
    touched: Mapping[str, Any]
    errors: Mapping[str, str]


def values(fields: Sequence[Field], part: Mapping[str, Any]) -> dict[str, Any]:
    """What the part says, by path, as plain JSON."""
    found: dict[str, Any] = json.loads(
        json.dumps({field.path: field.value(part) for field in fields})
    )
    return found


def shown(fields: Sequence[Field], part: Mapping[str, Any]) -> dict[str, Raw]:
    """The inputs' values of a form that nobody has touched."""
    now = values(fields, part)
    return {field.path: field.kind.show(now[field.path]) for field in fields}


def read(
    fields: Sequence[Field], form: Mapping[str, str], began: Mapping[str, Any], options: Options
) -> Typed:
    """What was typed, compared with `began`, the values that stood there when the form was opened."""
    raw: dict[str, Raw] = {field.path: {} for field in fields}
    for name, text in form.items():
        path, _, rest = name.partition(":")
        if path in raw:
            raw[path][rest] = text.replace("\r\n", "\n")
    touched: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in fields:
        before = began.get(field.path)
        try:
            if is_touched(field.kind, raw[field.path], before):
                value = field.kind.read(raw[field.path])
                if why := field.kind.unknown(value, options):
                    raise Unreadable(why)
                touched[field.path] = value
        except Unreadable as why_not:
            errors[field.path] = str(why_not)
    return Typed(raw, began, touched, errors)


def is_touched(kind: Kind, raw: Raw, before: Any) -> bool:
    """Whether what was typed means something else than what stood there. Raises Unreadable."""
    stood = kind.show(before)
    if _filled(raw) == _filled(stood):
        return False
    value = kind.read(raw)
    try:
        return not kind.same(value, kind.read(stood))
    except Unreadable:
        # What stood there cannot be typed like this; what was typed can.
        return True


def _filled(raw: Raw) -> Raw:
    return {name: text for name, text in raw.items() if text}


def apply(
    fields: Sequence[Field], part: dict[str, Any], touched: Mapping[str, Any]
) -> dict[str, Any]:
    """The part with the touched values, and nothing else, changed."""
    new = copy.deepcopy(part)
    for field in fields:
        if field.path in touched:
            value = touched[field.path]
            field.put(new, field.kind.merged(field.value(part), value))
    return new


def began(fields: Sequence[Field], form: Mapping[str, str]) -> dict[str, Any]:
    """What stood there when the form was opened, as the form says. Raises ValueError for one not ours."""
    found = json.loads(form["began"])
    if not isinstance(found, dict) or set(found) != {field.path for field in fields}:
        raise ValueError("This is not the form of this part.")
    for field in fields:
        field.kind.show(found[field.path])
    return found
