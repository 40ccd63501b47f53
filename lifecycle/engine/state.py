"""What an account's events add up to. The fold writes these; everybody else only reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the engine sees it.

    `uid` breaks ties between events of one moment, so it must not depend on the order of arrival.
    `active`: whether it shows a person (or their agent) at work.
    """

    id: int
    name: str
    at: datetime
    received_at: datetime
    uid: str = ""
    person: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    active: bool = True
    historical: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """When something became true. `imported_at` is set where imported history made it so."""

    at: datetime
    imported_at: datetime | None = None

    @staticmethod
    def of(event: Event) -> Mark:
        return Mark(event.at, event.received_at if event.historical else None)


@dataclass(slots=True)
class Block:
    """An error threshold was crossed. `burst` is the next crossing while still blocked."""

    error_class: str
    since: Mark
    burst: Mark | None = None


@dataclass(slots=True)
class LastError:
    """The newest error, for words and for choosing a variant."""

    error_class: str
    at: datetime
    message: str
    count: int


@dataclass(slots=True)
class SetupState:
    """One setup, as its events leave it.

    `reported`: when each milestone was last said to be reached. The `…imported…` fields say when the
    history was imported that took a milestone back, or ended a block.
    """

    integration_type: str
    started: Mark
    provider: str = ""
    integration_id: str = ""
    keys: tuple[str, ...] = ()
    implicit: bool = True
    attempt: int = 1
    starter: int | None = None
    starter_role: str = ""
    reached: dict[str, Mark] = field(default_factory=dict)
    reached_by: dict[str, int] = field(default_factory=dict)
    reported: dict[str, datetime] = field(default_factory=dict)
    unreached_at: dict[str, datetime] = field(default_factory=dict)
    unreached_imported: dict[str, datetime] = field(default_factory=dict)
    usable: Mark | None = None
    errors: dict[str, list[datetime]] = field(default_factory=dict)
    last_error: LastError | None = None
    block: Block | None = None
    blocks: int = 0
    unblocked_at: datetime | None = None
    unblocked_imported_at: datetime | None = None
    held_since: datetime | None = None
    hold_ended_at: datetime | None = None
    stopped_at: datetime | None = None
    activated: Mark | None = None
    intent: Mark | None = None
    actors: dict[int, datetime] = field(default_factory=dict)
    active_at: datetime | None = None
    progress_at: datetime | None = None

    @property
    def key(self) -> str:
        """The best key known: the integration's id, else the provider, else nothing."""
        if self.integration_id:
            return f"id:{self.integration_id}"
        return f"provider:{self.provider}" if self.provider else ""

    @property
    def is_open(self) -> bool:
        return self.usable is None


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A milestone or completion that fits several setups; nudges on all of them are held."""

    event_id: int
    name: str
    at: datetime
    candidates: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class AccountState:
    """Everything that an account's log says."""

    setups: list[SetupState] = field(default_factory=list)
    active: dict[int, datetime] = field(default_factory=dict)
    unplaced: list[Unplaced] = field(default_factory=list)
    last_key: tuple[datetime, int, str] | None = None
    last_event_id: int = 0

    def setup(self, integration_type: str, key: str) -> SetupState | None:
        """The setup that is, or once was, known by this key."""
        for setup in self.setups:
            if setup.integration_type == integration_type and key in setup.keys:
                return setup
        return None
