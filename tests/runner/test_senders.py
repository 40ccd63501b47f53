"""A provider that takes long over each mail gets several at once, and still none that was claimed long ago."""

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median

import pytest
from django.db import OperationalError, connection

from lifecycle.runner import deliver as delivering
from lifecycle.runner.deliver import FROM_CLAIM_TO_HAND_OVER, LASTS_AT_MOST, deliver
from messaging import outbox, sending
from messaging.models import Attempt, Message
from tests.messaging.scenes import NOW, claimed, queued
from tests.runner.inbox import Killed
from tests.runner.scenes import account, at, look

MAILS = 60
SLOW_SECONDS = 0.04
# What goes wrong does so among the first that several senders hand over, long before the last is claimed.
EARLY = 5


class Slow:
    """A provider that takes its time, and notes who came when."""

    def __init__(self, clock: Callable[[], datetime], seconds: float = SLOW_SECONDS) -> None:
        self.clock = clock
        self.seconds = seconds
        self.threads: set[int] = set()
        self.began: dict[str, datetime] = {}
        self.fails_at: int | None = None
        self.cuts_off: int | None = None  # a database connection, by its process
        self.lock = threading.Lock()

    def __call__(self, mails) -> None:
        with self.lock:
            self.threads.add(threading.get_ident())
            self.began[mails[0].to[0]] = self.clock()
            if self.fails_at is not None and len(self.began) >= self.fails_at:
                self.fails_at = None
                raise Killed
            if self.cuts_off is not None and len(self.began) >= EARLY:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [self.cuts_off])
                self.cuts_off = None
        time.sleep(self.seconds)


def running_clock(minutes: float) -> Callable[[], datetime]:
    start = time.monotonic()
    return lambda: at(minutes) + timedelta(seconds=time.monotonic() - start)


@pytest.fixture
def slow(provider, monkeypatch) -> Slow:
    monkeypatch.setattr(delivering, "_pace", None)
    monkeypatch.setattr(delivering, "_claim_of_one", timedelta(milliseconds=2))
    provider.before = Slow(running_clock(10))
    return provider.before


def many_due(tell, number: int = MAILS) -> list[int]:
    names = [f"many{n}" for n in range(number)]
    for n, name in enumerate(names):
        tell.joins(f"dev{n}", account=name)
        tell.starts(0, by=f"dev{n}", account=name)
    return look(10, *names)


