"""Readers to try a template on who really exist: an account's people, as things stand now."""

from collections.abc import Iterator
from datetime import datetime

from accounts.models import Account
from lifecycle.engine.conditions import position
from lifecycle.engine.facts import Person
from lifecycle.engine.journey import Email, Journey, Step
from lifecycle.engine.people import choose
from lifecycle.engine.state import SetupState
from lifecycle.journeys import words
from lifecycle.runner.definition import current
from lifecycle.runner.gather import Case, gather
from messaging.checks.remark import Sample


def real_samples(account: Account, template_key: str, *, now: datetime) -> tuple[Sample, ...]:
    """The readers whom the live journeys would choose in this account now, whether or not it is due.

    One for each setup and step that sends the template; where nobody may get it, whoever started.
    Empty where no live journey sends it to any setup of the account. Takes no lock and writes nothing.
    """
    (dossier,) = gather(current(), [account])
    found: dict[str, Sample] = {}
    for case in dossier.cases:
        for step in _steps(case.live.document, template_key):
            if person := _reader(case, step):
                sample = _sample(account, case, step, person, now)
                found.setdefault(sample.key, sample)
    return tuple(found.values())


def _steps(journey: Journey, template_key: str) -> Iterator[Step]:
    for _, step in journey.steps().values():
        if isinstance(step.do, Email) and step.do.template == template_key:
            yield step


def _reader(case: Case, step: Step) -> Person | None:
    assert isinstance(step.do, Email)
    chosen = choose(case.live.document, case.facts, step, step.do).person
    if chosen is not None or case.state.starter is None:
        return chosen
    return case.facts.people.get(case.state.starter)


def _sample(account: Account, case: Case, step: Step, person: Person, now: datetime) -> Sample:
    journey, state = case.live.document, case.state
    who = person.name or person.email or "somebody without a name"
    return Sample(
        key=f"account:{account.pk}:{step.key}:{state.key}:{person.id}",
        name=f"{who} ({person.role or 'no role'}) of {account}, {words.setup_name(journey, state)}",
        context=words.context(
            journey,
            case.facts,
            person,
            workspace=account.name,
            plan=account.plan,
            support=case.live.support,
            now=now,
        ),
        capabilities=person.capabilities,
        purpose=str(step.purpose),
        journey=journey.key,
        step=step.key,
        story=tuple(_story(journey, case, state)),
    )


def _story(journey: Journey, case: Case, state: SetupState) -> Iterator[str]:
    """How far the setup is, oldest first."""
    yield f"Started: {_moment(state.started.at)}"
    for key, mark in sorted(state.reached.items(), key=lambda entry: entry[1].at):
        yield f"{journey.path.milestone(key).name}: {_moment(mark.at)}"
    if last := state.last_error:
        yield f"{last.count} × {journey.path.error(last.error_class).name}: {_moment(last.at)}"
    if found := position(journey, case.facts):
        yield f"Now: {found[0].name}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
