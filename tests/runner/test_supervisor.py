"""The supervisor and its workers as real processes, killed in the ways that are known to hurt."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(settings.BASE_DIR)
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


class Database:
    """The test's database, as other processes reach it: a memory's copy where it lives in memory."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "copy.sqlite3"
        if connection.vendor == "sqlite":
            connection.ensure_connection()
            with contextlib.closing(sqlite3.connect(self.file)) as copy:
                connection.connection.backup(copy)
            self.url = f"sqlite:///{self.file}"
        else:
            values = connection.settings_dict
            place = f"{values['HOST']}:{values['PORT']}/{values['NAME']}"
            self.url = f"postgres://{values['USER']}@{place}"

    def beat(self) -> str:
        """When a task last came through the queue, as text that grows."""
        sql = "SELECT at FROM runner_heartbeat WHERE name = 'queue'"
        if connection.vendor == "sqlite":
            with contextlib.closing(sqlite3.connect(self.file, timeout=10)) as copy:
                found: Any = copy.execute(sql).fetchone()
        else:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                found = cursor.fetchone()
        return str(found[0]) if found else ""


class Work:
    """A running `manage.py work`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runner.work_quickly"],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "LIFECYCLE_ENV": "test", "DATABASE_URL": database.url},
        )  # fmt: skip

    @property
    def main(self) -> int:
        """The queue's main process; 0 while there is none."""
        return next((pid for pid, parent in parents().items() if parent == self.process.pid), 0)

    @property
    def below(self) -> list[int]:
        """Everything that the queue's main process started."""
        return [pid for pid, parent in parents().items() if self.main and parent == self.main]

    def all(self) -> list[int]:
        return [self.process.pid, self.main, *self.below]

    def moves_on(self, seconds: float = 20) -> None:
        """Wait until a task comes through that was not through before."""
        before = self.database.beat()
        eventually(lambda: self.database.beat() > before, seconds, "no task comes through")


def parents() -> dict[int, int]:
    """The parent of every process that still runs, by its id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(entry.parent.name)] = int(parent)
    return found


def eventually(
    holds: Callable[[], Any], seconds: float, otherwise: str | Callable[[], str]
) -> None:
    """Wait until it holds; else fail with these words, or with what is then the case."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= end:
            pytest.fail(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.05)


def are_gone(pids: list[int]) -> bool:
    return not set(pids) & parents().keys()


@pytest.fixture
def work(tmp_path) -> Iterator[Work]:
    running = Work(Database(tmp_path))
    try:
        running.moves_on(40)
        yield running
    finally:
        left = running.all()
        running.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(15)
        running.process.kill()
        running.process.wait()
        for pid in left[1:]:
            if pid in parents():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_a_killed_main_process_is_replaced_and_leaves_no_worker_behind(work):
    old, workers = work.main, work.below
    assert workers
    os.kill(old, signal.SIGKILL)
    eventually(lambda: work.main not in (0, old), 15, "nothing takes its place")
    eventually(lambda: are_gone(workers), 10, "its workers go on")
    work.moves_on()


def test_an_idle_worker_that_is_killed_does_not_stop_the_work(work):
    for pid in work.below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # Either the queue mends itself, or it is restarted because work waits and nothing progresses.
    work.moves_on(40)
    work.moves_on(40)


def test_sigterm_stops_everything_and_leaves_no_process(work):
    everybody = work.all()
    work.process.terminate()
    assert work.process.wait(15) == 0
    eventually(lambda: are_gone(everybody), 5, "some process goes on")


def test_a_killed_supervisor_takes_its_workers_along(work):
    everybody = work.all()
    work.process.kill()
    work.process.wait()
    eventually(lambda: are_gone(everybody), 20, "orphans go on")
