"""Threads that hand over at the same time, so that nobody waits for the provider's answers in turn.

They only write mails and talk to the provider; whoever claims for them also records what they report,
over one connection to the database.
"""

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from types import TracebackType
from typing import Any

from django.db import connections

from messaging import outbox, sending
from messaging.models import Message

# A thread that waits for the provider asks for the interpreter after this time instead of five milliseconds.
SWITCH_SECONDS = 0.001
# Nothing was finished for so long although every sender is at work: the provider hangs.
STUCK_AFTER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """How one hand-over ended and how long it took; without a settlement it was not tried, since it came too late."""

    message: Message
    settlement: outbox.Settlement | None
    took: timedelta = timedelta()


class Senders:
    """Up to `most` threads, each with its own connection to the provider, which take messages one by one."""

    def __init__(self, most: int, clock: Callable[[], datetime]) -> None:
        self.most = most
        self.clock = clock
        self.error: BaseException | None = None
        self.ready = 0  # threads that have called the provider
        self.busy = 0
        self._queue: deque[tuple[Message, datetime | None]] = deque()
        self._results: list[Result] = []
        self._moved = monotonic()
        self._over = False
        self._changed = threading.Condition()
        self._wake: Callable[[], bool] = lambda: True
        self._threads = [
            threading.Thread(target=self._run, name="sender", daemon=True) for _ in range(most)
        ]

    def __enter__(self) -> "Senders":
        self._switched = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.setswitchinterval(self._switched)

    @property
    def waiting(self) -> int:
        """Messages that no sender has taken yet."""
        return len(self._queue)

    @property
    def free(self) -> int:
        """Senders with nothing in their hands."""
        return self.ready - self.busy

    @property
    def has_work(self) -> bool:
        """Whether anything that was put here has not been taken back as a result."""
        return bool(self._queue or self.busy or self._results)

    @property
    def stuck(self) -> bool:
        """Whether nothing has come to an end for long."""
        return monotonic() - self._moved > STUCK_AFTER_SECONDS

    def put(self, messages: Sequence[Message], start_by: datetime) -> None:
        """Let these be handed over, each as soon as a sender is free, or not at all after that moment.

        The first apart: something moves, however slow everything is.
        """
        with self._changed:
            self._queue += [
                (message, start_by if place else None) for place, message in enumerate(messages)
            ]
            self._changed.notify_all()

    def take(self) -> list[Result]:
        """What was reported since the last time, and what nobody came to in time."""
        now = self.clock()
        with self._changed:
            late = [one for one in self._queue if one[1] is not None and one[1] < now]
            for one in late:
                self._queue.remove(one)
                self._results.append(Result(one[0], None))
            results, self._results = self._results, []
            return results

    def wait(self, wanted: int, at_most: timedelta) -> list[Result]:
        """As `take`, once so many were reported, or senders have little to do, or the time is up."""
        with self._changed:
            low = len(self._queue) // 2
            self._wake = lambda: (
                len(self._results) >= wanted
                or len(self._queue) < low
                or not (self._queue or self.busy)
                or self.error is not None
            )
            self._changed.wait_for(self._wake, at_most.total_seconds())
        return self.take()

    def stop(self) -> list[Result]:
        """Wait until every sender has come to its end; all that was reported, and what was not begun."""
        with self._changed:
            self._over = True
            self._results += [Result(message, None) for message, _ in self._queue]
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        return self.take()

    def _run(self) -> None:
        try:
            with sending.line() as line:
                # Where the provider cannot be reached now, the hand-over finds out and says so.
                with contextlib.suppress(Exception):
                    line.open()
                with self._changed:
                    self.ready += 1
                    self._changed.notify_all()
                while (one := self._next()) is not None:
                    result = self._hand_over(*one, line)
                    with self._changed:
                        self._results.append(result)
                        self.busy -= 1
                        self._moved = monotonic()
                        if self._wake():
                            self._changed.notify_all()
        except BaseException as error:
            # Whatever ends a sender ends the whole delivery, as it would in the calling thread.
            with self._changed:
                self.busy -= 1
                self.error = self.error or error
                self._changed.notify_all()
        finally:
            # A refusal may have been noted in the database.
            connections.close_all()

    def _next(self) -> tuple[Message, datetime | None] | None:
        """The next message for this thread; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._over)
            if not self._queue:
                return None
            self.busy += 1
            return self._queue.popleft()

    def _hand_over(self, message: Message, start_by: datetime | None, line: Any) -> Result:
        began = monotonic()
        if start_by is not None and self.clock() > start_by:
            return Result(message, None)
        (settlement,) = sending.each([message], line, self.clock, sending.Outcomes())
        return Result(message, settlement, timedelta(seconds=monotonic() - began))
