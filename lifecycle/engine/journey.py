"""Journey documents as frozen dataclasses: the whole language a marketer can say.

Documents are validated into these classes where they enter (lifecycle.journeys.documents).
Durations are whole minutes, clock times are "HH:MM" in the recipient's own time zone,
weekdays count from Monday = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Literal

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Test:
    """A test of one event property or account trait; `in` takes a list, `exists` no value."""

    property: str
    op: Literal["eq", "ne", "in", "not_in", "exists", "gte", "lte"] = "eq"
    value: Scalar | tuple[Scalar, ...] = None


@dataclass(frozen=True, slots=True)
class Match:
    """Events of this name whose properties pass every test."""

    event: str
    where: tuple[Test, ...] = ()


@dataclass(frozen=True, slots=True)
class Milestone:
    """A step of the path. `expected_minutes` is how long it may take before it counts as stalled."""

    key: str
    name: str
    events: tuple[Match, ...]
    expected_minutes: int
    action: str
    undo: tuple[Match, ...] = ()
    capability: str = ""
    destination: str = ""

    @property
    def expected(self) -> timedelta:
        return timedelta(minutes=self.expected_minutes)


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """A kind of failure; `threshold` of them within the window block the setup."""

    key: str
    name: str
    events: tuple[Match, ...]
    threshold: int
    window_minutes: int

    @property
    def window(self) -> timedelta:
        return timedelta(minutes=self.window_minutes)


@dataclass(frozen=True, slots=True)
class Activation:
    """The first value action after the setup is usable; seeing it is the later stage."""

    event: str
    name: str
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """From the start to the true end state. `usable` lists the milestones that must all hold."""

    start: tuple[Match, ...]
    milestones: tuple[Milestone, ...]
    usable: tuple[str, ...]
    errors: tuple[ErrorClass, ...]
    target_minutes: int
    activation: Activation
    intent: tuple[Match, ...] = ()

    def milestone(self, key: str) -> Milestone:
        """The milestone of that key. Raises KeyError."""
        for milestone in self.milestones:
            if milestone.key == key:
                return milestone
        raise KeyError(key)

    def error(self, key: str) -> ErrorClass:
        """The error class of that key. Raises KeyError."""
        for error in self.errors:
            if error.key == key:
                return error
        raise KeyError(key)


# --- conditions: on product state and people, never on the clock ------------------------------


@dataclass(frozen=True, slots=True)
class Always:
    """Holds from the setup's start on."""

    kind: Literal["always"] = "always"


@dataclass(frozen=True, slots=True)
class Reached:
    """The milestone is reached and not undone."""

    milestone: str
    kind: Literal["reached"] = "reached"


@dataclass(frozen=True, slots=True)
class Usable:
    """The true end state holds."""

    kind: Literal["usable"] = "usable"


@dataclass(frozen=True, slots=True)
class Blocked:
    """An error threshold was crossed and there was no progress since; of this class, if one is named."""

    error_class: str = ""
    kind: Literal["blocked"] = "blocked"


@dataclass(frozen=True, slots=True)
class BlockedAgain:
    """Blocked for the second time, or a further burst of errors came while blocked."""

    kind: Literal["blocked_again"] = "blocked_again"


@dataclass(frozen=True, slots=True)
class StarterLacks:
    """Whoever started is known and lacks the capability that the next milestone needs."""

    kind: Literal["starter_lacks"] = "starter_lacks"


@dataclass(frozen=True, slots=True)
class SomebodyAble:
    """A current member other than the starter holds the capability the next milestone needs."""

    kind: Literal["somebody_able"] = "somebody_able"


@dataclass(frozen=True, slots=True)
class ProviderIn:
    """The setup's provider is one of these."""

    providers: tuple[str, ...]
    kind: Literal["provider_in"] = "provider_in"


@dataclass(frozen=True, slots=True)
class Trait:
    """A test of the account's traits, such as plan or value."""

    test: Test
    kind: Literal["trait"] = "trait"


@dataclass(frozen=True, slots=True)
class HighValue:
    """The account meets the journey's `high_value` condition; never, where the journey names none."""

    kind: Literal["high_value"] = "high_value"


@dataclass(frozen=True, slots=True)
class Activated:
    """The path's activation event was seen: the account is in a later stage."""

    kind: Literal["activated"] = "activated"


