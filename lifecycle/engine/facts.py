"""Everything `decide` may look at, gathered beforehand; nothing here is fetched on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from lifecycle.engine.reasons import Reason
from lifecycle.engine.state import SetupState


@dataclass(frozen=True, slots=True)
class Person:
    """A member, present or past, of the account.

    `refuses` holds mail categories the person said no to; `suppressed` why their address gets no mail.
    `active_at` is their last own action anywhere; `completed` the integration types that they have
    made usable in another account.
    """

    id: int
    email: str = ""
    address: str = ""
    name: str = ""
    role: str = ""
    capabilities: frozenset[str] = frozenset()
    member: bool = True
    joined_at: datetime | None = None
    role_since: datetime | None = None
    time_zone: str = ""
    suppressed: str = ""
    refuses: frozenset[str] = frozenset()
    active_at: datetime | None = None
    completed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Run:
    """That a step was carried out, for whom (None: for nobody in particular), and how it ended."""

    step_key: str
    person: int | None
    at: datetime
    bounced: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """The account's own facts. `outreach`: may we write to people who did not start the setup?"""

    id: int
    traits: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = ""
    closed_at: datetime | None = None
    merged: bool = False
    paused: bool = False
    outreach: Literal["yes", "same_domain", "never"] = "yes"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one setup and its account at one moment.

    `broken`: the keys of the e-mails that lead to a screen which does not answer.
    """

    account: Account
    setup: SetupState
    people: Mapping[int, Person] = field(default_factory=dict)
    entered_at: datetime | None = None
    attempt: int = 1
    runs: tuple[Run, ...] = ()
    journey_paused: bool = False
    all_paused: bool = False
    incident: bool = False
    unplaced: bool = False
    broken: frozenset[str] = frozenset()

    def runs_of(self, step_key: str) -> list[Run]:
        """How often, and for whom, this step was carried out."""
        return [run for run in self.runs if run.step_key == step_key]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A person who came before the chosen one in the chain, and why they were not chosen."""

    person: int | None
    reason: Reason
