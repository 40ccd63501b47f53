"""Deliver messages: gate and claim some, commit, and only then hand them over, as many at once as pays.

What was claimed is handed over within a moment, or goes back and through the gate again.
"""

import os
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connection

from lifecycle.runner.gate import gate
from lifecycle.runner.health import HAND_OVER
from lifecycle.runner.heartbeats import beat
from lifecycle.runner.senders import Result, Senders
from messaging import outbox, rates, sending
from messaging.models import Message, MessageStatus

FIRST_GROUP = 2  # until the provider's pace is known
LARGEST_GROUP = 64
# For senders: they are claimed for again and again, and a claim should not keep them waiting.
LARGEST_FOR_SENDERS = 32
# A group is gated under the locks of its accounts, for which calls about them wait.
LOCKED_AT_MOST = timedelta(milliseconds=100)
# Rate tokens are taken for so many messages together; what the gate turns down then has used its own up.
TOKENS_AT_ONCE = 64
SHOW_PROGRESS_EVERY = timedelta(seconds=1)
# A hand-over starts this soon after its claim, or goes through the gate again; groups are planned for less.
FROM_CLAIM_TO_HAND_OVER = timedelta(milliseconds=250)
PLANNED = timedelta(milliseconds=200)
# Where a hand-over takes longer than this the time is the provider's, and many at once pay.
SLOW = timedelta(milliseconds=20)
# Where it takes longer than this, senders are too rarely free to claim for them in advance.
VERY_SLOW = timedelta(milliseconds=120)
# After this much time nothing more is claimed, so that a task ends long before its timeout.
LASTS_AT_MOST = timedelta(seconds=10)


def owner_name() -> str:
    """Who is delivering: this machine, this process, this call."""
    return f"{socket.gethostname()[:30]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


# How long a mail took lately, and at best, and a claim, all of it and for each mail, as this process has seen it.
_pace: timedelta | None = None
_at_best = timedelta()
_claim_took = timedelta(milliseconds=50)
_claim_of_one = timedelta(milliseconds=2)


@dataclass
class Delivery:
    """One call's messages on their way: those that wait, and those whose rate tokens were taken."""

    waiting: list[int]
    clock: Callable[[], datetime]
    until: datetime
    owner: str = field(default_factory=owner_name)
    allowed: list[int] = field(default_factory=list)
    shown: datetime | None = None
    outcomes: sending.Outcomes = field(default_factory=sending.Outcomes)

    @property
    def left(self) -> int:
        """How many may still be claimed."""
        return len(self.waiting) + len(self.allowed) if self.clock() < self.until else 0

    @property
    def size(self) -> int:
        """How many are claimed soon enough, and handed over by one sender in time afterwards."""
        if _pace is None:
            return FIRST_GROUP
        in_time = 1 + int(PLANNED / max(_pace, timedelta(microseconds=1)))
        return min(LARGEST_GROUP, in_time, 1 + int(LOCKED_AT_MOST / _claim_of_one))

    def claim(self, size: int) -> list[Message]:
        """Gate the next `size` messages; those that were claimed."""
        global _claim_took, _claim_of_one
        began = monotonic()
        if not self.allowed:
            batch, self.waiting = self.waiting[:TOKENS_AT_ONCE], self.waiting[TOKENS_AT_ONCE:]
            self.allowed = within_rate(batch, self.clock())
        group, self.allowed = self.allowed[:size], self.allowed[size:]
        claimed = gate(group, owner=self.owner, now=self.clock(), clock=self.clock)
        if group:
            _claim_took = timedelta(seconds=max(monotonic() - began, 0.001))
            _claim_of_one = _claim_took / len(group)
        return claimed

    def hand_over(self, line: Any, messages: Sequence[Message]) -> None:
        """Hand over what was claimed; what comes too late waits again."""
        began = self.clock()
        outcomes = sending.hand_over_held(
            messages,
            owner=self.owner,
            clock=self.clock,
            connection=line,
            start_by=start_by(messages),
        )
        self.allowed = outcomes.not_tried + self.allowed
        each = (self.clock() - began) / max(len(messages) - len(outcomes.not_tried), 1)
        self.show([each], went=bool(outcomes.sent))

    def take(self, results: Sequence[Result]) -> None:
        """Record what senders report; what they did not come to in time waits again."""
        done = [result.settlement for result in results if result.settlement is not None]
        sending.settle(done, self.owner, self.outcomes)
        self.outcomes.domains |= {result.message.sender.domain_id for result in results}
        late = [result.message.pk for result in results if result.settlement is None]
        self.allowed = outbox.give_back(late, owner=self.owner, now=self.clock()) + self.allowed
        if done:
            took = [result.took for result in results if result.settlement is not None]
            self.show(took, went=any(settlement.outcome == "sent" for settlement in done))

    def show(self, times: Sequence[timedelta], *, went: bool) -> None:
        """Keep in mind how long mails took, and let others see when one was taken."""
        global _pace, _at_best
        _pace = sum(times, timedelta()) / len(times)
        # What senders wait for each other does not speak against the provider.
        _at_best = min(times)
        now = self.clock()
        if went and (self.shown is None or now - self.shown >= SHOW_PROGRESS_EVERY):
            self.shown = now
            beat(HAND_OVER, now)

    def finish(self) -> None:
        """Leave what there was no time for to the next tick, and look at what was refused."""
        if rest := [*self.allowed, *self.waiting]:
            outbox.postpone(rest, self.clock())
        sending.finish(self.outcomes, self.owner, self.clock())


