"""Which traits become what we know of accounts and people, how well it is filled, and what is left over."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from accounts.models import Account, Environment, Membership, Person, Role
from events import traits
from events.models import Event, TraitName
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen

# How many of the latest calls are looked into, of how many events.
SAMPLED = 1_000
MOST_LOOKED_AT = 50_000
MOST_LEFT_OVER = 40
PURPOSES = {
    "account.name": "What mails and our pages call the account",
    "account.plan": "For conditions of a journey, and for whoever works an alert",
    "account.value": "What it is worth a year: a high value calls in a person sooner",
    "account.acquisition_source": "For conditions, and to compare where customers came from",
    "account.time_zone": "When to write, for people whose own time zone is unknown",
    "account.language": "Kept with the account, for exports",
    "account.created_at": "Since when it is a customer; the day we first heard of it where nothing says so",
    "person.email": "Where to write; nothing is sent without it",
    "person.name": "How to greet them",
    "person.time_zone": "When to write",
    "person.language": "Kept with the person, for exports",
    "membership.role": "Who may do which step; an unknown role may do nothing",
}
# The name of the person is put together from these where no trait of its own says it.
IN_PASSING = {"firstName", "first_name", "lastName", "last_name", traits.STATUS}


@dataclass(frozen=True)
class Filled:
    """One thing that we know of accounts or people: from which traits, for how many."""

    label: str
    purpose: str
    names: tuple[str, ...]
    arrived: tuple[str, ...]
    filled: int
    of: int

    @property
    def share(self) -> float:
        """The share that is filled, 0 to 1."""
        return self.filled / self.of if self.of else 0.0


@dataclass(frozen=True)
class LeftOver:
    """A trait that arrives and fills nothing; conditions of a journey may still ask for it."""

    call: str
    name: str
    count: int


def filled(arriving: Mapping[str, Counter[str]]) -> Sequence[Filled]:
    """Everything that traits can fill; production's accounts, people and memberships are counted."""
    names = traits.read().by_target
    counts = _counts()
    rows = []
    for target, label in TraitName.Fills.choices:
        whose, column = target.split(".")
        calls = ("identify", "group") if whose == "membership" else (_CALLS[whose],)
        came = {name for call in calls for name in arriving[call]}
        rows.append(
            Filled(
                label,
                PURPOSES[target],
                names[target],
                tuple(name for name in names[target] if name in came),
                counts[whose][column],
                counts[whose]["all"],
            )
        )
    return rows


_CALLS = {"account": "group", "person": "identify"}


def _counts() -> Mapping[str, Mapping[str, int]]:
    """How many there are, and for how many each column is filled; one query each."""
    here = {"environment": Environment.PRODUCTION, "merged_into": None}
    texts = ("name", "plan", "acquisition_source", "time_zone", "language")
    accounts = Account.objects.filter(**here).aggregate(
        all=Count("pk"),
        value=Count("value"),
        created_at=Count("created_at"),
        **{column: Count("pk", filter=~Q(**{column: ""})) for column in texts},
    )
    people = Person.objects.filter(**here).aggregate(
        all=Count("pk"),
        **{
            column: Count("pk", filter=~Q(**{column: ""}))
            for column in ("email", "name", "time_zone", "language")
        },
    )
    members = Membership.objects.current().filter(account__environment=Environment.PRODUCTION)
    memberships = members.aggregate(all=Count("pk"), role=Count("pk", filter=~Q(role="")))
    return {"account": accounts, "person": people, "membership": memberships}


def latest() -> Mapping[str, Counter[str]]:
    """How often each trait came with the latest identify and group calls, by call."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    rows = Event.objects.filter(pk__gt=newest - MOST_LOOKED_AT, type__in=["identify", "group"])
    found: dict[str, Counter[str]] = {"identify": Counter(), "group": Counter()}
    for kind, said in rows.order_by("-pk").values_list("type", "properties")[:SAMPLED]:
        found[kind].update(said.keys())
    return found


def left_over(arriving: Mapping[str, Counter[str]]) -> Sequence[LeftOver]:
    """What arrives and fills nothing, the most frequent first."""
    names = traits.read()
    rows = []
    for whose, call in _CALLS.items():
        read = {name for called in names.columns(whose).values() for name in called}
        read |= IN_PASSING | names.of_membership
        rows += [LeftOver(call, n, count) for n, count in arriving[call].items() if n not in read]
    return sorted(rows, key=lambda row: (-row.count, row.name))[:MOST_LEFT_OVER]


def unknown_roles() -> Iterable[tuple[str, int]]:
    """Roles that current members hold and that nobody has told us the meaning of."""
    members = Membership.objects.current().exclude(role="")
    strange = members.exclude(role__in=Role.objects.values("key"))
    found = strange.order_by().values("role").annotate(count=Count("pk")).order_by("-count", "role")
    return list(found.values_list("role", "count")[:20])


@require_GET
@staff("pages.see_event_health")
def show_traits(request: StaffRequest) -> HttpResponse:
    arriving = latest()
    context = {
        "filled": filled(arriving),
        "left_over": left_over(arriving),
        "unknown_roles": unknown_roles(),
        "own": TraitName.objects.all(),
        "sampled": SAMPLED,
    }
    return screen(request, "traits", context, title="Traits")
