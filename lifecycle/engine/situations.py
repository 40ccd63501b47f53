"""What an exploration finds: the situations in which mails go out, and the promises that are broken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from lifecycle.engine.facts import Facts, Person
from lifecycle.engine.journey import Email, Journey, Step
from lifecycle.engine.worlds import Cast, World, opening


@dataclass(frozen=True, slots=True)
class Situation:
    """A mail that goes out: what is known at that moment, to whom it goes, and how it came to that."""

    step: Step
    stage: str
    facts: Facts
    person: Person
    now: datetime
    world: World
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that the journey breaks, with the shortest story in which it does."""

    promise: str
    step: str
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was found. `bound` names the limits that were hit; empty where everything was seen.

    `never_held` and `never_done` are the stages and steps that nothing leads to: a stage no product state
    lets hold, and a step that was never due. Without bounds the former is certain.
    """

    situations: tuple[Situation, ...]
    violations: tuple[Violation, ...]
    never_held: tuple[str, ...]
    never_done: tuple[str, ...]
    bound: tuple[str, ...]
    states: int

    def of_template(self, template: str) -> tuple[Situation, ...]:
        """The situations in which a template is sent."""
        return tuple(
            one
            for one in self.situations
            if isinstance(one.step.do, Email) and one.step.do.template == template
        )


def as_provider(journey: Journey, situation: Situation, provider: str) -> Situation:
    """The same with another provider that the journey cannot tell from this one."""
    setup = situation.facts.setup
    keys = tuple(f"provider:{provider}" if provider else "" for _ in setup.keys)
    facts = replace(situation.facts, setup=replace(setup, provider=provider, keys=keys))
    world = replace(situation.world, provider=provider)
    return _retold(journey, situation, facts, world)


def as_role(journey: Journey, cast: Cast, situation: Situation, role: str) -> Situation:
    """The same with a starter of another role that grants the same of what the path needs."""
    starter = situation.world.person(situation.world.starter)
    if starter is None:
        return situation
    granted = dict(cast.roles).get(role, frozenset())
    other = replace(starter, role=role, capabilities=granted)
    people = {**situation.facts.people, other.id: other}
    world = replace(situation.world, people=tuple(people.values()))
    facts = replace(situation.facts, people=people)
    return _retold(journey, situation, facts, world)


def _retold(journey: Journey, situation: Situation, facts: Facts, world: World) -> Situation:
    before = opening(journey, situation.world)
    story = (*opening(journey, world), *situation.story[len(before) :])
    person = facts.people[situation.person.id]
    return replace(situation, facts=facts, person=person, world=world, story=story)
