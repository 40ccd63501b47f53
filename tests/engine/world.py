"""A small world for the engine's tests: two journeys, four people, and short ways to say what happened.

Times are minutes after T0, a Tuesday at ten in the morning, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from lifecycle.engine.decide import Decision, Verdict, decide
from lifecycle.engine.facts import Account, Facts, Person, Run
from lifecycle.engine.fold import fold
from lifecycle.engine.journey import (
    Activation,
    AllOf,
    Always,
    Blocked,
    BlockedAgain,
    Cap,
    Email,
    ErrorClass,
    HandOff,
    HighValue,
    Hours,
    Journey,
    Match,
    Milestone,
    Not,
    OpenAlert,
    Path,
    Purpose,
    Reached,
    SomebodyAble,
    Stage,
    StarterLacks,
    Step,
    Test,
    To,
    Trait,
    Usable,
)
from lifecycle.engine.routing import Router
from lifecycle.engine.state import AccountState, Event, SetupState

T0 = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
HOUR, DAY = 60, 24 * 60
MOMENT = timedelta(microseconds=1)
ALWAYS_OPEN = Hours(
    days=(0, 1, 2, 3, 4, 5, 6), start="00:00", end="24:00", quiet_start="00:00", quiet_end="00:00"
)

# --- paths ----------------------------------------------------------------------------------------

API_PATH = Path(
    start=(Match("integration_started", (Test("integration_type", "eq", "api"),)),),
    milestones=(
        Milestone(
            key="key",
            name="API key created",
            events=(Match("api_key_created"),),
            undo=(Match("api_key_revoked"),),
            expected_minutes=2 * HOUR,
            action="Create an API key",
            capability="manage_api_keys",
        ),
        Milestone(
            key="call",
            name="First successful call",
            events=(Match("first_api_call_success", (Test("environment", "eq", "production"),)),),
            expected_minutes=DAY,
            action="Make a first call",
            capability="manage_api_keys",
        ),
    ),
    usable=("key", "call"),
    errors=(
        ErrorClass("auth", "Refused credentials", (Match("auth_failed"),), 3, HOUR),
        ErrorClass(
            "scope",
            "Missing scope",
            (Match("auth_failed", (Test("error_class", "eq", "missing_scope"),)),),
            2,
            HOUR,
        ),
    ),
    target_minutes=15,
    activation=Activation("first_workflow_launched", "Launch a workflow"),
    intent=(Match("docs_viewed"), Match("pricing_viewed")),
)

DOMAIN_PATH = Path(
    start=(Match("integration_started", (Test("integration_type", "eq", "domain"),)),),
    milestones=(
        Milestone(
            key="dns",
            name="Domain verified",
            events=(Match("domain_verified"),),
            undo=(Match("domain_unverified"),),
            expected_minutes=DAY,
            action="Add the DNS records",
            capability="manage_dns",
        ),
        Milestone(
            key="sending",
            name="Sending enabled",
            events=(Match("sending_enabled"), Match("authentication_check_passed")),
            expected_minutes=DAY,
            action="Send a first message",
        ),
    ),
    usable=("dns", "sending"),
    errors=(ErrorClass("records", "Records not found", (Match("dns_check_failed"),), 3, DAY),),
    target_minutes=2 * DAY,
    activation=Activation("first_campaign_sent", "Send a campaign"),
    intent=(Match("pricing_viewed"),),
)

# --- journeys -------------------------------------------------------------------------------------


def mail(key: str, purpose: Purpose, to: To, **more: Any) -> Step:
    """A step that sends the template of its own name."""
    step = {name: more.pop(name) for name in list(more) if name not in ("capability", "category")}
    step.setdefault("after_minutes", 0)
    return Step(key, purpose, Email(key, to, **more), **step)


def alert(key: str, purpose: Purpose, after: int, **more: Any) -> Step:
    """A step that calls in a human."""
    return Step(key, purpose, OpenAlert(key), after, **more)


USABLE = Stage(
    "usable",
    "Working",
    Usable(),
    (
        mail(
            "confirm", Purpose.CONFIRMATION, To.STARTER, follows_own_action=True, ignores_cap=True
        ),
        mail("thank_asked", Purpose.CONFIRMATION, To.ASKED, ignores_cap=True),
        Step("hand_off", Purpose.CONFIRMATION, HandOff(), 0),
    ),
)
BLOCKED = Stage(
    "blocked",
    "Blocked",
    Blocked(),
    (
        mail("checklist", Purpose.RESOLUTION, To.ABLE, priority=10, ignores_cap=True),
        mail("blocked_nudge", Purpose.NUDGE, To.ABLE),
        alert("blocked_again", Purpose.RESOLUTION, 0, when=BlockedAgain()),
        alert("big_blocked", Purpose.RESOLUTION, 0, when=HighValue()),
    ),
)
WAITING = Stage(
    "waiting",
    "Waiting on another role",
    StarterLacks(),
    (
        mail("ask_your_admin", Purpose.NUDGE, To.STARTER, when=SomebodyAble(), after_minutes=10),
        mail("ask", Purpose.ASK, To.OTHER_ABLE, when=SomebodyAble(), after_minutes=HOUR),
        mail("ask_next", Purpose.ASK, To.OTHER_ABLE, when=SomebodyAble(), after_minutes=2 * DAY),
        mail("forward", Purpose.NUDGE, To.STARTER, when=Not(SomebodyAble()), after_minutes=10),
        alert("nobody_able", Purpose.NUDGE, 2 * DAY, when=Not(SomebodyAble())),
    ),
)


def stages(first: str, first_key: str) -> tuple[Stage, ...]:
    """The blueprint's stages, in the order of their priority, for a path that begins with `first`."""
    nudge = Purpose.NUDGE
    return (
        USABLE,
        BLOCKED,
        WAITING,
        Stage(
            first_key,
            first_key,
            Reached(first),
            (mail(f"{first_key}_stalled", nudge, To.ABLE, after_minutes=None),),
        ),
        Stage(
            "started",
            "Started",
            Always(),
            (
                mail("hello", nudge, To.ABLE, after_minutes=10, follows_own_action=True),
                mail("start_stalled", nudge, To.ABLE, after_minutes=None),
                alert("still_nothing", nudge, 3 * DAY),
            ),
        ),
    )


