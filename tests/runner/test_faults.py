"""The machine dies while mail goes out, or the database does: nobody gets a mail twice, and none is lost from sight."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests.messaging.smtp_server import Handler, Server
from tests.postgres import Cluster, cluster
from tests.runner.test_supervisor import are_gone, eventually, parents

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
ROOT = Path(settings.BASE_DIR)
SECONDS_EACH = 0.08  # long enough that something can happen while mails are on their way


class Unhurried(Handler):
    """Takes its time for every mail, and answers no more once so many arrived."""

    answers = sys.maxsize

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        await asyncio.sleep(SECONDS_EACH)
        while len(self.got) > self.answers:
            await asyncio.sleep(SECONDS_EACH)
        return answer


class World:
    """An installation of its own: a database with mails that are due, and an SMTP server that counts."""

    def __init__(self, database: Cluster) -> None:
        self.database = database
        self.smtp = Server()
        self.smtp.handler = self.handler = Unhurried()
        self.smtp.start()
        self.environment = {
            **os.environ, "LIFECYCLE_ENV": "test", "DATABASE_URL": database.url,
            "EMAIL_PROVIDER": "smtp", "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(self.smtp.port),
        }  # fmt: skip
        self.run("manage.py", "migrate", "-v0")
        self.first = 0

    def begin(self, mails: int) -> None:
        """Forget what was, and let so many mails be due."""
        self.mails = mails
        ((self.first,),) = self.ask("SELECT coalesce(max(id), 0) FROM messaging_message")
        self.smtp.got.clear()
        self.run("-m", "tests.runner.mail_storm", "prepare", str(mails))

    def run(self, *command: str) -> None:
        subprocess.run(
            [sys.executable, *command],
            cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.url) as connection:
            done = connection.execute(sql, values or None)
            return done.fetchall() if done.description else []

    def states(self) -> dict[str, int]:
        ours = "SELECT status, count(*) FROM messaging_message WHERE id > %s GROUP BY 1"
        return dict(self.ask(ours, self.first))

    def leases_run_out(self) -> None:
        """As after minutes: what the dead had taken is due again."""
        self.ask("UPDATE accounts_account SET next_look_at = now() WHERE next_look_at IS NOT NULL")
        self.ask("UPDATE messaging_message SET next_attempt_at = now() WHERE status = 'queued'")

    def check(self) -> None:
        """What must hold in the end."""
        self.ask("UPDATE messaging_message SET lease_until = now() WHERE status = 'sending'")
        reap = "from django.utils import timezone; from messaging import outbox; outbox.reap(timezone.now())"
        self.run("manage.py", "shell", "-c", reap)
        states = self.states()
        assert set(states) <= {"sent", "uncertain", "failed", "cancelled"}
        assert sum(states.values()) == self.mails
        # Colleagues are told what was published, which is another matter.
        counts = {to: count for to, count in self.smtp.counts().items() if "customer" in to}
        assert max(counts.values()) == 1, "somebody got a mail twice"
        by_address = dict(
            self.ask(
                "SELECT value, status FROM messaging_message AS m JOIN messaging_address AS a "
                "ON a.id = m.address_id WHERE m.id > %s",
                self.first,
            )
        )
        sent = {address for address, status in by_address.items() if status == "sent"}
        assert sent <= set(counts), "a mail counts as sent that did not arrive"
        assert {by_address[address] for address in set(counts) - sent} <= {"uncertain"}
        # How many a kill leaves uncertain depends on how many were in somebody's hands.
        assert states["sent"] > 0


@pytest.fixture(scope="module")
def installation() -> Iterator[World]:
    with cluster() as database:
        here = World(database)
        try:
            yield here
        finally:
            here.smtp.stop(no_assert=True)


def kill_all(leader: "subprocess.Popen[bytes]") -> None:
    """As a machine dies: the supervisor and whatever it started, and no handler runs."""
    known = parents()
    everybody = [leader.pid]
    for pid in everybody:
        everybody += [child for child, parent in known.items() if parent == pid]
    for pid in everybody:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    leader.wait()
    eventually(lambda: are_gone(everybody), 5, "somebody survives")


@pytest.mark.timeout(300)  # most of it is for starting processes on a busy machine
def test_three_kills_of_everything_while_mail_goes_out_send_nothing_twice_and_lose_nothing(
    installation,
):
    world, each, kills = installation, 30, 3
    # Enough for every part: what a kill leaves uncertain is not sent in a later one.
    world.begin(600)
    for part in range(1, kills + 1):
        # When this many arrived, every worker that has one in its hands waits for an answer: there it dies.
        world.handler.answers = len(world.smtp.got) + each
        work = world.start("manage.py", "work")
        try:
            eventually(
                lambda: len(world.smtp.got) > world.handler.answers,
                60,
                lambda part=part: f"nothing arrives in part {part}: {world.states()}",
            )
        finally:
            kill_all(work)
        world.leases_run_out()
    world.handler.answers = sys.maxsize
    work = world.start("manage.py", "work")
    try:
        eventually(
            lambda: (
                not {"queued"} & world.states().keys()
                and sum(world.states().values()) == world.mails
            ),
            60,
            lambda: f"the queue does not empty: {world.states()}",
        )
        eventually(lambda: settled(world), 20, "what is on its way never ends")
    finally:
        kill_all(work)
    world.check()
    assert world.states().get("uncertain", 0) >= kills, "a kill hit no worker at its work"


def settled(world: World) -> bool:
    """Whether nobody who lives has a mail in their hands: what is left was the dead's."""
    before = world.states().get("sending", 0)
    time.sleep(0.7)
    return world.states().get("sending", 0) == before


@pytest.mark.timeout(300)  # most of it is for starting processes on a busy machine
@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_database_that_is_restarted_while_mail_goes_out_sends_nothing_twice_and_loses_nothing(
    installation, mode
):
    world = installation
    world.begin(160)
    delivering = world.start("-m", "tests.runner.mail_storm", "deliver")
    try:
        eventually(lambda: len(world.smtp.got) >= 40, 30, "nothing arrives")
        world.database.stop(mode)
        time.sleep(0.5)
        world.database.start()
        assert delivering.wait(40) == 0
    finally:
        delivering.kill()
        delivering.wait()
    world.check()
