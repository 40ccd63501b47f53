"""The stories: what each demo account does, and what it must get for it.

Times are relative to the moment the play begins. A story starts just before its step's due time, so
that minutes of real time do not have to pass; nothing in the product runs on another clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

SOON = timedelta(seconds=15)
"""From the beginning of the play to the moment when most steps come due."""
AT_ONCE = timedelta(seconds=6)
"""From the beginning of the play to what happens in front of the audience."""


@dataclass(frozen=True)
class Member:
    """Somebody in the account; `name` makes their user id and address."""

    name: str
    role: str


@dataclass(frozen=True)
class Step:
    """One event: who, what, and when it happened, before (negative) or after the play began.

    A step with a positive time is sent at that time; the others are sent right away, as backends do
    that were slow to flush.
    """

    at: timedelta
    who: Member
    event: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Story:
    """An account, what it does, and what must come of it."""

    name: str
    about: str
    members: tuple[Member, ...]
    steps: tuple[Step, ...]
    mails: Mapping[str, tuple[str, ...]]
    """Template keys by the first name of whoever must get them; nobody else gets anything."""
    alerts: int = 0
    traits: Mapping[str, Any] = field(default_factory=dict)


def _started(who: Member, ago: timedelta, kind: str, provider: str) -> Step:
    return Step(
        -ago + SOON,
        who,
        "integration_started",
        {"integration_type": kind, "provider": provider, "initiated_by_role": who.role},
    )


def _failures(who: Member, event: str, ago: timedelta, **properties: Any) -> tuple[Step, ...]:
    return tuple(
        Step(-ago + SOON - timedelta(minutes=minutes), who, event, properties)
        for minutes in (6, 3, 0)
    )


HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DANA, OMAR, PRIYA = Member("Dana", "developer"), Member("Omar", "owner"), Member("Priya", "admin")
MILO, ANNA, NOOR = Member("Milo", "marketer"), Member("Anna", "admin"), Member("Noor", "viewer")


def stories() -> list[Story]:
    """All of them, in the order in which they are told."""
    return [
        Story(
            "Northwind",
            "started Stripe 20 minutes ago and went quiet: e-mail 1, the exact next action",
            (DANA, OMAR),
            (_started(DANA, 20 * MINUTE, "api", "stripe"),),
            {"Dana": ("api_started",)},
        ),
        Story(
            "Bluebird",
            "no DNS records 24 hours after starting with Cloudflare: e-mail 2, about propagation",
            (PRIYA,),
            (_started(PRIYA, 24 * HOUR, "domain", "cloudflare"),),
            {"Priya": ("domain_stalled_start",)},
        ),
        Story(
            "Harbor",
            "has a HubSpot key for a day but no successful request: e-mail 2, about scopes",
            (DANA,),
            (
                _started(DANA, 25 * HOUR, "api", "hubspot"),
                Step(
                    -24 * HOUR + SOON,
                    DANA,
                    "api_key_created",
                    {"provider": "hubspot", "key_scope": "read", "environment": "production"},
                ),
            ),
            {"Dana": ("api_stalled_finish",)},
        ),
        Story(
            "Lakeside",
            "opened Snowflake four hours ago and connected nothing: e-mail 2, the grants it needs",
            (ANNA,),
            (_started(ANNA, 4 * HOUR, "data", "snowflake"),),
            {"Anna": ("data_stalled_start",)},
        ),
        Story(
            "Meridian",
            "failed three times to authenticate with Salesforce, and is worth 25,000 a year: "
            "e-mail 3 with the checklist, reminders stop, and an alert",
            (DANA,),
            (
                _started(DANA, 2 * HOUR - 10 * MINUTE, "api", "salesforce"),
                *_failures(
                    DANA,
                    "auth_failed",
                    5 * MINUTE,
                    provider="salesforce",
                    message="invalid_grant: expired access/refresh token",
                ),
            ),
            {"Dana": ("api_blocked",)},
            alerts=1,
            traits={"value": 25000},
        ),
        Story(
            "Orchard",
            "a marketer started Route 53 but may not change DNS: she learns who can help, and "
            "e-mail 4 asks one admin",
            (MILO, PRIYA),
            (_started(MILO, 60 * MINUTE, "domain", "route53"),),
            {"Milo": ("domain_ask_your_admin",), "Priya": ("domain_ask_admin",)},
        ),
        Story(
            "Pinecone",
            "a viewer started BigQuery and nobody in the account can authorise it: one text to forward",
            (NOOR,),
            (_started(NOOR, 20 * MINUTE, "data", "bigquery"),),
            {"Noor": ("data_nobody_able",)},
        ),
        Story(
            "Quarry",
            "connected PostgreSQL and the first sync came through: e-mail 5, and the journey ends",
            (ANNA,),
            (
                _started(ANNA, 50 * MINUTE, "data", "postgres"),
                Step(-30 * MINUTE, ANNA, "source_connected", {"provider": "postgres"}),
                Step(-MINUTE + SOON, ANNA, "sync_completed", {"provider": "postgres"}),
            ),
            {"Anna": ("data_usable",)},
        ),
        Story(
            "Riverbend",
            "finishes seconds before its reminder is due: the reminder is never sent, only e-mail 5",
            (DANA,),
            (
                _started(DANA, 20 * MINUTE, "api", "stripe"),
                Step(AT_ONCE - MINUTE, DANA, "api_key_created", {"provider": "stripe"}),
                Step(
                    AT_ONCE - MINUTE,
                    DANA,
                    "first_api_call_success",
                    {"provider": "stripe", "environment": "production"},
                ),
            ),
            {"Dana": ("api_usable",)},
        ),
        Story(
            "Summit",
            "a colleague finishes it before anybody is asked: silence for everybody, e-mail 5 to the starter",
            (MILO, PRIYA, OMAR),
            (
                _started(MILO, 20 * MINUTE, "domain", "godaddy"),
                Step(AT_ONCE - MINUTE, PRIYA, "domain_verified", {"provider": "godaddy"}),
                Step(AT_ONCE - MINUTE, PRIYA, "sending_enabled", {"provider": "godaddy"}),
            ),
            {"Milo": ("domain_usable",)},
        ),
    ]


def local_zone(now: datetime) -> str:
    """A time zone in which it is about eleven in the morning now; POSIX signs are the other way round."""
    offset = 11 - now.hour
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"
