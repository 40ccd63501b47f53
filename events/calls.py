"""What identify, group, alias and `member_removed` change: traits, memberships, links, merges.

`planned` works out the changes in memory, so that the batch's own events are placed by them and
the accounts to lock are known; `apply` writes them, once the calls are in the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Case, Q, Value, When
from pydantic_core import from_json

from accounts.models import Account, AnonymousId, Membership, Person
from events import identities, linking, log, merging, moments, traits
from events.models import Event
from events.validation import MEMBER_REMOVED, Entry

# The columns that decide whether, when and how we write to a person.
REACH = ("email", "name", "time_zone", "language")
# What any message may say of its person beside what happened, in PostHog's words.
SET, SET_ONCE = "$set", "$set_once"


@dataclass(slots=True)
class Plan:
    """What a batch's calls change."""

    links: dict[str, int] = field(default_factory=dict)
    merges: list[tuple[int, int]] = field(default_factory=list)
    account_traits: dict[int, list[Entry]] = field(default_factory=dict)
    person_traits: dict[int, list[Entry]] = field(default_factory=dict)
    created: list[Membership] = field(default_factory=list)
    changed: list[Membership] = field(default_factory=list)
    # Person → the one account that their unplaced events belong to now.
    settled: dict[int, int] = field(default_factory=dict)
    # Person → the accounts that may write to them, and must not while what we know of them changes.
    reached: dict[int, set[int]] = field(default_factory=dict)
    # Accounts where stored events may belong, now that a new link tells whose they are.
    doubted: set[int] = field(default_factory=set)
    # Accounts whose stored events gain a person by the new links.
    linked_accounts: set[int] = field(default_factory=set)
    account_ids: set[int] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        return not (
            self.links or self.merges or self.account_traits or self.person_traits
            or self.created or self.changed
        )  # fmt: skip


def tells(entry: Entry) -> bool:
    """Does it say something about who is who, or what somebody is like?"""
    return entry.is_call or SET in entry.extra or SET_ONCE in entry.extra


def planned(told: Sequence[Entry], known: identities.Known, environment: str) -> Plan:
    """The changes that these calls ask for; `known.memberships` then shows them already."""
    plan = Plan()
    if not told:
        return plan
    found = linking.find(told, known, environment)
    plan.links = found.links
    moved: set[int] = set()
    for entry in told:
        if entry.index in found.merges:
            moved.add(_unite(plan, known, *found.merges[entry.index]))
        person = known.people.get(entry.user_id or "")
        if person is None and entry.anonymous_id:
            person = known.links.get(entry.anonymous_id) or plan.links.get(entry.anonymous_id)
        account = known.accounts.get(entry.group_id or "")
        if person is not None and _traits_said(entry):
            plan.person_traits.setdefault(person, []).append(entry)
            moved.add(person)
        if entry.type == "group" and account is not None:
            plan.account_traits.setdefault(account, []).append(entry)
        elif entry.name == MEMBER_REMOVED:
            account = account or known.only_account_of(person)
            person = known.people.get(entry.member_id or "")
        elif entry.type != "identify":
            continue
        if person is not None and account is not None:
            _belong(plan, known, entry, person, account)
            moved.add(person)
    for person in moved | set(plan.links.values()):
        everywhere = known.memberships.get(person, [])
        # Somebody who was ever in a second account may have meant that one: never guess.
        if len(everywhere) == 1 and everywhere[0].ended_at is None:
            plan.settled[person] = everywhere[0].account_id
    if plan.links:
        _find_linked(plan, known, environment)
    for _, winner in plan.merges:
        # What either did may be a success in any of these, and mail may reach them now.
        plan.doubted.update(known.candidates(winner))
    for person in plan.person_traits:
        mine = known.memberships.get(person, ())
        plan.reached[person] = {each.account_id for each in mine if each.ended_at is None}
    plan.account_ids |= set(plan.settled.values()) | plan.linked_accounts | plan.doubted
    plan.account_ids |= set().union(*plan.reached.values())
    plan.account_ids |= set(plan.account_traits)
    plan.account_ids |= {each.account_id for each in (*plan.created, *plan.changed)}
    return plan


def _unite(plan: Plan, known: identities.Known, loser: int, winner: int) -> int:
    """Let the winner have the loser's ids and memberships, as the database will; the winner."""
    plan.merges.append((loser, winner))
    for ids in (known.people, known.links, plan.links):
        ids.update({name: winner for name, person in ids.items() if person == loser})
    mine = known.memberships.setdefault(winner, [])
    kept = {each.account_id: each for each in mine}
    for row in known.memberships.pop(loser, ()):
        same = kept.get(row.account_id)
        if same is None:
            row.person_id = winner
            mine.append(row)
            continue
        merging.join(same, row)
        plan.created = [each for each in plan.created if each is not row and each is not same]
        plan.changed = [each for each in plan.changed if each is not row and each is not same]
        # Where only the loser's is stored yet, that is the row which becomes the winner's.
        same.pk = same.pk or row.pk
        (plan.changed if same.pk else plan.created).append(same)
    return winner


