"""`explore`: every state that a journey can bring a setup to in small worlds, and every mail it sends there.

The worlds are run forward by the very `take`, `enter`, `decide` and `arbitrate` that run live, breadth
first over what can happen and over time, which always jumps to the next moment that `decide` names.
So the first story found for anything is a shortest one. States that conditions, the choice of people and words
cannot tell apart are visited once; what was sent in other stages is forgotten, but for who was asked.
Left out is what only ever silences: pauses, incidents, a success in doubt, office hours other than ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import Any

from lifecycle.engine.conditions import position
from lifecycle.engine.decide import (
    Decision,
    Sent,
    Verdict,
    Want,
    arbitrate,
    decide,
    enter,
    goes_on,
)
from lifecycle.engine.facts import Account, Facts, Run
from lifecycle.engine.fold import take
from lifecycle.engine.journey import Email, Journey, Purpose, Step
from lifecycle.engine.moves import Move, Moves, lasting
from lifecycle.engine.promises import broken
from lifecycle.engine.reasons import Reason
from lifecycle.engine.routing import Router
from lifecycle.engine.situations import Exploration, Situation, Violation
from lifecycle.engine.state import AccountState, SetupState
from lifecycle.engine.worlds import BEGIN, Cast, World, chosen, opening, worlds


@dataclass(frozen=True, slots=True)
class Limits:
    """How far to look: product events per story, and states per world."""

    events: int = 16
    states: int = 1_000


class _Node:
    """One moment of one world: its log, folded, what was sent so far, and what was concluded."""

    __slots__ = (
        "attempt", "decision", "entered_at", "events", "facts", "left", "next_at", "now", "parent",
        "runs", "sent", "state", "told",
    )  # fmt: skip

    def __init__(self, state: AccountState, now: datetime, parent: _Node | None, told: str) -> None:
        self.state, self.now, self.parent, self.told = state, now, parent, told
        self.events: int = parent.events if parent else 0
        self.runs: tuple[Run, ...] = parent.runs if parent else ()
        self.sent: tuple[Sent, ...] = parent.sent if parent else ()
        self.attempt: int | None = parent.attempt if parent else None
        self.entered_at: datetime | None = parent.entered_at if parent else None
        self.left: Reason | None = parent.left if parent else None
        self.next_at: datetime | None = None
        self.decision = NOTHING
        self.facts: Facts

    @property
    def setup(self) -> SetupState:
        return self.state.setups[0]

    def story(self, begin: tuple[str, ...]) -> tuple[str, ...]:
        """What happened, oldest first; time that passed in several jumps is told once."""
        steps: list[tuple[str, timedelta]] = []
        node: _Node | None = self
        while node is not None and node.parent is not None:
            gone = timedelta() if node.told else node.now - node.parent.now
            if gone and steps and steps[-1][1]:
                gone += steps.pop()[1]
            steps.append((node.told, gone))
            node = node.parent
        told = [words or f"{lasting(gone)} passed" for words, gone in reversed(steps)]
        return (*begin, *told)


NOTHING = Decision("", None, ())


@lru_cache(maxsize=32)
def explore(journey: Journey, cast: Cast, *, limits: Limits = Limits()) -> Exploration:
    """Run every small world of this journey forward, within these limits. The same every time."""
    return _Explorer(journey, cast, limits).run()


class _Explorer:
    def __init__(self, journey: Journey, cast: Cast, limits: Limits) -> None:
        self.journey, self.limits = journey, limits
        self.router = Router({journey.integration_type: journey.path})
        self.steps = journey.steps()
        self.stage_of = {stage.key: stage for stage in journey.stages}
        self.worlds = worlds(journey, cast)
        self.folded: dict[tuple[int, datetime, str], tuple[AccountState, datetime]] = {}
        self.situations: dict[Any, Situation] = {}
        self.violations: dict[tuple[str, str], Violation] = {}
        self.setups: dict[Any, Facts] = {}
        self.done: set[str] = set()
        self.bound: dict[str, None] = {}
        self.states = 0

    def run(self) -> Exploration:
        for world in chosen(self.worlds):
            self._explore(world)
        return Exploration(
            situations=tuple(self.situations.values()),
            violations=tuple(self.violations.values()),
            never_held=tuple(self._never_held()),
            never_done=tuple(key for key in self.steps if key not in self.done),
            bound=tuple(self.bound),
            states=self.states,
        )

    def _explore(self, world: World) -> None:
        self.world = world
        self.begin = opening(self.journey, world)
        self.account = Account(id=1, traits=world.traits)
        self.people = {person.id: person for person in world.people}
        moves = Moves(self.journey, self.router, world)
        if not moves.start:
            return
        state, now = self._folded(EMPTY, BEGIN, moves.start[0], world.provider)
        first = _Node(state, now, None, "")
        seen = {self._signature(first)}
        followed = set()
        queue = deque([first])
        while queue:
            node = queue.popleft()
            self.states += 1
            points = self._pass_time(node)
            # What a second attempt can tell from the first is over once it has begun.
            same = self._signature(node)[1:]
            if same in followed:
                continue
            followed.add(same)
            for point in points:
                for child in self._children(point, moves):
                    signature = self._signature(child)
                    if signature in seen:
                        continue
                    if len(seen) >= self.limits.states:
                        self.bound["states"] = None
                        return
                    seen.add(signature)
                    queue.append(child)

    def _children(self, node: _Node, moves: Moves) -> Iterator[_Node]:
        for move in self._next_moves(moves, node):
            if node.events >= self.limits.events:
                self.bound["events"] = None
                return
            state, now = self._folded(node.state, node.now, move, "")
            child = _Node(state, now, node, move.told)
            child.events += 1
            yield child

    def _next_moves(self, moves: Moves, node: _Node) -> Iterator[Move]:
        asked = bool(self._asked(node))
        return moves.after(node.setup, left=node.left is not None, asked=asked)

    def _pass_time(self, node: _Node) -> list[_Node]:
        """Let time pass until nothing more is due; the moments after which an event means something new.

        Whatever happens after a mail has gone leads to the same state as if it had happened before, but
        for who was asked; so it is enough to go on from here and from where somebody was asked.
        """
        self._look(node)
        points = [node]
        asked = self._asked(node)
        while node.next_at is not None and node.next_at > node.now:
            node = _Node(node.state, node.next_at, node, "")
            self._look(node)
            if (now_asked := self._asked(node)) != asked:
                asked = now_asked
                points.append(node)
        if node.left is None:
            self._rests(node)
        return points

    def _folded(
        self, before: AccountState, now: datetime, move: Move, provider: str
    ) -> tuple[AccountState, datetime]:
        """The state after the move, and when that is; worked out once for all worlds."""
        key = (id(before), now, f"{move.person} {move.name} {move.told} {provider}")
        if key not in self.folded:
            events = move.events(now, before.last_event_id + 1)
            state = AccountState(
                setups=[_copied(setup) for setup in before.setups],
                active=dict(before.active),
                last_event_id=before.last_event_id,
            )
            take(self.router, state, events, {})
            self.folded[key] = state, events[-1].at
        return self.folded[key]

    # --- one look, as the runner takes it ---------------------------------------------------------

    def _look(self, node: _Node) -> None:
        """Enter, decide, send what may go, until nothing is due any more."""
        while True:
            node.facts = self._facts(node)
            outside = node.attempt is None or (node.left and node.attempt < node.setup.attempt)
            if outside and not self._enter(node):
                return
            decision = node.decision = decide(self.journey, node.facts, node.now)
            if node.left is not None and not goes_on(node.left, node.facts, decision):
                return
            node.left = decision.leave
            if decision.leave is Reason.REOPENED:
                continue
            due = [verdict for verdict in decision.verdicts if verdict.outcome == "due"]
            waits = self._carry_out(node, due) if due else {}
            if len(waits) < len(due) and node.setup.usable:
                node.left = None  # whether it is over now depends on what has just been done
                continue
            times = [v.until for v in decision.verdicts if v.until and v.outcome != "due"]
            times += [until for until in waits.values() if until]
            node.next_at = min(times, default=None) if node.left is None else None
            return

    def _enter(self, node: _Node) -> bool:
        """Whether the setup is on the journey from now on."""
        fresh = replace(node.facts, attempt=node.setup.attempt, runs=(), entered_at=None)
        if enter(self.journey, fresh, published_at=None) is not Reason.ENTERED:
            return False
        node.attempt, node.left, node.runs = node.setup.attempt, None, ()
        node.entered_at = node.setup.started.at
        node.facts = self._facts(node)
        return True

    def _facts(self, node: _Node) -> Facts:
        setup = node.setup
        return Facts(
            account=self.account,
            setup=setup,
            people=self.people,
            entered_at=node.entered_at,
            attempt=node.attempt if node.attempt is not None else setup.attempt,
            runs=node.runs,
        )

    def _carry_out(self, node: _Node, due: list[Verdict]) -> dict[str, datetime | None]:
        """Do what the limits on mails allow; returns until when each of the others has to wait."""
        wants = []
        waits: dict[str, datetime | None] = {}
        for verdict in due:
            step = self.steps[verdict.step_key][1]
            self.done.add(step.key)
            if isinstance(step.do, Email):
                self._found(node, step, verdict)
                wants.append(_want(self.journey, node.facts, step, verdict))
            else:
                node.runs = (*node.runs, Run(step.key, None, node.now))
        rulings = arbitrate(wants, list(node.sent), account=1, now=node.now)
        for verdict in due:
            ruling = rulings.get(verdict.step_key)
            if ruling is None:
                continue
            step = self.steps[verdict.step_key][1]
            again = any(run.person == verdict.person for run in node.facts.runs_of(step.key))
            if ruling.outcome != "due" or again:
                waits[step.key] = ruling.until
                continue
            node.runs = (*node.runs, Run(step.key, verdict.person, node.now))
            if step.counts_toward_cap and verdict.person is not None:
                address = self.people[verdict.person].address
                node.sent = (*node.sent, Sent(node.now, address, 1))
        return waits

    def _found(self, node: _Node, step: Step, verdict: Verdict) -> None:
        assert verdict.person is not None
        facts, person, world = node.facts, node.facts.people[verdict.person], self.world
        for promise in broken(self.journey, facts, step, person):
            self._violated(promise, step.key, node)
        key = (
            step.key, person.id, world.people, world.provider, tuple(world.traits.items()),
            known(node.setup),
        )  # fmt: skip
        if key not in self.situations:
            self.situations[key] = Situation(
                step, node.decision.stage, facts, person, node.now, world, node.story(self.begin)
            )

    def _rests(self, node: _Node) -> None:
        """By time alone nothing will happen any more: then somebody must have been told."""
        if node.attempt is not None and not node.runs and node.setup.usable is None:
            self._violated("left_alone", "", node)

    def _violated(self, promise: str, step: str, node: _Node) -> None:
        if (promise, step) not in self.violations:
            story = node.story(self.begin)
            self.violations[promise, step] = Violation(promise, step, story)

    # --- what cannot be told apart ----------------------------------------------------------------

    def _signature(self, node: _Node) -> Any:
        facts = known(node.setup)
        if (facts, node.setup.starter) not in self.setups:
            self.setups[facts, node.setup.starter] = self._facts(node)
        return (
            node.setup.attempt > 1,
            facts,
            node.setup.starter,
            self._asked(node),
            node.attempt is None,
            node.left,
        )

    def _asked(self, node: _Node) -> frozenset[int]:
        """The colleagues who were asked."""
        return frozenset(
            run.person
            for run in node.runs
            if run.person is not None
            and run.person != node.setup.starter
            and self.steps[run.step_key][1].purpose is Purpose.ASK
        )

    def _never_held(self) -> Iterator[str]:
        """Stages that hold for no setup that was seen, whoever is in the account and whatever its traits."""
        missing = {stage.key for stage in self.journey.stages}
        for facts, world in product(self.setups.values(), self.worlds):
            people = {person.id: person for person in world.people}
            if facts.setup.starter is not None and facts.setup.starter not in people:
                continue
            setup = replace(facts.setup, provider=world.provider)
            account = replace(facts.account, traits=world.traits)
            here = replace(facts, setup=setup, account=account, people=people)
            if found := position(self.journey, here):
                missing.discard(found[0].key)
            if not missing:
                return
        yield from (stage.key for stage in self.journey.stages if stage.key in missing)


EMPTY = AccountState()


def known(setup: SetupState) -> Any:
    """What conditions, recipients and words can tell about a setup, but for the time and the attempt."""
    block, last = setup.block, setup.last_error
    return (
        frozenset(setup.reached),
        frozenset(setup.reached_by.values()) - {setup.starter},
        setup.usable is not None,
        # Blocked for the second time is what a further burst is too, so earlier blocks need no state.
        (block.error_class, block.burst is not None or setup.blocks > 1) if block else None,
        last is not None and (block is None or last.error_class == block.error_class),
        last.error_class if last and not block else None,
        setup.activated is not None,
        setup.intent is not None,
    )


def _copied(setup: SetupState) -> SetupState:
    """The setup on its own, so that what happens next leaves the former as it was."""
    return replace(
        setup,
        reached=dict(setup.reached),
        reached_by=dict(setup.reached_by),
        reported=dict(setup.reported),
        unreached_at=dict(setup.unreached_at),
        unreached_imported=dict(setup.unreached_imported),
        errors={key: list(times) for key, times in setup.errors.items()},
        block=replace(setup.block) if setup.block else None,
        last_error=replace(setup.last_error) if setup.last_error else None,
        actors=dict(setup.actors),
    )


def _want(journey: Journey, facts: Facts, step: Step, verdict: Verdict) -> Want:
    assert verdict.person is not None and verdict.due_at and verdict.late_at
    return Want(
        ref=step.key,
        address=facts.people[verdict.person].address,
        priority=step.priority,
        caps=journey.caps,
        ignores_cap=step.ignores_cap,
        counts_toward_cap=step.counts_toward_cap,
        due_at=verdict.due_at,
        late_at=verdict.late_at,
    )
