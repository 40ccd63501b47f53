"""The supervisor: starts the queue's workers, ticks, watches that work progresses, stops cleanly.

django-q2 can stop working while it looks alive, and then ignore SIGTERM; so its whole process group
is restarted when work waits and no task has come through for the task timeout plus 30 seconds.
"""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone
from django_q.tasks import async_task

from lifecycle.runner import health, heartbeats, incidents, link_watch
from lifecycle.runner.tick import sweep, tick

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
BEAT_EVERY = timedelta(seconds=2)
SWEEP_EVERY = timedelta(seconds=5)
PULSE_EVERY = timedelta(seconds=20)
LINKS_EVERY = timedelta(seconds=30)
PAGES_EVERY = timedelta(minutes=10)
WATCH_EVERY = timedelta(seconds=5)
INCIDENTS_EVERY = timedelta(minutes=1)
STOP_WITHIN_SECONDS = 15
PR_SET_PDEATHSIG = 1  # prctl(2)


class Group:
    """The queue's workers: one qcluster in a process group of its own."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at: datetime | None = None

    def start(self, now: datetime) -> None:
        """Start the workers; on Linux they are told to stop when this process dies."""
        self.process = subprocess.Popen(
            [sys.executable, sys.argv[0], "qcluster"],
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, nothing held across the fork
        )
        self.started_at = now

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """SIGTERM, and after a while SIGKILL, to the whole group; returns when nobody is left."""
        if self.process is None:
            return
        group = self.process.pid
        if self.process.poll() is None:
            # Only the leader: it lets its workers finish what they are doing.
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_WITHIN_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self.process = None


class Supervisor:
    """One background process of the installation; several may run against one database."""

    def __init__(self, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self.clock = clock
        self.group = Group()
        self.stopping = False
        self.done: dict[str, datetime] = {}
        self.announced: datetime | None = None

    def run(self) -> None:
        """Work until SIGINT or SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        self.group.start(self.clock())
        try:
            while not self.stopping:
                began = time.monotonic()
                self.step()
                time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began)))
        finally:
            self.group.stop()

    def step(self) -> None:
        """One round: tick, and what is due of the rarer chores. A database that is away is waited for."""
        now = self.clock()
        try:
            close_old_connections()
            self._announce()
            tick(now, seconds=TICK_SECONDS)
            self._every(BEAT_EVERY, "beat", now, lambda: heartbeats.beat(health.SUPERVISOR, now))
            self._every(SWEEP_EVERY, "sweep", now, lambda: sweep(now))
            self._every(INCIDENTS_EVERY, "incidents", now, lambda: incidents.follow(now))
            self._every(
                PULSE_EVERY, "pulse", now, lambda: async_task("lifecycle.runner.tasks.pulse")
            )
            self._every(LINKS_EVERY, "links", now, lambda: link_watch.begin(now))
            self._every(
                PAGES_EVERY,
                "pages",
                now,
                lambda: async_task("lifecycle.runner.tasks.confirm_links"),
            )
            self._every(WATCH_EVERY, "watch", now, lambda: self.watch(now))
        except DatabaseError as error:
            log.warning("the database did not answer: %s", error)
            with contextlib.suppress(Exception):
                connection.close()
            time.sleep(1)
        except Exception:
            # A fault in one chore must not end the loop that everything depends on.
            log.exception("a round of the supervisor failed")
            time.sleep(1)

    def _announce(self) -> None:
        """Let others know since when these workers can have done anything."""
        started = self.group.started_at
        if started is not None and started != self.announced:
            heartbeats.beat(health.STARTED, started)
            self.announced = started

    def _every(self, period: timedelta, name: str, now: datetime, chore: Callable[[], Any]) -> None:
        if now - self.done.get(name, now - period) >= period:
            self.done[name] = now
            chore()

    def watch(self, now: datetime) -> None:
        """Restart the workers when they are gone, or when work waits and nothing progresses."""
        if self.stopping:
            return
        if not self.group.is_running:
            log.warning("the workers are gone; starting them again")
            self.group.stop()
            self.group.start(now)
            return
        signs = health.read_signs(now)
        progressed = max(
            (at for at in (signs.beats.get(health.QUEUE), self.group.started_at) if at),
            default=None,
        )
        if health.is_late(work_waits=signs.work_waits, progressed_at=progressed, now=now):
            log.warning("work waits and nothing progresses; restarting the workers")
            self.group.stop()
            self.group.start(now)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True


def _die_with_parent() -> None:
    """Ask Linux to send SIGTERM when the parent dies, so that a killed supervisor leaves no orphans."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
