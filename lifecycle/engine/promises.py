"""What no mail may do, whatever a journey says: asked of every mail that `explore` sees going out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lifecycle.engine.conditions import lacks_next
from lifecycle.engine.facts import Facts, Person
from lifecycle.engine.journey import Journey, Purpose, Step

PROMISES: Mapping[str, str] = {
    "reminder_after_usable": "No reminder goes out once the integration works.",
    "nudge_while_blocked": "No reminder goes out while errors block the setup.",
    "held": "No mail but the confirmation goes out while a person takes care.",
    "confirmation_too_early": "No confirmation goes out before the integration works.",
    "task_without_capability": "Nobody is given a task that their role does not allow.",
    "twice": "Nobody gets the mail of one step twice.",
    "left_alone": "No setup comes to rest without a mail to anybody or an alert.",
}


def broken(journey: Journey, facts: Facts, step: Step, person: Person) -> Iterator[str]:
    """The promises that this mail to this person would break."""
    setup, purpose = facts.setup, step.purpose
    if purpose is Purpose.CONFIRMATION:
        if setup.usable is None:
            yield "confirmation_too_early"
    else:
        if setup.usable:
            yield "reminder_after_usable"
        if setup.held_since:
            yield "held"
    if setup.block and purpose in (Purpose.NUDGE, Purpose.ASK):
        yield "nudge_while_blocked"
    # Whoever started may be told whom to ask; the task itself goes only to somebody able.
    own_task = purpose in (Purpose.NUDGE, Purpose.RESOLUTION) or (
        purpose is Purpose.ASK and person.id != setup.starter
    )
    if own_task and lacks_next(journey, facts, person):
        yield "task_without_capability"
    if any(run.person == person.id and not run.bounced for run in facts.runs_of(step.key)):
        yield "twice"
