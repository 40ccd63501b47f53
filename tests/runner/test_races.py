"""What happens at the same moment, on PostgreSQL: each side on a connection of its own."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection, connections, transaction
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from accounts.models import Account
from events import catalogue
from events.models import Event, EventType
from lifecycle.runner.deliver import deliver
from lifecycle.runner.look import look_at
from lifecycle.runner.models import ParkedAccount, StepRun
from lifecycle.runner.tick import tick
from messaging.models import Message
from tests.runner.scenes import DAY, account, at, gated, look, mails, send, turn

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


class Meanwhile:
    """Something that goes on beside the test, on another connection."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.raised: list[Exception] = []
        self.work = work
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.raised.append(error)
        finally:
            connections.close_all()

    def waits(self) -> bool:
        """Whether it comes to wait for a lock that the test holds, within a few seconds."""
        end = time.monotonic() + 10
        while time.monotonic() < end and self.thread.is_alive():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if cursor.fetchone()[0]:
                    return True
            self.thread.join(0.02)
        return False

    def ends(self) -> None:
        self.thread.join(30)
        assert not self.thread.is_alive()
        assert self.raised == []


def at_once(*works: Callable[[], object]) -> None:
    start = threading.Barrier(len(works))

    def beginning_together(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            start.wait(10)
            work()

        return run

    running = [Meanwhile(beginning_together(work)) for work in works]
    for each in running:
        each.ends()


def hello(tell, name: str = "acme", by: str = "dev") -> list[int]:
    """The first mail of the account stands in the outbox."""
    tell.starts(0, by=by, account=name)
    return look(10, name)


def test_a_completion_that_is_being_stored_is_waited_for_and_then_cancels(tell, provider):
    queued = hello(tell)
    with transaction.atomic():
        tell.works(10)
        delivering = Meanwhile(lambda: send(queued, 10))
        assert delivering.waits()
    delivering.ends()
    assert mails() == [("hello", "cancelled", "usable")]
    assert provider.got == []


def test_a_completion_during_the_claim_is_answered_only_after_the_claim(tell):
    queued = hello(tell)
    with transaction.atomic():
        claimed = gated(queued, owner="first", now=at(10))
        storing = Meanwhile(lambda: tell.works(10))
        assert storing.waits()
        assert not Event.objects.filter(name="first_api_call_success").exists()
    storing.ends()
    assert claimed == queued
    message = Message.objects.get()
    assert message.status == "sending"
    assert message.receipt["last_event"] < Event.objects.get(name="api_key_created").pk


def test_whichever_comes_first_no_reminder_is_claimed_after_the_completion(tell, provider):
    for n in range(12):
        name = f"race{n}"
        tell.joins(f"dev{n}", account=name)
        queued = hello(tell, name, f"dev{n}")
        at_once(
            lambda n=n, name=name: tell.works(10, by=f"dev{n}", account=name),
            lambda queued=queued: send(queued, 10),
        )
        message = Message.objects.get(pk__in=queued)
        usable = Event.objects.get(account__external_id=name, name="first_api_call_success")
        if message.status == "sent":
            assert message.receipt["usable"] is None
            assert message.receipt["last_event"] < usable.pk
        else:
            assert (message.status, message.reason) in [
                ("cancelled", "usable"),
                ("cancelled", "other_stage"),
            ]


@pytest.mark.parametrize("left", [False, True])
def test_a_completion_that_fits_no_one_account_waits_for_the_claim_in_each(tell, left):
    """Also where the catalogue calls it mere activity, and in an account that its person has left."""
    EventType.objects.update(kind="activity")
    catalogue.forget()
    tell.joins("dev", account="beta")
    tell.joins("eve")
    queued = hello(tell, by="eve")
    if left:
        tell.joins("dev", account="gamma")
        tell.leaves("dev", 1)
    with transaction.atomic():
        assert gated(queued, owner="first", now=at(10)) == queued
        storing = Meanwhile(lambda: tell.tells("first_api_call_success", 10, account=None))
        assert storing.waits()
    storing.ends()
    assert Event.objects.get(name="first_api_call_success").account is None


def test_a_new_address_is_stored_before_the_claim_or_after_it(tell):
    tell.joins("dev", account="beta")
    queued = hello(tell)
    new = {"type": "identify", "userId": "dev", "traits": {"email": "new@customer.example"}}
    with transaction.atomic():
        assert gated(queued, owner="first", now=at(10)) == queued
        storing = Meanwhile(lambda: tell.send(new, received=10))
        assert storing.waits()
    storing.ends()


def test_two_ticks_share_the_work_and_take_nothing_twice(tell):
    for n in range(60):
        tell.joins(f"dev{n}", account=f"many{n}")
    at_once(*[lambda: tick(at(0), seconds=100) for _ in range(4)])
    taken = Counter(pk for ids in tasks() for pk in ids)
    assert len(taken) == 61
    assert set(taken.values()) == {1}


def tasks() -> list[list[int]]:
    payloads = OrmQ.objects.values_list("payload", flat=True)
    return [SignedPackage.loads(payload)["args"][0] for payload in payloads]


def test_looks_at_once_queue_a_mail_once(tell):
    tell.starts(0)
    pk = account().pk
    at_once(*[lambda: look_at([pk], now=at(10)) for _ in range(6)])
    assert mails() == [("hello", "queued", "")]
    assert StepRun.objects.count() == 1


def test_a_hundred_ticks_at_once_and_two_workers_make_one_row_and_one_mail_per_setup(
    tell, provider
):
    names = [f"many{n}" for n in range(12)]
    for n, name in enumerate(names):
        tell.joins(f"dev{n}", account=name)
        tell.starts(0, by=f"dev{n}", account=name)
    Account.objects.update(next_look_at=at(10))
    ticking = threading.Barrier(10)

    def ticks() -> None:
        ticking.wait(20)
        for _ in range(10):
            tick(at(10))

    def works() -> None:
        # The queue is at least once: both workers take everything that is in it.
        end = time.monotonic() + 8
        while time.monotonic() < end and len(provider.got) < len(names):
            for accounts in tasks():
                deliver(look_at(accounts, now=at(10)), clock=lambda: at(10))

    at_once(*[ticks] * 10, works, works)
    assert sorted(provider.to()) == ["hello"] * len(names)
    assert StepRun.objects.count() == Message.objects.count() == len(names)
    rows = StepRun.objects.values_list("enrolment", "step_key", "recipient_key")
    assert len(set(rows)) == len(names)


def test_looks_at_overlapping_chunks_do_not_deadlock(tell):
    names = [f"many{n}" for n in range(12)]
    for n, name in enumerate(names):
        tell.joins(f"dev{n}", account=name)
        tell.starts(0, by=f"dev{n}", account=name)
    ids = [account(name).pk for name in names]
    at_once(
        lambda: look_at(ids, now=at(10)),
        lambda: look_at(ids[::-1], now=at(10)),
        lambda: look_at(ids[4:] + ids[:4], now=at(10)),
    )
    assert Message.objects.count() == StepRun.objects.count() == 12


def test_deliveries_of_the_same_messages_at_once_send_each_once(tell, provider):
    queued = []
    for n in range(10):
        tell.joins(f"dev{n}", account=f"many{n}")
        queued += hello(tell, f"many{n}", f"dev{n}")
    at_once(
        lambda: send(queued, 10),
        lambda: send(queued[::-1], 10),
        lambda: send(queued[5:] + queued[:5], 10),
    )
    assert len(provider.got) == 10
    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}


