"""One account known under two ids: what merging them does, to be read beforehand, and the merge itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Account, Membership, Person, User
from events import calls, log, merging
from events.models import Event
from lifecycle.alerts.models import Alert
from lifecycle.engine.reasons import Reason
from lifecycle.journeys import words
from lifecycle.journeys.models import Enrolment, Setup
from lifecycle.runner import history
from lifecycle.runner.definition import Definition, current
from lifecycle.runner.merging.fates import Fates, fates
from lifecycle.runner.models import Decision, FoldCheckpoint, ParkedAccount, StepRun
from messaging import addresses, outbox
from messaging.models import Message, MessageStatus, Template

MERGED = "staff_merged"


class Refusal(StrEnum):
    """Why two accounts are not merged, in words for whoever asked for it."""

    SAME = "That is the same account."
    OTHER_WORLD = "One of them is a test account, and test accounts stay apart from production."
    MERGED_ALREADY = "It was merged already."
    OTHER_IS_MERGED = "The other account was itself merged into a third one; merge with that one."
    CHANGED = "Something changed meanwhile. Look at what would happen now."


class Line(NamedTuple):
    """One thing, and what becomes of it."""

    what: str
    becomes: str
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Merge:
    """Exactly what merging does."""

    loser: Account
    winner: Account
    fates: Fates
    people: tuple[Line, ...]
    setups: tuple[Line, ...]
    not_sent: tuple[Line, ...]
    """Mails that wait in the outbox and are taken back."""
    account: tuple[Line, ...]
    """What of the account's own facts changes."""
    alerts: tuple[str, ...]
    queued: tuple[int, ...]
    settled: tuple[int, ...]
    """People whose unplaced events have only one place now."""
    events: int
    placed: int
    mails: int
    decisions: int

    @property
    def token(self) -> str:
        """The same while the same would happen. What only grows with every event and mail is left out,
        or an account that is in use could never be merged."""
        said = (
            self.loser.pk, self.winner.pk, self.people, self.setups, self.not_sent, self.account,
            self.alerts, self.queued, self.settled,
        )  # fmt: skip
        return hashlib.sha256(repr(said).encode()).hexdigest()


def refusal(loser: Account, winner: Account) -> Refusal | None:
    """Why these two cannot be merged; None where they can."""
    if loser.pk == winner.pk:
        return Refusal.SAME
    if loser.environment != winner.environment:
        return Refusal.OTHER_WORLD
    if loser.merged_into_id is not None:
        return Refusal.MERGED_ALREADY
    return Refusal.OTHER_IS_MERGED if winner.merged_into_id is not None else None


def preview(loser: Account, winner: Account) -> Merge:
    """What merging does. Takes no lock and writes nothing."""
    definition = current()
    both = [loser.pk, winner.pk]
    settled = merging.only_in(both)
    ours = list(winner.setups.order_by("pk"))
    theirs = list(loser.setups.order_by("pk"))
    unplaced = Event.objects.filter(account=None, person__in=settled)
    log_of_both = Event.objects.counting().filter(
        Q(account__in=both) | Q(account=None, person__in=settled)
    )
    found = fates(history.folded(definition, log_of_both).setups, ours, theirs)
    queued = Message.objects.filter(account=loser, status=MessageStatus.QUEUED).order_by("pk")
    alerts = Alert.objects.filter(account=loser).exclude(status=Alert.Status.RESOLVED)
    return Merge(
        loser=loser,
        winner=winner,
        fates=found,
        people=_people(loser, winner),
        setups=_setups(definition, found),
        not_sent=_not_sent(definition, queued, found),
        account=_account(loser, winner),
        alerts=tuple(alerts.order_by("pk").values_list("title", flat=True)),
        queued=tuple(queued.values_list("pk", flat=True)),
        settled=tuple(settled),
        events=Event.objects.filter(account=loser).count(),
        placed=unplaced.count(),
        mails=Message.objects.filter(account=loser).count(),
        decisions=Decision.objects.filter(account=loser).count(),
    )