def _find_linked(plan: Plan, known: identities.Known, environment: str) -> None:
    """The accounts whose stored events gain a person, or may be where a success of theirs belongs."""
    mine = Event.objects.filter(
        ~Q(anonymous_id=""),
        environment=environment,
        person=None,
        account__isnull=False,
        anonymous_id__in=list(plan.links),
    )
    plan.linked_accounts = set(mine.values_list("account_id", flat=True).distinct())
    _doubt(plan, known, environment)


def _doubt(plan: Plan, known: identities.Known, environment: str) -> None:
    """Whoever turns out to be in several accounts may have completed a setup in any of them before."""
    several = {value: person for value, person in plan.links.items() if person not in plan.settled}
    waiting = Event.objects.filter(
        ~Q(anonymous_id=""),
        environment=environment,
        person=None,
        account=None,
        anonymous_id__in=list(several),
    )
    for value in waiting.values_list("anonymous_id", flat=True).distinct():
        plan.doubted.update(known.candidates(several[value]))


def _belong(plan: Plan, known: identities.Known, entry: Entry, person: int, account: int) -> None:
    """Begin, change or end a membership, unless something newer was said about it."""
    at = entry.occurred_at
    left = entry.name == MEMBER_REMOVED or (
        entry.type == "group" and entry.properties.get("status") == "removed"
    )
    role = None if left else _role(entry)
    mine = known.memberships.setdefault(person, [])
    row = next((each for each in mine if each.account_id == account), None)
    if row is None:
        row = Membership(
            account_id=account,
            person_id=person,
            role=role or "",
            role_since=at,
            role_said_at=at if role else None,
            joined_at=at,
            ended_at=at if left else None,
        )
        mine.append(row)
        plan.created.append(row)
        return
    before = (row.role, row.role_said_at, row.joined_at, row.ended_at)
    if left:
        if row.ended_at is None and at >= row.joined_at:
            row.ended_at = at
    elif row.ended_at is not None and at > row.ended_at:
        row.joined_at, row.ended_at = at, None
    if role is not None and (at >= (row.role_said_at or row.role_since) or not row.role):
        row.role_said_at = at
        # Backends repeat the role with every group call; that is no change and starts no clock anew.
        if role != row.role:
            row.role, row.role_since = role, at
    now_is = (row.role, row.role_said_at, row.joined_at, row.ended_at)
    if now_is != before and row not in plan.created and row not in plan.changed:
        plan.changed.append(row)


def _role(entry: Entry) -> str | None:
    names = traits.current().by_target["membership.role"]
    role = _first(entry.properties, names)
    if role is None and entry.type == "group":
        context = entry.extra.get("context")
        said = context.get("traits") if isinstance(context, dict) else None
        role = _first(said, names) if isinstance(said, dict) else None
    return role.strip()[:64] if isinstance(role, str) else None


