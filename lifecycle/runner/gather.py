"""Gather the facts of a chunk of accounts, one query per kind, whatever their number."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, cast

from django.conf import settings
from django.db.models import Q

from accounts.models import Account, Consent, Membership, Person
from events.models import Event as EventRow
from lifecycle.alerts.models import Alert
from lifecycle.engine import facts as engine
from lifecycle.engine.state import AccountState, Event, SetupState
from lifecycle.journeys.models import Enrolment, Setup
from lifecycle.runner import history, one_person
from lifecycle.runner.definition import Definition, LiveJourney
from lifecycle.runner.models import StepRun
from messaging import addresses
from messaging.models import Suppression

Outreach = Literal["yes", "same_domain", "never"]


@dataclass
class Case:
    """One setup of the account: what its events say, its rows, and the journey it is about."""

    state: SetupState
    live: LiveJourney
    row: Setup | None
    enrolment: Enrolment | None
    facts: engine.Facts
    runs: list[tuple[str, str, str, int | None]] = field(default_factory=list)
    """Every step run of the enrolment: step key, recipient key, status, message id."""


@dataclass
class Dossier:
    """Everything about one account, as of one moment."""

    account: Account
    people: Mapping[int, engine.Person]
    history: history.History
    cases: list[Case]
    arms: Mapping[int, str]
    """The account's arm in each journey it has been in, by journey id."""
    shared: frozenset[int]
    """People who are in other accounts too."""
    strangers: frozenset[int]
    """People who act here, though no call ever said that they are members."""
    vanished: list[Enrolment]
    """Open enrolments of setups or attempts that no event tells of any more: their events were taken back."""

    @property
    def state(self) -> AccountState:
        return self.history.state


def gather(
    definition: Definition,
    accounts: Sequence[Account],
    *,
    without_messages: Iterable[int] = (),
    patient: bool = True,
) -> list[Dossier]:
    """The dossiers of these accounts, which the caller has locked.

    `without_messages`: messages whose own step runs are left out, because they are being asked about.
    Raises LongLog where the locks would be held for long and the caller is not `patient`.
    """
    ids = [account.pk for account in accounts]
    histories = history.read(definition, accounts, patient=patient)
    people, shared = _people(definition, ids)
    runs = _runs(ids, frozenset(without_messages))
    one_person.follow(histories, people, runs)
    strangers = _strangers(histories, people)
    setups = _by_account(Setup.objects.filter(account__in=ids).order_by("pk"))
    enrolments: dict[int, list[Enrolment]] = defaultdict(list)
    # Merged accounts bring enrolments that are older than what came after them.
    for enrolment in Enrolment.objects.filter(account__in=ids).order_by("attempt", "pk"):
        enrolments[enrolment.setup_id].append(enrolment)
    unplaced = _unattributed(definition, people)
    incidents = _incidents()
    broken = definition.broken_templates
    dossiers = []
    for account in accounts:
        known = setups.get(account.pk, [])
        dossier = Dossier(
            account,
            {**people.get(account.pk, {}), **strangers.get(account.pk, {})},
            histories[account.pk],
            [],
            {
                enrolment.journey_id: enrolment.arm
                for setup in known
                for enrolment in reversed(enrolments.get(setup.pk, []))
            },
            shared,
            frozenset(strangers.get(account.pk, ())),
            [],
        )
        facts_of_account = _account(account)
        pairs = match(dossier.state.setups, known)
        told_of = {row.pk for _, row in pairs if row}
        dossier.vanished = [
            enrolment
            for row in known
            if row.pk not in told_of and row.integration_type in definition.journeys
            for enrolment in enrolments.get(row.pk, [])
            if enrolment.left_at is None
        ]
        for state, row in pairs:
            live = definition.journeys[state.integration_type]
            present = _present(enrolments.get(row.pk, []) if row else [], live)
            if present and _never_reopened(present, state):
                dossier.vanished.append(present)
            case_runs = runs.get(present.pk, []) if present else []
            dossier.cases.append(
                Case(
                    state,
                    live,
                    row,
                    present,
                    engine.Facts(
                        account=facts_of_account,
                        setup=state,
                        people=_with_role(definition, dossier.people, state),
                        entered_at=present.entered_at if present else None,
                        attempt=present.attempt if present else state.attempt,
                        runs=tuple(run for _, run in case_runs if run is not None),
                        journey_paused=live.id in definition.paused_journeys,
                        all_paused=definition.paused,
                        incident=(state.provider, _error_class(state)) in incidents,
                        unplaced=_is_unplaced(state, dossier.state, unplaced.get(account.pk, [])),
                        broken=broken,
                    ),
                    [raw for raw, _ in case_runs],
                )
            )
        dossiers.append(dossier)
    return dossiers