@dataclass(frozen=True, slots=True)
class Intent:
    """Somebody of the account visited setup docs or pricing since the setup started."""

    kind: Literal["intent"] = "intent"


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    of: Condition
    kind: Literal["not"] = "not"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    of: tuple[Condition, ...]
    kind: Literal["all"] = "all"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds."""

    of: tuple[Condition, ...]
    kind: Literal["any"] = "any"


Condition = (
    Always
    | Reached
    | Usable
    | Blocked
    | BlockedAgain
    | StarterLacks
    | SomebodyAble
    | ProviderIn
    | Trait
    | HighValue
    | Activated
    | Intent
    | Not
    | AllOf
    | AnyOf
)


# --- steps --------------------------------------------------------------------------------------


class Purpose(StrEnum):
    """What a step is for; silence is decided by purpose, not by step."""

    NUDGE = "nudge"
    RESOLUTION = "resolution"
    ASK = "ask"
    CONFIRMATION = "confirmation"


class To(StrEnum):
    """Who a step is for. The chain within each is stated in lifecycle.engine.people."""

    STARTER = "starter"
    ABLE = "able"
    OTHER_ABLE = "other_able"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Email:
    """Send the live version of a template to one person."""

    template: str
    to: To
    capability: Literal["next", ""] = ""
    category: Literal["setup_help", "product_news"] = "setup_help"
    kind: Literal["email"] = "email"


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """Call in a human."""

    title: str
    kind: Literal["alert"] = "alert"


@dataclass(frozen=True, slots=True)
class HandOff:
    """Tell the outside that the journey ended well: a signed webhook and an event in our own log."""

    kind: Literal["hand_off"] = "hand_off"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do after some time in a stage.

    `after_minutes` null means the next milestone's own expected window. `late_after_minutes`: how
    long after its due time (moved to the next open send window) it is still worth doing; where that
    ends while the window is closed, the first hour after it opens still counts.
    """

    key: str
    purpose: Purpose
    do: Email | OpenAlert | HandOff
    after_minutes: int | None = None
    late_after_minutes: int = 3 * 24 * 60
    when: Condition = Always()
    priority: int = 50
    ignores_cap: bool = False
    counts_toward_cap: bool = True
    follows_own_action: bool = False
    waits_while_active: bool = True

    @property
    def late_after(self) -> timedelta:
        return timedelta(minutes=self.late_after_minutes)


@dataclass(frozen=True, slots=True)
class Stage:
    """A condition on the folded state, with what to do while it holds."""

    key: str
    name: str
    when: Condition
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` counted mails in a rolling window, per person's address or per account."""

    scope: Literal["person", "account"]
    limit: int
    window_minutes: int

    @property
    def window(self) -> timedelta:
        return timedelta(minutes=self.window_minutes)


@dataclass(frozen=True, slots=True)
class Hours:
    """When mails may go, in the recipient's time zone: days, from–until, and never in quiet hours."""

    days: tuple[int, ...] = (0, 1, 2, 3, 4)
    start: str = "08:00"
    end: str = "19:00"
    quiet_start: str = "21:00"
    quiet_end: str = "07:00"


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may enter. Providers with a manual path go to a person instead of a journey."""

    when: Condition = Always()
    manual_providers: tuple[str, ...] = ()
    reenter: bool = True


@dataclass(frozen=True, slots=True)
class Exit:
    """What ends the journey besides usable, closing and a manual stop."""

    when: Condition = Activated()


@dataclass(frozen=True, slots=True)
class Journey:
    """The whole document."""

    key: str
    name: str
    integration_type: str
    integration_name: str
    path: Path
    stages: tuple[Stage, ...]
    entry: Entry = Entry()
    exit: Exit = Exit()
    caps: tuple[Cap, ...] = ()
    hours: Hours = Hours()
    holdout_percent: float = 0
    ask_order: tuple[str, ...] = ("admin", "owner")
    session_minutes: int = 10
    session_hold_minutes: int = 60
    high_value: Trait | None = None
    skip_completed_elsewhere: bool = True
    provider_names: tuple[tuple[str, str], ...] = ()

    @property
    def session(self) -> timedelta:
        return timedelta(minutes=self.session_minutes)

    @property
    def session_hold(self) -> timedelta:
        return timedelta(minutes=self.session_hold_minutes)

    def steps(self) -> dict[str, tuple[Stage, Step]]:
        """Every step by its key, with its stage."""
        return {step.key: (stage, step) for stage in self.stages for step in stage.steps}
