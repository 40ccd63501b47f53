"""What a journey needs to be told, which part is the minimum, and what of it has been seen."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal

from events import naming, traffic
from events.models import Event, EventType
from events.traffic import Traffic
from lifecycle.engine.journey import Journey, Test, Trait
from lifecycle.engine.routing import Role, passes
from lifecycle.pages import meaning
from lifecycle.pages.meaning import Use

SECTIONS = {
    Role.START: "The start",
    Role.MILESTONE: "The steps",
    Role.ERROR: "Errors",
    Role.UNDO: "What takes a step back",
    Role.ACTIVATION: "First value",
    Role.INTENT: "Interest",
}
# The fewest kinds of errors that useful branches need.
ERRORS_IN_MINIMUM = 2
_KINDS = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
    "object": "object", "array": "list",
}  # fmt: skip
Standing = Literal["never", "not counting", "failing", "quiet", "seen"]


@dataclass(frozen=True)
class Property:
    """One property of an event, from its schema and from what the journey tests."""

    name: str
    kind: str
    required: bool
    about: str
    decides: bool


@dataclass(frozen=True)
class Needed:
    """One event that the journey listens to, and what has been seen of it."""

    name: str
    uses: tuple[Use, ...]
    about: str
    planned: bool
    arrives_as: tuple[str, ...]
    properties: tuple[Property, ...]
    example: Mapping[str, Any]
    minimum: str
    without: str
    traffic: Traffic
    standing: Standing
    trouble: str

    @property
    def role(self) -> Role:
        return self.uses[0].role


@dataclass(frozen=True)
class Part:
    """One part of the minimum: any one of these events will do."""

    role: Role
    key: str
    label: str
    events: tuple[str, ...]
    seen: bool


@dataclass(frozen=True)
class Call:
    """An identify or group call that the journey relies on, and what each trait is for."""

    name: str
    traits: tuple[tuple[str, str], ...]
    traffic: Traffic


@dataclass(frozen=True)
class Plan:
    """Everything that one journey needs to be told."""

    document: Journey
    events: tuple[Needed, ...]
    minimum: tuple[Part, ...]
    calls: tuple[Call, ...]
    since: datetime | None

    @property
    def sections(self) -> Iterator[tuple[str, list[Needed]]]:
        """The events by what they are for."""
        for role, title in SECTIONS.items():
            if mine := [event for event in self.events if event.role is role]:
                yield title, mine

    @property
    def seen(self) -> int:
        """How many parts of the minimum have been seen."""
        return sum(part.seen for part in self.minimum)

    @property
    def missing(self) -> list[Part]:
        return [part for part in self.minimum if not part.seen]

    @property
    def in_trouble(self) -> int:
        """How many events arrive, but not as they should."""
        return sum(event.standing in ("failing", "not counting") for event in self.events)


def plans(documents: Sequence[Journey], *, now: datetime) -> list[Plan]:
    """What each of these journeys needs; the number of queries does not depend on them."""
    by_event = meaning.by_event(documents)
    week = traffic.of_week({*by_event, *traffic.CALLS}, now=now)
    types = EventType.objects.in_bulk(by_event, field_name="name")
    latest = _read(traffic.latest(by_event))
    aliases: dict[str, list[str]] = defaultdict(list)
    for theirs, (ours, _) in naming.current().names.items():
        aliases[ours].append(theirs)
    found = []
    for document in documents:
        mine: dict[str, list[Use]] = defaultdict(list)
        for use in meaning.uses(document):
            mine[use.event].append(use)
        minimum = list(_minimum(document, mine, week.by_name, latest))
        events = tuple(
            _needed(
                name,
                uses,
                types.get(name),
                aliases[name],
                week.by_name[name],
                latest[name],
                minimum,
            )
            for name, uses in mine.items()
        )
        calls = _calls(document, week.by_name)
        found.append(Plan(document, events, tuple(minimum), calls, week.since))
    return found


def _read(rows: Iterable[Event]) -> Mapping[str, list[tuple[Event, Mapping[str, Any]]]]:
    """The events by our name, with their properties as we read them."""
    names = naming.current()
    found: dict[str, list[tuple[Event, Mapping[str, Any]]]] = defaultdict(list)
    for row in rows:
        name, properties = names.read(row.name, row.properties)
        found[name].append((row, properties))
    return found


def _minimum(
    document: Journey,
    uses: Mapping[str, Sequence[Use]],
    seen: Mapping[str, Traffic],
    latest: Mapping[str, list[tuple[Event, Mapping[str, Any]]]],
) -> Iterator[Part]:
    """Start, every step (the last is the completion), and the first kinds of errors."""
    path = document.path
    wanted = [(Role.START, "", "the start")]
    wanted += [(Role.MILESTONE, step.key, step.name) for step in path.milestones]
    wanted += [(Role.ERROR, error.key, error.name) for error in path.errors[:ERRORS_IN_MINIMUM]]
    for role, key, label in wanted:
        alike = [u for each in uses.values() for u in each if (u.role, u.key) == (role, key)]
        # What proves this step by the way (a success proves the key) is asked for where it is the step itself.
        own = [
            u for u in alike if {(each.role, each.key) for each in uses[u.event]} == {(role, key)}
        ]
        alike = own or alike
        counts = any(
            any(passes(use.where, said) for _, said in latest[use.event])
            if use.where
            else seen[use.event].last_seen_at is not None
            for use in alike
        )
        yield Part(role, key, label, tuple(dict.fromkeys(use.event for use in alike)), counts)


def _needed(
    name: str,
    uses: Sequence[Use],
    row: EventType | None,
    aliases: Sequence[str],
    seen: Traffic,
    latest: Sequence[tuple[Event, Mapping[str, Any]]],
    minimum: Sequence[Part],
) -> Needed:
    others = sorted(
        {each for part in minimum if name in part.events for each in part.events} - {name}
    )
    is_part = any(name in part.events for part in minimum)
    label = f"minimum: this or {' or '.join(others)}" if others else "minimum"
    standing, trouble = _standing(uses, seen, latest)
    schema = row.schema if row and isinstance(row.schema, dict) else {}
    return Needed(
        name=name,
        uses=tuple(uses),
        about=row.description if row else "",
        planned=bool(row and row.planned),
        arrives_as=tuple(sorted(aliases)),
        properties=tuple(_properties(schema, [test for use in uses for test in use.where])),
        example=row.example if row and isinstance(row.example, dict) else {},
        minimum=label if is_part else "",
        without=_without(_main(name, uses, minimum)),
        traffic=seen,
        standing=standing,
        trouble=trouble,
    )


def _main(name: str, uses: Sequence[Use], minimum: Iterable[Part]) -> Use:
    """Of several things that a journey makes of the event, the one that it is asked for."""
    asked = {(part.role, part.key) for part in minimum if name in part.events}
    return next((use for use in uses if (use.role, use.key) in asked), uses[0])


def _standing(
    uses: Sequence[Use], seen: Traffic, latest: Sequence[tuple[Event, Mapping[str, Any]]]
) -> tuple[Standing, str]:
    """How the event arrives, and what is wrong with it where something is."""
    if seen.last_seen_at is None:
        return "never", ""
    if latest and not any(passes(use.where, said) for use in uses for _, said in latest):
        looked = f"the last {len(latest)}" if len(latest) > 1 else "the only one"
        wish = " or ".join(dict.fromkeys(meaning.conditions(use.where) for use in uses))
        return "not counting", f"Counts for nothing here: in none of {looked}, {wish}."
    if seen.broken:
        problems = [problem for row, _ in latest for problem in row.problems or ()]
        said = problems[0].get("message", "") if problems else ""
        share = f"{100 * seen.share_broken:.0f} %" if seen.share_broken >= 0.01 else "under 1 %"
        return "failing", f"{share} are not as they should be. {said}".strip()
    return ("seen" if seen.total else "quiet"), ""


def _properties(schema: Mapping[str, Any], tests: Sequence[Test]) -> Iterator[Property]:
    """What the schema says, and what only the journey asks for; the required ones first."""
    rules = schema.get("properties")
    rules = rules if isinstance(rules, dict) else {}
    required = schema.get("required")
    required = set(map(str, required)) if isinstance(required, list) else set()
    tested = {test.property for test in tests}
    names = dict.fromkeys([*rules, *tested])
    for name in sorted(names, key=lambda name: (name not in required, name not in tested)):
        rule = rules.get(name)
        rule = rule if isinstance(rule, dict) else {}
        about = str(rule.get("description") or "")
        if isinstance(rule.get("enum"), list):
            about = f"{about} One of: {', '.join(map(str, rule['enum']))}.".strip()
        yield Property(name, _kind(rule.get("type")), name in required, about, name in tested)


def _kind(types: Any) -> str:
    listed = types if isinstance(types, list) else [types]
    return " or ".join(_KINDS[one] for one in map(str, listed) if one in _KINDS)


def _without(use: Use) -> str:
    """What stays off where this event never comes."""
    match use.role:
        case Role.START:
            return (
                "Nobody is on the journey before the first step is done, "
                "so nobody who stops before it gets help."
            )
        case Role.MILESTONE:
            return (
                "Everybody counts as not having done this step: they are reminded of it after "
                "doing it, and no setup that needs it ever counts as working."
            )
        case Role.ERROR:
            return (
                "Nobody gets the checklist for it and no alert opens, "
                "while ordinary reminders go on although it fails."
            )
        case Role.UNDO:
            return "What stopped working still counts as done, and nobody hears of it."
        case Role.ACTIVATION:
            return "The journey does not notice that the account has moved on to its first value."
        case Role.INTENT:
            return "Nobody is listed as having high intent without completion."


def _calls(document: Journey, seen: Mapping[str, Traffic]) -> tuple[Call, ...]:
    tested = {each.test.property for each in _traits(document)} - {"value", "plan"}
    group = [
        ("role", "who may do which step, and whom to ask; an unknown role may do nothing"),
        ("name", "what the account is called in mails and on our pages"),
        ("plan", "for conditions, and for whoever works an alert"),
        ("value", "what the account is worth a year; high value calls in a person sooner"),
        ("timezone", "when to write, for people whose own time zone is unknown"),
        *((name, "the journey asks for it") for name in sorted(tested)),
    ]
    identify = [
        ("email", "where to write; without it nothing can be sent to the person"),
        ("name", "how to greet them"),
        ("timezone", "when to write"),
    ]
    return (
        Call("identify", tuple(identify), seen["identify"]),
        Call("group", tuple(group), seen["group"]),
    )


def _traits(part: Any) -> Iterator[Trait]:
    """Every test of an account's trait anywhere in a document."""
    if isinstance(part, Trait):
        yield part
    elif is_dataclass(part):
        for field in fields(part):
            yield from _traits(getattr(part, field.name))
    elif isinstance(part, tuple):
        for each in part:
            yield from _traits(each)
