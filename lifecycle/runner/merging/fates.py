"""What becomes of the setups of two accounts that are one: which row stays, which round goes on, what counts as done.

Nothing is written here. A round is an enrolment: one attempt of a setup in a journey.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Q

from lifecycle.engine.state import SetupState
from lifecycle.journeys.models import Enrolment, Setup
from lifecycle.runner.gather import match
from lifecycle.runner.models import StepRun
from messaging.models import MessageStatus

# A step whose mail stands here has reached nobody (yet).
NOT_ARRIVED = (MessageStatus.QUEUED, MessageStatus.BOUNCED, MessageStatus.FAILED)


@dataclass
class Fates:
    """The rows to change, in the order in which to change them."""

    moving: list[Setup] = field(default_factory=list)
    """Setups that only the loser has; they move with their rounds and with what was sent in them."""
    giving_way: list[tuple[Setup, Setup]] = field(default_factory=list)
    """Setups known twice: the row that gives way, and the row that stays."""
    handed_on: list[tuple[Enrolment, Setup]] = field(default_factory=list)
    """Rounds of a setup that gives way which the one that stays has not had."""
    joined: list[tuple[Enrolment, Enrolment]] = field(default_factory=list)
    """Rounds that both had: the one that gives way, and the one that goes on."""
    leaving: list[Enrolment] = field(default_factory=list)
    """Open rounds that end by the merge."""
    overtaken: list[StepRun] = field(default_factory=list)
    """Steps whose mail still waits, though the other account has had it."""
    carried: list[tuple[StepRun, Enrolment]] = field(default_factory=list)
    """What was done in a round that gives way and so counts in the one that goes on."""
    made_room: list[tuple[StepRun, Enrolment]] = field(default_factory=list)
    """What failed in the round that goes on, where it succeeded in the other: they change places."""


def fates(states: Sequence[SetupState], ours: Sequence[Setup], theirs: Sequence[Setup]) -> Fates:
    """What becomes of `theirs`, the loser's rows, beside `ours`, where both logs together say `states`.

    What the loser has in the outbox counts for nothing: it is cancelled.
    """
    found = Fates()
    stays = staying(states, ours, theirs)
    found.giving_way = [(row, stays[row.pk]) for row in (*ours, *theirs) if row.pk in stays]
    found.moving = [row for row in theirs if row.pk not in stays]
    rounds = _rounds([*ours, *theirs])
    book = _Book([one for rows in rounds.values() for one in rows], theirs, found)
    givers: dict[int, list[Setup]] = defaultdict(list)
    for row, keeper in found.giving_way:
        givers[keeper.pk].append(row)
    for keeper_id, rows in givers.items():
        keeper = next(row for row in (*ours, *theirs) if row.pk == keeper_id)
        giving = [one for row in rows for one in rounds[row.pk]]
        for journey in sorted({one.journey_id for one in giving}):
            _one_journey(
                keeper,
                [one for one in rounds[keeper_id] if one.journey_id == journey],
                [one for one in giving if one.journey_id == journey],
                book,
            )
    return found


def staying(
    states: Sequence[SetupState], ours: Sequence[Setup], theirs: Sequence[Setup]
) -> dict[int, Setup]:
    """For every row that gives way, by its id: the row that stays for the same setup, ours before theirs.

    Both logs together say which rows are one setup: a key that only one of the two knew counts for both.
    """
    chosen: dict[int, Setup] = {}
    for rows in (ours, theirs):
        free = [state for state in states if id(state) not in chosen]
        chosen |= {id(state): row for state, row in match(free, rows) if row is not None}
    kept = {row.pk for row in chosen.values()}
    named = {(row.integration_type, row.key): row for row in ours}
    stays: dict[int, Setup] = {}
    for row in (*ours, *theirs):
        if row.pk in kept:
            continue
        state = _meant(states, row)
        other = chosen.get(id(state)) if state else None
        other = other or named.get((row.integration_type, row.key))
        if other is not None and other.pk != row.pk:
            stays[row.pk] = other
    return stays


def _meant(states: Sequence[SetupState], row: Setup) -> SetupState | None:
    """The setup that this row was about, by the same signs as in `match`."""
    mine = [state for state in states if state.integration_type == row.integration_type]
    for fits in (
        [state for state in mine if row.key in state.keys],
        [state for state in mine if row.provider and state.provider == row.provider],
        [state for state in mine if not row.key or not state.key],
    ):
        if fits:
            return fits[0]
    return mine[0] if len(mine) == 1 else None


def _rounds(rows: Iterable[Setup]) -> Mapping[int, list[Enrolment]]:
    found: dict[int, list[Enrolment]] = defaultdict(list)
    enrolments = Enrolment.objects.filter(setup__in=[row.pk for row in rows])
    for one in enrolments.select_related("journey").order_by("attempt", "pk"):
        found[one.setup_id].append(one)
    return found


def _one_journey(
    keeper: Setup, kept: Sequence[Enrolment], giving: Sequence[Enrolment], book: "_Book"
) -> None:
    """Join the rounds of one journey, attempt by attempt; of several open ones the newest attempt goes on."""
    found = book.fates
    held = {one.attempt: one for one in kept}
    for one in sorted(giving, key=lambda one: (one.attempt, one.pk)):
        if one.attempt not in held:
            held[one.attempt] = one
            found.handed_on.append((one, keeper))
        else:
            book.join(one, held[one.attempt])
    still_open = [held[attempt] for attempt in sorted(held) if held[attempt].left_at is None]
    for one in still_open[:-1]:
        book.join(one, still_open[-1])


class _Book:
    """The step runs that count, by round, as they stand after what was concluded so far."""

    def __init__(self, rounds: Sequence[Enrolment], theirs: Sequence[Setup], fates: Fates) -> None:
        self.fates = fates
        losers = {row.account_id for row in theirs}
        rows = StepRun.objects.filter(enrolment__in=[one.pk for one in rounds])
        rows = rows.exclude(status=StepRun.Status.CANCELLED)
        rows = rows.exclude(Q(message__status=MessageStatus.QUEUED, message__account__in=losers))
        self.own: dict[int, list[StepRun]] = defaultdict(list)
        for run in rows.select_related("message").order_by("pk"):
            self.own[run.enrolment_id].append(run)
        self.now = {pk: list(runs) for pk, runs in self.own.items()}

    def join(self, one: Enrolment, into: Enrolment) -> None:
        """Let what was done in `one` count in `into`, so that it is not done again."""
        self.fates.joined.append((one, into))
        if one.left_at is None:
            self.fates.leaving.append(one)
        there = self.now.setdefault(into.pk, [])
        for run in self.own.get(one.pk, []):
            rivals = [other for other in there if _exclude_each_other(run, other)]
            if any(map(arrived, rivals)) or (rivals and not arrived(run)):
                continue
            if _is_withheld(run) and one.arm != into.arm:
                # It reached nobody, and the round that goes on is not in the control group.
                continue
            for rival in rivals:
                there.remove(rival)
                if rival.message and rival.message.status == MessageStatus.QUEUED:
                    self.fates.overtaken.append(rival)
                else:
                    self.fates.made_room.append((rival, one))
            there.append(run)
            self.fates.carried.append((run, into))


def arrived(run: StepRun) -> bool:
    """Whether the step was carried out, as far as anybody knows."""
    done = run.status == StepRun.Status.DONE
    return done and (run.message is None or run.message.status not in NOT_ARRIVED)


def _exclude_each_other(run: StepRun, other: StepRun) -> bool:
    """Whether the database would refuse to have both in one round."""
    if run.step_key != other.step_key:
        return False
    both_done = run.status == other.status == StepRun.Status.DONE
    return run.recipient_key == other.recipient_key or (run.single and other.single and both_done)


def _is_withheld(run: StepRun) -> bool:
    return run.message is not None and run.message.status == MessageStatus.WITHHELD
