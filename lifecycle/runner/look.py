"""Look at accounts: lock, gather, decide, write. Rows only, no network.

A look may run twice, late, or at the same time as another: the account's lock makes them take
turns, and the unique step runs make "once" true.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from django.db import OperationalError, transaction
from django.db.models import Model, Q

from accounts.models import Account, Membership
from events.placing import settle_members
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.engine import ENGINE_VERSION
from lifecycle.engine.decide import Sent, Verdict
from lifecycle.engine.journey import Email, HandOff, OpenAlert, Step
from lifecycle.engine.reasons import Reason, sentence
from lifecycle.journeys import words
from lifecycle.journeys.models import Enrolment, Setup
from lifecycle.runner import handoff, history
from lifecycle.runner.definition import Definition, current
from lifecycle.runner.gather import Case, gather
from lifecycle.runner.models import Decision, ParkedAccount, StepRun
from lifecycle.runner.plan import Plan, Sheet, draft, settle, wants
from messaging import outbox
from messaging.models import Message, MessageStatus
from messaging.sets import update_each

log = logging.getLogger(__name__)

PARKED_FOR = timedelta(minutes=5)  # doubled with every failure in a row
PARKED_AT_MOST = timedelta(hours=6)
NOT_COUNTED = (MessageStatus.QUEUED, MessageStatus.CANCELLED, MessageStatus.FAILED)


def look_at(account_ids: Sequence[int], *, now: datetime) -> list[int]:
    """Look at these accounts in one transaction; returns the messages that may go now.

    An account whose look raises is parked and shown; the others go on. Raises OperationalError when
    the database is away or too busy: nobody's fault, so the tick's lease brings the accounts back.
    """
    try:
        queued, broken = _look_unhurried(sorted(set(account_ids)), now)
    except OperationalError:
        raise
    except Exception as error:
        if len(account_ids) == 1:
            park(account_ids[0], error, now)
            return []
        # Something that spoils a whole transaction: find out whose it is.
        return [pk for account in account_ids for pk in look_at([account], now=now)]
    for account, reason in broken:
        park(account, reason, now)
    return queued


def _look_unhurried(
    account_ids: list[int], now: datetime
) -> tuple[list[int], list[tuple[int, Exception]]]:
    """One transaction; what takes long to read is read before it, so that nobody waits for the locks."""
    try:
        with transaction.atomic():
            return _look(account_ids, now, patient=False)
    except history.LongLog as long:
        history.warm(long.account_ids)
    with transaction.atomic():
        return _look(account_ids, now, patient=True)


def _look(
    account_ids: list[int], now: datetime, *, patient: bool
) -> tuple[list[int], list[tuple[int, Exception]]]:
    accounts = Account.objects.locked(account_ids)
    definition = current(fresh=True)
    plans: list[Plan] = []
    broken: list[tuple[int, Exception]] = []
    for dossier in gather(definition, accounts, patient=patient):
        try:
            plans.append(draft(dossier, now))
        except Exception as error:
            broken.append((dossier.account.pk, error))
    _keep_until_mailed(plans)
    sent = sent_mails(plans, now)
    for plan in plans:
        settle(plan, sent, now)
    return _write(definition, plans, now), broken


def _keep_until_mailed(plans: Sequence[Plan]) -> None:
    """An enrolment that is finished stays open while its last mail is queued, for the gate asks it."""
    ending = [s for p in plans for s in p.sheets if s.decision.leave is Reason.FINISHED]
    ids = {message for sheet in ending for *_, message in sheet.case.runs if message}
    if not ids:
        return
    waiting = Message.objects.filter(pk__in=ids, status=MessageStatus.QUEUED)
    queued = dict(waiting.values_list("pk", "next_attempt_at"))
    for sheet in ending:
        tries = [queued[message] for *_, message in sheet.case.runs if message in queued]
        if any(tries):
            sheet.mail_waits_until = max(at for at in tries if at is not None)
            sheet.decision = replace(sheet.decision, leave=None)


def sent_mails(plans: Sequence[Plan], now: datetime) -> list[Sent]:
    """The counted mails that the caps of these plans' wants look back at; one query, or none."""
    asked = [(plan.dossier.account.pk, want) for plan in plans for want in wants(plan)]
    windows = [cap.window for _, want in asked for cap in want.caps]
    if not windows:
        return []
    rows = (
        Message.objects.filter(
            Q(address__value__in={want.address for _, want in asked})
            | Q(account__in={account for account, _ in asked}),
            claimed_at__gt=now - max(windows),
            counts_toward_cap=True,
        )
        .exclude(status__in=NOT_COUNTED)
        .values_list("claimed_at", "address__value", "account_id", "status")
    )
    # A withheld mail reached nobody: it uses up its account's limit only.
    return [
        Sent(at, "" if status == MessageStatus.WITHHELD else address, account)
        for at, address, account, status in rows
        if at is not None
    ]


