"""The part of JSON Schema that a tracking plan may use of an event's properties, read into a check."""

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic_core import SchemaError, SchemaValidator

PATTERN_LENGTH = 500
# They tell people something, and check nothing.
NOTES = frozenset({"title", "description", "examples", "$comment"})

Problem = dict[str, str]
Check = Callable[[Mapping[str, Any]], list[Problem]]
Test = Callable[[Any], bool]

_TYPES: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "number": frozenset({int, float}),
    "integer": frozenset({int}),
    "boolean": frozenset({bool}),
    "object": frozenset({dict}),
    "array": frozenset({list}),
    "null": frozenset({type(None)}),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a schema checks, None where that is nothing, and what of it is wrong and left out."""

    check: Check | None
    faults: tuple[str, ...]


class Fault(ValueError):
    """A part of a schema that means nothing here."""


def read(schema: Any) -> Reading:
    """The check that a schema stands for. It never raises: whatever is wrong is among the faults."""
    if not isinstance(schema, dict):
        return Reading(None, ("A schema must be an object: {…}.",))
    if not _can_be_stored(schema):
        return Reading(None, ("A schema must not hold NaN, a NUL or half a character.",))
    faults = [
        f"{keyword} is not checked here; leave it out."
        for keyword in schema
        if keyword not in ("type", "required", "properties", "$schema", "$id", *NOTES)
    ]
    if schema.get("type", "object") != "object":
        faults.append('type must be "object": it says what the properties are.')
    required = schema.get("required", [])
    if not _is_texts(required):
        faults.append('required must be a list of names: ["provider"].')
        required = []
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        faults.append('properties must be an object: {"provider": {"type": "string"}}.')
        properties = {}
    rules = []
    for name, rule in properties.items():
        tests, wrong = _tests(rule)
        faults += [f"{name}: {each}" for each in wrong]
        if tests:
            rules.append((name, tests))
    check = _check(required, rules) if required or rules else None
    return Reading(check, tuple(faults))


def _can_be_stored(schema: Mapping[str, Any]) -> bool:
    """Can a database hold what it says? That goes into the log with every event that breaks it."""
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return b"\\u0000" not in text


def _check(required: list[str], rules: list[tuple[str, list[tuple[Test, str]]]]) -> Check:
    def check(values: Mapping[str, Any]) -> list[Problem]:
        problems = [
            {"code": "schema", "path": name, "message": f"{name} is missing."}
            for name in required
            if values.get(name) in (None, "")
        ]
        for name, tests in rules:
            value = values.get(name)
            if value is None:
                continue
            for passes, said in tests:
                if not passes(value):
                    problems.append({"code": "schema", "path": name, "message": f"{name} {said}"})
                    break
        return problems

    return check


def _tests(rule: Any) -> tuple[list[tuple[Test, str]], list[str]]:
    """The tests of one property with what to say where one fails, and what is wrong with its rule."""
    if not isinstance(rule, dict):
        return [], ['its rule must be an object: {"type": "string"}.']
    faults = [
        f"{keyword} is not checked here; use {', '.join(_KEYWORDS)}."
        for keyword in rule
        if keyword not in _KEYWORDS and keyword not in NOTES
    ]
    tests = []
    for keyword, test in _KEYWORDS.items():
        if keyword in rule:
            try:
                tests.append(test(rule[keyword]))
            except Fault as fault:
                faults.append(f"{keyword} {fault}")
    return tests, faults


def _type(written: Any) -> tuple[Test, str]:
    names = [written] if isinstance(written, str) else written
    if not (_is_texts(names) and names and set(names) <= _TYPES.keys()):
        raise Fault(f"must be one or a list of: {', '.join(_TYPES)}.")
    allowed = frozenset().union(*(_TYPES[name] for name in names))
    said = f"must be of type {' or '.join(names)}."
    if "integer" not in names or float in allowed:
        return (lambda value: type(value) in allowed), said
    # To JSON 7.0 is an integer.
    return (
        lambda value: type(value) in allowed or (type(value) is float and value.is_integer())
    ), said


def _enum(written: Any) -> tuple[Test, str]:
    if not isinstance(written, list) or not written:
        raise Fault('must be a list: ["full", "part"].')
    return (lambda value: value in written), f"must be one of: {', '.join(map(str, written))}."


def _pattern(written: Any) -> tuple[Test, str]:
    if not isinstance(written, str) or len(written) > PATTERN_LENGTH:
        raise Fault(f"must be a regular expression of at most {PATTERN_LENGTH} characters.")
    matches = _matcher(written)
    return (lambda value: type(value) is not str or matches(value)), f"must match {written}."


@lru_cache(maxsize=1000)
def _matcher(pattern: str) -> Test:
    """Finds the pattern in a text, in time that grows with the text alone.

    Rust's engine does without look-around and references back, so no pattern can make an event
    take for ever (docs.rs/regex, "Untrusted input").
    """
    try:
        built = SchemaValidator({"type": "str", "pattern": pattern, "regex_engine": "rust-regex"})
    except SchemaError as error:
        raise Fault(f"cannot be read: {str(error).rpartition('error: ')[2].strip()}.") from error
    return built.isinstance_python


def _bound(says: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any], tuple[Test, str]]:
    def bound(written: Any) -> tuple[Test, str]:
        numbers = _TYPES["number"]
        if type(written) not in numbers:
            raise Fault("must be a number.")
        return (lambda value: type(value) not in numbers or holds(value, written)), (
            f"must be {says} {written}."
        )

    return bound


def _length(says: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any], tuple[Test, str]]:
    def length(written: Any) -> tuple[Test, str]:
        if type(written) is not int or written < 0:
            raise Fault("must be a whole number from 0.")
        return (lambda value: type(value) is not str or holds(len(value), written)), (
            f"must be {says} {written} characters long."
        )

    return length


# In the order in which they are tried: whatever has the wrong type is told so first.
_KEYWORDS: dict[str, Callable[[Any], tuple[Test, str]]] = {
    "type": _type,
    "enum": _enum,
    "minimum": _bound("at least", operator.ge),
    "maximum": _bound("at most", operator.le),
    "minLength": _length("at least", operator.ge),
    "maxLength": _length("at most", operator.le),
    "pattern": _pattern,
}


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
