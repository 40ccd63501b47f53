"""When many accounts fail alike, it is the provider or us, and no mail about it helps anybody.

One alert tells of it; while it is not resolved, reminders and checklists about that provider's error
stay silent. It closes by itself once the errors of an hour are few again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from accounts.models import Environment
from events.models import Event
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.engine.routing import Role
from lifecycle.journeys import words
from lifecycle.journeys.models import Setup
from lifecycle.runner import history
from lifecycle.runner.definition import Definition, current

WINDOW = timedelta(hours=1)
USUAL_OVER = timedelta(days=7)
# More errors than this in a window are an incident many times over; the newest tell as much.
MOST_EVENTS = 20_000
OVER = "It is over: no more than usual in the last hour."
# What a person resolved while it went on is their decision for so long.
DECIDED_FOR = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Kind:
    """What fails: an integration type's provider (empty where none was named) with an error class."""

    integration_type: str
    provider: str
    error_class: str

    @property
    def dedupe_key(self) -> str:
        """As facts are gathered: `incident:<provider>:<error class>`."""
        return f"incident:{self.provider}:{self.error_class}"


@dataclass(frozen=True, slots=True)
class Failures:
    """Errors by what failed → account → how often, and the time that they were counted over."""

    by_kind: Mapping[Kind, Mapping[int, int]]
    over: timedelta

    def per_window(self, kind: Kind) -> float:
        """How many of these errors a window brought on average."""
        return sum(self.by_kind.get(kind, {}).values()) * (WINDOW / self.over)


def follow(now: datetime) -> None:
    """Open an alert for every incident that begins, and close those that are over."""
    definition = current()
    recent = failures(definition, now - WINDOW, now).by_kind
    many = {
        kind: accounts
        for kind, accounts in recent.items()
        if len(accounts) >= settings.INCIDENT_ACCOUNTS
    }
    known = Alert.objects.filter(kind=Alert.Kind.INCIDENT)
    standing = known.exclude(status=Alert.Status.RESOLVED)
    decided = known.filter(resolved_at__gt=now - DECIDED_FOR).exclude(resolution=OVER)
    told_of = {*(standing | decided).values_list("dedupe_key", flat=True)}
    if new := [kind for kind in many if kind.dedupe_key not in told_of]:
        usual = failures(definition, now - WINDOW - USUAL_OVER, now - WINDOW)
        for kind in new:
            errors = sum(many[kind].values())
            if errors >= settings.INCIDENT_TIMES_USUAL * usual.per_window(kind):
                _open(definition, kind, len(many[kind]), errors, usual.per_window(kind), now)
    going_on = {kind.dedupe_key for kind in many}
    for pk, key in standing.values_list("pk", "dedupe_key"):
        if key not in going_on:
            desk.resolve(pk, resolution=OVER, now=now)


def failures(definition: Definition, since: datetime, until: datetime) -> Failures:
    """The errors that arrived in that time, of production accounts; the newest where they are very many."""
    names = definition.naming.sent_as(
        match.event
        for journey in definition.journeys.values()
        for error in journey.document.path.errors
        for match in error.events
    )
    told = Event.objects.counting().filter(
        received_at__gt=since,
        received_at__lte=until,
        name__in=names,
        account__isnull=False,
        account__environment=Environment.PRODUCTION,
        historical=False,
    )
    rows = list(told.order_by("-received_at").values_list(*history._COLUMNS)[:MOST_EVENTS])
    by_kind: dict[Kind, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    unnamed: list[tuple[str, str, int]] = []
    for row in rows:
        event, account = history.engine_event(definition, row), row[9]
        for route in definition.router.routes(event):
            if route.role is not Role.ERROR:
                continue
            provider = event.properties.get("provider")
            if isinstance(provider, str) and provider:
                by_kind[Kind(route.integration_type, provider, route.key)][account] += 1
            else:
                unnamed.append((route.integration_type, route.key, account))
    for kind, account in _by_setup(unnamed):
        by_kind[kind][account] += 1
    if len(rows) == MOST_EVENTS:
        since = history.engine_event(definition, rows[-1]).received_at
    return Failures(by_kind, max(until - since, timedelta(seconds=1)))


def _by_setup(unnamed: list[tuple[str, str, int]]) -> Iterator[tuple[Kind, int]]:
    """Errors that name no provider are those of the account's setup, if it has one of that type."""
    providers: dict[tuple[int, str], set[str]] = defaultdict(set)
    accounts = {account for *_, account in unnamed}
    for account, kind, provider in Setup.objects.filter(account__in=accounts).values_list(
        "account_id", "integration_type", "provider"
    ):
        providers[account, kind].add(provider)
    for integration_type, error_class, account in unnamed:
        known = providers.get((account, integration_type), set())
        provider = next(iter(known)) if len(known) == 1 else ""
        yield Kind(integration_type, provider, error_class), account


def _open(
    definition: Definition, kind: Kind, accounts: int, errors: int, usual: float, now: datetime
) -> None:
    journey = definition.journeys[kind.integration_type].document
    who = words.provider_name(journey, kind.provider) or journey.integration_name
    desk.open_alert(
        kind=Alert.Kind.INCIDENT,
        dedupe_key=kind.dedupe_key,
        title=f"{accounts} accounts fail alike: {who}, {journey.path.error(kind.error_class).name}",
        detail=f"{errors} errors of {accounts} accounts within an hour; usual are {usual:.1f} an hour. "
        "While this is not resolved, no reminder and no checklist about it is sent. "
        "It closes by itself when the errors of an hour are few again.",
        now=now,
    )
