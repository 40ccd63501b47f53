"""The last events as they arrive, and what each of them did: for the engineer who is integrating."""

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse, QueryDict
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Environment
from events import keys
from events.models import Event, EventType, IngestKey, RejectedEvent
from lifecycle.engine.routing import ACCOUNT_WIDE, Role
from lifecycle.engine.state import Event as EngineEvent
from lifecycle.journeys.models import Setup
from lifecycle.journeys.words import provider_name
from lifecycle.pages import meaning
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number
from lifecycle.runner import definition
from lifecycle.runner.definition import Definition

SHOWN = 50
# How far back a filter looks: a key that has been silent must not make each refresh read the whole log.
MOST_LOOKED_AT = 20_000
MOST_NAMES = 200
ONLY = (
    ("", "Everything"),
    ("problems", "With problems"),
    ("unplaced", "Without account"),
    ("rejected", "Rejected"),
)
NO_KEY = "YOUR_WRITE_KEY"
TRAITS = ("identify", "group", "alias")
OURS = {"staff": "our staff", "lifecycle": "this application", "import": "an import"}


@dataclass(frozen=True)
class Wanted:
    """What the page is asked to show; what makes no sense is left out."""

    key: IngestKey | None
    name: str
    only: str

    @property
    def query(self) -> str:
        """The same wish as a query string."""
        asked = {"key": self.key.pk if self.key else "", "name": self.name, "only": self.only}
        return urlencode({name: value for name, value in asked.items() if value})


@dataclass(frozen=True)
class Effect:
    """One thing that an event did, and to which setup."""

    text: str
    tone: str = ""
    setup: str = ""
    standing: str = ""


@dataclass(frozen=True)
class Arrival:
    """One line of the page: an event with what it did, or what was refused with the reason."""

    at: datetime
    key: str
    event: Event | None = None
    reject: RejectedEvent | None = None
    read_as: str = ""
    effects: tuple[Effect, ...] = ()


def wanted(asked: QueryDict) -> Wanted:
    """The filters of a request."""
    key = IngestKey.objects.filter(pk=whole_number(asked.get("key", "")) or 0).first()
    only = asked.get("only", "")
    return Wanted(key, asked.get("name", "").strip()[:200], only if only in dict(ONLY) else "")


def arrivals(asked: Wanted) -> Sequence[Arrival]:
    """The newest events and refusals, newest first; the number of queries does not depend on them."""
    sources = OURS | {key.source: str(key) for key in IngestKey.objects.all()}
    lines = [
        Arrival(at=reject.received_at, key=str(reject.key or "no key of ours"), reject=reject)
        for reject in _rejects(asked)
    ]
    if asked.only != "rejected":
        lines += _explained(list(_events(asked)), sources)
    return sorted(lines, key=lambda line: line.at, reverse=True)[:SHOWN]


def _events(asked: Wanted) -> QuerySet[Event]:
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    rows = Event.objects.filter(pk__gt=newest - MOST_LOOKED_AT)
    if asked.key:
        rows = rows.filter(source=asked.key.source)
    if asked.name:
        rows = rows.filter(name=asked.name)
    if asked.only == "problems":
        rows = rows.filter(problems__isnull=False)
    elif asked.only == "unplaced":
        rows = rows.filter(account=None)
    return rows.select_related("account", "person").order_by("-pk")[:SHOWN]


def _rejects(asked: Wanted) -> Iterable[RejectedEvent]:
    # What was refused has no name, no account and no problems that could be looked for.
    if asked.name or asked.only not in ("", "rejected"):
        return ()
    rows = RejectedEvent.objects.in_short().select_related("key").order_by("-received_at")
    return rows.filter(key=asked.key)[:SHOWN] if asked.key else rows[:SHOWN]


def _explained(events: Sequence[Event], sources: Mapping[str, str]) -> list[Arrival]:
    """The events with what they did, from the live journeys and the accounts' setups."""
    now = definition.current()
    uses = meaning.by_event(live.document for live in now.journeys.values())
    read = {event.pk: now.naming.read(event.name, event.properties) for event in events}
    names = {name for name, _ in read.values()}
    planned = dict(EventType.objects.filter(name__in=names).values_list("name", "planned"))
    setups: dict[int, list[Setup]] = defaultdict(list)
    accounts = {event.account_id for event in events if event.account_id}
    for setup in Setup.objects.filter(account__in=accounts).order_by("pk"):
        setups[setup.account_id].append(setup)
    lines = []
    for event in events:
        name, properties = read[event.pk]
        effects = _effects(
            now, event, name, properties, uses.get(name, ()), setups.get(event.account_id or 0, [])
        )
        if not effects and event.type == "track" and not planned.get(name, False):
            effects = (Effect("Kept; nobody has planned this name, and no journey listens to it."),)
        lines.append(
            Arrival(
                at=event.received_at,
                key=sources.get(event.source, event.source),
                event=event,
                read_as=name if name != event.name else "",
                effects=effects or (_plain(now, event, name),),
            )
        )
    return lines