# --- writing ------------------------------------------------------------------------------------


def _write(definition: Definition, plans: Sequence[Plan], now: datetime) -> list[int]:
    _write_setups(plans)
    _write_members(plans, now)
    decisions: list[Decision] = []
    _write_refusals(plans, decisions, now)
    _end_vanished(plans, decisions, now)
    queued = _carry_out(definition, plans, decisions, now)
    Decision.objects.bulk_create(decisions)
    history.latest([p.dossier.history.checkpoint for p in plans if p.dossier.history.checkpoint])
    _write_activity(plans)
    schedule({plan.dossier.account.pk: plan.next_look_at for plan in plans})
    ParkedAccount.objects.filter(account__in=[plan.dossier.account.pk for plan in plans]).delete()
    return queued


def _write_setups(plans: Sequence[Plan]) -> None:
    """Bring the setups' rows, a cache of the fold, up to date."""
    new: list[Setup] = []
    changed: list[Setup] = []
    columns = (
        "key", "provider", "integration_id", "attempt", "started_at", "usable_at", "blocked_class",
        "milestones", "finished_by", "entry_reason",
    )  # fmt: skip
    for plan in plans:
        reasons = {id(case): str(reason) for case, reason in plan.refused}
        for case in plan.dossier.cases:
            values = _cached(case, reasons.get(id(case), ""))
            if case.row is None:
                case.row = Setup(
                    account_id=plan.dossier.account.pk,
                    integration_type=case.state.integration_type,
                    **values,
                )
                new.append(case.row)
            elif any(getattr(case.row, name) != value for name, value in values.items()):
                for name, value in values.items():
                    setattr(case.row, name, value)
                changed.append(case.row)
    Setup.objects.bulk_create(new)
    update_each(Setup, [{"id": row.pk, **_values(row, columns)} for row in changed])


def _cached(case: Case, entry_reason: str) -> dict[str, object]:
    state = case.state
    return {
        "key": state.key[:300],
        "provider": state.provider[:120],
        "integration_id": state.integration_id,
        "attempt": state.attempt,
        "started_at": state.started.at,
        "usable_at": state.usable.at if state.usable else None,
        "blocked_class": state.block.error_class if state.block else "",
        "milestones": {key: mark.at.isoformat() for key, mark in state.reached.items()},
        "finished_by": sorted(set(state.reached_by.values())),
        "entry_reason": entry_reason,
    }


def _write_refusals(plans: Sequence[Plan], decisions: list[Decision], now: datetime) -> None:
    """Say why a setup is on no journey, once per reason; a manual path calls in a person."""
    told = _told_before(plans)
    for plan in plans:
        for case, reason in plan.refused:
            row = case.row
            assert row is not None
            if told.get(row.pk) == (reason, case.state.attempt):
                continue
            decisions.append(
                Decision(
                    account=plan.dossier.account,
                    setup=row,
                    outcome="no",
                    reason=reason,
                    detail={"attempt": case.state.attempt},
                    at=now,
                    engine_version=ENGINE_VERSION,
                )
            )
            if reason is Reason.MANUAL_PROVIDER:
                _call_for_a_person(plan.dossier.account, case, now)