@transaction.atomic
def merge(loser_id: int, winner_id: int, *, seen: str, by: User, now: datetime) -> Refusal | None:
    """Make one account part of another, if that still does what `seen`, a preview's token, stands for.

    None when it was done.
    """
    absorbed = Account.objects.filter(merged_into=loser_id).values_list("pk", flat=True)
    locked = log.lock({loser_id, winner_id, *absorbed}, now=now)
    rows = Account.objects.in_bulk([loser_id, winner_id])
    loser, winner = rows[loser_id], rows[winner_id]
    if refused := refusal(loser, winner):
        return refused
    _hold_still(loser, winner)
    decided = preview(loser, winner)
    if decided.token != seen:
        return Refusal.CHANGED
    _take_back(decided, now)
    _join_setups(decided, now)
    for model in (Message, Decision, Alert):
        model.objects.filter(account=loser).update(account=winner)
    FoldCheckpoint.objects.filter(account=loser).delete()
    ParkedAccount.objects.filter(account=loser).delete()
    merging.accounts(loser, winner)
    calls.settle(dict.fromkeys(decided.settled, winner.pk))
    log.mark(locked, changed=[winner.pk], rewritten=[winner.pk], now=now)
    _tell(decided, by, now)
    return None


def _hold_still(loser: Account, winner: Account) -> None:
    """Lock the rounds and the mails: a hand-over settles its mails without the account's lock."""
    both = [loser.pk, winner.pk]
    for rows in (
        Enrolment.objects.filter(account__in=both),
        Message.objects.filter(account__in=both),
    ):
        locked = rows.order_by("pk").select_for_update(no_key=True, of=("self",))
        list(locked.values_list("pk", flat=True))


def _take_back(decided: Merge, now: datetime) -> None:
    reasons = {pk: (str(Reason.MERGED), "") for pk in decided.queued}
    overtaken = [run.message_id for run in decided.fates.overtaken if run.message_id]
    reasons |= {pk: (str(Reason.DONE), "") for pk in overtaken}
    cancelled = outbox.cancel(reasons, now=now)
    StepRun.objects.filter(message__in=cancelled).update(status=StepRun.Status.CANCELLED)


def _join_setups(decided: Merge, now: datetime) -> None:
    found, winner = decided.fates, decided.winner
    moving = [row.pk for row in found.moving]
    Setup.objects.filter(pk__in=moving).update(account=winner)
    Enrolment.objects.filter(setup__in=moving).update(account=winner)
    for one, keeper in found.handed_on:
        Enrolment.objects.filter(pk=one.pk).update(setup=keeper, account=winner)
    _carry_over(found)
    for one, into in found.joined:
        Alert.objects.filter(enrolment=one).update(enrolment=into)
    Enrolment.objects.filter(pk__in=[one.pk for one in found.leaving]).update(
        left_at=now, left_reason=Reason.MERGED, next_look_at=None
    )


def _carry_over(found: Fates) -> None:
    # What makes room does not count until it has found its new place.
    making = [run.pk for run, _ in found.made_room]
    StepRun.objects.filter(pk__in=making).update(status=StepRun.Status.CANCELLED)
    for run, into in found.carried:
        StepRun.objects.filter(pk=run.pk).update(enrolment=into)
    for run, into in found.made_room:
        StepRun.objects.filter(pk=run.pk).update(enrolment=into, status=run.status)


def _tell(decided: Merge, by: User, now: datetime) -> None:
    loser, winner = decided.loser, decided.winner
    entry = log.OwnEvent(
        source="staff",
        message_id=f"{MERGED}:{loser.pk}:{winner.pk}",
        name=MERGED,
        account_id=winner.pk,
        occurred_at=now,
        properties={
            "by": by.get_username(),
            "name": str(loser),
            "account_id": loser.external_id,
            "events": decided.events,
            "not_sent": len(decided.not_sent),
            "carried_over": len(decided.fates.carried),
        },
    )
    log.append([entry], now=now)


# --- in words -------------------------------------------------------------------------------------


def _people(loser: Account, winner: Account) -> tuple[Line, ...]:
    kept = {row.person_id: row for row in winner.memberships.select_related("person")}
    known: dict[str, list[str]] = {}
    for row in kept.values():
        if address := _address(row):
            known.setdefault(address, []).append(f"{row.person} ({row.person.external_id}) there")
    lines = []
    for row in loser.memberships.select_related("person").order_by("pk"):
        same = kept.get(row.person_id)
        if same is None:
            twins = (f"Has the same address as {name}" for name in known.get(_address(row), ()))
            lines.append(Line(str(row.person), f"moves, {standing(row)}", tuple(twins)))
            continue
        before = standing(row)
        merging.join(same, row)
        there = f" (in the account that goes: {before})" if standing(same) != before else ""
        lines.append(Line(str(row.person), f"is in both, {standing(same)}{there}"))
    return tuple(lines)


