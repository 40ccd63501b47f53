"""Conditions as rows of a form: all or any of some facts, each so or not so; what is deeper, as JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lifecycle.engine.journey import Condition, Journey
from lifecycle.journeys import documents, phrases
from lifecycle.journeys.documents import form_problems
from lifecycle.journeys.drafting import TOO_DEEP, nests_too_deeply
from lifecycle.pages.journey_editing.scalars import (
    Raw,
    Unreadable,
    numbered,
    rows,
    scalar,
    scalar_text,
    scalars,
    scalars_text,
    words,
    words_text,
)

_ADAPTER: TypeAdapter[Condition] = documents.adapter(documents.ByKind)
ALWAYS = {"kind": "always"}
PLAIN = (
    "usable",
    "blocked",
    "blocked_again",
    "starter_lacks",
    "somebody_able",
    "high_value",
    "activated",
    "intent",
)
OPS = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "not_in": "is none of",
    "exists": "is known",
    "gte": "is at least",
    "lte": "is at most",
}
LISTS = ("in", "not_in")


def read_condition(text: Any) -> Condition:
    """The condition that a JSON value describes. Raises Unreadable with every problem."""
    if nests_too_deeply(text):
        raise Unreadable(TOO_DEEP)
    try:
        return _ADAPTER.validate_json(json.dumps(text))
    except ValidationError as error:
        said = "; ".join(str(problem) for problem in form_problems(error, text))
        raise Unreadable(f"This is no condition of a journey: {said[:600]}") from None
    except RecursionError:
        raise Unreadable("This is nested too deeply.") from None


def in_words(journey: Journey | None, value: Any) -> str:
    """The condition as half a sentence, or "" while nobody can read it."""
    if journey is None:
        return ""
    try:
        return phrases.condition(journey, read_condition(value))
    except Unreadable:
        return ""


def show(value: Any) -> dict[str, str]:
    """The condition as the form has it."""
    kind = value.get("kind")
    of = value.get("of")
    if kind in ("all", "any") and isinstance(of, list) and of:
        facts = [_row(one) for one in of]
        mode = kind
    elif value == ALWAYS:
        facts, mode = [], "all"
    else:
        facts, mode = [_row(value)], "all"
    if None in facts:
        return {"mode": "json", "json": json.dumps(value, ensure_ascii=False, indent=1)}
    return {"mode": mode, **numbered([fact for fact in facts if fact is not None])}


def _row(value: Any) -> dict[str, str] | None:
    """One fact, or None where it is more than a row can say."""
    said = "yes"
    if isinstance(value, dict) and value.get("kind") == "not":
        said, value = "no", value.get("of")
    if not isinstance(value, dict):
        return None
    row = {"is": said, "what": str(value.get("kind", ""))}
    match value:
        case {"kind": "reached", "milestone": key}:
            row["what"] = f"reached:{key}"
        case {"kind": "blocked", "error_class": key} if key:
            row["what"] = f"blocked:{key}"
        case {"kind": "provider_in", "providers": keys}:
            row["providers"] = words_text(keys)
        case {"kind": "trait", "test": test}:
            row |= show_test(test)
        case {"kind": kind} if kind in PLAIN:
            pass
        case _:
            return None
    return row


def show_test(test: Mapping[str, Any]) -> dict[str, str]:
    """A test of a property or trait as three inputs."""
    op: str = test.get("op", "eq")
    value: Any = test.get("value")
    listed = op in LISTS
    text = "" if op == "exists" else scalars_text(value) if listed else scalar_text(value)
    return {"property": test["property"], "op": op, "value": text}


def read_test(raw: Mapping[str, str]) -> dict[str, Any] | None:
    """The test, or None where no property is named. Raises Unreadable."""
    named, op = raw.get("property", "").strip(), raw.get("op", "eq")
    text = raw.get("value", "")
    if not named:
        if text.strip():
            raise Unreadable(f"Say which property “{text.strip()[:40]}” is the value of.")
        return None
    if op not in OPS:
        raise Unreadable("Choose how the value is compared.")
    if op == "exists":
        return {"property": named, "op": op}
    if op in LISTS:
        return {"property": named, "op": op, "value": scalars(text)}
    if not text.strip():
        raise Unreadable(f"Give the value that “{named}” is compared with.")
    return {"property": named, "op": op, "value": scalar(text)}


def read(raw: Raw) -> dict[str, Any]:
    """The condition that the form describes. Raises Unreadable."""
    mode = raw.get("mode", "all")
    if mode == "json":
        return _from_json(raw.get("json", ""))
    if mode not in ("all", "any"):
        raise Unreadable("Choose whether all or any of the facts are needed.")
    facts = [fact for row in rows(raw) if (fact := _fact(row)) is not None]
    if not facts:
        return dict(ALWAYS)
    return facts[0] if len(facts) == 1 else {"kind": mode, "of": facts}


def _from_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"This is not JSON: {error}.") from None
    except RecursionError:
        raise Unreadable("This is nested too deeply.") from None
    read_condition(value)
    return dict(value)


def _fact(row: Mapping[str, str]) -> dict[str, Any] | None:
    what, _, named = row.get("what", "").partition(":")
    fact: dict[str, Any] = {"kind": what}
    match what:
        case "":
            return None
        case "reached":
            fact["milestone"] = named
        case "blocked" if named:
            fact["error_class"] = named
        case "provider_in":
            fact["providers"] = words(row.get("providers", ""))
            if not fact["providers"]:
                raise Unreadable("Name at least one provider.")
        case "trait":
            fact["test"] = read_test(row)
            if fact["test"] is None:
                raise Unreadable("Name the account's property that is compared.")
        case _ if what not in PLAIN:
            raise Unreadable("Choose a fact from the list.")
    return {"kind": "not", "of": fact} if row.get("is") == "no" else fact


def facts_of(journey: Journey | None) -> Sequence[tuple[str, str]]:
    """Every fact that a row can name, in words."""
    found = [(kind, _said(journey, {"kind": kind})) for kind in PLAIN]
    if journey is not None:
        milestones = [
            (f"reached:{one.key}", f"“{one.name}” is reached") for one in journey.path.milestones
        ]
        errors = [
            (f"blocked:{one.key}", f"the setup is blocked by “{one.name}”")
            for one in journey.path.errors
        ]
        found = [*milestones, *found[:2], *errors, *found[2:]]
    return [
        *found,
        ("provider_in", "the provider is one of …"),
        ("trait", "a property of the account …"),
    ]


def _said(journey: Journey | None, value: Mapping[str, str]) -> str:
    return in_words(journey, value) or value["kind"].replace("_", " ")