def _call_for_a_person(account: Account, case: Case, now: datetime) -> None:
    assert case.row is not None
    name = words.provider_name(case.live.document, case.state.provider)
    desk.open_alert(
        kind=Alert.Kind.MANUAL_PATH,
        dedupe_key=f"manual:{case.row.pk}:{case.state.attempt}",
        title=f"{name} needs a person: {account}",
        detail=sentence(Reason.MANUAL_PROVIDER),
        account=account,
        now=now,
    )


def _told_before(plans: Sequence[Plan]) -> dict[int, tuple[str, int]]:
    """The last refusal that was written, by setup."""
    setups = [case.row.pk for plan in plans for case, _ in plan.refused if case.row]
    if not setups:
        return {}
    rows = (
        Decision.objects.filter(setup__in=setups, enrolment=None)
        .order_by("pk")
        .values_list("setup_id", "reason", "detail")
    )
    return {setup: (reason, detail.get("attempt", 1)) for setup, reason, detail in rows}


def _carry_out(
    definition: Definition, plans: Sequence[Plan], decisions: list[Decision], now: datetime
) -> list[int]:
    sheets = [(plan, sheet) for plan in plans for sheet in plan.sheets]
    _write_enrolments([sheet for _, sheet in sheets], decisions, now)
    new: list[outbox.NewMessage] = []
    runs: list[tuple[StepRun, str]] = []
    for plan, sheet in sheets:
        if sheet.decision.leave is Reason.MANUAL_PROVIDER:
            _call_for_a_person(plan.dossier.account, sheet.case, now)
        for step, verdict in sheet.go:
            run = StepRun(
                enrolment=sheet.enrolment,
                step_key=step.key,
                recipient_key=str(verdict.person or "-"),
                at=now,
            )
            dedupe_key = ""
            match step.do:
                case Email():
                    message = _message(definition, plan, sheet, step, verdict, now)
                    new.append(message)
                    dedupe_key = message.dedupe_key
                case OpenAlert():
                    _open_alert(plan, sheet, step, step.do, now)
                case HandOff():
                    handoff.begin(sheet.enrolment, sheet.case, plan.dossier.account, now=now)
                case _:
                    assert_never(step.do)
            runs.append((run, dedupe_key))
    ids = outbox.enqueue(new, now=now) if new else {}
    for run, dedupe_key in runs:
        run.message_id = ids.get(dedupe_key)
    StepRun.objects.bulk_create([run for run, _ in runs])
    return list(ids.values())


def _write_enrolments(sheets: Sequence[Sheet], decisions: list[Decision], now: datetime) -> None:
    new = [sheet for sheet in sheets if sheet.enrolment.pk is None]
    for sheet in new:
        assert sheet.case.row is not None
        sheet.enrolment.setup = sheet.case.row
    changed: list[Enrolment] = []
    pending: list[tuple[Sheet, str, Verdict | None]] = []
    for sheet in sheets:
        enrolment, decision = sheet.enrolment, sheet.decision
        before = dict(enrolment.verdicts)
        enrolment.verdicts = _signatures(sheet)
        pending += _told(sheet, before, is_new=enrolment.pk is None)
        left = decision.leave is not None
        values = {
            "stage": decision.stage,
            "stage_since": decision.since,
            "next_look_at": sheet.next_look_at(now),
            "left_at": now if left else None,
            "left_reason": decision.leave or "",
        }
        differs = before != enrolment.verdicts or any(
            getattr(enrolment, name) != value for name, value in values.items()
        )
        for name, value in values.items():
            setattr(enrolment, name, value)
        if differs and enrolment.pk is not None:
            changed.append(enrolment)
    Enrolment.objects.bulk_create([sheet.enrolment for sheet in new])
    columns = ("stage", "stage_since", "next_look_at", "left_at", "left_reason", "verdicts")
    update_each(Enrolment, [{"id": row.pk, **_values(row, columns)} for row in changed])
    decisions += [_decision(sheet, kind, verdict, now) for sheet, kind, verdict in pending]


