"""Why did they (not) get it, what happened, and what happens next: one account, in sentences.

Everything here is read, nothing is written: the answer about the future comes from the very decision
that a look would make now.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db.models import Q

from accounts.models import Account, Person, Role
from events.models import Event, EventType
from lifecycle.alerts.models import Alert
from lifecycle.engine.decide import Verdict, paused_by
from lifecycle.engine.journey import Email, Step
from lifecycle.engine.people import choose
from lifecycle.engine.reasons import Reason, sentence
from lifecycle.journeys import phrases
from lifecycle.journeys.models import Enrolment
from lifecycle.journeys.words import setup_name, step_name
from lifecycle.runner import staff_story, steering
from lifecycle.runner.definition import current
from lifecycle.runner.gather import Case, gather
from lifecycle.runner.look import sent_mails
from lifecycle.runner.models import Decision, StepRun
from lifecycle.runner.plan import Plan, Sheet, draft, settle
from messaging.models import Message, MessageStatus, Template

Tone = Literal["plain", "good", "bad", "wait"]
MOST_ENTRIES = 300


@dataclass(frozen=True)
class Entry:
    """One line of an account's story."""

    at: datetime
    kind: str
    title: str
    detail: str = ""
    tone: Tone = "plain"
    message: int | None = None


@dataclass(frozen=True)
class Next:
    """One step of the stage that a setup is in: whether, when and to whom it happens."""

    step_key: str
    name: str
    text: str
    at: datetime | None
    tone: Tone


@dataclass(frozen=True)
class Outlook:
    """One setup: where it is, since when, and what comes."""

    setup_id: int | None
    title: str
    journey: str
    stage: str
    since: datetime | None
    milestones: tuple[tuple[str, datetime | None], ...]
    attempt: int
    control_group: bool
    left: str
    next: tuple[Next, ...]
    acts: tuple[steering.Act, ...] = ()
    """What staff can do to it now."""


def present(account: Account, now: datetime) -> Plan:
    """What a look would conclude now. Takes no lock and writes nothing. Raises what a look would raise."""
    (dossier,) = gather(current(), [account])
    plan = draft(dossier, now)
    settle(plan, sent_mails([plan], now), now)
    return plan


def outlooks(plan: Plan) -> list[Outlook]:
    """Every setup of the account with its stage and what comes next."""
    names = step_names(plan)
    sheets = {id(sheet.case): sheet for sheet in plan.sheets}
    refused = {id(case): reason for case, reason in plan.refused}
    found = []
    for case in plan.dossier.cases:
        sheet, document, state = sheets.get(id(case)), case.live.document, case.state
        stages = {stage.key: stage.name for stage in document.stages}
        left = ""
        if sheet is None:
            reason = refused.get(id(case)) or (case.enrolment.left_reason if case.enrolment else "")
            left = sentence(reason) if reason else ""
        elif sheet.decision.leave:
            left = sentence(sheet.decision.leave)
        enrolment = sheet.enrolment if sheet else case.enrolment
        stage = sheet.decision.stage if sheet else "usable" if state.usable else ""
        found.append(
            Outlook(
                setup_id=case.row.pk if case.row else None,
                title=setup_name(document, state),
                journey=document.name,
                stage=stages.get(stage, ""),
                since=sheet.decision.since if sheet else state.usable.at if state.usable else None,
                milestones=tuple(
                    (
                        milestone.name,
                        mark.at if (mark := state.reached.get(milestone.key)) else None,
                    )
                    for milestone in document.path.milestones
                ),
                attempt=state.attempt,
                control_group=bool(enrolment and enrolment.arm == Enrolment.Arm.HOLDOUT),
                left=left,
                next=tuple(_coming(sheet, names)) if sheet and not left else (),
                acts=steering.possible(case) if case.row else (),
            )
        )
    return found


def _coming(sheet: Sheet, names: dict[str, str]) -> Iterator[Next]:
    """The steps of the present stage, what waits first by its time, then what will not happen."""
    stage = next(
        (s for s in sheet.case.live.document.stages if s.key == sheet.decision.stage), None
    )
    for step in stage.steps if stage else ():
        verdict = sheet.verdicts[step.key]
        if verdict.outcome != "done":
            yield Next(
                step.key,
                names[step.key],
                _in_words(sheet, step, verdict),
                _when(verdict),
                "good"
                if verdict.outcome == "due"
                else "wait"
                if verdict.outcome == "wait"
                else "plain",
            )


# What is waited for then ends at a time that is known.
TIMED = (
    Reason.NOT_YET, Reason.ACTIVE, Reason.OUTSIDE_HOURS, Reason.CAP_PERSON, Reason.CAP_ACCOUNT,
)  # fmt: skip