def match(
    states: Sequence[SetupState], rows: Sequence[Setup]
) -> list[tuple[SetupState, Setup | None]]:
    """Pair what the fold found with the rows we follow.

    A row that was opened before its provider or id was known is taken over by the setup that turned
    out to be it, so that late events never make a second row, and what was sent is not forgotten.
    """
    free = list(rows)
    paired: dict[int, Setup] = {}

    def pair(accept: Any) -> None:
        for state in states:
            if id(state) in paired:
                continue
            for row in free:
                if row.integration_type == state.integration_type and accept(state, row):
                    paired[id(state)] = row
                    free.remove(row)
                    break

    pair(lambda state, row: row.key == state.key)
    pair(lambda state, row: row.key in state.keys)
    pair(lambda state, row: bool(state.provider) and row.provider == state.provider)
    pair(lambda state, row: not row.key or not state.key)
    return [(state, paired.get(id(state))) for state in states]


def _present(enrolments: list[Enrolment], live: LiveJourney) -> Enrolment | None:
    """The enrolment that matters now: the open one, else the newest."""
    mine = [enrolment for enrolment in enrolments if enrolment.journey_id == live.id]
    still_open = [enrolment for enrolment in mine if enrolment.left_at is None]
    return (still_open or mine)[-1] if mine else None


def _never_reopened(enrolment: Enrolment, state: SetupState) -> bool:
    """Whether it is open for an attempt that never was: what reopened the setup was taken back, and it works."""
    is_later = enrolment.attempt > state.attempt
    return enrolment.left_at is None and is_later and state.usable is not None


def _by_account(rows: Iterable[Setup]) -> dict[int, list[Setup]]:
    found: dict[int, list[Setup]] = defaultdict(list)
    for row in rows:
        found[row.account_id].append(row)
    return found


def _account(account: Account) -> engine.Account:
    outreach = cast(Outreach, settings.ADMIN_OUTREACH if account.admin_outreach else "never")
    return engine.Account(
        id=account.pk,
        traits={
            **account.traits,
            "plan": account.plan,
            "value": float(account.value) if account.value is not None else None,
            "acquisition_source": account.acquisition_source,
        },
        time_zone=account.time_zone,
        closed_at=account.closed_at,
        merged=account.merged_into_id is not None,
        paused=account.paused_at is not None,
        outreach=outreach,
    )


def _people(
    definition: Definition, ids: list[int]
) -> tuple[dict[int, dict[int, engine.Person]], frozenset[int]]:
    """The people of each account, and which of them are in several accounts."""
    rows = list(
        Membership.objects.filter(account__in=ids).values_list(
            "account_id", "role", "role_since", "joined_at", "ended_at", "last_active_at",
            "person_id", "person__email", "person__name", "person__time_zone",
        )
    )  # fmt: skip
    person_ids = {row[6] for row in rows}
    address_of = {row[6]: addresses.reachable(row[7]) for row in rows}
    suppressed, refusals = _wishes(address_of)
    active, completed, shared = _elsewhere(ids, person_ids)
    people: dict[int, dict[int, engine.Person]] = defaultdict(dict)
    for account, role, role_since, joined, ended, seen, pk, email, name, time_zone in rows:
        people[account][pk] = engine.Person(
            id=pk,
            email=email,
            address=address_of[pk],
            name=name,
            role=role,
            capabilities=definition.capabilities.get(role, frozenset()),
            member=ended is None,
            joined_at=joined,
            role_since=role_since,
            time_zone=time_zone,
            suppressed=suppressed.get(address_of[pk], ""),
            refuses=refusals[pk],
            active_at=max((at for at in (seen, active.get((pk, account))) if at), default=None),
            completed=frozenset(completed.get((pk, account), ())),
        )
    return people, shared