def _signatures(sheet: Sheet) -> dict[str, list[str]]:
    """What was concluded about each step that matters here, in a form that only changes with it."""
    stage = next(
        (s for s in sheet.case.live.document.stages if s.key == sheet.decision.stage), None
    )
    here = {step.key for step in stage.steps} if stage else set()
    return {
        key: [
            verdict.outcome,
            verdict.reason,
            str(verdict.person or ""),
            verdict.due_at.isoformat() if verdict.due_at else "",
        ]
        for key, verdict in sheet.verdicts.items()
        if key in here and verdict.outcome != "done"
    }


def _told(
    sheet: Sheet, before: dict[str, list[str]], *, is_new: bool
) -> list[tuple[Sheet, str, Verdict | None]]:
    """The decisions worth a row: entering, moving to another stage, leaving, and changed verdicts."""
    told: list[tuple[Sheet, str, Verdict | None]] = []
    if is_new:
        told.append((sheet, Reason.ENTERED, None))
    elif sheet.enrolment.stage != sheet.decision.stage:
        told.append((sheet, "moved", None))
    told += [
        (sheet, "", sheet.verdicts[key])
        for key, signature in sheet.enrolment.verdicts.items()
        if before.get(key) != signature
    ]
    if sheet.decision.leave is not None:
        told.append((sheet, sheet.decision.leave, None))
    return told


def _decision(sheet: Sheet, kind: str, verdict: Verdict | None, now: datetime) -> Decision:
    row = Decision(
        account_id=sheet.enrolment.account_id,
        setup=sheet.case.row,
        enrolment=sheet.enrolment,
        stage=sheet.decision.stage,
        at=now,
        engine_version=ENGINE_VERSION,
    )
    if verdict is None:
        row.outcome = "no" if kind == sheet.decision.leave else "moved"
        row.reason = kind
        row.detail = {"since": sheet.decision.since.isoformat() if sheet.decision.since else None}
        return row
    held_out = sheet.enrolment.arm == Enrolment.Arm.HOLDOUT and verdict.outcome == "due"
    row.step_key = verdict.step_key
    row.person_id = verdict.person
    row.outcome = verdict.outcome
    row.reason = Reason.WITHHELD if held_out else verdict.reason
    row.due_at = verdict.due_at
    row.detail = {
        "chosen_because": verdict.chosen_because,
        "passed_over": [[p.person, p.reason] for p in verdict.passed_over],
        "until": verdict.until.isoformat() if verdict.until else None,
        **verdict.detail,
    }
    return row


def _message(
    definition: Definition, plan: Plan, sheet: Sheet, step: Step, verdict: Verdict, now: datetime
) -> outbox.NewMessage:
    assert isinstance(step.do, Email) and verdict.person and verdict.late_at
    person = sheet.facts.people[verdict.person]
    earlier = sum(
        1
        for key, recipient, _, _ in sheet.case.runs
        if (key, recipient) == (step.key, str(person.id))
    )
    return outbox.NewMessage(
        dedupe_key=f"{sheet.enrolment.pk}:{step.key}:{person.id}:{earlier}",
        account_id=plan.dossier.account.pk,
        person_id=person.id,
        email=person.email,
        template_version_id=definition.templates[step.do.template],
        sender_id=sheet.case.live.sender_id,
        category=step.do.category,
        counts_toward_cap=step.counts_toward_cap,
        context=words.context(
            sheet.case.live.document,
            sheet.facts,
            person,
            workspace=plan.dossier.account.name,
            plan=plan.dossier.account.plan,
            support=sheet.case.live.support,
            now=now,
        ),
        not_after=verdict.late_at,
    )