def _address(row: Membership) -> str:
    return addresses.normalise(row.person.email)


def standing(row: Membership) -> str:
    """What a member is in the account, in words."""
    if row.ended_at is not None:
        return f"left on {row.ended_at:%d %b %Y}"
    return f"as {row.role}" if row.role else "role unknown"


def _setups(definition: Definition, found: Fates) -> tuple[Line, ...]:
    done: dict[int, list[StepRun]] = {}
    handed_on = {one.pk: keeper.pk for one, keeper in found.handed_on}
    for run, into in found.carried:
        done.setdefault(handed_on.get(into.pk, into.setup_id), []).append(run)
    step_in_words = _StepNames(definition, [run for run, _ in found.carried])
    ends = {one.setup_id for one in found.leaving}
    lines = []
    for row, keeper in found.giving_way:
        name, other = _setup(definition, row), _setup(definition, keeper)
        same = "is known to both" if name == other else f"is the same as {other}"
        goes_on = "; its reminders go on in one place" if row.pk in ends else ""
        counts = (f"Counts as done: {step_in_words(run)}" for run in done.pop(keeper.pk, []))
        lines.append(Line(name, f"{same}{goes_on}", tuple(counts)))
    for row in found.moving:
        lines.append(Line(_setup(definition, row), "moves as it is, with everything sent about it"))
    return tuple(lines)


def _setup(definition: Definition, row: Setup) -> str:
    live = definition.journeys.get(row.integration_type)
    if live is None:
        return row.provider or row.integration_type
    name = words.provider_name(live.document, row.provider) or live.document.integration_name
    return f"{name} ({row.integration_id})" if row.integration_id else name


class _StepNames:
    """Steps that were carried out, each as a name and to whom."""

    def __init__(self, definition: Definition, runs: list[StepRun]) -> None:
        self.templates: Mapping[str, str] = dict(Template.objects.values_list("key", "name"))
        self.steps = {
            key: step
            for live in definition.journeys.values()
            for key, (_, step) in live.document.steps().items()
        }
        ids = [int(run.recipient_key) for run in runs if run.recipient_key != "-"]
        self.people = Person.objects.in_bulk(ids)

    def __call__(self, run: StepRun) -> str:
        step = self.steps.get(run.step_key)
        name = words.step_name(step, self.templates) if step else run.step_key
        if run.recipient_key == "-":
            return name
        return f"{name}, to {self.people[int(run.recipient_key)]}"


def _not_sent(definition: Definition, queued: QuerySet[Message], found: Fates) -> tuple[Line, ...]:
    overtaken = Message.objects.filter(pk__in=[run.message_id for run in found.overtaken])
    again = "is looked at anew, and goes if it is still due"
    never = "is not sent: it was sent before, from the other account"
    return tuple(
        Line(_mail(definition, message), becomes)
        for messages, becomes in ((queued, again), (overtaken, never))
        for message in messages.select_related(
            "person", "template_version__template", "step_run__enrolment__setup"
        ).order_by("pk")
    )


def _mail(definition: Definition, message: Message) -> str:
    what = f"{message.template_version.template}, to {message.person}"
    run: StepRun | None = getattr(message, "step_run", None)
    return f"{what}, about {_setup(definition, run.enrolment.setup)}" if run else what


def _account(loser: Account, winner: Account) -> tuple[Line, ...]:
    lines = []
    if loser.paused_at and not winner.paused_at:
        lines.append(Line("Sending", "is paused, as it is for the account that goes"))
    if winner.admin_outreach and not loser.admin_outreach:
        lines.append(Line("Admins who did not start a setup", "are not written to any more"))
    for column, name in (("plan", "Plan"), ("value", "Value"), ("time_zone", "Time zone")):
        given, kept = getattr(loser, column), getattr(winner, column)
        if given and not kept:
            lines.append(Line(name, f"becomes {given}"))
    if winner.closed_at:
        lines.append(Line("The account that stays", "is closed, so nothing is sent"))
    return tuple(lines)