def _effects(
    now: Definition,
    event: Event,
    name: str,
    properties: Mapping[str, Any],
    uses: Sequence[meaning.Use],
    setups: Sequence[Setup],
) -> tuple[Effect, ...]:
    """What the journeys made of the event, or why they made nothing of it."""
    if event.void_id is not None:
        return (Effect("Taken out as sent by mistake; it no longer counts.", "warn"),)
    if event.source in OURS:
        return (Effect(f"Written by {OURS[event.source]}."),)
    if event.type in TRAITS:
        return (Effect(_told(event)),)
    routes = now.router.routes(
        EngineEvent(event.pk, name, event.occurred_at, event.received_at, properties=properties)
    )
    found: list[Effect] = []
    elsewhere: list[Effect] = []
    for route in routes:
        live = now.journeys[route.integration_type]
        meant = (route.integration_type, route.role, route.key)
        use = next(u for u in uses if (u.integration_type, u.role, u.key) == meant)
        setup, standing = _setup_of(properties, route.integration_type, setups, now)
        tone = {Role.MILESTONE: "good", Role.ERROR: "bad", Role.UNDO: "warn"}.get(route.role, "")
        effect = Effect(f"{live.document.name}: {use.does}", tone, setup, standing)
        (found if setup or route.role in ACCOUNT_WIDE else elsewhere).append(effect)
    # A name that several journeys know is about the setup that is there.
    found = found or elsewhere
    if not found and uses:
        near = "; ".join(f"{use.journey} {use.does} {use.condition}" for use in uses)
        found = [Effect(f"Nothing, though journeys listen to this name: {near}", "warn")]
    return tuple(found)


def _setup_of(
    properties: Mapping[str, Any], kind: str, setups: Sequence[Setup], now: Definition
) -> tuple[str, str]:
    """The setup that the event is about, as far as a list can tell, and how it stands."""
    near = [setup for setup in setups if setup.integration_type == kind]
    for column in ("integration_id", "provider"):
        said = str(properties.get(column) or "").strip()
        if said:
            same = [each for each in near if getattr(each, column).lower() == said.lower()]
            near = same or [each for each in near if not getattr(each, column)]
    if len(near) != 1:
        return ("one of several setups", "") if near else ("", "")
    setup, document = near[0], now.journeys[kind].document
    name = provider_name(document, setup.provider) or document.integration_name
    if setup.usable_at:
        return name, "working"
    if setup.blocked_class:
        return name, "blocked"
    return name, f"{len(setup.milestones)} of {len(document.path.milestones)} steps reached"


def _told(event: Event) -> str:
    """What an identify, group or alias said."""
    traits = ", ".join(sorted(map(str, event.properties))[:8]) or "nothing more"
    match event.type:
        case "identify":
            return f"Says about the person: {traits}"
        case "group":
            return f"Says that the person belongs to the account, and about it: {traits}"
        case _:
            return "Says that two ids are one person"


def _plain(now: Definition, event: Event, name: str) -> Effect:
    if now.is_activity(name, event.type, event.actor):
        return Effect("Shows somebody at work; no journey listens to it.")
    return Effect("Kept; no journey listens to it.")


def curl_example(plain: str) -> str:
    """A line for a terminal that sends one event, with this key."""
    row = EventType.objects.filter(planned=True, kind="start").order_by("name").first()
    message = {
        "userId": "test-user",
        "event": row.name if row else "integration_started",
        "properties": (row.example if row else None) or {"integration_type": "api"},
        "context": {"groupId": "test-account"},
    }
    body = shlex.quote(json.dumps(message, ensure_ascii=False))
    return (
        f"curl -u {shlex.quote(plain + ':')} {settings.SITE_URL}/v1/track \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {body}"
    )


@require_GET
@staff("pages.see_event_health")
def show_live_events(request: StaffRequest) -> HttpResponse:
    asked = wanted(request.GET)
    return screen(request, "live_events", _context(asked), title="Live events")


@require_POST
@staff("events.add_ingestkey")
def make_test_key(request: StaffRequest) -> HttpResponse:
    """A key of the test world, shown this once: inside the line that uses it."""
    name = f"Test key of {request.user.get_username()}"
    _, plain = keys.create(name[:120], environment=Environment.TEST, by=request.user)
    made = {"curl": curl_example(plain), "made": True}
    if request.htmx:
        return screen(request, "test_key", made, title="Live events")
    return screen(request, "live_events", _context(wanted(QueryDict())) | made, title="Live events")


def _context(asked: Wanted) -> dict[str, Any]:
    return {
        "asked": asked,
        "arrivals": arrivals(asked),
        "keys": IngestKey.objects.order_by("revoked_at", "name"),
        "names": EventType.objects.values_list("name", flat=True)[:MOST_NAMES],
        "only": ONLY,
        "curl": curl_example(NO_KEY),
        "most": MOST_LOOKED_AT,
    }
