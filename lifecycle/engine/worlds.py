"""The small worlds that `explore` runs forward: who is in an account, with what, and who started it.

What a journey cannot tell apart is not tried twice: of the roles that grant the same of what the path
needs, and of the providers that no condition and no test distinguishes, one stands for all of them
(`situations.as_provider` and `as_role` put another in its place).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from lifecycle.engine.facts import Person
from lifecycle.engine.journey import (
    AllOf,
    AnyOf,
    Condition,
    Journey,
    Match,
    Not,
    ProviderIn,
    Test,
    Trait,
)
from lifecycle.engine.routing import passes

BEGIN = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
"""A Tuesday morning: when every small world begins. Any date would do."""

SOME_PROVIDER = "some_provider"
"""A provider that the journey has never heard of."""

TRAITS_AT_MOST = 16  # ways in which an account's traits may differ that are tried
STARTER = 1


@dataclass(frozen=True, slots=True)
class Cast:
    """Who there can be: each role with what it grants. Nobody's role grants what is not listed."""

    roles: tuple[tuple[str, frozenset[str]], ...]

    @staticmethod
    def of(roles: Mapping[str, frozenset[str]]) -> Cast:
        """The cast of these roles, in the order of their names."""
        return Cast(tuple(sorted(roles.items())))


@dataclass(frozen=True, slots=True)
class World:
    """One account at the moment when a setup starts. `about`: what is special about who started it."""

    provider: str
    people: tuple[Person, ...]
    starter: int | None
    traits: Mapping[str, Any]
    about: str = ""

    def person(self, person_id: int | None) -> Person | None:
        """The member of that id."""
        return next((person for person in self.people if person.id == person_id), None)

    @property
    def others(self) -> tuple[Person, ...]:
        """Everybody but whoever started it."""
        return tuple(person for person in self.people if person.id != self.starter)

    @property
    def helper(self) -> Person | None:
        """The first of the others."""
        return next(iter(self.others), None)


def conditions(journey: Journey) -> Iterator[Condition]:
    """Every condition of the document, with its parts."""
    roots = [journey.entry.when, journey.exit.when]
    roots += [stage.when for stage in journey.stages]
    roots += [step.when for stage in journey.stages for step in stage.steps]
    if journey.high_value is not None:
        roots.append(journey.high_value)
    for root in roots:
        yield from parts(root)


def parts(condition: Condition) -> Iterator[Condition]:
    """The condition and everything it is made of."""
    yield condition
    match condition:
        case Not(of=inner):
            yield from parts(inner)
        case AllOf(of=several) | AnyOf(of=several):
            for one in several:
                yield from parts(one)


def matches(journey: Journey) -> Iterator[Match]:
    """Every match of the path."""
    path = journey.path
    yield from path.start
    yield from path.intent
    for milestone in path.milestones:
        yield from milestone.events
        yield from milestone.undo
    for error in path.errors:
        yield from error.events


# --- providers ------------------------------------------------------------------------------------


def providers(journey: Journey) -> tuple[str, ...]:
    """The providers worth trying: those the journey names, one that it does not, and none."""
    named = [key for key, _ in journey.provider_names]
    named += [
        key
        for part in conditions(journey)
        if isinstance(part, ProviderIn)
        for key in part.providers
    ]
    named += list(journey.entry.manual_providers)
    named += [str(value) for test in _provider_tests(journey) for value in _listed(test)]
    return tuple(dict.fromkeys([*named, SOME_PROVIDER, ""]))


def kinds_of_provider(journey: Journey) -> dict[str, str]:
    """Each provider with the one that stands for it: the first that the journey cannot tell from it."""
    first: dict[tuple[bool, ...], str] = {}
    return {key: first.setdefault(_told_apart(journey, key), key) for key in providers(journey)}


def _told_apart(journey: Journey, provider: str) -> tuple[bool, ...]:
    answers = [provider in journey.entry.manual_providers]
    for part in conditions(journey):
        if isinstance(part, ProviderIn):
            answers.append(provider in part.providers)
    properties = {"provider": provider} if provider else {}
    answers += [passes((test,), properties) for test in _provider_tests(journey)]
    return tuple(answers)


def _provider_tests(journey: Journey) -> list[Test]:
    return [
        test for match in matches(journey) for test in match.where if test.property == "provider"
    ]


def _listed(test: Test) -> tuple[Any, ...]:
    return (
        test.value if isinstance(test.value, tuple) else () if test.value is None else (test.value,)
    )


# --- people ---------------------------------------------------------------------------------------


def needed(journey: Journey) -> frozenset[str]:
    """What the path asks of people."""
    return frozenset(one.capability for one in journey.path.milestones if one.capability)


def kinds_of_role(journey: Journey, cast: Cast) -> dict[frozenset[str], list[str]]:
    """The roles by what they grant of what the path needs; the empty role grants nothing."""
    wanted = needed(journey)
    kinds: dict[frozenset[str], list[str]] = {}
    for role, granted in cast.roles:
        kinds.setdefault(granted & wanted, []).append(role)
    kinds.setdefault(frozenset(), []).append("")
    return kinds