def _when(verdict: Verdict) -> datetime | None:
    """When it happens as things stand; None where nobody knows when what it waits for ends."""
    if verdict.outcome == "wait" and verdict.reason not in TIMED:
        return None
    return verdict.until or verdict.due_at


def _in_words(sheet: Sheet, step: Step, verdict: Verdict) -> str:
    """One verdict as a sentence or two: what, to whom, and unless what."""
    reason = _because(sheet, step, verdict)
    to = ""
    if isinstance(step.do, Email):
        person, because = verdict.person, verdict.chosen_because
        if person is None and verdict.reason is Reason.NOT_YET:
            choice = choose(sheet.case.live.document, sheet.facts, step, step.do)
            person, because = choice.person.id if choice.person else None, choice.reason
        if person is not None and because is not None:
            to = f" To {_name(sheet, person)}: {_small(sentence(because))}"
        elif verdict.reason is Reason.NOT_YET:
            to = " As things stand there is nobody to write to."
    if verdict.outcome == "wait":
        held_out = sheet.enrolment.arm == Enrolment.Arm.HOLDOUT
        unless = (
            "It is withheld then, because the account is in the control group."
            if held_out
            else "It does not happen if the setup moves on before."
        )
        told = f"{reason}{to}{_besides(sheet, verdict)}"
        return f"{told} {unless}" if verdict.reason is Reason.NOT_YET else told
    if verdict.outcome == "due":
        return f"It goes out with the next look.{to}"
    if verdict.reason is Reason.NOBODY and verdict.passed_over:
        people = "; ".join(
            f"{_name(sheet, p.person)}: {_small(sentence(p.reason))[:-1]}"
            for p in verdict.passed_over
        )
        return f"{reason} ({people})"
    return reason


def _name(sheet: Sheet, person_id: int | None) -> str:
    person = sheet.facts.people.get(person_id) if person_id is not None else None
    if person is None:
        return "somebody we do not know"
    return person.name or person.email or f"person {person.id}"


def _small(text: str) -> str:
    """A sentence as the rest of another one."""
    return text[:1].lower() + text[1:]


def step_names(plan: Plan) -> dict[str, str]:
    """What each step of the account's journeys is called, by its key."""
    templates = dict(Template.objects.values_list("key", "name"))
    steps = {
        key: step
        for live in {case.live.id: case.live for case in plan.dossier.cases}.values()
        for key, (_, step) in live.document.steps().items()
    }
    used = Counter(step_name(step, templates) for step in steps.values())
    return {
        key: name if used[name] == 1 else f"{name}, {_told_apart(step)}"
        for key, step in steps.items()
        for name in [step_name(step, templates)]
    }


def _told_apart(step: Step) -> str:
    """Two steps may send the same e-mail, to different people or at different times."""
    to = f"{phrases.WHO[step.do.to]}, " if isinstance(step.do, Email) else ""
    return f"{to}{phrases.moment(step)}"


def _because(sheet: Sheet, step: Step, verdict: Verdict) -> str:
    """The verdict's reason as a sentence; a condition of the step is named."""
    if verdict.reason is Reason.CONDITION:
        document = sheet.case.live.document
        return f"It is only for when {phrases.condition(document, step.when)}."
    return sentence(verdict.reason)


# --- why did they (not) get it? -------------------------------------------------------------------


def answer(plan: Plan, person: Person, step_key: str, now: datetime) -> str:
    """For one person and one step: in a sentence or two for each setup whose journey has the step."""
    who = person.name or person.email or person.external_id
    mails = _mails(plan.dossier.account, person, step_key)
    sheets = {id(sheet.case): sheet for sheet in plan.sheets if step_key in sheet.verdicts}
    said = []
    for case in plan.dossier.cases:
        if step_key not in case.live.document.steps():
            continue
        message = mails.pop(case.row.pk if case.row else None, None)
        told = [_message_in_words(message, who)] if message else []
        if message is None or message.status == MessageStatus.CANCELLED:
            if sheet := sheets.get(id(case)):
                told.append(_verdict_about(sheet, sheet.verdicts[step_key], person, who, now))
            elif message is None:
                told.append(_without_sheet(plan, case, who))
        said.append((setup_name(case.live.document, case.state), " ".join(told)))
    # What they got about a setup that is not there any more, they got.
    said += [("Before", _message_in_words(message, who)) for message in mails.values()]
    if not said:
        return f"{who} does not get it: {_small(sentence(Reason.NO_JOURNEY))}"
    if len(said) == 1:
        return said[0][1]
    return " ".join(f"{name}: {told}" for name, told in said)


