"""What can happen next to a setup, as events that the very router takes for what they are meant to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, product
from typing import Any

from lifecycle.engine.fold import UNBLOCKED
from lifecycle.engine.journey import Activated, Intent, Journey, Match, Test
from lifecycle.engine.routing import Role, Router, passes
from lifecycle.engine.state import Event, SetupState
from lifecycle.engine.worlds import BEGIN, World, called, conditions, values_for

APART = timedelta(minutes=1)
"""How long after the moment before something happens."""

TRIES = 64  # combinations of values that are tried to make an event pass its tests


@dataclass(frozen=True, slots=True)
class Move:
    """Something that happens: `times` events of one kind, and how the story tells it."""

    told: str
    name: str
    person: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    times: int = 1
    apart: timedelta = APART

    def events(self, now: datetime, first_id: int) -> list[Event]:
        """The events of this move, the first of them a minute after `now`."""
        return [
            Event(
                id=first_id + number,
                name=self.name,
                at=(at := now + APART + number * self.apart),
                received_at=at,
                uid=str(first_id + number),
                person=self.person,
                properties=self.properties,
                active=self.person is not None,
            )
            for number in range(self.times)
        ]


class Moves:
    """Everything that can happen in one world of a journey, worked out once."""

    def __init__(self, journey: Journey, router: Router, world: World) -> None:
        self._journey, self._router, self._world = journey, router, world
        path = journey.path
        self.start = self._made(path.start, Role.START, "", "", provider=world.provider)
        self._reach: dict[str, list[Move]] = {}
        self._undo: dict[str, list[Move]] = {}
        for one in path.milestones:
            helper = world.helper
            self._reach[one.key] = self._made(one.events, Role.MILESTONE, one.key, one.name)
            if helper is not None:
                told = f"{one.name}, by {called(helper)}"
                self._reach[one.key] += self._made(
                    one.events, Role.MILESTONE, one.key, told, by=helper.id
                )
            self._undo[one.key] = self._made(
                one.undo, Role.UNDO, one.key, f"Taken back: {one.name}", by=None
            )
        self._once: dict[str, list[Move]] = {}
        self._many: dict[str, list[Move]] = {}
        for error in path.errors:
            many = f"{error.threshold} × {error.name} within {lasting(error.window)}"
            apart = min(APART, error.window / (error.threshold + 1))
            self._once[error.key] = (
                self._made(error.events, Role.ERROR, error.key, error.name, by=None)
                if error.threshold > 1
                else []
            )
            self._many[error.key] = self._made(
                error.events, Role.ERROR, error.key, many,
                by=None, times=error.threshold, apart=apart, message=f"{error.name} (example)",
            )  # fmt: skip
        self._activate = self._made(
            (Match(path.activation.event),), Role.ACTIVATION, "",
            f"First use: {path.activation.name}",
        )  # fmt: skip
        visited = "Somebody visited the documentation or the prices"
        self._intent = self._made(path.intent, Role.INTENT, "", visited)
        asked = [part for part in conditions(journey) if part != journey.exit.when]
        self._asks_for_intent = any(isinstance(part, Intent) for part in conditions(journey))
        self._asks_for_use = any(isinstance(part, Activated) for part in asked)

    def after(self, setup: SetupState, *, left: bool, asked: bool) -> Iterator[Move]:
        """What can happen now that makes a difference; only what reopens it where the journey was `left`.

        A colleague who was not `asked` finishes a step just as whoever started does; one finishes it
        in place of whoever has left or cannot be written to.
        """
        for key, moves in self._reach.items():
            if left:
                yield from self._undo[key] if key in setup.reached else []
                continue
            # Reported once more, a milestone says something only where it ends a block.
            if key not in setup.reached:
                yield from self._finishing(moves, asked)
                continue
            if setup.block:
                yield from moves[:1]
            yield from self._undo[key]
        if left:
            return
        if setup.usable is None:
            yield from self._errors(setup)
        if setup.block:
            yield Move("Support ended the block by hand", UNBLOCKED)
        # What only ends the journey need not be tried after every error.
        if setup.activated is None and (self._asks_for_use or setup.last_error is None):
            yield from self._activate
        if setup.intent is None and self._asks_for_intent:
            yield from self._intent

    def _finishing(self, moves: list[Move], asked: bool) -> list[Move]:
        if self._world.about:
            return moves[-1:]
        return moves if asked or self._world.starter is None else moves[:1]

    def _errors(self, setup: SetupState) -> Iterator[Move]:
        if setup.block is None:
            for key, moves in self._once.items():
                if setup.last_error is None or setup.last_error.error_class != key:
                    yield from moves
        if setup.block is None or setup.block.burst is None:
            for moves in self._many.values():
                yield from moves

    def _made(
        self,
        matches: Sequence[Match],
        role: Role,
        key: str,
        told: str,
        *,
        by: int | None = -1,
        provider: str = "",
        message: str = "",
        times: int = 1,
        apart: timedelta = APART,
    ) -> list[Move]:
        """One move for the first match for which properties can be found that mean just this."""
        person = self._world.starter if by == -1 else by
        for match in matches:
            more = {
                name: text for name, text in (("provider", provider), ("message", message)) if text
            }
            for properties in _properties(match.where, key):
                move = Move(told, match.event, person, {**more, **properties}, times, apart)
                [probe, *_] = move.events(BEGIN, 0)
                routes = self._router.routes(probe)
                if any(route.role is role and route.key == key for route in routes):
                    return [move]
        return []


def _properties(tests: Sequence[Test], likely: str) -> Iterator[dict[str, Any]]:
    """Properties that pass the tests, those with the `likely` value first where any value would do."""
    by_property: dict[str, list[Test]] = {}
    for test in tests:
        by_property.setdefault(test.property, []).append(test)
    choices = [
        [
            (name, value)
            for value in (likely, *values_for(several), None)
            if passes(several, {name: value})
        ]
        for name, several in by_property.items()
    ]
    for chosen in islice(product(*choices), TRIES):
        yield {name: value for name, value in chosen if value is not None}


def lasting(span: timedelta) -> str:
    """A length of time in plain words, to the minute."""
    minutes = int(span.total_seconds() // 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    named = [
        f"{number} {unit}{'s' if number > 1 and unit == 'day' else ''}"
        for number, unit in ((days, "day"), (hours, "h"), (minutes, "min"))
        if number
    ]
    return " ".join(named) or "a moment"
