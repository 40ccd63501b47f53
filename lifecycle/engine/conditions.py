"""Whether a condition holds, and since when: position follows product state, never the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from lifecycle.engine.facts import Facts, Person
from lifecycle.engine.journey import (
    Activated,
    AllOf,
    Always,
    AnyOf,
    Blocked,
    BlockedAgain,
    Condition,
    HighValue,
    Intent,
    Journey,
    Milestone,
    Not,
    ProviderIn,
    Reached,
    SomebodyAble,
    Stage,
    StarterLacks,
    Trait,
    Usable,
)
from lifecycle.engine.routing import passes
from lifecycle.engine.state import Mark, SetupState


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether something holds, and since when it has been so."""

    holds: bool
    since: Mark


def next_milestone(journey: Journey, facts: Facts) -> Milestone:
    """The first milestone of the path that is not reached; the last one when all are."""
    for milestone in journey.path.milestones:
        if milestone.key not in facts.setup.reached:
            return milestone
    return journey.path.milestones[-1]


def lacks_next(journey: Journey, facts: Facts, person: Person) -> bool:
    """Whether the person may not do what comes next."""
    needed = next_milestone(journey, facts).capability
    return bool(needed) and needed not in person.capabilities


def truth(condition: Condition, journey: Journey, facts: Facts) -> Truth:
    """Evaluate the condition on the facts."""
    setup = facts.setup
    start = setup.started
    match condition:
        case Always():
            return Truth(True, start)
        case Reached(milestone=key):
            if mark := setup.reached.get(key):
                return Truth(True, _later(mark, start))
            return Truth(False, _undone(setup, key, start))
        case Usable():
            return Truth(True, setup.usable) if setup.usable else Truth(False, start)
        case Blocked(error_class=wanted):
            if setup.block and wanted in ("", setup.block.error_class):
                return Truth(True, setup.block.since)
            return Truth(False, _unblocked(setup, start))
        case BlockedAgain():
            if setup.block and setup.blocks > 1:
                return Truth(True, setup.block.since)
            if setup.block and setup.block.burst:
                return Truth(True, setup.block.burst)
            return Truth(False, _unblocked(setup, start))
        case StarterLacks():
            return _starter_lacks(journey, facts)
        case SomebodyAble():
            return _somebody_able(journey, facts)
        case ProviderIn(providers=providers):
            return Truth(setup.provider in providers, start)
        case Trait(test=test):
            return Truth(passes((test,), facts.account.traits), start)
        case HighValue():
            if journey.high_value is None:
                return Truth(False, start)
            return truth(journey.high_value, journey, facts)
        case Activated():
            return Truth(True, setup.activated) if setup.activated else Truth(False, start)
        case Intent():
            return Truth(True, setup.intent) if setup.intent else Truth(False, start)
        case Not(of=inner):
            found = truth(inner, journey, facts)
            return Truth(not found.holds, found.since)
        case AllOf(of=parts):
            return _all([truth(part, journey, facts) for part in parts], start)
        case AnyOf(of=parts):
            # Some part holds unless every part fails: the same rule with yes and no exchanged.
            found = _all(
                [Truth(not t.holds, t.since) for t in (truth(p, journey, facts) for p in parts)],
                start,
            )
            return Truth(not found.holds, found.since)
        case _:
            assert_never(condition)


def position(journey: Journey, facts: Facts) -> tuple[Stage, Mark] | None:
    """The first stage, in the order of priority, whose condition holds, and since when it is the first.

    None where no stage holds; the documents' checks see to it that the last stage always does.
    """
    since = facts.setup.started
    for stage in journey.stages:
        found = truth(stage.when, journey, facts)
        since = _later(since, found.since)
        if found.holds:
            return stage, since
    return None


def _starter_lacks(journey: Journey, facts: Facts) -> Truth:
    setup = facts.setup
    milestone = next_milestone(journey, facts)
    since = setup.started
    for mark in setup.reached.values():
        since = _later(since, mark)
    since = _undone(setup, milestone.key, since)
    starter = facts.people.get(setup.starter) if setup.starter is not None else None
    if starter is None:
        return Truth(False, since)
    lacking = not starter.member or lacks_next(journey, facts, starter)
    # The role they came with was theirs before we heard of it: an able starter never lacked anything.
    came_with_it = starter.role_since is None or (
        starter.joined_at is not None and starter.role_since <= starter.joined_at
    )
    if lacking or not came_with_it:
        since = _since(starter.role_since, since)
    return Truth(lacking, since)


def _somebody_able(journey: Journey, facts: Facts) -> Truth:
    able_since = [
        max((at for at in (person.joined_at, person.role_since) if at), default=None)
        for person in facts.people.values()
        if person.member
        and person.id != facts.setup.starter
        and not lacks_next(journey, facts, person)
    ]
    if not able_since:
        return Truth(False, facts.setup.started)
    # Somebody of whom no date is known has been here all along.
    known = [at for at in able_since if at]
    first = min(known) if len(known) == len(able_since) else None
    return Truth(True, _since(first, facts.setup.started))


def _all(parts: list[Truth], start: Mark) -> Truth:
    failing = [part.since for part in parts if not part.holds]
    if failing:
        return Truth(False, min(failing, key=lambda mark: mark.at))
    since = start
    for part in parts:
        since = _later(since, part.since)
    return Truth(True, since)


def _undone(setup: SetupState, key: str, otherwise: Mark) -> Mark:
    at = setup.unreached_at.get(key)
    return _later(otherwise, Mark(at, setup.unreached_imported.get(key))) if at else otherwise


def _unblocked(setup: SetupState, otherwise: Mark) -> Mark:
    at = setup.unblocked_at
    return _later(otherwise, Mark(at, setup.unblocked_imported_at)) if at else otherwise


def _later(one: Mark, other: Mark) -> Mark:
    """The later of two; of two at one moment the imported one, so that history stays history."""
    if one.at == other.at:
        return one if one.imported_at is not None else other
    return other if other.at > one.at else one


def _since(at: datetime | None, otherwise: Mark) -> Mark:
    return _later(otherwise, Mark(at)) if at else otherwise
