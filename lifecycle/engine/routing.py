"""What an event means to the paths, and what it names; worked out once per set of live journeys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lifecycle.engine.journey import Match, Path, Test
from lifecycle.engine.state import Event


class Role(IntEnum):
    """What an event means to a path, in the order in which one moment's events are taken.

    Undo comes last: it sees what was reported at its own moment, and gives way to it.
    """

    START = 0
    ERROR = 1
    MILESTONE = 2
    ACTIVATION = 3
    INTENT = 4
    UNDO = 5


ACCOUNT_WIDE = frozenset({Role.ACTIVATION, Role.INTENT})
"""What these say is about every setup of the path, unless they name one."""


@dataclass(frozen=True, slots=True)
class Route:
    """One meaning that an event name has."""

    integration_type: str
    role: Role
    key: str
    where: tuple[Test, ...]


def passes(tests: Sequence[Test], properties: Mapping[str, Any]) -> bool:
    """Whether every test holds. Values of different kinds compare as unequal, never raise."""
    return all(_passes(test, properties.get(test.property)) for test in tests)


def _passes(test: Test, value: Any) -> bool:
    match test.op:
        case "exists":
            return value is not None
        case "eq":
            return _same(value, test.value)
        case "ne":
            return not _same(value, test.value)
        case "in" | "not_in":
            listed = test.value if isinstance(test.value, tuple) else ()
            found = any(_same(value, wanted) for wanted in listed)
            return found if test.op == "in" else not found
        case "gte" | "lte":
            wanted = test.value
            if not _is_number(value) or not isinstance(wanted, int | float):
                return False
            return bool(value >= wanted if test.op == "gte" else value <= wanted)


def _same(value: Any, wanted: Any) -> bool:
    # To Python True is 1; to whoever wrote the test it is not.
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Router:
    """What the live paths make of an event: integration type → path, by event name."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = dict(paths)
        self._routes: dict[str, list[Route]] = {}
        for integration_type, path in sorted(self.paths.items()):
            self._add(integration_type, Role.START, "", path.start)
            for milestone in path.milestones:
                self._add(integration_type, Role.MILESTONE, milestone.key, milestone.events)
                self._add(integration_type, Role.UNDO, milestone.key, milestone.undo)
            for error in path.errors:
                self._add(integration_type, Role.ERROR, error.key, error.events)
            activation = Match(path.activation.event)
            self._add(integration_type, Role.ACTIVATION, "", (activation,))
            self._add(integration_type, Role.INTENT, "", path.intent)
        # The rank of each name; those that can mean things of different rank are left out, because
        # their properties decide.
        self._ranks = {
            name: routes[0].role
            for name, routes in self._routes.items()
            if len({route.role for route in routes}) == 1
        }

    def _add(self, kind: str, role: Role, key: str, matches: Sequence[Match]) -> None:
        for match in matches:
            self._routes.setdefault(match.event, []).append(Route(kind, role, key, match.where))

    @property
    def names(self) -> frozenset[str]:
        """Every event name that means anything to a path."""
        return frozenset(self._routes)

    def completing(self) -> frozenset[str]:
        """Names of events that reach a milestone somewhere."""
        return frozenset(
            name
            for name, routes in self._routes.items()
            if any(route.role is Role.MILESTONE for route in routes)
        )

    def rank(self, event: Event) -> int:
        """Where the event stands among those of the same moment."""
        rank = self._ranks.get(event.name)
        if rank is not None:
            return rank
        return min((route.role for route in self.routes(event)), default=len(Role))

    def routes(self, event: Event) -> list[Route]:
        """What this event means, its properties considered.

        Among error classes of one path the one with the most tests is meant, so that
        "missing scope" is not counted as a plain failure as well; and each meaning counts once,
        by however many of its matches the event is caught.
        """
        named = self._routes.get(event.name)
        if not named:
            return []
        kind = kind_of(event)
        if len(named) == 1 and not named[0].where:
            elsewhere = kind and kind != named[0].integration_type and kind in self.paths
            return [] if elsewhere else named
        fitting = [
            route for route in named if not route.where or passes(route.where, event.properties)
        ]
        if kind and any(route.integration_type == kind for route in named):
            fitting = [route for route in fitting if route.integration_type == kind]
        elif kind and kind in self.paths:
            return []
        if len(fitting) < 2:
            return fitting
        sharpest: dict[tuple[str, Role], int] = {}
        for route in fitting:
            if route.role is Role.ERROR:
                place = (route.integration_type, route.role)
                sharpest[place] = max(sharpest.get(place, 0), len(route.where))
        meant = {
            (route.integration_type, route.role, route.key): route
            for route in fitting
            if len(route.where) >= sharpest.get((route.integration_type, route.role), 0)
        }
        return list(meant.values())


def _text(value: Any) -> str:
    """An id or provider as text; anything that is not one is none."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()[:255]


def provider_of(event: Event) -> str:
    """The provider an event names, in small letters, or nothing."""
    return _text(event.properties.get("provider")).lower()[:120]


def kind_of(event: Event) -> str:
    """The integration type an event names, or nothing."""
    return _text(event.properties.get("integration_type"))


def integration_id_of(event: Event) -> str:
    """The integration an event names by its id, or nothing."""
    return _text(event.properties.get("integration_id"))
