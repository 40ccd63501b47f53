"""The running server when its database or its processes die: everything of a batch, or nothing."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
import requests

from tests.postgres import cluster, free_port

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = 40


class Installation:
    """A database of its own, and gunicorn before it."""

    def __init__(self, database):
        self.database = database
        self.port = free_port()
        self.environment = {**os.environ, "DATABASE_URL": database.url, "LIFECYCLE_ENV": "test"}
        self.manage("migrate", "-v0")
        self.key = self.manage("ingest_key", "create", "storm").strip()
        self.server = None

    def manage(self, *words):
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self):
        self.server = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", "-w", "2", "-k", "gthread", "--threads", "2",
                "-b", f"127.0.0.1:{self.port}", "--log-level", "critical", "lifecycle.wsgi",
            ],
            cwd=ROOT, env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(200):
            with contextlib.suppress(requests.RequestException):
                requests.get(f"http://127.0.0.1:{self.port}/v1/batch", timeout=1)
                return
            time.sleep(0.1)
        raise AssertionError("the server did not start")

    def kill(self):
        """As a machine dies: no handler runs."""
        if self.server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait(10)

    def post(self, batch):
        return requests.post(
            f"http://127.0.0.1:{self.port}/v1/batch", json={"batch": batch}, auth=(self.key, ""), timeout=20
        )  # fmt: skip

    def stored(self):
        """Batch → how many of its events are in the log."""
        with psycopg.connect(self.database.url) as connection:
            return dict(
                connection.execute(
                    "SELECT split_part(message_id, '-', 1), count(*) FROM events_event GROUP BY 1"
                ).fetchall()
            )


@pytest.fixture(scope="module")
def installation():
    with cluster() as database:
        here = Installation(database)
        here.start()
        try:
            yield here
        finally:
            here.kill()


def batch(name):
    return [
        {
            "type": "track", "event": "sync_failed", "userId": f"u{n % 9}", "messageId": f"{name}-{n}",
            "context": {"groupId": f"acc{n % 7}"},
        }
        for n in range(SIZE)
    ]  # fmt: skip


class Storm:
    """Clients that send batch after batch and write down what they were answered."""

    def __init__(self, installation, name):
        self.installation, self.name = installation, name
        self.answered: dict[str, int] = {}
        self.waits: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(3)]

    def run(self, number):
        count = 0
        while not self.over.is_set():
            name = f"{self.name}{number}x{count}"
            count += 1
            try:
                response = self.installation.post(batch(name))
            except requests.RequestException:
                self.answered[name] = 0
                time.sleep(0.05)
                continue
            self.answered[name] = response.status_code
            if response.status_code == 503:
                self.waits.append(response.headers["Retry-After"])
                time.sleep(0.05)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.7)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)

    def check(self):
        stored = self.installation.stored()
        assert set(self.answered.values()) <= {0, 200, 503}
        for name, status in self.answered.items():
            count = stored.get(name, 0)
            assert count in ((SIZE,) if status == 200 else (0, SIZE)), (name, status, count)
        assert 200 in self.answered.values()
        # What was not answered is sent again, as every client does, and then it is there once.
        for name, status in self.answered.items():
            if status != 200:
                assert self.installation.post(batch(name)).status_code == 200
        assert set(self.installation.stored().values()) == {SIZE}


def test_a_database_that_goes_away_is_503_and_loses_nothing_that_was_answered(installation):
    with Storm(installation, "db") as storm:
        installation.database.stop()
        time.sleep(0.7)
        installation.database.start()
        time.sleep(0.7)
    assert storm.waits
    assert all(1 <= int(wait) <= 300 for wait in storm.waits)
    storm.check()


def test_a_server_that_is_killed_leaves_all_of_a_batch_or_nothing(installation):
    with Storm(installation, "web") as storm:
        for _ in range(2):
            installation.kill()
            installation.start()
            time.sleep(0.4)
    storm.check()


@pytest.mark.skipif(not shutil.which("curl"), reason="NOT RUN: curl was not found")
@pytest.mark.parametrize(
    "header", ["Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: close"]
)
def test_curl_sends_its_body_in_any_way_it_likes(installation, header):
    done = subprocess.run(
        [
            "curl", "-sS", "-u", f"{installation.key}:", "-H", header, "--max-time", "10",
            "-d", '{"userId": "ada", "event": "docs_viewed", "messageId": "curl-0"}',
            f"http://127.0.0.1:{installation.port}/v1/track",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["success"] is True


def test_a_body_that_is_too_large_hears_so(installation):
    response = requests.post(
        f"http://127.0.0.1:{installation.port}/v1/batch",
        data=b" " * (11 * 1024 * 1024),
        auth=(installation.key, ""),
        timeout=20,
    )
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
