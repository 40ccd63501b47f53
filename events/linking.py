"""Which ids of a batch turn out to be one person: anonymous ids that have one, and people who are one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from accounts.models import Person
from events import identities, traits
from events.validation import MEMBER_REMOVED, Entry


@dataclass(slots=True)
class Found:
    """Anonymous id → person; and by the index of the call that says so, who becomes whom."""

    links: dict[str, int] = field(default_factory=dict)
    merges: dict[int, tuple[int, int]] = field(default_factory=dict)


def find(told: Sequence[Entry], known: identities.Known, environment: str) -> Found:
    """What these calls say about ids, each after those before it. `known` gains memberships of those concerned."""
    found = Found()
    given_up = {each for entry in told if (each := _given_up(entry))}
    if not given_up:
        return found
    rows = Person.objects.filter(environment=environment, external_id__in=given_up)
    earlier = {row.external_id: row for row in rows}
    if earlier:
        concerned = {row.merged_into_id or row.pk for row in earlier.values()}
        known.memberships |= identities.memberships(concerned)
    became: dict[int, int] = {}
    introduced: set[str | None] = set()
    for entry in told:
        name, user = _given_up(entry), known.people.get(entry.user_id or "")
        if name and user is not None:
            winner = _now(user, became)
            before = known.links.get(name) or found.links.setdefault(name, winner)
            row = earlier.get(name)
            loser = _now(row.merged_into_id or row.pk, became) if row else winner
            if entry.type == "identify" and row is not None:
                is_theirs = loser == row.pk and _now(before, became) == winner
                if not is_theirs or name in introduced or _is_somebody(row, known):
                    loser = winner
            if loser != winner:
                found.merges[entry.index] = (loser, winner)
                became[loser] = winner
        if _introduces(entry):
            introduced |= {entry.user_id, entry.member_id}
    return found


def _now(person: int, became: Mapping[int, int]) -> int:
    """Who this person is by now."""
    while person in became:
        person = became[person]
    return person


def _given_up(entry: Entry) -> str | None:
    """The id that this call gives to its person."""
    if entry.type == "alias":
        return entry.previous_id
    return entry.anonymous_id if entry.type == "identify" and entry.user_id else None


def _is_somebody(row: Person, known: identities.Known) -> bool:
    """Is it more than a visitor who was sent under a user id? Then only an alias says who they are."""
    return bool(row.email or known.memberships.get(row.pk))


def _introduces(entry: Entry) -> bool:
    if entry.type == "identify":
        names = traits.current().by_target["person.email"]
        return bool(entry.group_id) or any(entry.properties.get(name) for name in names)
    return entry.type == "group" or entry.name == MEMBER_REMOVED