def start_by(claimed: Sequence[Message]) -> datetime:
    """Until when the hand-over of these, claimed together, may start."""
    at = claimed[0].claimed_at
    assert at is not None
    return at + FROM_CLAIM_TO_HAND_OVER


def deliver(message_ids: Sequence[int], *, clock: Callable[[], datetime]) -> None:
    """Hand these queued messages over, in small groups, each gated right before it goes."""
    delivery = Delivery(list(dict.fromkeys(message_ids)), clock, until=clock() + LASTS_AT_MOST)
    with sending.line() as line:
        while delivery.left and not _several_pay(delivery):
            if claimed := delivery.claim(delivery.size):
                delivery.hand_over(line, claimed)
    if delivery.left:
        _deliver_at_once(delivery)
    delivery.finish()


def _several_pay(delivery: Delivery) -> bool:
    """Whether enough is left for several senders, each with a thread and a connection to the provider."""
    # Other connections would not see what an open transaction wrote.
    if settings.SENDERS == 1 or connection.in_atomic_block or _pace is None:
        return False
    return _at_best > SLOW and delivery.left > delivery.size


def _deliver_at_once(delivery: Delivery) -> None:
    """Claim here for senders that hand over meanwhile, and record here what they report.

    What a sender raises is raised here, after everything that was handed out has come to its end.
    """
    assert _pace is not None
    with Senders(min(settings.SENDERS, delivery.left), delivery.clock) as senders:
        try:
            while senders.error is None and (delivery.left or senders.has_work):
                if delivery.left and (size := _wanted(senders)):
                    if claimed := delivery.claim(size):
                        senders.put(claimed, start_by(claimed))
                    delivery.take(senders.take())
                else:
                    delivery.take(senders.wait(sending.SETTLE_GROUP, sending.SETTLE_AFTER))
        finally:
            delivery.take(senders.stop())
    if senders.error is not None:
        raise senders.error


def _wanted(senders: Senders) -> int:
    """How many to claim now so that no sender waits and each mail goes soon after its claim; 0 for none."""
    assert _pace is not None
    free = senders.free - senders.waiting
    if _pace > VERY_SLOW:
        return min(free, LARGEST_FOR_SENDERS) if free >= max(1, senders.most // 4) else 0
    if senders.ready == 0 or (free <= 0 and senders.stuck):
        return 0
    pace = max(_pace, timedelta(milliseconds=1)) / senders.ready
    if senders.waiting > _claim_took / pace:
        return 0
    return max(0, min(LARGEST_FOR_SENDERS, int(PLANNED / pace) - senders.waiting))


def within_rate(message_ids: Sequence[int], now: datetime) -> list[int]:
    """Those that their sending domains' rates let go now; the others are postponed to when they may."""
    by_domain: dict[int, list[int]] = {}
    for pk, domain in Message.objects.filter(
        pk__in=message_ids, status=MessageStatus.QUEUED
    ).values_list("pk", "sender__domain_id"):
        by_domain.setdefault(domain, []).append(pk)
    allowed: list[int] = []
    for domain, ids in sorted(by_domain.items()):
        granted, retry_at = rates.take(domain, len(ids), now)
        allowed += ids[:granted]
        if ids[granted:] and retry_at is not None:
            outbox.postpone(ids[granted:], retry_at)
    return allowed
