"""`decide`: what to do about one setup now, with the reason for every yes and every no.

It writes nothing and asks nobody: facts in, decision out. `arbitrate` then settles what one
account's decisions want at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from lifecycle.engine.conditions import next_milestone, position, truth
from lifecycle.engine.facts import Facts, PassedOver
from lifecycle.engine.hours import known, next_open
from lifecycle.engine.journey import Cap, Email, HandOff, Journey, Purpose, Stage, Step
from lifecycle.engine.people import choose
from lifecycle.engine.reasons import Reason
from lifecycle.engine.state import Mark, SetupState

OWN_ACTION = timedelta(hours=1)
"""Within this long after the person's own action, a mail about it does not wait for office hours."""

OPENING = timedelta(hours=1)
"""A step that gets too late while the send window is closed may still go this long after it opens."""

MOMENT = timedelta(microseconds=1)
"""The smallest step of time: a step is still in time at its `late_at`, and too late a moment after."""

Outcome = Literal["due", "wait", "no", "done"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was concluded about one step.

    `until`: when a waiting step has to be looked at again (None: only when something changes);
    a step that waits for something else may get too late meanwhile, and then that is when.
    """

    step_key: str
    outcome: Outcome
    reason: Reason
    person: int | None = None
    chosen_because: Reason | None = None
    passed_over: tuple[PassedOver, ...] = ()
    due_at: datetime | None = None
    late_at: datetime | None = None
    until: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was concluded about one enrolment.

    `leave` says why it is over. `next_look_at` is exact: of what is not due now, nothing changes
    before it by time alone.
    """

    stage: str
    since: datetime | None
    verdicts: tuple[Verdict, ...]
    leave: Reason | None = None
    next_look_at: datetime | None = None

    def verdict(self, step_key: str) -> Verdict | None:
        """What was concluded about this step."""
        for verdict in self.verdicts:
            if verdict.step_key == step_key:
                return verdict
        return None


def decide(journey: Journey, facts: Facts, now: datetime) -> Decision:
    """Look at one enrolled setup. Steps of other stages are answered too, with that reason."""
    found = position(journey, facts)
    leave = _leave(journey, facts)
    if found is None:
        return Decision("", None, (), leave or (Reason.FINISHED if facts.setup.usable else None))
    stage, since = found
    verdicts: list[Verdict] = []
    done = {run.step_key for run in facts.runs if not run.bounced}
    for other in journey.stages:
        for step in other.steps:
            if step.key in done:
                verdicts.append(_done(facts, step))
            elif leave is not None and not (other is stage and _ends_well(facts, step, leave)):
                verdicts.append(Verdict(step.key, "no", leave))
            elif other is not stage:
                silent = Reason.USABLE if facts.setup.usable else Reason.OTHER_STAGE
                verdicts.append(_elsewhere(step.key, silent, stage.key))
            else:
                verdicts.append(_judge(journey, facts, step, since, now))
    if facts.setup.usable and _confirming(verdicts, stage):
        leave = None
    elif facts.setup.usable and leave is None:
        leave = Reason.FINISHED
    times = [verdict.until for verdict in verdicts if verdict.until is not None]
    return Decision(
        stage.key,
        since.at,
        tuple(verdicts),
        leave,
        min(times, default=None) if leave is None else None,
    )


@lru_cache(maxsize=4096)
def _elsewhere(step_key: str, reason: Reason, stage: str) -> Verdict:
    """The verdict about a step of another stage; most of a decision, so each is made once."""
    return Verdict(step_key, "no", reason, detail={"stage": stage})


def enter(journey: Journey, facts: Facts, *, published_at: datetime | None) -> Reason:
    """Whether a setup that is on no journey may enter: ENTERED, or the reason why not.

    `published_at`: setups that started earlier do not enter; None lets every one in.
    """
    setup = facts.setup
    if facts.account.merged:
        return Reason.MERGED
    if facts.account.closed_at:
        return Reason.CLOSED
    if setup.provider in journey.entry.manual_providers and setup.usable is None:
        return Reason.MANUAL_PROVIDER
    if setup.started.imported_at is not None:
        return Reason.STARTED_HISTORICALLY
    if published_at is not None and setup.started.at < published_at:
        return Reason.STARTED_BEFORE
    if setup.stopped_at:
        return Reason.STOPPED
    if setup.attempt > 1 and not journey.entry.reenter:
        return Reason.NO_REENTRY
    if truth(journey.exit.when, journey, facts).holds:
        return Reason.LATER_STAGE
    if setup.usable and setup.usable.imported_at is not None:
        return Reason.ALREADY_USABLE
    if not truth(journey.entry.when, journey, facts).holds:
        return Reason.ENTRY_RULE
    return Reason.ENTERED


def goes_on(left: str, facts: Facts, decision: Decision) -> bool:
    """Whether what ended the enrolment is no longer so: the same enrolment is open again.

    Staff took back a stop, an account was opened again, a success or activation was sent by mistake.
    What ended well ends for good as long as the integration is usable.
    """
    over = left in (Reason.MERGED, Reason.MANUAL_PROVIDER)
    same_attempt = facts.attempt == facts.setup.attempt
    return same_attempt and not over and decision.leave is None and facts.setup.usable is None


def _leave(journey: Journey, facts: Facts) -> Reason | None:
    if facts.account.merged:
        return Reason.MERGED
    if facts.setup.attempt > facts.attempt:
        return Reason.REOPENED
    if facts.account.closed_at:
        return Reason.CLOSED
    if facts.setup.stopped_at:
        return Reason.STOPPED
    if facts.setup.provider in journey.entry.manual_providers and facts.setup.usable is None:
        return Reason.MANUAL_PROVIDER  # the provider became known after the setup had entered
    if truth(journey.exit.when, journey, facts).holds:
        return Reason.LATER_STAGE
    return None


def _ends_well(facts: Facts, step: Step, leave: Reason) -> bool:
    """Whether the step tells the outside of a success that a later stage does not unmake."""
    later = leave is Reason.LATER_STAGE
    return later and facts.setup.usable is not None and isinstance(step.do, HandOff)


def _confirming(verdicts: list[Verdict], stage: Stage) -> bool:
    """Whether a step of the usable stage still has something to do or to wait for."""
    keys = {step.key for step in stage.steps}
    return any(v.step_key in keys and v.outcome in ("due", "wait") for v in verdicts)


def _done(facts: Facts, step: Step) -> Verdict:
    run = facts.runs_of(step.key)[-1]
    return Verdict(step.key, "done", Reason.DONE, person=run.person, due_at=run.at)


def silence(setup: SetupState, facts: Facts, purpose: Purpose) -> Reason | None:
    """What keeps this purpose silent whatever the stage says; None if nothing does."""
    if purpose is Purpose.CONFIRMATION:
        return None
    if setup.usable:
        return Reason.USABLE
    if setup.held_since:
        return Reason.HELD
    if facts.unplaced:
        return Reason.UNPLACED
    if setup.block and purpose in (Purpose.NUDGE, Purpose.ASK):
        return Reason.BLOCKED
    if facts.incident and purpose in (Purpose.NUDGE, Purpose.RESOLUTION):
        return Reason.INCIDENT
    return None


def clock_start(facts: Facts, since: Mark) -> datetime:
    """When a step's clock started: the stage, the entry, the end of a block or of a colleague's hold."""
    moments = [since.at, facts.entered_at, facts.setup.unblocked_at, facts.setup.hold_ended_at]
    return max(at for at in moments if at is not None)


def _judge(journey: Journey, facts: Facts, step: Step, since: Mark, now: datetime) -> Verdict:
    setup = facts.setup
    if reason := silence(setup, facts, step.purpose):
        return Verdict(step.key, "no" if reason is Reason.USABLE else "wait", reason)
    if not truth(step.when, journey, facts).holds:
        return Verdict(step.key, "no", Reason.CONDITION)
    after = (
        next_milestone(journey, facts).expected
        if step.after_minutes is None
        else timedelta(minutes=step.after_minutes)
    )
    due = clock_start(facts, since) + after
    if since.imported_at is not None and due <= since.imported_at:
        return Verdict(step.key, "no", Reason.HISTORICAL, due_at=due)
    if step.purpose is Purpose.CONFIRMATION and since.imported_at is not None:
        return Verdict(step.key, "no", Reason.HISTORICAL, due_at=due)
    if due > now:
        return Verdict(step.key, "wait", Reason.NOT_YET, due_at=due, until=due)
    if isinstance(step.do, Email):
        return _judge_email(journey, facts, step, step.do, due, now)
    late = due + step.late_after
    if now > late:
        return Verdict(step.key, "no", Reason.TOO_LATE, due_at=due, late_at=late)
    if paused := paused_by(facts):
        return Verdict(step.key, "wait", paused, due_at=due, late_at=late, until=late + MOMENT)
    return Verdict(step.key, "due", Reason.DUE, due_at=due, late_at=late)


def _judge_email(
    journey: Journey, facts: Facts, step: Step, email: Email, due: datetime, now: datetime
) -> Verdict:
    setup = facts.setup
    choice = choose(journey, facts, step, email)
    person = choice.person
    zones = (person.time_zone if person else "", facts.account.time_zone)
    zone_name = next((name for name in zones if known(name)), "")
    late = _late(due, step, zone_name, journey)

    def verdict(
        outcome: Outcome, reason: Reason, *, until: datetime | None = None, **detail: Any
    ) -> Verdict:
        return Verdict(
            step.key,
            outcome,
            reason,
            person.id if person else None,
            choice.reason if person else None,
            choice.passed_over,
            due,
            late,
            min(until or late + MOMENT, late + MOMENT) if outcome == "wait" else None,
            detail,
        )

    if person is None:
        return verdict("no", Reason.NOBODY)
    if now > late:
        return verdict("no", Reason.TOO_LATE)
    if paused := paused_by(facts):
        return verdict("wait", paused)
    if email.template in facts.broken:
        return verdict("wait", Reason.LINK_BROKEN)
    if step.waits_while_active and step.purpose is not Purpose.CONFIRMATION:
        seen = max((at for at in (setup.active_at, person.active_at) if at), default=None)
        if seen is not None:
            quiet_at = min(seen + journey.session, due + journey.session_hold)
            if now < quiet_at:
                return verdict("wait", Reason.ACTIVE, until=quiet_at, active_at=seen.isoformat())
    acted = max((at for at in (setup.actors.get(person.id), person.active_at) if at), default=None)
    fresh = step.follows_own_action and acted is not None and now - acted <= OWN_ACTION
    if not fresh:
        opens = next_open(now, zone_name, journey.hours)
        if opens > now:
            return verdict("wait", Reason.OUTSIDE_HOURS, until=opens, zone=zone_name or "UTC")
    return verdict("due", Reason.DUE)


def _late(due: datetime, step: Step, zone_name: str, journey: Journey) -> datetime:
    """The last moment at which the step is worth doing: no closed window ever makes it too late."""
    late = next_open(due, zone_name, journey.hours) + step.late_after
    opens = next_open(late, zone_name, journey.hours)
    return late if opens <= late else opens + OPENING


def paused_by(facts: Facts) -> Reason | None:
    """The pause that everything waits for; None if there is none."""
    if facts.all_paused:
        return Reason.PAUSED_ALL
    if facts.journey_paused:
        return Reason.PAUSED_JOURNEY
    if facts.account.paused:
        return Reason.PAUSED_ACCOUNT
    return None


# --- several wants at once ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Want:
    """A due mail that asks to go now."""

    ref: str
    address: str
    priority: int
    caps: tuple[Cap, ...]
    ignores_cap: bool
    counts_toward_cap: bool
    due_at: datetime
    late_at: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """A counted mail that was claimed. An empty `address` counts for the account alone."""

    at: datetime
    address: str
    account: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a want goes now, waits until an exact time, or is dropped."""

    ref: str
    outcome: Outcome
    reason: Reason
    until: datetime | None = None


def arbitrate(
    wants: list[Want], sent: list[Sent], *, account: int, now: datetime
) -> dict[str, Ruling]:
    """Settle which of an account's wants go now: the smallest priority number first, then the oldest.

    `sent` holds every counted mail in the longest window, to these addresses from any account and
    within this account to anybody. Returns a ruling per want, by its ref.
    """
    counted = list(sent)
    rulings: dict[str, Ruling] = {}
    for want in sorted(wants, key=lambda want: (want.priority, want.due_at, want.ref)):
        ruling = Ruling(want.ref, "due", Reason.DUE)
        if not want.ignores_cap:
            ruling = _capped(want, counted, account, now)
        rulings[want.ref] = ruling
        if ruling.outcome == "due" and want.counts_toward_cap:
            counted.append(Sent(now, want.address, account))
    return rulings


def _capped(want: Want, counted: list[Sent], account: int, now: datetime) -> Ruling:
    until, reason = now, Reason.DUE
    for cap in want.caps:
        if cap.limit <= 0:
            return Ruling(want.ref, "no", Reason.CAP_ZERO)
        times = sorted(
            entry.at
            for entry in counted
            if entry.at > now - cap.window
            and (
                entry.account == account
                if cap.scope == "account"
                else entry.address == want.address
            )
        )
        if len(times) >= cap.limit:
            free = times[-cap.limit] + cap.window
            if free > until:
                until = free
                reason = Reason.CAP_ACCOUNT if cap.scope == "account" else Reason.CAP_PERSON
    if until <= now:
        return Ruling(want.ref, "due", Reason.DUE)
    if until > want.late_at:
        return Ruling(want.ref, "no", Reason.CAP_TOO_LATE)
    return Ruling(want.ref, "wait", reason, until)
