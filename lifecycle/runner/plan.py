"""What a look concludes about one account, before anything is written."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lifecycle.engine.decide import (
    Decision,
    Ruling,
    Sent,
    Verdict,
    Want,
    arbitrate,
    decide,
    enter,
    goes_on,
)
from lifecycle.engine.facts import Facts
from lifecycle.engine.holdout import in_holdout
from lifecycle.engine.journey import Email, Step
from lifecycle.engine.reasons import Reason
from lifecycle.journeys.models import Enrolment
from lifecycle.runner.gather import Case, Dossier

# A confirmation that was queued has been handed over by then, and the enrolment can end.
END_AFTER = timedelta(seconds=30)
# "Nobody can be written to" may be cured by what marks no account, such as a role given a capability.
ASK_AGAIN_AFTER = timedelta(hours=1)


@dataclass
class Sheet:
    """One enrolment of a case with what was decided about it."""

    case: Case
    enrolment: Enrolment
    facts: Facts
    decision: Decision
    verdicts: dict[str, Verdict]
    mail_waits_until: datetime | None = None
    """When the next try is, where one of its mails is in the outbox and has not passed its gate yet."""

    @property
    def ends_later(self) -> bool:
        """Whether nothing but its own last mail keeps the enrolment from ending."""
        usable = self.facts.setup.usable is not None
        waits = self.mail_waits_until is not None or bool(self.go)
        return usable and self.decision.leave is None and waits

    def next_look_at(self, now: datetime) -> datetime | None:
        """When time alone can change what was decided here."""
        if self.decision.leave is not None:
            return None
        times = [verdict.until for verdict in self.verdicts.values() if verdict.until is not None]
        nobody = [v for v in self.verdicts.values() if v.reason is Reason.NOBODY]
        if any(v.late_at is not None and now < v.late_at for v in nobody):
            times.append(now + ASK_AGAIN_AFTER)
        if self.ends_later:
            times.append(max(now + END_AFTER, self.mail_waits_until or now))
        return min(times, default=None)

    @property
    def go(self) -> list[tuple[Step, Verdict]]:
        """The steps to carry out now."""
        steps = self.case.live.document.steps()
        return [(steps[key][1], v) for key, v in self.verdicts.items() if v.outcome == "due"]


@dataclass
class Plan:
    """Everything to write about one account."""

    dossier: Dossier
    sheets: list[Sheet] = field(default_factory=list)
    refused: list[tuple[Case, Reason]] = field(default_factory=list)
    next_look_at: datetime | None = None


def draft(dossier: Dossier, now: datetime) -> Plan:
    """Decide about every setup of the account; several wants are settled by `settle`."""
    plan = Plan(dossier)
    for case in dossier.cases:
        enrolment = case.enrolment
        if enrolment is not None and enrolment in dossier.vanished:
            continue
        if enrolment is not None and enrolment.left_at is None:
            sheet = _sheet(case, enrolment, case.facts, now)
            plan.sheets.append(sheet)
            if sheet.decision.leave is not Reason.REOPENED:
                continue
        elif enrolment is not None and enrolment.attempt >= case.state.attempt:
            again = _sheet(case, enrolment, case.facts, now)
            if goes_on(enrolment.left_reason, again.facts, again.decision):
                plan.sheets.append(again)
            continue
        fresh = replace(case.facts, attempt=case.state.attempt, runs=())
        reason = enter(case.live.document, fresh, published_at=case.live.published_at)
        if reason is not Reason.ENTERED:
            plan.refused.append((case, reason))
            continue
        started = case.state.started.at
        entered_at = max(started, case.live.published_at or started)
        new = Enrolment(
            journey_id=case.live.id,
            version_id=case.live.version_id,
            account_id=dossier.account.pk,
            attempt=case.state.attempt,
            arm=_arm(dossier, case),
            entered_at=entered_at,
        )
        plan.sheets.append(_sheet(case, new, replace(fresh, entered_at=entered_at), now))
    return plan


def _sheet(case: Case, enrolment: Enrolment, facts: Facts, now: datetime) -> Sheet:
    decision = decide(case.live.document, facts, now)
    return Sheet(case, enrolment, facts, decision, {v.step_key: v for v in decision.verdicts})


def _arm(dossier: Dossier, case: Case) -> str:
    """The arm that the account got at its first enrolment in this journey, or gets now."""
    if case.live.id in dossier.arms:
        return dossier.arms[case.live.id]
    held_out = in_holdout(
        case.live.salt, dossier.account.external_id, case.live.document.holdout_percent
    )
    return Enrolment.Arm.HOLDOUT if held_out else Enrolment.Arm.TREATED


def wants(plan: Plan) -> list[Want]:
    """The mails of this account that ask to go now."""
    return [
        want(str(place), sheet, step, verdict)
        for place, sheet in enumerate(plan.sheets)
        for step, verdict in sheet.go
        if isinstance(step.do, Email)
    ]


def want(ref: str, sheet: Sheet, step: Step, verdict: Verdict) -> Want:
    """A due verdict as a want; its ref is `ref` and the step."""
    assert verdict.person is not None and verdict.due_at and verdict.late_at
    return Want(
        ref=f"{ref}:{step.key}",
        address=sheet.facts.people[verdict.person].address,
        priority=step.priority,
        caps=sheet.case.live.document.caps,
        ignores_cap=step.ignores_cap,
        counts_toward_cap=step.counts_toward_cap,
        due_at=verdict.due_at,
        late_at=verdict.late_at,
    )


def settle(plan: Plan, sent: Iterable[Sent], now: datetime) -> None:
    """Let the wants of this account compete for the caps, and work out when to look next."""
    asked = wants(plan)
    if asked:
        rulings = arbitrate(asked, list(sent), account=plan.dossier.account.pk, now=now)
        for ref, ruling in rulings.items():
            place, _, key = ref.partition(":")
            sheet = plan.sheets[int(place)]
            if ruling.outcome != "due":
                sheet.verdicts[key] = _ruled(sheet.verdicts[key], ruling)
    times = [sheet.next_look_at(now) for sheet in plan.sheets]
    plan.next_look_at = min((at for at in times if at is not None), default=None)


def _ruled(verdict: Verdict, ruling: Ruling) -> Verdict:
    return replace(verdict, outcome=ruling.outcome, reason=ruling.reason, until=ruling.until)
