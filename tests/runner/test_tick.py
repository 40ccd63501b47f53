"""The tick finds what is due, shares it, paces it, and picks up what a lost worker left."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django_q.models import OrmQ

from accounts.models import Account
from lifecycle.journeys.models import Enrolment
from lifecycle.runner import tick as ticking
from lifecycle.runner.deliver import deliver
from lifecycle.runner.look import look_at
from lifecycle.runner.models import EngineRelease, StepRun
from lifecycle.runner.tick import LEASE, OVERDUE, PACE_PER_SECOND, spread, sweep, tick
from messaging import outbox
from messaging.models import Message
from tests.runner.inbox import Killed
from tests.runner.scenes import (
    DAY,
    HOUR,
    account,
    at,
    enrolment,
    look,
    mails,
    send,
    turn,
    until,
    works_off,
)

pytestmark = pytest.mark.django_db


def many(tell, number: int) -> None:
    """So many more accounts, looked at already, with somebody who can do everything."""
    for n in range(number):
        tell.joins(f"dev{n}", account=f"many{n}")
    turn(-DAY)


def all_start(tell, number: int) -> None:
    for n in range(number):
        tell.starts(0, by=f"dev{n}", account=f"many{n}")


def test_with_nothing_due_a_tick_makes_no_task(tell):
    tell.starts(0)
    turn(0)
    assert tick(at(5)) == 0
    assert OrmQ.objects.count() == 0


def test_an_event_makes_its_account_due_at_once(tell):
    turn(-DAY)
    tell.starts(0)
    assert account().next_look_at == at(0)
    assert tick(at(0)) == 1


def test_what_one_tick_took_another_leaves_alone_until_the_lease_is_over(tell):
    tell.starts(0)
    assert tick(at(0)) == 1
    assert tick(at(0)) == 0
    # The worker that took the task is lost.
    OrmQ.objects.all().delete()
    assert tick(at(0) + LEASE - timedelta(seconds=1)) == 0
    assert tick(at(0) + LEASE) == 1
    works_off(at(2))
    assert enrolment().stage == "started"


def test_an_event_during_the_lease_is_looked_at_at_once(tell):
    tell.starts(0)
    tick(at(0))
    tell.tells("api_key_created", 0.5)
    assert tick(at(0.5)) == 1


def test_a_message_whose_worker_was_lost_before_the_claim_is_sent_once(tell, provider):
    tell.starts(0)
    look(10)
    until(20, start=11, every=1)
    assert provider.to() == ["hello"]


def test_a_message_whose_worker_was_lost_after_the_claim_is_never_repeated(tell, provider):
    tell.starts(0)
    queued = look(10)
    provider.kills = "after"
    with pytest.raises(Killed):
        send(queued, 10)
    sweep(at(20))
    until(DAY - 10, start=20, every=60)
    assert provider.to() == ["hello"]
    assert mails() == [("hello", "uncertain", "lease_expired")]


def test_accounts_are_fanned_out_in_chunks_of_ids(tell):
    many(tell, 60)
    all_start(tell, 60)
    made = tick(at(0))
    assert 2 <= made <= 6
    works_off(at(0))
    assert Enrolment.objects.count() == 60


def test_what_waited_out_a_stop_is_taken_up_at_a_pace_and_fresh_accounts_at_once(tell):
    many(tell, 30)
    all_start(tell, 30)
    now = OVERDUE.total_seconds() / 60 + 1
    tell.starts(now)
    tick(at(now), seconds=0.25)
    works_off(at(now))
    done = set(Enrolment.objects.values_list("account__external_id", flat=True))
    assert "acme" in done
    assert len(done) == 1 + PACE_PER_SECOND // 4


def test_after_an_outage_late_steps_are_dropped_and_the_rest_is_paced(tell, provider):
    many(tell, 30)
    all_start(tell, 30)
    turn(0)
    # Nothing ran for two days; `hello` is worth three days, so it is in time for all of them.
    tick(at(2 * DAY), seconds=0.25)
    works_off(at(2 * DAY))
    assert len(provider.got) <= PACE_PER_SECOND // 4
    turn(2 * DAY)
    assert len(provider.got) == 30


def test_a_full_queue_is_not_filled_further(tell):
    turn(-DAY)
    tell.starts(0)
    for n in range(ticking.TASKS_WAITING_AT_MOST):
        OrmQ.objects.create(key="lifecycle", payload=f"{n}", lock=at(0))
    assert tick(at(0)) == 0
    assert account().next_look_at == at(0)


def test_what_the_dead_had_fetched_keeps_nobody_from_working(tell):
    turn(-DAY)
    tell.starts(0)
    for n in range(100):
        OrmQ.objects.create(key="lifecycle", payload=f"{n}", lock=at(4))
    assert tick(at(0)) > 0


def test_a_silent_sender_is_noticed_by_the_sweep(tell, provider):
    tell.starts(0)
    queued = look(10)
    provider.kills = "before"
    with pytest.raises(Killed):
        send(queued, 10)
    sweep(at(11))
    assert mails()[0][1] == "sending"
    sweep(at(13))
    assert mails()[0][1] == "uncertain"


def test_the_sweep_passes_a_bounced_step_on(tell, provider):
    tell.joins("ada", "admin")
    tell.starts(0)
    turn(10)
    outbox.move([{"id": Message.objects.get().pk}], "bounced", settled_at=at(11))
    sweep(at(12))
    assert StepRun.objects.get().status == "bounced"
    assert account().next_look_at == at(12)


def test_a_new_engine_looks_at_everybody_again_at_a_pace_and_once(tell):
    many(tell, 2 * PACE_PER_SECOND + 1)
    all_start(tell, 2 * PACE_PER_SECOND + 1)
    turn(0)
    EngineRelease.objects.update(version="an older one")
    sweep(at(5))
    times = sorted(
        Account.objects.exclude(next_look_at=None).values_list("next_look_at", flat=True)
    )
    assert times[0] == at(5)
    assert times[-1] == at(5) + timedelta(seconds=2)
    assert all(times.count(each) <= PACE_PER_SECOND for each in set(times))
    turn(5.1)
    before = account("many0").next_look_at
    sweep(at(6))
    assert account("many0").next_look_at == before


def test_spreading_brings_nobodys_look_forward_into_the_future(tell):
    turn(-DAY)
    tell.starts(0)
    spread([account().pk], at(30))
    assert account().next_look_at == at(0)


@pytest.mark.django_db(transaction=True)
def test_a_hundred_ticks_and_looks_at_once_make_one_row_and_one_mail(tell, provider):
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        workers, rounds = 1, 100
    else:
        workers, rounds = 5, 20
    tell.starts(0)
    pk = account().pk
    raised = []

    def work() -> None:
        try:
            for _ in range(rounds):
                tick(at(10))
                deliver(look_at([pk], now=at(10)), clock=lambda: at(10))
        except Exception as error:
            raised.append(error)
        finally:
            if workers > 1:
                connections.close_all()

    if workers == 1:
        work()
    else:
        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert raised == []
    assert provider.to() == ["hello"]
    assert StepRun.objects.count() == Message.objects.count() == 1


def test_time_alone_brings_a_whole_journey_to_its_human(tell, provider):
    tell.starts(0)
    until(4 * DAY, every=HOUR)
    assert provider.to() == ["hello", "start_stalled"]
    assert [step for step, _ in StepRun.objects.values_list("step_key", "status")] == [
        "hello",
        "start_stalled",
        "still_nothing",
    ]