API = Journey(
    key="api",
    name="API",
    integration_type="api",
    integration_name="API",
    path=API_PATH,
    stages=stages("key", "key_created"),
    caps=(Cap("person", 1, DAY), Cap("account", 3, 7 * DAY)),
    hours=ALWAYS_OPEN,
    high_value=Trait(Test("plan", "eq", "enterprise")),
)
DOMAIN = replace(
    API,
    key="domain",
    name="Domain",
    integration_type="domain",
    integration_name="domain",
    path=DOMAIN_PATH,
    stages=stages("dns", "verified"),
)
ROUTER = Router({"api": API_PATH, "domain": DOMAIN_PATH})

# --- people ---------------------------------------------------------------------------------------

CAN = {
    "owner": frozenset({"manage_api_keys", "manage_dns", "billing"}),
    "admin": frozenset({"manage_api_keys", "manage_dns"}),
    "developer": frozenset({"manage_api_keys"}),
    "marketer": frozenset[str](),
}


def person(number: int, name: str, role: str, **more: Any) -> Person:
    """A member with the address name@acme.example, who joined long ago."""
    address = f"{name.lower()}@acme.example"
    return Person(
        id=number,
        **{
            "email": address,
            "address": address,
            "name": name,
            "role": role,
            "capabilities": CAN[role],
            "joined_at": T0 - timedelta(days=100 - number),
            **more,
        },
    )


DEV = person(1, "Dev", "developer")
ADA = person(2, "Ada", "admin")
OLE = person(3, "Ole", "owner")
MIA = person(4, "Mia", "marketer")
EVERYBODY = (DEV, ADA, OLE, MIA)

# --- what happened --------------------------------------------------------------------------------

_ids = count(1)


def at(minutes: float) -> datetime:
    """The moment that many minutes after T0."""
    return T0 + timedelta(minutes=minutes)


