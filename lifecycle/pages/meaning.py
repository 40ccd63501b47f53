"""What the live journeys make of an event, in words."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifecycle.engine.journey import Journey, Match, Test
from lifecycle.engine.routing import Role


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that a journey makes of an event name, where the tests hold."""

    journey: str
    journey_key: str
    integration_type: str
    role: Role
    key: str
    event: str
    where: tuple[Test, ...]
    does: str

    @property
    def condition(self) -> str:
        """When it applies: "where environment is production", or nothing."""
        return f"where {conditions(self.where)}" if self.where else ""


def uses(document: Journey) -> Iterator[Use]:
    """Everything that the journey listens to, in the order of its path."""
    path = document.path

    def of(role: Role, key: str, matches: Iterable[Match], does: str) -> Iterator[Use]:
        for match in matches:
            yield Use(
                document.name, document.key, document.integration_type, role, key, match.event,
                match.where, does,
            )  # fmt: skip

    yield from of(Role.START, "", path.start, "starts a setup")
    for step in path.milestones:
        yield from of(Role.MILESTONE, step.key, step.events, f"reaches “{step.name}”")
    for error in path.errors:
        yield from of(Role.ERROR, error.key, error.events, f"counts as “{error.name}”")
    for step in path.milestones:
        yield from of(Role.UNDO, step.key, step.undo, f"takes back “{step.name}”")
    first = (Match(path.activation.event),)
    yield from of(Role.ACTIVATION, "", first, f"shows the first value: {path.activation.name}")
    yield from of(Role.INTENT, "", path.intent, "shows interest")


def by_event(documents: Iterable[Journey]) -> Mapping[str, Sequence[Use]]:
    """Every use of these journeys, by event name."""
    found: dict[str, list[Use]] = defaultdict(list)
    for document in documents:
        for use in uses(document):
            found[use.event].append(use)
    return found


def conditions(tests: Iterable[Test]) -> str:
    """Tests of properties as the middle of a sentence."""
    return " and ".join(map(_condition, tests))


def _condition(test: Test) -> str:
    listed = test.value if isinstance(test.value, tuple) else (test.value,)
    values = ", ".join(map(_value, listed))
    match test.op:
        case "eq":
            return f"{test.property} is {values}"
        case "ne":
            return f"{test.property} is not {values}"
        case "in":
            return f"{test.property} is one of {values}"
        case "not_in":
            return f"{test.property} is none of {values}"
        case "exists":
            return f"{test.property} is given"
        case "gte":
            return f"{test.property} is at least {values}"
        case "lte":
            return f"{test.property} is at most {values}"


def _value(value: object) -> str:
    if value is None:
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)