def _member(number: int, name: str, role: str, cast: Cast, **more: Any) -> Person:
    address = f"{name.lower()}@customer.example"
    long_ago = BEGIN - timedelta(days=100 - number)
    return Person(
        id=number,
        email=address,
        address=address,
        name=f"{name} Example",
        role=role,
        capabilities=dict(cast.roles).get(role, frozenset()),
        joined_at=long_ago,
        role_since=long_ago,
        **more,
    )


def called(person: Person) -> str:
    """The person as the story calls them."""
    return f"{person.name.split()[0]} ({person.role or 'no role'})"


def _starters(journey: Journey, cast: Cast) -> Iterator[tuple[Person | None, str]]:
    """Everybody who may have started, with what is to be said about them besides."""
    kinds = kinds_of_role(journey, cast)
    able: Person | None = None
    for granted in sorted(kinds, key=lambda kind: (-len(kind), sorted(kind))):
        roles = kinds[granted]
        # Whoever starts is rarely somebody who would be asked.
        role = next((one for one in roles if one not in journey.ask_order), roles[0])
        person = _member(STARTER, "Dana", role, cast)
        able = able or person
        yield person, ""
    if able is not None:
        yield replace(able, suppressed="bounce"), "who cannot be written to"
        yield replace(able, member=False), "who has left since"
    yield None, ""


def _colleagues(journey: Journey, cast: Cast) -> list[tuple[Person, ...]]:
    """Nobody else; somebody who may do nothing; two who may do everything, and the former."""
    kinds = kinds_of_role(journey, cast)
    wanted = needed(journey)
    unable = _member(4, "Vera", kinds[frozenset()][0], cast) if wanted else None
    ranks = {role: rank for rank, role in enumerate(journey.ask_order)}
    full = sorted(kinds.get(wanted, []), key=lambda role: (ranks.get(role, len(ranks)), role))
    found: list[tuple[Person, ...]] = []
    lame = (unable,) if unable is not None else ()
    if full:
        second = full[1] if len(full) > 1 and full[1] in ranks else full[0]
        found.append((_member(2, "Ada", full[0], cast), _member(3, "Otto", second, cast), *lame))
    if lame:
        found.append(lame)
    found.append(())
    return found


def worlds(journey: Journey, cast: Cast) -> list[World]:
    """Every account worth trying, the plainest first."""
    kinds = dict.fromkeys(kinds_of_provider(journey).values())
    return [
        World(
            provider,
            (*((starter,) if starter else ()), *others),
            starter.id if starter else None,
            traits,
            about,
        )
        for traits in traits_for([p.test for p in conditions(journey) if isinstance(p, Trait)])
        for provider in kinds
        for starter, about in _starters(journey, cast)
        for others in _colleagues(journey, cast)
    ]


def chosen(everything: Sequence[World]) -> list[World]:
    """The worlds to run forward: one special thing at a time, with everybody's abilities in full."""
    plain = everything[0]

    def specials(world: World) -> int:
        special_starter = bool(world.about) or world.starter is None
        return (
            (world.traits != plain.traits)
            + (world.provider != plain.provider)
            + special_starter
            + (world.others != plain.others)
        )

    return [world for world in everything if specials(world) <= 1]


def opening(journey: Journey, world: World) -> tuple[str, ...]:
    """How every story of this world begins, in plain words."""
    starter = world.person(world.starter)
    provider = dict(journey.provider_names).get(world.provider, world.provider.replace("_", " "))
    chosen = f" with {provider}" if provider else ""
    told = [f"A setup started{chosen}; by whom is not known"]
    if starter is not None:
        about = f", {world.about}," if world.about else ""
        told = [f"{called(starter)}{about} started{chosen}"]
    others = [called(person) for person in world.others]
    told.append(f"In the account too: {', '.join(others)}" if others else "Nobody else is there")
    told += [f"The account's {name} is {value}" for name, value in world.traits.items()]
    return tuple(told)


# --- traits ---------------------------------------------------------------------------------------


def traits_for(tests: Sequence[Test]) -> list[dict[str, Any]]:
    """Traits that answer these tests in different ways, at most `TRAITS_AT_MOST` of them."""
    by_property: dict[str, list[Test]] = {}
    for test in tests:
        by_property.setdefault(test.property, []).append(test)
    choices = [
        [(name, value) for value in (None, *values_for(several))]
        for name, several in sorted(by_property.items())
    ]
    found: dict[tuple[bool, ...], dict[str, Any]] = {}
    for chosen in product(*choices):
        traits = {name: value for name, value in chosen if value is not None}
        found.setdefault(tuple(passes((test,), traits) for test in tests), traits)
        if len(found) == TRAITS_AT_MOST:
            break
    return list(found.values())


def values_for(tests: Sequence[Test]) -> list[Any]:
    """Values worth trying for the property that these tests are about: those named, and others."""
    named = [value for test in tests for value in _listed(test)]
    numbers = [
        value for value in named if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    near = [number + step for number in numbers for step in (-1, 1)]
    return list({repr(value): value for value in (*named, "something else", *near)}.values())