def _first(said: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first of these traits that is given."""
    return next((said[name] for name in names if said.get(name) is not None), None)


def apply(plan: Plan, *, environment: str, now: datetime) -> tuple[set[int], set[int]]:
    """Write the plan; the accounts with people whom we now know otherwise, and those whose stored events changed."""
    if plan.is_empty:
        return set(), set()
    rewritten: set[int] = set()
    if plan.links:
        rewritten |= _write_links(plan, environment)
    changed = _write_people(plan)
    _write_accounts(plan)
    # Before the memberships: those are planned as they are after it.
    for loser, winner in plan.merges:
        rewritten |= merging.people(loser, winner, now=now)
    if plan.created:
        Membership.objects.bulk_create(plan.created)
    if plan.changed:
        Membership.objects.bulk_update(
            plan.changed,
            ["role", "role_since", "role_said_at", "joined_at", "ended_at"],
            batch_size=500,
        )
    return changed, rewritten | settle(plan.settled)


def _write_links(plan: Plan, environment: str) -> set[int]:
    AnonymousId.objects.bulk_create(
        [
            AnonymousId(environment=environment, value=value, person_id=person)
            for value, person in sorted(plan.links.items())
        ],
        ignore_conflicts=True,
    )
    Event.objects.filter(
        ~Q(anonymous_id=""),
        environment=environment,
        person=None,
        anonymous_id__in=list(plan.links),
    ).update(
        person_id=Case(
            *(When(anonymous_id=value, then=Value(person)) for value, person in plan.links.items())
        )
    )
    return plan.linked_accounts


def settle(settled: dict[int, int]) -> set[int]:
    """Place the unplaced events of these people in the account that is theirs; the accounts that gained.

    The caller holds the accounts' locks.
    """
    if not settled:
        return set()
    unplaced = Event.objects.filter(account=None, person_id__in=list(settled))
    waiting = set(unplaced.values_list("person_id", flat=True).distinct())
    if not waiting:
        return set()
    gained = {person: settled[person] for person in waiting if person is not None}
    Event.objects.filter(account=None, person_id__in=list(gained)).update(
        account_id=Case(
            *(When(person_id=person, then=Value(account)) for person, account in gained.items())
        )
    )
    return set(gained.values())


def _write_people(plan: Plan) -> set[int]:
    """The accounts of those for whom one of `REACH` changed."""
    if not plan.person_traits:
        return set()
    rows = list(
        Person.objects.filter(pk__in=list(plan.person_traits))
        .order_by("pk")
        .select_for_update(no_key=True)
    )
    changed: set[int] = set()
    for row in rows:
        before = [getattr(row, column) for column in REACH]
        for entry in plan.person_traits[row.pk]:
            _person_learns(row, entry)
        if before != [getattr(row, column) for column in REACH]:
            changed |= plan.reached[row.pk]
    Person.objects.bulk_update(rows, [*REACH, "traits", "traits_at"], batch_size=500)
    return changed


def _traits_said(entry: Entry) -> list[tuple[dict[str, Any], datetime | None]]:
    """What the message says of its person, with the time from which it counts; without one it fills blanks."""
    at = entry.occurred_at
    said = [(entry.extra.get(SET), at), (entry.extra.get(SET_ONCE), None)]
    if entry.type == "identify":
        said.insert(0, (entry.properties, at))
    return [(each, when) for each, when in said if isinstance(each, dict)]


def _person_learns(row: Person, entry: Entry) -> None:
    for said, at in _traits_said(entry):
        counting = _learn(row, said, at, "person")
        if _first(counting, traits.current().by_target["person.name"]) is None:
            parts = [
                counting.get("firstName") or counting.get("first_name"),
                counting.get("lastName") or counting.get("last_name"),
            ]
            full = " ".join(each for each in parts if isinstance(each, str)).strip()
            if full and (at or not row.name):
                row.name = full[:255]
    context = entry.extra.get("context")
    if entry.type == "identify" and not row.time_zone and isinstance(context, dict):
        row.time_zone = _text(context.get("timezone"))[:64]


def flag_email(entry: Entry) -> None:
    """Note on an identify call that no mail can be addressed to what it calls an address."""
    given = _first(entry.properties, traits.current().by_target["person.email"])
    if given is None:
        return
    try:
        validate_email(_ascii_domain(_text(given)))
    except ValidationError:
        entry.flag("bad_email", f"{str(given)[:80]!r} is no e-mail address; no mail can go there.")


def _ascii_domain(email: str) -> str:
    local, _, domain = email.rpartition("@")
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError:
        return email


def _write_accounts(plan: Plan) -> None:
    if not plan.account_traits:
        return
    rows = list(Account.objects.filter(pk__in=list(plan.account_traits)).order_by("pk"))
    for row in rows:
        for entry in plan.account_traits[row.pk]:
            _learn(row, entry.properties, entry.occurred_at, "account")
    columns = traits.current().columns("account")
    Account.objects.bulk_update(rows, [*columns, "traits", "traits_at"], batch_size=500)


def _learn(
    row: Account | Person, given: Mapping[str, Any], at: datetime | None, whose: str
) -> dict[str, Any]:
    """Merge traits that were true at this time into the row and its columns; those that count.

    Traits without a time fill blanks only.
    """
    names = traits.current()
    said = {key: value for key, value in given.items() if key not in names.of_membership}
    if not said:
        return said
    # As the log holds them: what `1e999` became is text.
    said = from_json(log.pack(said))
    merged, counting = identities.traits_merged(row, said, at)
    row.traits = merged
    if at is not None:
        row.traits_at = at if row.traits_at is None else max(row.traits_at, at)
    for column, called in names.columns(whose).items():
        value = _first(counting, called)
        if value is None or (at is None and getattr(row, column)):
            continue
        if column == "value":
            row.value = _money(value, row.value)  # type: ignore[union-attr]
        elif column == "created_at":
            row.created_at = moments.parse(value) or row.created_at
        elif text := _text(value):
            limit = row._meta.get_field(column).max_length  # type: ignore[union-attr]
            setattr(row, column, text[:limit])
    return counting


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _money(value: Any, otherwise: Decimal | None) -> Decimal | None:
    """The amount with two decimals; what was known before where it is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return otherwise
    try:
        amount = Decimal(str(value).replace(",", "").strip()).quantize(Decimal("0.01"))
    except InvalidOperation:
        return otherwise
    return amount if amount.is_finite() and abs(amount) < Decimal(10) ** 12 else otherwise
