"""Which fields each part of a journey has: where they stand in the document, and what they are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.pages.journey_editing.kinds import (
    Choice,
    Clock,
    Deed,
    Events,
    Holds,
    Kind,
    Length,
    Limits,
    Names,
    Number,
    OfAccount,
    Switch,
    Text,
    Ticks,
    Words,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One value: its `path` within its part, its words, and what stands there where nothing is written."""

    path: str
    label: str
    kind: Kind
    default: Any = ""
    help: str = ""

    def value(self, part: Mapping[str, Any]) -> Any:
        """What the part says, or the default."""
        found: Any = part
        for name in self.path.split("."):
            if not isinstance(found, Mapping) or name not in found:
                return self.default
            found = found[name]
        return found

    def put(self, part: dict[str, Any], value: Any) -> None:
        """Write the value into the part."""
        *groups, last = self.path.split(".")
        for name in groups:
            part = part.setdefault(name, {})
        part[last] = value


ALWAYS: Mapping[str, Any] = {"kind": "always"}
RULES = (
    Field("name", "Name", Text(required=True)),
    Field(
        "integration_name",
        "What is set up",
        Text(required=True),
        help="As an e-mail says it: “an API connection”.",
    ),
    Field(
        "integration_type",
        "Integration type",
        Text(required=True),
        help="As your events name it. One journey at most is live for a type.",
    ),
    Field("hours.days", "Days on which mails go", Ticks("days", numbers=True), (0, 1, 2, 3, 4)),
    Field("hours.start", "From", Clock(), "08:00", "In the recipient's own time zone."),
    Field("hours.end", "To", Clock(), "19:00", "24:00 is the end of the day."),
    Field("hours.quiet_start", "Quiet from", Clock(), "21:00", "Nothing goes in quiet hours."),
    Field("hours.quiet_end", "Quiet until", Clock(), "07:00"),
    Field("caps", "Limits on mails", Limits(), (), "Reminders wait, or are dropped, at the limit."),
    Field(
        "holdout_percent",
        "Control group",
        Number(0, 100, whole=False, unit="%"),
        0,
        "Accounts that get nothing, to compare with.",
    ),
    Field(
        "session_minutes",
        "Somebody is at work for",
        Length(),
        10,
        "After each thing that they did.",
    ),
    Field("session_hold_minutes", "Waited for at most", Length(), 60),
    Field(
        "ask_order",
        "Whom to ask first",
        Words(),
        ("admin", "owner"),
        "Roles, with commas between them; any other role comes after.",
    ),
    Field("entry.when", "Who enters", Holds(), ALWAYS),
    Field(
        "entry.manual_providers",
        "Providers that a person takes care of",
        Words(),
        (),
        "With commas between them; their setups get no mails.",
    ),
    Field("entry.reenter", "May be taken a second time", Switch(), default=True),
    Field("exit.when", "What ends it early", Holds(), {"kind": "activated"}),
    Field("high_value", "Of high value is an account whose", OfAccount(), None),
    Field(
        "skip_completed_elsewhere",
        "No reminders to people who have set it up in another account",
        Switch(),
        default=True,
    ),
    Field("provider_names", "Providers' names", Names(), ()),
)
PATH = (
    Field("start", "Starts with", Events(), ()),
    Field(
        "usable",
        "It works when all of these hold",
        Ticks("milestones"),
        (),
        "The true end state: whoever gets there is never reminded again.",
    ),
    Field("target_minutes", "Target", Length(), 60, "From the start to a working integration."),
    Field("activation.event", "First value: the event", Text(required=True, suggest="events")),
    Field("activation.name", "First value: what to do", Text(required=True)),
    Field(
        "activation.destination",
        "First value: on the screen",
        Choice("destinations", "No screen", "screen"),
    ),
    Field("intent", "Shows interest", Events(), ()),
)
MILESTONE = (
    Field("name", "Name", Text(required=True)),
    Field("action", "What to do", Text(required=True), help="As an e-mail says it: “create the API key”."),
    Field("expected_minutes", "Expected within", Length(), 60, "Later than this it has stalled."),
    Field("capability", "Who can do it", Choice("capabilities", "Everybody", "capability")),
    Field("destination", "On the screen", Choice("destinations", "No screen", "screen")),
    Field("events", "Reached by", Events(), ()),
    Field("undo", "Undone by", Events(), ()),
)  # fmt: skip
ERROR = (
    Field("name", "Name", Text(required=True)),
    Field("events", "Told by", Events(), ()),
    Field("threshold", "Blocks after so many", Number(1, 10_000), 3),
    Field("window_minutes", "Within", Length(), 60),
)
STAGE = (
    Field("name", "Name", Text(required=True)),
    Field("when", "A setup is here while", Holds(), ALWAYS),
)
STEP_KEY = Field("key", "Key", Text(required=True))
STEP = (
    Field("do", "What it does", Deed(), {"kind": "hand_off"}),
    Field(
        "purpose",
        "Purpose",
        Choice("purpose", what="purpose"),
        "nudge",
        "Reminders and requests fall silent when it is blocked; all but confirmations when it works.",
    ),
    Field(
        "after_minutes",
        "When",
        Length(nothing="when the next milestone is later than expected"),
        None,
        "After the stage began.",
    ),
    Field(
        "late_after_minutes",
        "Of use for",
        Length(),
        3 * 24 * 60,
        "How long after its time it is still worth doing.",
    ),
    Field("when", "Only if", Holds(), ALWAYS),
    Field(
        "priority",
        "Priority",
        Number(0, 1000),
        50,
        "Where several steps are due in one account, the lowest number goes first.",
    ),
    Field("waits_while_active", "Waits while somebody is at work", Switch(), default=True),
    Field(
        "follows_own_action",
        "Ignores quiet hours, as it follows their own action",
        Switch(),
        default=False,
    ),
    Field("ignores_cap", "Ignores the limits on mails", Switch(), default=False),
    Field("counts_toward_cap", "Counts toward the limits", Switch(), default=True),
)
FIELDS: Mapping[str, Sequence[Field]] = {
    "rules": RULES,
    "path": PATH,
    "milestone": MILESTONE,
    "error": ERROR,
    "stage": STAGE,
    "step": STEP,
}