def _wishes(address_of: Mapping[int, str]) -> tuple[dict[str, str], dict[int, frozenset[str]]]:
    """Why nothing goes to an address, by address; and the kinds of mail that each of these people refuses.

    A kind is refused by the person's own word, or by that of whoever left by the same address.
    """
    values = set(address_of.values()) - {""}
    standing = Suppression.objects.filter(lifted_at=None, address__value__in=values)
    suppressed: dict[str, str] = {}
    refused_at: dict[str, set[str]] = defaultdict(set)
    for value, reason, category in standing.values_list("address__value", "reason", "category"):
        if category:
            refused_at[value].add(category)
        else:
            suppressed[value] = reason
    refusals = {pk: set(refused_at.get(address, ())) for pk, address in address_of.items()}
    for pk, category in Consent.objects.filter(person__in=address_of, given=False).values_list(
        "person_id", "category"
    ):
        refusals[pk].add(category)
    return suppressed, {pk: frozenset(kinds) for pk, kinds in refusals.items()}


def _strangers(
    histories: Mapping[int, history.History],
    people: Mapping[int, Mapping[int, engine.Person]],
) -> dict[int, dict[int, engine.Person]]:
    """Whoever acts in an account is a member, with no role, until a call says more. Three queries if there are any."""
    unknown = {
        account: found
        for account, folded in histories.items()
        if (found := folded.state.active.keys() - people.get(account, {}).keys())
    }
    if not unknown:
        return {}
    rows = Person.objects.in_bulk({person for found in unknown.values() for person in found})
    address_of = {pk: addresses.reachable(row.email) for pk, row in rows.items()}
    suppressed, refusals = _wishes(address_of)
    return {
        account: {
            pk: engine.Person(
                id=pk,
                email=rows[pk].email,
                address=address_of[pk],
                name=rows[pk].name,
                time_zone=rows[pk].time_zone,
                suppressed=suppressed.get(address_of[pk], ""),
                refuses=refusals[pk],
            )
            for pk in found
            if pk in rows and rows[pk].merged_into_id is None
        }
        for account, found in unknown.items()
    }


def _with_role(
    definition: Definition, people: Mapping[int, engine.Person], state: SetupState
) -> Mapping[int, engine.Person]:
    """`initiated_by_role` on the start fills a blank role, and never speaks against a known one."""
    starter = people.get(state.starter) if state.starter is not None else None
    if starter is None or starter.role or not state.starter_role:
        return people
    capabilities = definition.capabilities.get(state.starter_role, frozenset())
    known = replace(starter, role=state.starter_role, capabilities=capabilities)
    return {**people, starter.id: known}