def nobody_is_left() -> bool:
    """Whether the senders and their connections are gone; a server needs a moment to notice."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if not cursor.fetchone()[0]:
                return "sender" not in {thread.name for thread in threading.enumerate()}
        time.sleep(0.02)
    return False


def states() -> set[str]:
    return set(Message.objects.values_list("status", flat=True))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_several_senders_hand_over_at_once_each_mail_once_and_soon_after_its_claim(
    tell, provider, slow
):
    queued_now = many_due(tell)
    deliver(queued_now, clock=slow.clock)
    assert states() == {"sent"}
    assert sorted(slow.began) == sorted(mail.to[0] for mail in provider.got)
    assert len(provider.got) == MAILS
    assert len(slow.threads) > 4
    tries = Attempt.objects.filter(outcome="sent").select_related("message__address")
    gaps = [one.started_at - one.message.claimed_at for one in tries]
    assert median(gaps) < FROM_CLAIM_TO_HAND_OVER
    for one in tries:
        assert one.started_at <= slow.began[one.message.address.value] <= one.finished_at
    assert nobody_is_left()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_quick_provider_is_served_by_the_calling_thread_alone(tell, provider, slow):
    slow.seconds = 0
    deliver(many_due(tell, 20), clock=lambda: at(10))
    assert slow.threads == {threading.get_ident()}
    assert len(provider.got) == 20


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_what_ends_one_sender_ends_the_delivery_and_the_others_settle_what_they_have(
    tell, provider, slow
):
    queued_now = many_due(tell)
    slow.fails_at = EARLY
    with pytest.raises(Killed):
        deliver(queued_now, clock=slow.clock)
    assert nobody_is_left()
    sent = Message.objects.filter(status="sent").count()
    assert sent == len(provider.got)
    assert 0 < Message.objects.filter(status="sending").count() <= delivering.LARGEST_FOR_SENDERS
    assert Message.objects.filter(status="queued").exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_when_the_claiming_thread_loses_its_database_what_was_handed_out_is_finished(
    tell, provider, slow
):
    queued_now = many_due(tell)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        slow.cuts_off = cursor.fetchone()[0]
    # Lost while it claims, the delivery ends; lost while it records, it records over another connection.
    with contextlib.suppress(OperationalError):
        deliver(queued_now, clock=slow.clock)
    assert slow.cuts_off is None
    connection.close()
    assert states() <= {"sent", "queued"}
    sent = Message.objects.filter(status="sent")
    assert sorted(sent.values_list("address__value", flat=True)) == sorted(
        mail.to[0] for mail in provider.got
    )
    assert nobody_is_left()


@pytest.mark.django_db
def test_inside_a_transaction_everything_stays_in_the_calling_thread(
    tell, provider, slow, settings
):
    settings.SENDERS = 16
    deliver(many_due(tell, 8), clock=slow.clock)
    assert slow.threads == {threading.get_ident()}
    assert states() == {"sent"}


@pytest.mark.django_db
def test_a_mail_whose_turn_comes_too_late_is_queued_again_and_gated_again(tell, provider, slow):
    """The provider was quick until now, so the first group is far too large for it."""
    tell.starts(0)
    names = many_due(tell, 6)
    slow.seconds = 0.15
    delivering._pace = timedelta()
    deliver(names, clock=slow.clock)
    assert len(provider.got) == 6
    assert states() == {"sent"}
    assert Attempt.objects.filter(outcome="not_tried").exists()
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"sent", "not_tried"}
    assert account().next_look_at is not None


def test_a_group_is_as_large_as_its_claim_and_its_hand_over_allow(monkeypatch):
    """At most 100 ms under the locks, at most 200 ms from the claim to the last of it."""

    def size(a_claim: float, a_mail: float) -> int:
        monkeypatch.setattr(delivering, "_claim_of_one", timedelta(milliseconds=a_claim))
        monkeypatch.setattr(delivering, "_pace", timedelta(milliseconds=a_mail))
        return delivering.Delivery([], clock=lambda: NOW, until=NOW).size

    assert size(a_claim=0.5, a_mail=1) == delivering.LARGEST_GROUP
    assert size(a_claim=0.5, a_mail=10) == 21
    assert size(a_claim=10, a_mail=1) == 11
    assert size(a_claim=500, a_mail=500) == 1


@pytest.mark.django_db
def test_what_is_given_back_is_due_at_once_and_only_its_owner_can_give_it_back():
    messages = queued(3)
    ids = claimed(messages)
    assert outbox.give_back(ids, owner="somebody else", now=NOW) == []
    assert sorted(outbox.give_back(ids[1:], owner="one", now=NOW)) == ids[1:]
    assert sorted(outbox.lease_due(NOW, 10)) == ids[1:]
    assert sending.hand_over(ids, owner="one", clock=lambda: NOW).sent == ids[:1]


# --- time ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_when_its_time_is_up_a_task_leaves_the_rest_queued_and_due_for_another(
    tell, provider, slow
):
    """Each mail takes the provider six seconds."""
    passed = [0.0]
    slow.seconds = 0

    def sluggish(mails) -> None:
        passed[0] += 6

    provider.before = sluggish
    clock = lambda: at(10) + timedelta(seconds=passed[0])  # noqa: E731
    deliver(many_due(tell, 6), clock=clock)
    took = timedelta(seconds=passed[0])
    assert LASTS_AT_MOST <= took <= LASTS_AT_MOST + timedelta(seconds=6)
    assert states() == {"sent", "queued"}
    assert set(outbox.lease_due(clock(), 10)) == set(
        Message.objects.filter(status="queued").values_list("pk", flat=True)
    )


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_several_senders_too_leave_the_rest_when_their_time_is_up(
    tell, provider, slow, monkeypatch
):
    monkeypatch.setattr(delivering, "LASTS_AT_MOST", timedelta(seconds=0.6))
    slow.seconds = 0.25
    deliver(many_due(tell), clock=slow.clock)
    assert states() == {"sent", "queued"}
    assert Message.objects.filter(status="sent").count() == len(provider.got)
    assert nobody_is_left()