def test_a_person_in_two_accounts_has_one_limit_while_both_are_being_claimed(tell, provider):
    tell.joins("dev", account="beta")
    first, second = hello(tell), hello(tell, "beta")
    with transaction.atomic():
        assert gated(first, owner="first", now=at(10)) == first
        delivering = Meanwhile(lambda: send(second, 10))
        assert delivering.waits()
    delivering.ends()
    assert mails("beta") == [("hello", "cancelled", "cap_person")]


def test_claims_for_one_person_at_once_never_exceed_the_limit(tell, provider):
    names = [f"many{n}" for n in range(6)]
    queued = []
    for name in names:
        tell.joins("dev", account=name)
        queued.append(hello(tell, name))
    at_once(*[lambda ids=ids: send(ids, 10) for ids in queued])
    assert len(provider.got) == 1
    assert Counter(Message.objects.values_list("status", "reason")) == {
        ("sent", ""): 1,
        ("cancelled", "cap_person"): 5,
    }


def test_two_batches_for_one_account_are_stored_one_after_the_other(tell):
    turn(-DAY)
    with transaction.atomic():
        tell.tells("docs_viewed", 1, uid="lower")
        storing = Meanwhile(lambda: tell.tells("api_key_created", 1, uid="higher"))
        assert storing.waits()
        # Another account's batch is not held up, and may commit with a higher id first.
        elsewhere = Meanwhile(lambda: tell.starts(1, by="eve", account="beta"))
        elsewhere.ends()
    storing.ends()
    lower, higher = (Event.objects.get(message_id=uid) for uid in ("lower", "higher"))
    assert lower.pk < higher.pk


def test_two_batches_for_an_account_that_is_due_wait_for_each_other_too(tell):
    """Nothing is written to the account's row then, so the lock alone keeps them apart."""
    with transaction.atomic():
        tell.tells("docs_viewed", 1)
        storing = Meanwhile(lambda: tell.tells("api_key_created", 1))
        waited = storing.waits()
    storing.ends()
    assert waited


def test_a_look_never_sees_a_later_event_without_an_earlier_one(tell):
    """Readers see, of each account, a prefix of its ids: so a checkpoint by id loses nothing."""
    turn(-DAY)
    seen: list[list[int]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(list(Event.objects.order_by("pk").values_list("pk", flat=True)))

    watching = Meanwhile(watch)
    at_once(
        *[
            lambda worker=worker: [
                tell.tells("docs_viewed", n, uid=f"{worker}-{n}") for n in range(15)
            ]
            for worker in range(4)
        ]
    )
    over.set()
    watching.ends()
    final = list(Event.objects.order_by("pk").values_list("pk", flat=True))
    assert len(seen) > 5
    assert all(each == final[: len(each)] for each in seen)


def impatient(work: Callable[[], object]) -> Callable[[], None]:
    """The work on a connection that waits for a lock no longer than a moment."""

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        work()

    return run


def test_a_busy_database_sets_no_account_aside_and_cancels_no_mail(tell, provider):
    """Waiting too long for a lock is nobody's fault: the row stays due, and a later look finds it."""
    (message,) = hello(tell)
    with transaction.atomic():
        Account.objects.locked([account().pk])
        looking = Meanwhile(impatient(lambda: look_at([account().pk], now=at(11))))
        gating = Meanwhile(impatient(lambda: gated([message], owner="me", now=at(11))))
        looking.thread.join(10)
        gating.thread.join(10)
    assert [type(raised) for raised in looking.raised + gating.raised] == [OperationalError] * 2
    assert not ParkedAccount.objects.exists()
    send([message], 11)
    assert [status for _, status, _ in mails()] == ["sent"]