def _mails(account: Account, person: Person, step_key: str) -> dict[int | None, Message]:
    """The last mail of this step that was made for the person, by the setup that it is about."""
    # What they got under an id that they gave up, they got.
    ids = [person.pk, *person.merged.values_list("pk", flat=True)]
    runs = StepRun.objects.filter(
        enrolment__account=account,
        step_key=step_key,
        recipient_key__in=[str(pk) for pk in ids],
        message__isnull=False,
    )
    return {
        run.enrolment.setup_id: run.message
        for run in runs.select_related("message", "enrolment").order_by("pk")
        if run.message is not None
    }


def _without_sheet(plan: Plan, case: Case, who: str) -> str:
    reason: str = next((reason for other, reason in plan.refused if other is case), "")
    if case.enrolment and case.enrolment.left_at:
        reason = case.enrolment.left_reason
    return f"{who} does not get it: {_small(sentence(reason or Reason.NO_JOURNEY))}"


def _verdict_about(sheet: Sheet, verdict: Verdict, person: Person, who: str, now: datetime) -> str:
    if verdict.outcome == "done":
        to = f" for {_name(sheet, verdict.person)}" if verdict.person else ""
        return f"{who} does not get it: it was done already{to}."
    _, step = sheet.case.live.document.steps()[verdict.step_key]
    over = {entry.person: entry.reason for entry in verdict.passed_over}
    chosen, because = verdict.person, verdict.chosen_because
    if verdict.reason is Reason.NOT_YET and isinstance(step.do, Email):
        choice = choose(sheet.case.live.document, sheet.facts, step, step.do)
        over = {entry.person: entry.reason for entry in choice.passed_over}
        chosen, because = choice.person.id if choice.person else None, choice.reason
    known = sheet.facts.people.get(person.pk)
    refused = over.get(person.pk) or (Reason.LEFT if known and not known.member else None)
    if refused:
        instead = f" {_name(sheet, chosen)} is chosen instead." if chosen else ""
        return f"{who} does not get it: {_small(sentence(refused))}{instead}"
    if chosen is not None and chosen != person.pk:
        why = sentence(because) if because else ""
        return f"{who} does not get it: it is for {_name(sheet, chosen)}. {why}".strip()
    why = _because(sheet, step, verdict)
    if verdict.outcome == "due":
        return f"{who} gets it with the next look."
    if verdict.outcome == "no" or (chosen is None and verdict.reason is Reason.NOT_YET):
        nobody = sentence(Reason.NOBODY) if verdict.outcome == "wait" else why
        return f"{who} does not get it: {_small(nobody)}"
    until = verdict.until
    when = (
        f", and is looked at again on {until:%d %b %Y, %H:%M} UTC" if until and until > now else ""
    )
    return f"{who} has not got it yet{when}: {_small(why)}{_besides(sheet, verdict)}"


def _besides(sheet: Sheet, verdict: Verdict) -> str:
    """What will keep it waiting when its time has come, as things stand."""
    paused = paused_by(sheet.facts) if verdict.reason is Reason.NOT_YET else None
    return f" Besides, {_small(sentence(paused))}" if paused else ""


def _message_in_words(message: Message, who: str) -> str:
    at = message.sent_at or message.settled_at or message.queued_at
    when = f"{at:%d %b %Y, %H:%M} UTC"
    match MessageStatus(message.status):
        case MessageStatus.SENT:
            return f"{who} got it on {when}."
        case MessageStatus.DELIVERED:
            return f"{who} got it; it was sent on {when} and the provider confirmed the delivery."
        case MessageStatus.QUEUED | MessageStatus.SENDING:
            return f"It is on its way to {who}."
        case MessageStatus.BOUNCED | MessageStatus.COMPLAINED:
            return f"It was sent to {who} on {when}: {message.get_status_display().lower()}. {message.detail[:200]}".strip()
        case MessageStatus.UNCERTAIN:
            return f"Nobody knows yet whether {who} got it: the connection broke at {when}."
        case MessageStatus.WITHHELD:
            return f"{who} would have got it on {when}: {_small(sentence(Reason.WITHHELD))}"
        case MessageStatus.CANCELLED:
            why = sentence(message.reason)
            return f"It was taken back on {when} before it was sent: {_small(why)}"
        case MessageStatus.FAILED if message.reason == "settled_by_hand":
            return f"It did not go out: {message.detail}"
        case MessageStatus.FAILED:
            return f"It was refused on {when}: {message.detail[:300] or sentence(message.reason)}"


# --- the whole story -------------------------------------------------------------------------------