def ev(
    name: str,
    minutes: float = 0,
    by: Person | None = None,
    *,
    uid: str | None = None,
    active: bool = True,
    imported: float | None = None,
    **properties: Any,
) -> Event:
    """An event; said twice in the same words it is the same message. `imported`: when, as history."""
    same = f"{name} {minutes} {by.id if by else None} {sorted(properties.items(), key=str)}"
    return Event(
        id=next(_ids),
        name=name,
        at=at(minutes),
        received_at=at(minutes if imported is None else imported),
        uid=same if uid is None else uid,
        person=by.id if by else None,
        properties=properties,
        active=active and imported is None,
        historical=imported is not None,
    )


def start(minutes: float = 0, by: Person | None = DEV, kind: str = "api", **more: Any) -> Event:
    """Somebody starts an integration."""
    return ev("integration_started", minutes, by, integration_type=kind, **more)


def key(minutes: float, by: Person | None = DEV, **more: Any) -> Event:
    """An API key is created."""
    return ev("api_key_created", minutes, by, **more)


def call(
    minutes: float, by: Person | None = DEV, environment: str = "production", **more: Any
) -> Event:
    """A call succeeds."""
    return ev("first_api_call_success", minutes, by, environment=environment, **more)


def revoked(minutes: float, **more: Any) -> Event:
    """An API key is revoked."""
    return ev("api_key_revoked", minutes, **more)


def refused(*minutes: float, **more: Any) -> list[Event]:
    """Credentials are refused, at each of these moments."""
    return [ev("auth_failed", moment, active=False, **more) for moment in minutes]


def control(name: str, minutes: float, **more: Any) -> Event:
    """Staff do something."""
    return ev(name, minutes, active=False, **more)


def folded(*events: Event | Iterable[Any], **more: Any) -> AccountState:
    """The state that these lead to."""
    return fold(ROUTER, flat(events), **more)


def flat(events: Iterable[Any]) -> list[Event]:
    """One list of events from a mixture of events and lists of them."""
    return [
        one for entry in events for one in ([entry] if isinstance(entry, Event) else flat(entry))
    ]


def only(*events: Event | Iterable[Any], **more: Any) -> SetupState:
    """The one setup that these lead to."""
    [setup] = folded(*events, **more).setups
    return setup


# --- what is concluded ----------------------------------------------------------------------------


def facts(
    setup: SetupState,
    *people: Person,
    account: Account | None = None,
    entered: float | None = None,
    runs: Iterable[Run] = (),
    **more: Any,
) -> Facts:
    """What is known about the setup; everybody is there unless people are given."""
    return Facts(
        account=account or Account(id=1),
        setup=setup,
        people={one.id: one for one in people or EVERYBODY},
        entered_at=setup.started.at if entered is None else at(entered),
        attempt=more.pop("attempt", setup.attempt),
        runs=tuple(runs),
        **more,
    )


def look(
    minutes: float, *events: Event | Iterable[Any], journey: Journey = API, **more: Any
) -> Decision:
    """The decision on the account's only setup at that moment. `people` and other facts as named."""
    people = more.pop("people", ())
    return decide(journey, facts(only(*events), *people, **more), at(minutes))


def verdict(
    step: str, minutes: float, *events: Event | Iterable[Any], journey: Journey = API, **more: Any
) -> Verdict:
    """What is concluded about one step."""
    found = look(minutes, *events, journey=journey, **more).verdict(step)
    assert found is not None
    return found


def said(found: Verdict | None) -> tuple[str, str]:
    """Outcome and reason in one."""
    assert found is not None
    return found.outcome, str(found.reason)


def ran(step: str, who: Person | None = None, minutes: float = 0, *, bounced: bool = False) -> Run:
    """A step that was carried out."""
    return Run(step, who.id if who else None, at(minutes), bounced)


def with_step(step: Step, journey: Journey = API, *, stage: str = "started") -> Journey:
    """The journey with this one step, alone, in that stage."""
    return replace(
        journey,
        stages=tuple(
            replace(one, steps=(step,) if one.key == stage else ()) for one in journey.stages
        ),
    )


def all_of(*conditions: Any) -> AllOf:
    """Every one of the conditions."""
    return AllOf(conditions)
