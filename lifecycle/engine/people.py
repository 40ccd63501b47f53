"""Who gets a mail: exactly one person, by a stated order, with the reason for the choice.

The chains, the first eligible person of each being chosen:

- `starter`: whoever started; for a confirmation, then whoever made it usable.
- `able`: the starter if able, then everybody else who is, in the asking order.
- `other_able`: everybody able but the starter, in the asking order, each asked once per enrolment.
- `asked`: whoever was asked and then reached a milestone.

The asking order: by role as the journey lists them, then by how long they have been members, then by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from lifecycle.engine.conditions import lacks_next
from lifecycle.engine.facts import Facts, PassedOver, Person
from lifecycle.engine.journey import Email, Journey, Purpose, Step, To
from lifecycle.engine.reasons import Reason

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Choice:
    """The one person, or None, why, and who was passed over."""

    person: Person | None
    reason: Reason
    passed_over: tuple[PassedOver, ...]


def choose(journey: Journey, facts: Facts, step: Step, email: Email) -> Choice:
    """The accountable recipient of a step."""
    passed: list[PassedOver] = []
    seen: set[int] = set()
    for person_id, why in _chain(journey, facts, step, email):
        if person_id in seen:
            continue
        seen.add(person_id)
        person = facts.people.get(person_id)
        refusal = (
            Reason.UNKNOWN_PERSON if person is None else refuse(journey, facts, step, email, person)
        )
        if person is not None and refusal is None:
            return Choice(person, why, tuple(passed))
        passed.append(PassedOver(person_id, refusal or Reason.UNKNOWN_PERSON))
    return Choice(None, Reason.NOBODY, tuple(passed))


def _chain(
    journey: Journey, facts: Facts, step: Step, email: Email
) -> Iterator[tuple[int, Reason]]:
    setup = facts.setup
    finishers = list(setup.reached_by.values())[::-1]
    match email.to:
        case To.STARTER:
            if setup.starter is not None:
                yield setup.starter, Reason.STARTED_IT
            if step.purpose is Purpose.CONFIRMATION:
                yield from ((person, Reason.FINISHED_IT) for person in finishers)
        case To.ABLE:
            if setup.starter is not None:
                yield setup.starter, Reason.STARTED_IT
            for person in in_asking_order(journey, facts):
                yield person.id, Reason.ABLE_IN_ORDER
        case To.OTHER_ABLE:
            for person in in_asking_order(journey, facts):
                if person.id != setup.starter:
                    yield person.id, Reason.ABLE_IN_ORDER
        case To.ASKED:
            asked = _asked(journey, facts)
            yield from ((person, Reason.FINISHED_IT) for person in finishers if person in asked)


def in_asking_order(journey: Journey, facts: Facts) -> list[Person]:
    """The account's people in the order in which they would be asked."""
    ranks = {role: rank for rank, role in enumerate(journey.ask_order)}
    return sorted(
        (person for person in facts.people.values() if person.member),
        key=lambda person: (
            ranks.get(person.role, len(ranks)),
            person.joined_at or LONG_AGO,
            person.id,
        ),
    )


def refuse(
    journey: Journey, facts: Facts, step: Step, email: Email, person: Person
) -> Reason | None:
    """Why this person may not get this step's mail; None if they may."""
    if not person.member:
        return Reason.LEFT
    needs_ability = email.capability == "next" or email.to in (To.ABLE, To.OTHER_ABLE)
    if needs_ability and lacks_next(journey, facts, person):
        return Reason.LACKS_CAPABILITY
    if not person.address:
        return Reason.NO_ADDRESS
    if person.suppressed:
        return Reason.SUPPRESSED
    if email.category in person.refuses:
        return Reason.NO_CONSENT
    if not _outreach_allowed(facts, person):
        return Reason.NO_OUTREACH
    if email.to is To.OTHER_ABLE and person.id in _asked(journey, facts, other_than=step.key):
        return Reason.ALREADY_ASKED
    if any(run.person == person.id and run.bounced for run in facts.runs_of(step.key)):
        return Reason.BOUNCED_BEFORE
    if (
        journey.skip_completed_elsewhere
        and step.purpose is Purpose.NUDGE
        and journey.integration_type in person.completed
    ):
        return Reason.COMPLETED_ELSEWHERE
    return None


def _outreach_allowed(facts: Facts, person: Person) -> bool:
    """Whoever started, or has worked on this setup themselves, may always be written to about it."""
    setup = facts.setup
    if person.id == setup.starter or person.id in setup.actors:
        return True
    match facts.account.outreach:
        case "yes":
            return True
        case "never":
            return False
        case "same_domain":
            starter = facts.people.get(setup.starter) if setup.starter is not None else None
            if starter is None or not starter.address:
                return False
            return _domain(starter.address) == _domain(person.address)


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _asked(journey: Journey, facts: Facts, other_than: str = "") -> frozenset[int]:
    """People who were asked, by any step of this enrolment whose purpose is to ask a colleague."""
    steps = journey.steps()
    return frozenset(
        run.person
        for run in facts.runs
        if run.person is not None
        and run.step_key != other_than
        and run.step_key in steps
        and steps[run.step_key][1].purpose is Purpose.ASK
        and run.person != facts.setup.starter
    )
