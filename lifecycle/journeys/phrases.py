"""A journey in plain words: conditions, steps, times and limits as people read and compare them."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from lifecycle.engine.journey import (
    Activated,
    AllOf,
    Always,
    AnyOf,
    Blocked,
    BlockedAgain,
    Cap,
    Condition,
    Email,
    HandOff,
    HighValue,
    Hours,
    Intent,
    Journey,
    Match,
    Milestone,
    Not,
    OpenAlert,
    ProviderIn,
    Purpose,
    Reached,
    SomebodyAble,
    StarterLacks,
    Step,
    Test,
    To,
    Trait,
    Usable,
)
from lifecycle.journeys.words import provider_name, step_name

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WHO = {
    To.STARTER: "to whoever started it",
    To.ABLE: "to whoever can do the next step, the starter first",
    To.OTHER_ABLE: "to one colleague who can do the next step",
    To.ASKED: "to the colleague who was asked",
}
PURPOSES = {
    Purpose.NUDGE: "reminder",
    Purpose.RESOLUTION: "help with an error",
    Purpose.ASK: "request to a colleague",
    Purpose.CONFIRMATION: "confirmation",
}
_OPS = {"eq": "is", "ne": "is not", "gte": "is at least", "lte": "is at most"}
_UNITS = ((7 * 24 * 60, "week"), (24 * 60, "day"), (60, "hour"), (1, "minute"))


def duration(minutes: int) -> str:
    """Whole minutes as people say them: “2 days”, “1 hour 30 minutes”."""
    if minutes == 0:
        return "0 minutes"
    said = []
    rest = abs(minutes)
    for size, name in _UNITS:
        if size == _UNITS[0][0] and rest % size:
            # “8 days” is plainer than “1 week 1 day”.
            continue
        count, rest = divmod(rest, size)
        if count:
            said.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(said)


def listed(parts: list[str], joint: str) -> str:
    """“a, b and c”."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {joint} {parts[-1]}"


def condition(journey: Journey, of: Condition) -> str:
    """The condition as half a sentence: “the setup is blocked by errors”."""
    match of:
        case Always():
            return "the setup has started"
        case Reached(milestone=key):
            return f"“{_milestone(journey, key)}” is reached"
        case Usable():
            return "the integration works"
        case Blocked(error_class=""):
            return "the setup is blocked by errors"
        case Blocked(error_class=key):
            return f"the setup is blocked by “{_error(journey, key)}”"
        case BlockedAgain():
            return "it is blocked again, or errors go on while it is blocked"
        case StarterLacks():
            return "whoever started it may not do the next step"
        case SomebodyAble():
            return "a colleague of theirs may do the next step"
        case ProviderIn(providers=keys):
            names = [provider_name(journey, key) for key in keys]
            return f"the provider is {listed(names, 'or')}"
        case Trait(test=test):
            return f"the account's {tested(test)}"
        case HighValue():
            return "the account is of high value"
        case Activated():
            return "the account has got to its first value"
        case Intent():
            return "somebody has looked at the setup guide or at prices"
        case Not(of=inner):
            return _denied(journey, inner)
        case AllOf(of=parts):
            return listed([condition(journey, part) for part in parts], "and")
        case AnyOf(of=parts):
            return f"either {listed([condition(journey, part) for part in parts], 'or')}"
        case _:
            assert_never(of)


def _denied(journey: Journey, of: Condition) -> str:
    """That the condition does not hold, as people say it."""
    match of:
        case Reached(milestone=key):
            return f"“{_milestone(journey, key)}” is not reached"
        case Usable():
            return "the integration does not work"
        case Blocked() | ProviderIn() | HighValue():
            return condition(journey, of).replace(" is ", " is not ", 1)
        case StarterLacks():
            return "whoever started it may do the next step"
        case SomebodyAble():
            return "no colleague of theirs may do the next step"
        case Activated():
            return "the account has not got to its first value"
        case Intent():
            return "nobody has looked at the setup guide or at prices"
        case Not(of=inner):
            return condition(journey, inner)
        case _:
            return f"not: {condition(journey, of)}"


def tested(test: Test) -> str:
    """One test of a property or trait: “plan is pro”."""
    name = test.property.replace("_", " ")
    if test.op == "exists":
        return f"{name} is known"
    if test.op in ("in", "not_in"):
        values = test.value if isinstance(test.value, tuple) else (test.value,)
        joined = listed([str(value) for value in values], "or")
        return f"{name} is {'not ' if test.op == 'not_in' else ''}{joined}"
    return f"{name} {_OPS[test.op]} {test.value}"


def event(match: Match) -> str:
    """The event, and what its properties must be."""
    tests = listed([tested(test) for test in match.where], "and")
    return f"{match.event} where {tests}" if tests else match.event


def deed(step: Step, templates: Mapping[str, str]) -> str:
    """What the step does; `templates` are the e-mails' names by key."""
    match step.do:
        case Email(to=to):
            return f"Send “{step_name(step, templates)}” {WHO[to]}"
        case OpenAlert(title=title):
            return f"Call in a person: “{title}”"
        case HandOff():
            return "Hand off: tell your systems that it works"
        case _:
            assert_never(step.do)


def moment(step: Step) -> str:
    """When the step's time comes: “2 hours after the stage began”."""
    if step.after_minutes is None:
        return "when the next milestone is later than expected"
    if step.after_minutes == 0:
        return "at once"
    return f"{duration(step.after_minutes)} after the stage began"