def _elsewhere(
    ids: list[int], person_ids: set[int]
) -> tuple[dict[tuple[int, int], datetime], dict[tuple[int, int], set[str]], frozenset[int]]:
    """What people of these accounts did in their other accounts: last action, and types made usable.

    Both by (person, the account at hand); and the people who have other accounts at all.
    """
    memberships = list(
        Membership.objects.filter(person__in=person_ids, person__memberships__account__in=ids)
        .exclude(account=None)
        .values_list("person_id", "account_id", "last_active_at")
        .distinct()
    )
    accounts_of: dict[int, list[tuple[int, datetime | None]]] = defaultdict(list)
    for person, account, seen in memberships:
        accounts_of[person].append((account, seen))
    several = {person: rows for person, rows in accounts_of.items() if len(rows) > 1}
    active: dict[tuple[int, int], datetime] = {}
    completed: dict[tuple[int, int], set[str]] = defaultdict(set)
    if not several:
        return active, completed, frozenset()
    usable: dict[int, list[tuple[str, list[int]]]] = defaultdict(list)
    others = {account for rows in several.values() for account, _ in rows}
    for account, kind, who in Setup.objects.filter(
        account__in=others, usable_at__isnull=False
    ).values_list("account_id", "integration_type", "finished_by"):
        usable[account].append((kind, who))
    chunk = set(ids)
    for person, rows in several.items():
        for here, _ in rows:
            if here not in chunk:
                continue
            for account, seen in rows:
                if account == here:
                    continue
                if seen is not None:
                    active[person, here] = max(seen, active.get((person, here), seen))
                completed[person, here] |= {
                    kind for kind, finishers in usable[account] if person in finishers
                }
    return active, completed, frozenset(several)


def _runs(
    ids: list[int], without_messages: frozenset[int]
) -> dict[int, list[tuple[tuple[str, str, str, int | None], engine.Run | None]]]:
    """Step runs by enrolment: as they stand, and as the engine counts them (None: it does not)."""
    runs: dict[int, list[tuple[tuple[str, str, str, int | None], engine.Run | None]]] = defaultdict(
        list
    )
    for enrolment, key, recipient, status, message, at in (
        StepRun.objects.filter(enrolment__account__in=ids)
        .order_by("pk")
        .values_list("enrolment_id", "step_key", "recipient_key", "status", "message_id", "at")
    ):
        counted = status != StepRun.Status.CANCELLED and message not in without_messages
        run = engine.Run(
            key,
            None if recipient == "-" else int(recipient),
            at,
            bounced=status == StepRun.Status.BOUNCED,
        )
        runs[enrolment].append(((key, recipient, status, message), run if counted else None))
    return runs


def _unattributed(
    definition: Definition, people: Mapping[int, Mapping[int, engine.Person]]
) -> dict[int, list[tuple[set[str], datetime]]]:
    """Successes of these people that no account could be found for: (integration types, time) by account."""
    accounts_of: dict[int, list[int]] = defaultdict(list)
    for account, members in people.items():
        for person in members:
            accounts_of[person].append(account)
    found: dict[int, list[tuple[set[str], datetime]]] = defaultdict(list)
    names = definition.naming.sent_as(definition.router.completing())
    rows = (
        EventRow.objects.counting()
        .filter(account=None, person__in=accounts_of, name__in=names)
        .values_list("id", "name", "occurred_at", "received_at", "person_id", "properties")
    )
    for pk, sent_name, at, received_at, person, sent in rows:
        name, properties = definition.naming.read(sent_name, sent)
        event = Event(pk, name, at, received_at, person=person, properties=properties)
        kinds = {route.integration_type for route in definition.router.routes(event)}
        for account in accounts_of[person]:
            found[account].append((kinds, at))
    return found


def _is_unplaced(
    setup: SetupState, state: AccountState, unattributed: list[tuple[set[str], datetime]]
) -> bool:
    """Whether a success since the setup started may belong to it and has not been placed."""
    return any(
        unplaced.at >= setup.started.at
        and any(
            kind == setup.integration_type and key in setup.keys
            for kind, key in unplaced.candidates
        )
        for unplaced in state.unplaced
    ) or any(
        setup.integration_type in kinds and at >= setup.started.at for kinds, at in unattributed
    )


def _incidents() -> frozenset[tuple[str, str]]:
    """Provider and error class of every incident that is not over."""
    rows = Alert.objects.filter(
        ~Q(status=Alert.Status.RESOLVED), kind=Alert.Kind.INCIDENT
    ).values_list("dedupe_key", flat=True)
    return frozenset(
        (provider, error_class)
        for _, provider, error_class in (key.split(":", 2) for key in rows if key.count(":") >= 2)
    )


def _error_class(state: SetupState) -> str:
    return state.last_error.error_class if state.last_error else ""
