"""kill -9 at any moment: no address gets a message twice, and none is lost from sight."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from messaging import outbox
from messaging.models import Attempt, Message
from messaging.sending import SETTLE_GROUP
from tests.messaging.scenes import queued
from tests.messaging.smtp_server import Server

ROOT = Path(settings.BASE_DIR)
KILLS = int(os.environ.get("KILLS", "50"))
MESSAGES = int(os.environ.get("KILL_MESSAGES", "2000"))
AT_ONCE = 2


class Deliverers:
    """Forks processes that deliver, and kills them."""

    def __init__(self, url: str, smtp_port: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.messaging.deliverer"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={
                **os.environ, "LIFECYCLE_ENV": "test", "DATABASE_URL": url, "EMAIL_PROVIDER": "smtp",
                "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp_port),
            },
        )  # fmt: skip

    def ask(self, command: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def start(self) -> int:
        return int(self.ask("go"))

    def stop(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait(10)
        self.process.stdout.close()  # type: ignore[union-attr]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(pids: list[int], seconds: float) -> None:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end, "the last deliverers do not end"
        time.sleep(0.02)


def database_url() -> str:
    """The test's own database, as another process reaches it."""
    values = connection.settings_dict
    return f"postgres://{values['USER']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


@pytest.mark.postgres
@pytest.mark.timeout(110)
@pytest.mark.django_db(transaction=True)
def test_fifty_kills_at_random_moments_send_nothing_twice_and_lose_nothing():
    now = timezone.now()
    server = Server()
    server.start()
    messages = queued(MESSAGES, now=now, not_after=now + timedelta(hours=1))
    refused = queued(emails=[f"550-{n}@customer.example" for n in range(20)], now=now)
    late = queued(
        emails=[f"451-{n}@customer.example" for n in range(20)],
        now=now, not_after=now + timedelta(seconds=5),
    )  # fmt: skip
    cancelled = messages[:20]
    outbox.cancel({message.pk: ("usable", "It works.") for message in cancelled}, now=now)
    chance = random.Random(20260304)
    deliverers = Deliverers(database_url(), server.port)
    try:
        pids = [deliverers.start() for _ in range(AT_ONCE)]
        kills = 0
        while kills < KILLS:
            time.sleep(chance.uniform(0.05, 0.3))
            victim = chance.randrange(AT_ONCE)
            if alive(pids[victim]):
                os.kill(pids[victim], signal.SIGKILL)
                kills += 1
            pids[victim] = deliverers.start()
        wait_for(pids, 40)
        # What the killed ones had leased without claiming comes due again.
        time.sleep(0.4)
        wait_for([deliverers.start()], 40)
    finally:
        deliverers.stop()
        server.stop(no_assert=True)
    working = Message.objects.filter(status="sending").count()
    reaped = outbox.reap(timezone.now() + timedelta(hours=2))
    assert len(reaped) == working

    got = server.counts()
    assert max(got.values()) == 1, "an address got a message twice"
    states = Counter(Message.objects.values_list("status", flat=True))
    assert sum(states.values()) == len(messages) + len(refused) + len(late)
    assert set(states) <= {"sent", "failed", "cancelled", "uncertain"}
    assert states["cancelled"] == len(cancelled)
    assert states["failed"] <= len(refused) + len(late)
    sent = set(Message.objects.filter(status="sent").values_list("address__value", flat=True))
    uncertain = set(
        Message.objects.filter(status="uncertain").values_list("address__value", flat=True)
    )
    assert sent <= set(got), "a message counts as sent that did not arrive"
    assert set(got) - sent <= uncertain, "a message arrived that is neither sent nor uncertain"
    assert states["uncertain"] <= kills * max(SETTLE_GROUP, 8)
    assert states["uncertain"] > 0, "no kill hit a process at work"
    assert not Attempt.objects.filter(finished_at=None).exists()
