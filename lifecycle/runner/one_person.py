"""People known under two ids: what was said about an id that they gave up is about the one they became."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from accounts.models import Person
from lifecycle.engine import facts as engine
from lifecycle.engine.state import AccountState
from lifecycle.runner.history import History

Raw = tuple[str, str, str, int | None]


def follow(
    histories: Mapping[int, History],
    people: Mapping[int, Mapping[int, engine.Person]],
    runs: Mapping[int, list[tuple[Raw, engine.Run | None]]],
) -> None:
    """Let folds and step runs name people by the id they have now. One query, if any id may be an old one.

    A merge rewrites the log of the accounts that the person belongs to, and of no other; and it
    leaves the step runs alone, for they are not known where it happens.
    """
    # Whoever is a member somewhere now has not become somebody else.
    members = {pk for known in people.values() for pk, person in known.items() if person.member}
    states = [history.state for history in histories.values()]
    told = (run.person for rows in runs.values() for _, run in rows if run and run.person)
    named = {person for state in states for person in _named(state)} | set(told)
    became = became_whom(named - members)
    if not became:
        return
    for state in states:
        _rename(state, became)
    for rows in runs.values():
        for place, (raw, run) in enumerate(rows):
            if run and run.person in became:
                rows[place] = (raw, replace(run, person=became[run.person]))


def became_whom(person_ids: Iterable[int]) -> dict[int, int]:
    """Those of these ids that were given up, and the id that each person has now."""
    wanted = set(person_ids)
    if not wanted:
        return {}
    given_up = Person.objects.filter(pk__in=wanted, merged_into__isnull=False)
    return {old: new for old, new in given_up.values_list("pk", "merged_into_id") if new}


def _named(state: AccountState) -> Iterator[int]:
    yield from state.active
    for setup in state.setups:
        yield from setup.actors
        yield from setup.reached_by.values()
        if setup.starter is not None:
            yield setup.starter


def _rename(state: AccountState, became: Mapping[int, int]) -> None:
    state.active = _latest(state.active, became)
    for setup in state.setups:
        setup.actors = _latest(setup.actors, became)
        setup.reached_by = {key: became.get(who, who) for key, who in setup.reached_by.items()}
        if setup.starter is not None:
            setup.starter = became.get(setup.starter, setup.starter)


def _latest(seen: Mapping[int, datetime], became: Mapping[int, int]) -> dict[int, datetime]:
    found: dict[int, datetime] = {}
    for person, at in seen.items():
        now_is = became.get(person, person)
        found[now_is] = max(at, found.get(now_is, at))
    return found
