"""Rows about mail: hand-over against Django's bare send_messages, and from event to e-mail."""

import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events import keys
from events.models import Event
from lifecycle.runner.deliver import LARGEST_GROUP, deliver
from lifecycle.runner.gate import gate
from lifecycle.runner.look import look_at
from messaging import sending
from messaging.models import Attempt, Message, SendingDomain
from messaging.outbox import Settlement
from tests.bench.__main__ import Row
from tests.bench.rows import population, publish_blueprint
from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 7
EACH = 120


@contextlib.contextmanager
def sink(delay: float = 0.0, *, tell: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A running sink; Django's mail settings point at it."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sink", str(port), str(delay), *(["tell"] if tell else [])],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    server.stdout.readline()
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", port, False
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    try:
        yield server
    finally:
        server.kill()


def queued(count: int) -> list[int]:
    """So many messages in the outbox, each of an account whose first reminder is due."""
    now = timezone.now()
    known = population(count)
    Event.objects.bulk_create(
        [
            Event(
                source="bench", message_id=uuid.uuid4().hex, type="track", name="integration_started",
                account_id=account, person_id=person, occurred_at=now - timedelta(minutes=21),
                received_at=now, extra={},
                properties={"integration_type": "api", "provider": "stripe"},
            )
            for _, account, _, person in known
        ]
    )  # fmt: skip
    ids = [account for _, account, _, _ in known]
    messages = [pk for at in range(0, count, 25) for pk in look_at(ids[at : at + 25], now=now)]
    assert len(messages) == count, f"{len(messages)} of {count} queued"
    return messages


def mail_rows() -> Iterator[Row | str]:
    publish_blueprint(timezone.now())
    SendingDomain.objects.update(rate_per_second=100_000, burst=100_000)
    for delay, floor, name in (
        (0.0, 0.5, "to a quick server"),
        (0.05, 8.0, "to one that takes 50 ms"),
    ):
        with sink(delay) as server:
            supply = [queued(EACH) for _ in range(ROUNDS + 1)]
            done = list(supply)
            yield Row(
                f"hand-over {name}, against send_messages",
                "mails/s",
                floor,
                _delivering(supply),
                _sending(queued(EACH)),
                rounds=ROUNDS if not delay else 3,
            )
            yield _gaps([pk for messages in done for pk in messages])
            if not delay:
                yield _statements()
            server.kill()


def _delivering(supply: list[list[int]]) -> Callable[[], int]:
    def work() -> int:
        messages = supply.pop()
        deliver(messages, clock=timezone.now)
        return Message.objects.filter(pk__in=messages, status="sent").count()

    return work


def _gaps(messages: list[int]) -> str:
    """From the claim, made when everything was locked and judged, to the start of the hand-over."""
    tries = Attempt.objects.filter(message__in=messages, outcome="sent")
    rows = tries.values_list("message__claimed_at", "started_at")
    gaps = sorted(
        (started - claimed).total_seconds() * 1000 for claimed, started in rows if claimed
    )
    late = sum(gap > 250 for gap in gaps)
    return (
        f"from claim to hand-over: median {statistics.median(gaps):.0f} ms, p99 "
        f"{gaps[int(len(gaps) * 0.99)]:.0f} ms, most {gaps[-1]:.0f} ms ({late} of {len(gaps)} above 250)"
    )


def _statements() -> str:
    """How many statements one full group costs, from its claim to its last settlement."""
    messages = queued(2 * LARGEST_GROUP)
    with CaptureQueriesContext(connection) as captured:
        deliver(messages, clock=timezone.now)
    return f"statements for {len(messages)} mails: {len(captured)}"


def _sending(messages: Sequence[int]) -> Callable[[], int]:
    mails = [_bare(message) for message in messages]

    def work() -> int:
        return int(get_connection().send_messages(mails) or 0)

    return work


def _bare(message_id: int) -> EmailMultiAlternatives:
    """What we would send for this message, word for word, as Django's own mail, made beforehand."""
    now = timezone.now()
    (message,) = gate([message_id], owner="bench", now=now)
    prepared = sending.prepare(message, now)
    assert not isinstance(prepared, Settlement), prepared
    _, ours = prepared
    mail = EmailMultiAlternatives(
        ours.subject,
        ours.body,
        ours.from_email,
        ours.to,
        reply_to=ours.reply_to,
        headers=ours.extra_headers,
    )
    for html, kind in ours.alternatives:
        mail.attach_alternative(html, kind)
    return mail


# --- from event to e-mail -------------------------------------------------------------------------


def latency_rows() -> Iterator[Row | str]:
    """From the 200 for a completion to its confirmation at the SMTP server, everything running for real."""
    publish_blueprint(timezone.now())
    _, key = keys.create("latency")
    known = population(60, email=True)
    with sink(tell=True) as server, _running() as web:
        answered = {}
        _post(web, key, [_setup(account, person) for account, _, person, _ in known])
        time.sleep(3)
        for account, _, person, _ in known:
            _post(web, key, [_done(account, person)])
            answered[f"{person}@customer.example"] = time.time()
            time.sleep(0.2)
        took = sorted(_arrivals(server, answered))
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    verdict = "ok" if statistics.median(took) < 1 and p99 < 3 else "ABOVE"
    yield (
        f"from 200 to the SMTP server, {len(took)} of {len(known)} mails: median "
        f"{statistics.median(took):.2f} s, p99 {p99:.2f} s (below 1 and 3: {verdict})"
    )


def _arrivals(server: "subprocess.Popen[str]", answered: dict[str, float]) -> Iterator[float]:
    assert server.stdout is not None
    os.set_blocking(server.stdout.fileno(), False)
    deadline, seen = time.time() + 20, 0
    while seen < len(answered) and time.time() < deadline:
        line = server.stdout.readline()
        if not line:
            time.sleep(0.05)
            continue
        recipient, at = line.split()
        if recipient in answered:
            seen += 1
            yield float(at) - answered[recipient]


@contextlib.contextmanager
def _running() -> Iterator[str]:
    port = free_port()
    environment = {
        **os.environ,
        "LIFECYCLE_ENV": "development",
        "EMAIL_PORT": str(settings.EMAIL_PORT),
        "EMAIL_HOST": "127.0.0.1",
    }
    python = sys.executable
    web = [python, "-m", "gunicorn", "lifecycle.wsgi", "-b", f"127.0.0.1:{port}", "--threads", "8"]
    started = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in (web, [python, "manage.py", "work"])
    ]
    try:
        time.sleep(6)
        yield f"http://127.0.0.1:{port}"
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def _post(web: str, key: str, messages: list[list[dict[str, object]]]) -> None:
    body = json.dumps({"batch": [event for part in messages for event in part]}).encode()
    request = urllib.request.Request(f"{web}/v1/batch", data=body, method="POST")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{key}:".encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def _track(account: str, person: str, event: str, minutes: float) -> dict[str, object]:
    at = timezone.now() - timedelta(minutes=minutes)
    return {
        "type": "track",
        "userId": person,
        "event": event,
        "timestamp": at.isoformat(),
        "context": {"groupId": account},
        "properties": {"integration_type": "data", "provider": "postgres"},
    }


def _setup(account: str, person: str) -> list[dict[str, object]]:
    return [
        _track(account, person, "integration_started", 30),
        _track(account, person, "source_connected", 20),
    ]


def _done(account: str, person: str) -> list[dict[str, object]]:
    # The confirmation is due a minute after the success.
    return [_track(account, person, "sync_completed", 1.01)]
