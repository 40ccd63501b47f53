"""The gate: is what was queued still true? Then it is claimed with a receipt, else cancelled with its reason.

Gate and claim share one transaction under the account's lock, which ingest takes before it stores
anything: what has been answered with 200 is seen here, and a completion that comes later finds the
message already claimed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction

from accounts.models import Account
from lifecycle.engine import ENGINE_VERSION
from lifecycle.engine.decide import MOMENT, Ruling, Sent, Verdict, arbitrate
from lifecycle.engine.reasons import Reason, sentence
from lifecycle.journeys import words
from lifecycle.journeys.models import Enrolment
from lifecycle.runner import history
from lifecycle.runner.definition import current
from lifecycle.runner.gather import gather
from lifecycle.runner.look import park, sent_mails
from lifecycle.runner.models import StepRun
from lifecycle.runner.plan import Plan, Sheet, draft, want
from messaging import addresses, outbox, sending
from messaging.models import Address, Message, MessageStatus, Sender

# A message that the gate turned down is looked at again no sooner than this.
LOOK_AGAIN_AFTER = timedelta(seconds=1)
NOT_DECIDED = timedelta(minutes=5)


@dataclass
class Asked:
    """A queued message, the step it belongs to, and what is now thought of it."""

    message: Message
    run: StepRun
    plan: Plan | None = None
    sheet: Sheet | None = None

    @property
    def verdict(self) -> Verdict | None:
        return self.sheet.verdicts.get(self.run.step_key) if self.sheet else None


Clock = Callable[[], datetime]


def gate(
    message_ids: Sequence[int], *, owner: str, now: datetime, clock: Clock | None = None
) -> list[Message]:
    """Claim those that are still true and may go, ready to be written; cancel the others with their reasons.

    `clock` tells the time of the claim itself, which comes after everything has been locked and judged.

    One transaction, or one per message where something spoils it: that account is parked then.
    """
    if not message_ids:
        return []
    try:
        try:
            return _gate(message_ids, owner=owner, now=now, clock=clock, patient=False)
        except history.LongLog as long:
            # Read while nobody waits for the locks; what went before was rolled back.
            history.warm(long.account_ids)
            return _gate(message_ids, owner=owner, now=now, clock=clock, patient=True)
    except OperationalError:
        # The database is away or too busy: the messages stay queued, and their lease brings them back.
        raise
    except Exception as error:
        if len(message_ids) > 1:
            return [
                each
                for one in message_ids
                for each in gate([one], owner=owner, now=now, clock=clock)
            ]
        account_id = Message.objects.values_list("account_id", flat=True).get(pk=message_ids[0])
        outbox.postpone(message_ids, now + NOT_DECIDED)
        park(account_id, error, now)
        return []


def _gate(
    message_ids: Sequence[int], *, owner: str, now: datetime, clock: Clock | None, patient: bool
) -> list[Message]:
    with transaction.atomic():
        accounts, asked = _lock(message_ids)
        if not asked:
            return []
        broken = _judge(accounts, asked, now, patient=patient)
        _rule(asked, now)
        claims: list[outbox.Claim] = []
        withheld: dict[int, dict[str, Any]] = {}
        turned_down: list[Asked] = []
        for one in asked:
            if one.message.account_id in broken:
                continue
            verdict = one.verdict
            if verdict is None or verdict.outcome != "due" or not _is_for(one, verdict):
                turned_down.append(one)
                continue
            receipt = _receipt(one, verdict, now)
            assert one.sheet and one.plan
            if one.sheet.enrolment.arm == Enrolment.Arm.HOLDOUT:
                withheld[one.message.pk] = receipt
                continue
            account, facts = one.plan.dossier.account, one.sheet.facts
            context = words.context(
                one.sheet.case.live.document,
                facts,
                facts.people[one.message.person_id],
                workspace=account.name,
                plan=account.plan,
                support=one.sheet.case.live.support,
                now=now,
            )
            claims.append(outbox.Claim(one.message.pk, receipt, context, one.message))
        _turn_down(turned_down, now)
        if withheld:
            outbox.withhold(withheld, now=now)
        claimed = _claim(claims, owner, clock() if clock else now)
        if broken:
            stuck = [one.message.pk for one in asked if one.message.account_id in broken]
            outbox.postpone(stuck, now + NOT_DECIDED)
    for account_id, error in broken.items():
        park(account_id, error, now)
    return claimed


def _claim(claims: Sequence[outbox.Claim], owner: str, now: datetime) -> list[Message]:
    """The messages that were claimed. A step whose mail this installation must not send counts as taken."""
    if not claims:
        return []
    ids = set(outbox.claim(claims, owner=owner, now=now, lease=settings.MESSAGE_LEASE))
    if forbidden := [claim.message_id for claim in claims if claim.message_id not in ids]:
        runs = StepRun.objects.filter(
            message__in=forbidden, message__status=MessageStatus.CANCELLED
        )
        runs.update(status=StepRun.Status.NOT_SENT)
    return sending.with_versions(
        [claim.message for claim in claims if claim.message and claim.message_id in ids]
    )


def _is_for(one: Asked, verdict: Verdict) -> bool:
    """Whether the message goes to the person who is right by now, at the address they have by now."""
    if verdict.person != one.message.person_id or one.sheet is None:
        return False
    return one.sheet.facts.people[one.message.person_id].address == one.message.address.value


def _lock(message_ids: Sequence[int]) -> tuple[list[Account], list[Asked]]:
    """Lock accounts, then addresses, then messages; the accounts, and what is still queued."""
    queued = Message.objects.filter(pk__in=message_ids, status=MessageStatus.QUEUED)
    heads = list(queued.values_list("account_id", "address_id", "address__value"))
    accounts = Account.objects.locked([account for account, *_ in heads])
    known = {pk: Address(pk=pk, value=value) for _, pk, value in heads}
    addresses.lock_rows(known)
    # Only of the accounts that are locked: a merge may have moved a message while we waited.
    by_id = {account.pk: account for account in accounts}
    ours = queued.filter(account__in=by_id, step_run__status=StepRun.Status.DONE)
    rows = list(
        ours.for_hand_over()
        .select_related("step_run")
        .defer("receipt", "context")
        .order_by("pk")
        .select_for_update(no_key=True, of=("self",))
    )
    senders = Sender.objects.select_related("domain").in_bulk({row.sender_id for row in rows})
    for row in rows:
        row.account, row.address = by_id[row.account_id], known[row.address_id]
        row.sender = senders[row.sender_id]
    return accounts, [Asked(row, row.step_run) for row in rows]


def _judge(
    accounts: Sequence[Account], asked: Sequence[Asked], now: datetime, *, patient: bool
) -> dict[int, Exception]:
    """Decide again about every account concerned; the accounts whose decision raised, with the error."""
    own = [one.message.pk for one in asked]
    sheets: dict[int, tuple[Plan, Sheet]] = {}
    broken: dict[int, Exception] = {}
    definition = current()
    for dossier in gather(definition, accounts, without_messages=own, patient=patient):
        try:
            plan = draft(dossier, now)
        except Exception as error:
            broken[dossier.account.pk] = error
            continue
        for sheet in plan.sheets:
            if sheet.enrolment.pk:
                sheets[sheet.enrolment.pk] = (plan, sheet)
    for one in asked:
        if one.run.enrolment_id in sheets:
            one.plan, one.sheet = sheets[one.run.enrolment_id]
            _hold_broken(one, definition.broken_versions)
    return broken


def _hold_broken(one: Asked, broken_versions: frozenset[int]) -> None:
    """A message is bound to the version that was live when it was queued, whichever is live now."""
    verdict = one.verdict
    if (
        verdict is not None
        and verdict.outcome == "due"
        and one.message.template_version_id in broken_versions
    ):
        late = verdict.late_at + MOMENT if verdict.late_at else None
        _overrule(one, Ruling("", "wait", Reason.LINK_BROKEN, late))


def _rule(asked: Sequence[Asked], now: datetime) -> None:
    """Let the messages of one account that are still due compete for what the caps leave."""
    plans = {id(one.plan): one.plan for one in asked if one.plan}
    sent = sent_mails(list(plans.values()), now)
    by_account: dict[int, list[Asked]] = {}
    for one in asked:
        if one.verdict is not None and one.verdict.outcome == "due":
            by_account.setdefault(one.message.account_id, []).append(one)
    for account, group in by_account.items():
        wanted = {}
        for one in group:
            assert one.sheet and one.verdict
            _, step = one.sheet.case.live.document.steps()[one.run.step_key]
            wanted[one.message.pk] = want(str(one.message.pk), one.sheet, step, one.verdict)
        rulings = arbitrate(list(wanted.values()), sent, account=account, now=now)
        for one in group:
            ruling = rulings[wanted[one.message.pk].ref]
            if ruling.outcome != "due":
                _overrule(one, ruling)
        # What one account is granted counts for the next one that shares an address.
        sent += _granted(group, now)


def _granted(group: Sequence[Asked], now: datetime) -> list[Sent]:
    granted = []
    for one in group:
        if one.sheet is None or one.verdict is None or one.verdict.outcome != "due":
            continue
        _, step = one.sheet.case.live.document.steps()[one.run.step_key]
        if step.counts_toward_cap:
            held_out = one.sheet.enrolment.arm == Enrolment.Arm.HOLDOUT
            address = one.sheet.facts.people[one.message.person_id].address
            granted.append(Sent(now, "" if held_out else address, one.message.account_id))
    return granted


def _overrule(one: Asked, ruling: Ruling) -> None:
    assert one.sheet and one.verdict
    one.sheet.verdicts[one.run.step_key] = replace(
        one.verdict, outcome=ruling.outcome, reason=ruling.reason, until=ruling.until
    )


def _turn_down(turned_down: Sequence[Asked], now: datetime) -> None:
    """Cancel with the reason, take the step run back, and ask for another look."""
    if not turned_down:
        return
    reasons: dict[int, tuple[str, str]] = {}
    for one in turned_down:
        verdict = one.verdict
        reason: str
        if (
            one.sheet
            and one.sheet.decision.leave
            and one.sheet.decision.leave is not Reason.FINISHED
        ):
            reason = one.sheet.decision.leave
        elif verdict is None:
            reason = _why_gone(one)
        elif verdict.outcome == "due":
            reason = Reason.RECIPIENT_CHANGED
        else:
            reason = verdict.reason
        reasons[one.message.pk] = (reason, _in_detail(verdict))
        again = max(now + LOOK_AGAIN_AFTER, verdict.until if verdict and verdict.until else now)
        Account.objects.filter(pk=one.message.account_id).mark_changed(again)
    cancelled = outbox.cancel(reasons, now=now)
    StepRun.objects.filter(message__in=cancelled).update(status=StepRun.Status.CANCELLED)


def _in_detail(verdict: Verdict | None) -> str:
    """What the verdict knows besides its reason: its times, and who was passed over."""
    if verdict is None:
        return ""
    times = {"Due": verdict.due_at, "waits until": verdict.until, "too late after": verdict.late_at}
    told = [f"{name} {at:%d %b %Y, %H:%M:%S} UTC" for name, at in times.items() if at]
    told += [f"person {over.person}: {sentence(over.reason)[:-1]}" for over in verdict.passed_over]
    return f"{'; '.join(told)}." if told else ""


def _why_gone(one: Asked) -> str:
    """The enrolment is over, or its journey has no such step any more."""
    left = Enrolment.objects.values_list("left_reason", flat=True).get(pk=one.run.enrolment_id)
    return left or Reason.STEP_REMOVED


def _receipt(one: Asked, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """What was true when leave was given."""
    assert one.plan and one.sheet
    state = one.sheet.case.state
    return {
        "at": now.isoformat(),
        "engine": ENGINE_VERSION,
        "journey_version": one.sheet.case.live.version_id,
        "template_version": one.message.template_version_id,
        "last_event": one.plan.dossier.state.last_event_id,
        "stage": one.sheet.decision.stage,
        "due_at": verdict.due_at.isoformat() if verdict.due_at else None,
        "reached": {key: mark.at.isoformat() for key, mark in state.reached.items()},
        "usable": state.usable.at.isoformat() if state.usable else None,
        "blocked": state.block.error_class if state.block else None,
        "attempt": state.attempt,
        "person": verdict.person,
        "chosen_because": verdict.chosen_because,
        "passed_over": [[p.person, p.reason] for p in verdict.passed_over],
    }