def _open_alert(plan: Plan, sheet: Sheet, step: Step, do: OpenAlert, now: datetime) -> None:
    if sheet.enrolment.arm == Enrolment.Arm.HOLDOUT:
        return
    desk.open_alert(
        kind=Alert.Kind.STEP,
        dedupe_key=f"step:{sheet.enrolment.pk}:{step.key}",
        title=f"{do.title}: {plan.dossier.account}",
        detail=_alert_detail(sheet),
        account=plan.dossier.account,
        enrolment=sheet.enrolment,
        now=now,
    )


def _alert_detail(sheet: Sheet) -> str:
    state, document = sheet.case.state, sheet.case.live.document
    lines = [f"{document.name}, {words.provider_name(document, state.provider) or 'no provider'}"]
    if state.last_error:
        error = document.path.error(state.last_error.error_class)
        lines.append(f"{error.name} ({state.last_error.count} times): {state.last_error.message}")
    reached = ", ".join(document.path.milestone(key).name for key in state.reached)
    lines.append(f"Reached: {reached or 'nothing yet'}")
    return "\n".join(lines)


def _end_vanished(plans: Sequence[Plan], decisions: list[Decision], now: datetime) -> None:
    """End what was on a journey because of events that have been taken back."""
    for enrolment in [gone for plan in plans for gone in plan.dossier.vanished]:
        Enrolment.objects.filter(pk=enrolment.pk, left_at=None).update(
            left_at=now, left_reason=Reason.TAKEN_BACK, next_look_at=None, verdicts={}
        )
        decisions.append(
            Decision(
                account_id=enrolment.account_id,
                setup_id=enrolment.setup_id,
                enrolment=enrolment,
                outcome="no",
                reason=Reason.TAKEN_BACK,
                at=now,
                engine_version=ENGINE_VERSION,
            )
        )


def _write_members(plans: Sequence[Plan], now: datetime) -> None:
    """Whoever acts in an account is a member of it, and what they did before is placed there."""
    gained = settle_members(
        [(plan.dossier.account.pk, person) for plan in plans for person in plan.dossier.strangers],
        now=now,
    )
    for plan in plans:
        if plan.dossier.account.pk in gained:
            plan.next_look_at = now


def _write_activity(plans: Sequence[Plan]) -> None:
    """Keep people's last own action where their other accounts can see it."""
    for plan in plans:
        seen = plan.dossier.state.active
        for person in plan.dossier.shared & seen.keys():
            Membership.objects.filter(
                Q(last_active_at=None) | Q(last_active_at__lt=seen[person]),
                account=plan.dossier.account,
                person=person,
            ).update(last_active_at=seen[person])


def schedule(times: Mapping[int, datetime | None]) -> None:
    """Set when each account is looked at next; the caller holds their locks."""
    rows = [{"id": account, "next_look_at": at} for account, at in sorted(times.items())]
    update_each(Account, rows, same={"looks_begun": 0})


def _values(row: Model, columns: Sequence[str]) -> dict[str, object]:
    return {name: getattr(row, name) for name in columns}


def park(account_id: int, error: Exception, now: datetime) -> None:
    """Put the account aside: visible, tried again later, in nobody's way."""
    log.error("account %s parked", account_id, exc_info=error)
    text = "".join(traceback.format_exception_only(error)).strip()[:2000]
    with transaction.atomic():
        Account.objects.locked([account_id])
        before = ParkedAccount.objects.filter(pk=account_id).values_list("failures", flat=True)
        failures = 1 + (before.first() or 0)
        ParkedAccount.objects.update_or_create(
            account_id=account_id,
            defaults={"error": text, "parked_at": now, "failures": failures},
        )
        wait = min(PARKED_FOR * 2 ** min(failures - 1, 10), PARKED_AT_MOST)
        Account.objects.filter(pk=account_id).update(next_look_at=now + wait, looks_begun=0)
