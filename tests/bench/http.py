"""Rows about the endpoint: through a real server, against a bare view on the same server."""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import connection

from events import keys
from tests.bench.__main__ import Row
from tests.bench.rows import bare_row, batches, look_everybody_away, population
from tests.bench.statements import BARE_TABLE
from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
EACH = 40


def http_rows() -> Iterator[Row | str]:
    key, plain = keys.create("http", rate_per_second=10_000_000)
    with connection.cursor() as cursor:
        cursor.execute(BARE_TABLE)
    known = population(1000)
    with _server("lifecycle.wsgi") as ours, _server("tests.bench.bare") as theirs:
        for size, floor in ((100, 0.45), (1, 0.35)):
            route = "/v1/batch" if size > 1 else "/v1/track"
            loads = [batches(known, EACH, size) for _ in range(18)]
            yield Row(
                f"POST {route}" + (f" of {size}" if size > 1 else ""),
                "requests/s",
                floor,
                _posting(ours, route, plain, [[_body(b) for b in load] for load in loads[:9]]),
                _posting(theirs, "/insert", "", [[_rows(b) for b in load] for load in loads[9:]]),
            )
            look_everybody_away()
    assert key.pk


def _body(batch: list[tuple[dict[str, Any], int, int]]) -> bytes:
    events = [event for event, _, _ in batch]
    return json.dumps({"batch": events} if len(events) > 1 else events[0]).encode()


def _rows(batch: list[tuple[dict[str, Any], int, int]]) -> bytes:
    return json.dumps([bare_row(*event) for event in batch]).encode()


def _posting(port: int, route: str, key: str, loads: list[list[bytes]]) -> Callable[[], int]:
    token = base64.b64encode(f"{key}:".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def work() -> int:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        done = 0
        for body in loads.pop():
            line.request("POST", route, body, headers)
            answer = line.getresponse()
            answer.read()
            done += answer.status == 200
        line.close()
        return done

    return work


@contextlib.contextmanager
def _server(module: str) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", module, "-b", f"127.0.0.1:{port}", "--threads", "4"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "LIFECYCLE_ENV": "development"},
    )  # fmt: skip
    try:
        time.sleep(5)
        yield port
    finally:
        process.terminate()
        process.wait(20)