def details(journey: Journey, step: Step) -> list[str]:
    """What else is said about the step, one fact a line."""
    said = [f"A {PURPOSES[step.purpose]}"]
    if isinstance(step.do, Email):
        if step.do.capability:
            said.append("Only to somebody who may do the next step")
        if step.do.category == "product_news":
            said.append("Counts as product news, which people can refuse apart")
    if not isinstance(step.when, Always):
        said.append(f"Only if {condition(journey, step.when)}")
    said.append(f"Of use for {duration(step.late_after_minutes)} after its time")
    if step.waits_while_active:
        said.append("Waits while somebody is at work")
    if step.follows_own_action:
        said.append("Ignores quiet hours, as it follows their own action")
    if step.ignores_cap:
        said.append("Ignores the limits on mails")
    if not step.counts_toward_cap:
        said.append("Does not count toward the limits")
    said.append(f"Priority {step.priority}")
    return said


def cap(of: Cap) -> str:
    """“At most 3 mails in 1 week per person”."""
    mails = "1 mail" if of.limit == 1 else f"{of.limit} mails"
    return f"At most {mails} in {duration(of.window_minutes)} per {of.scope}"


def hours(of: Hours) -> str:
    """When mails may go, in the recipient's time zone."""
    days = listed([DAYS[day] for day in sorted(of.days) if day in range(7)], "and")
    if tuple(sorted(of.days)) == (0, 1, 2, 3, 4):
        days = "Monday to Friday"
    elif tuple(sorted(of.days)) == tuple(range(7)):
        days = "Every day"
    return f"{days}, {of.start} to {of.end}, never from {of.quiet_start} to {of.quiet_end}"


def milestone(of: Milestone) -> list[str]:
    """A milestone, one fact a line."""
    said = [
        f"Reached by {listed([event(match) for match in of.events], 'or')}",
        f"Expected within {duration(of.expected_minutes)}",
        f"What to do: {of.action}",
    ]
    if of.undo:
        said.append(f"Undone by {listed([event(match) for match in of.undo], 'or')}")
    if of.capability:
        said.append(f"Needs “{of.capability}”")
    if of.destination:
        said.append(f"Done on the screen “{of.destination}”")
    return said


def lines(journey: Journey, templates: Mapping[str, str]) -> list[str]:
    """The whole journey, one fact a line, indented; two versions are compared line by line."""
    return [*_path(journey), *_rules(journey), *_stages(journey, templates)]


def _path(journey: Journey) -> Iterator[str]:
    path = journey.path
    yield f"{journey.name} ({journey.key}): for {journey.integration_name} ({journey.integration_type})"
    yield "The path"
    yield f"  Starts with {listed([event(match) for match in path.start], 'or')}"
    for one in path.milestones:
        yield f"  Milestone: {one.name} ({one.key})"
        yield from (f"    {line}" for line in milestone(one))
    needed = [_milestone(journey, key) for key in path.usable]
    yield f"  It works when {listed([f'“{name}”' for name in needed], 'and')} hold"
    yield f"  Target: {duration(path.target_minutes)} from the start"
    for error in path.errors:
        caught = listed([event(match) for match in error.events], "or")
        yield f"  Error: {error.name} ({error.key})"
        yield f"    Told by {caught}"
        yield f"    Blocks after {error.threshold} within {duration(error.window_minutes)}"
    place = (
        f", on the screen “{path.activation.destination}”" if path.activation.destination else ""
    )
    yield f"  First value: {path.activation.name} ({path.activation.event}){place}"
    if path.intent:
        yield f"  Shows intent: {listed([event(match) for match in path.intent], 'or')}"


def _rules(journey: Journey) -> Iterator[str]:
    yield "The rules"
    yield f"  Enters if {condition(journey, journey.entry.when)}"
    if journey.entry.manual_providers:
        names = [provider_name(journey, key) for key in journey.entry.manual_providers]
        yield f"  A person takes care of {listed(names, 'and')}"
    if not journey.entry.reenter:
        yield "  Is not taken a second time"
    yield f"  Ends early if {condition(journey, journey.exit.when)}"
    yield f"  Mails go {hours(journey.hours)}"
    yield from (f"  {cap(one)}" for one in journey.caps)
    yield f"  Control group: {journey.holdout_percent:g} %"
    yield f"  Colleagues are asked in this order: {listed(list(journey.ask_order), 'then')}"
    yield (
        f"  Somebody is at work for {duration(journey.session_minutes)} after they acted, "
        f"waited for {duration(journey.session_hold_minutes)} at most"
    )
    if journey.high_value:
        yield f"  High value: {condition(journey, journey.high_value)}"
    if not journey.skip_completed_elsewhere:
        yield "  Also reminds people who have set it up in another account"
    for key, name in journey.provider_names:
        yield f"  Provider {key} is called {name}"


def _stages(journey: Journey, templates: Mapping[str, str]) -> Iterator[str]:
    for stage in journey.stages:
        yield f"Stage: {stage.name} ({stage.key})"
        yield f"  While {condition(journey, stage.when)}"
        for step in stage.steps:
            yield f"  {deed(step, templates)}, {moment(step)} ({step.key})"
            yield from (f"    {line}" for line in details(journey, step))


def _milestone(journey: Journey, key: str) -> str:
    return next((one.name for one in journey.path.milestones if one.key == key), key)


def _error(journey: Journey, key: str) -> str:
    return next((one.name for one in journey.path.errors if one.key == key), key)