def story(account: Account, plan: Plan | None) -> list[Entry]:
    """Events, conclusions, messages and alerts, newest first; at most `MOST_ENTRIES`."""
    people = {
        person.pk: person.name or person.email or person.external_id
        for person in Person.objects.filter(
            Q(memberships__account=account) | Q(merged_into__memberships__account=account)
        )
    }
    names = step_names(plan) if plan else {}
    entries = [
        *_events(account, people, plan),
        *_decisions(account, people, names, plan),
        *_messages(account, people),
        *_alerts(account),
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:MOST_ENTRIES]


def _events(account: Account, people: dict[int, str], plan: Plan | None) -> Iterator[Entry]:
    kinds = dict(EventType.objects.values_list("name", "kind"))
    roles = dict(Role.objects.values_list("key", "name"))
    setups = {
        case.row.pk: setup_name(case.live.document, case.state)
        for case in (plan.dossier.cases if plan else ())
        if case.row
    }
    rows = Event.objects.filter(account=account).order_by("-pk")[:MOST_ENTRIES]
    for event in rows:
        by_staff = event.source in staff_story.SOURCES
        if by_staff and (told := staff_story.in_words(event, people, setups, roles)):
            yield Entry(event.occurred_at, "staff", told)
            continue
        who = people.get(event.person_id or 0, "" if event.actor == "system" else "somebody")
        kind = kinds.get(event.name, "")
        parts = [f"{key}: {_short(value)}" for key, value in list(event.properties.items())[:6]]
        problems = [str(problem.get("message", "")) for problem in event.problems or ()]
        noted = f" · Kept, though: {' '.join(problems)[:200]}" if problems else ""
        yield Entry(
            event.occurred_at,
            "staff" if by_staff else "event",
            f"{event.name or event.type}" + (f" · {who}" if who else ""),
            ", ".join(parts) + (" (imported)" if event.historical else "") + noted,
            "bad"
            if kind == "error"
            else "good"
            if kind in ("milestone", "completion")
            else "plain",
        )


def _short(value: object) -> str:
    """A property's value as a few words; the event's own page shows all of it."""
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _decisions(
    account: Account, people: dict[int, str], names: dict[str, str], plan: Plan | None
) -> Iterator[Entry]:
    stages = {
        (case.live.document.integration_type, stage.key): stage.name
        for case in (plan.dossier.cases if plan else ())
        for stage in case.live.document.stages
    }
    rows = (
        Decision.objects.filter(account=account)
        .select_related("setup")
        .order_by("-pk")[:MOST_ENTRIES]
    )
    for row in rows:
        name = names.get(row.step_key, row.step_key)
        to = f" → {people[row.person_id]}" if row.person_id in people else ""
        stage = stages.get((row.setup.integration_type if row.setup else "", row.stage), row.stage)
        if not row.step_key:
            title = f"Now: {stage}" if row.reason == "moved" else sentence(row.reason)
            yield Entry(row.at, "decision", title, f"{row.setup}" if row.setup else "")
            continue
        due = f" Due {row.due_at:%d %b, %H:%M} UTC." if row.due_at else ""
        tone: Tone = (
            "good" if row.outcome == "due" else "wait" if row.outcome == "wait" else "plain"
        )
        yield Entry(row.at, "decision", f"{name}{to}", f"{sentence(row.reason)}{due}", tone)


def _messages(account: Account, people: dict[int, str]) -> Iterator[Entry]:
    rows = (
        Message.objects.filter(account=account)
        .select_related("template_version__template")
        .order_by("-pk")[:MOST_ENTRIES]
    )
    for row in rows:
        who = people.get(row.person_id, "somebody")
        title = row.subject or row.template_version.template.name
        at = row.settled_at or row.sent_at or row.queued_at
        bad = row.status in (
            MessageStatus.FAILED,
            MessageStatus.BOUNCED,
            MessageStatus.COMPLAINED,
            MessageStatus.UNCERTAIN,
        )
        yield Entry(
            at, "message", title, _message_in_words(row, who), "bad" if bad else "good", row.pk
        )


def _alerts(account: Account) -> Iterator[Entry]:
    for alert in Alert.objects.filter(account=account).select_related("taken_by"):
        yield Entry(alert.opened_at, "alert", alert.title, alert.detail, "bad")
        if alert.resolved_at:
            done = f"Resolved by {alert.taken_by}" if alert.taken_by else "Resolved"
            yield Entry(
                alert.resolved_at, "alert", f"{done}: {alert.title}", alert.resolution, "good"
            )


def questions(plan: Plan) -> Sequence[tuple[str, str]]:
    """The steps one may ask about: key and name, e-mails only, in the journeys' order."""
    names = step_names(plan)
    asked: dict[str, Any] = {}
    for case in plan.dossier.cases:
        for key, (_, step) in case.live.document.steps().items():
            if isinstance(step.do, Email):
                asked[key] = names[key]
    return list(asked.items())
