"""Successes that could belong to several setups or accounts, and so hold reminders until staff place them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account, Membership
from events import naming
from events.models import Event
from lifecycle.journeys.words import setup_name
from lifecycle.runner.definition import current
from lifecycle.runner.gather import Case
from lifecycle.runner.plan import Plan

MOST_SHOWN = 20


@dataclass(frozen=True)
class Place:
    """Where a success may belong: a setup of this account, or one of the person's accounts."""

    label: str
    detail: str = ""
    setup_id: int | None = None
    account_id: int | None = None


@dataclass(frozen=True)
class Doubt:
    """One success in doubt, and every place that it may have."""

    event_id: int
    title: str
    """What was reached, as the journey calls it."""
    name: str
    at: datetime
    who: str
    about: str
    places: tuple[Place, ...]


def in_doubt(account: Account, plan: Plan) -> list[Doubt]:
    """What waits to be placed and concerns this account, oldest first; at most `MOST_SHOWN` of each kind."""
    paths = [live.document.path for live in current().journeys.values()]
    titles = {
        match.event: milestone.name
        for path in paths
        for milestone in path.milestones
        for match in milestone.events
    }
    return [*_among_setups(plan, titles), *_among_accounts(account, titles)]


def _among_setups(plan: Plan, titles: Mapping[str, str]) -> Iterator[Doubt]:
    state = plan.dossier.state
    cases = {id(case.state): case for case in plan.dossier.cases}
    waiting = []
    for one in state.unplaced:
        setups = [setup for name in one.candidates if (setup := state.setup(*name))]
        # What came before the present attempt, or when all of them work, holds nothing any more.
        if any(setup.is_open and one.at >= setup.started.at for setup in setups):
            waiting.append((one, [cases[id(setup)] for setup in setups]))
    rows = Event.objects.select_related("person").in_bulk([one.event_id for one, _ in waiting])
    for one, candidates in waiting[:MOST_SHOWN]:
        if row := rows.get(one.event_id):
            yield _doubt(
                row, one.name, titles, (_setup_place(case) for case in candidates if case.row)
            )


def _setup_place(case: Case) -> Place:
    assert case.row is not None
    state = case.state
    parts = [state.integration_id, f"started {state.started.at:%d %b, %H:%M} UTC"]
    return Place(
        setup_name(case.live.document, state), ", ".join(filter(None, parts)), setup_id=case.row.pk
    )


def _among_accounts(account: Account, titles: Mapping[str, str]) -> Iterator[Doubt]:
    known = naming.current()
    names = known.sent_as(titles)
    people = account.memberships.values_list("person_id", flat=True)
    rows = Event.objects.counting().filter(account=None, person__in=people, name__in=names)
    found = list(rows.select_related("person").order_by("occurred_at")[:MOST_SHOWN])
    places: dict[int, list[Place]] = defaultdict(list)
    memberships = Membership.objects.filter(
        person__in={row.person_id for row in found if row.person_id},
        account__environment=account.environment,
        account__merged_into=None,
    )
    for one in memberships.select_related("account").order_by("account_id"):
        left = f"left on {one.ended_at:%d %b %Y}" if one.ended_at else ""
        places[one.person_id].append(Place(str(one.account), left, account_id=one.account_id))
    for row in found:
        ours, _ = known.read(row.name, row.properties)
        yield _doubt(row, ours, titles, places[row.person_id or 0])


def _doubt(row: Event, ours: str, titles: Mapping[str, str], places: Iterable[Place]) -> Doubt:
    about = ", ".join(f"{key}: {value}" for key, value in list(row.properties.items())[:6])
    who = str(row.person) if row.person else ""
    title = titles.get(ours, row.name)
    return Doubt(row.pk, title, row.name, row.occurred_at, who, about[:300], tuple(places))
