"""Is all well: what makes the banner appear and `manage.py status` fail."""

from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from lifecycle.pages import work
from lifecycle.runner.health import (
    HAND_OVER,
    NO_PROGRESS,
    QUEUE,
    STARTED,
    SUPERVISOR,
    health,
    is_late,
    judge,
    read_signs,
)
from lifecycle.runner.management.commands.status import as_text
from lifecycle.runner.models import Heartbeat, ParkedAccount, Pause
from messaging import findings
from messaging.models import SendingDomain
from tests.factories import AccountFactory, created

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def beat(name, at):
    Heartbeat.objects.update_or_create(name=name, defaults={"at": at})


def all_is_well(now):
    for name in (SUPERVISOR, QUEUE, HAND_OVER):
        beat(name, now - timedelta(seconds=1))


def test_all_is_well_when_everything_beats_and_nothing_waits(now):
    all_is_well(now)
    found = health(now)
    assert found.ok
    assert not found.stopped
    assert found.headline == "All is well."


def test_background_work_that_never_ran_is_said_with_what_to_do(now):
    found = health(now)
    assert not found.ok
    assert found.stopped
    assert "not running" in found.headline
    assert "manage.py work" in found.advice


def test_a_supervisor_silent_for_longer_than_15_seconds_is_not_running(now):
    all_is_well(now)
    beat(SUPERVISOR, now - timedelta(seconds=15))
    assert health(now).ok
    beat(SUPERVISOR, now - timedelta(seconds=16))
    assert health(now).stopped


def test_the_headline_says_since_when_nothing_has_been_sent(now):
    beat(HAND_OVER, now - 8 * MINUTE)
    assert health(now).headline == "Nothing has been sent since 10:42."


def test_a_time_of_another_day_comes_with_its_date(now):
    beat(HAND_OVER, now - timedelta(days=1))
    assert health(now).headline == "Nothing has been sent since 09 March, 10:50."


def test_an_idle_queue_is_never_late(now):
    assert not is_late(work_waits=False, progressed_at=now - timedelta(days=3), now=now)


def test_a_backlog_that_moves_is_not_late(now):
    assert not is_late(work_waits=True, progressed_at=now - NO_PROGRESS, now=now)


def test_waiting_work_without_any_progress_is_late(now):
    too_long = now - NO_PROGRESS - timedelta(seconds=1)
    assert is_late(work_waits=True, progressed_at=too_long, now=now)
    assert is_late(work_waits=True, progressed_at=None, now=now)


@pytest.mark.parametrize("waiting", ["account", "task"])
def test_a_dead_queue_with_work_waiting_stops_everything(waiting, now):
    all_is_well(now)
    beat(QUEUE, now - NO_PROGRESS - MINUTE)
    assert health(now).ok
    if waiting == "account":
        AccountFactory(next_look_at=now - MINUTE)
    else:
        created(OrmQ, key="lifecycle", payload="", lock=now)
    found = health(now)
    assert found.stopped
    assert "Restart `manage.py work`" in found.advice


def test_workers_that_were_just_started_are_not_late(now):
    all_is_well(now)
    AccountFactory(next_look_at=now - MINUTE)
    Heartbeat.objects.filter(name=QUEUE).delete()
    assert health(now).stopped
    beat(STARTED, now - timedelta(seconds=6))
    assert health(now).ok
    beat(STARTED, now - NO_PROGRESS - MINUTE)
    assert health(now).stopped


def test_a_provider_that_takes_no_mail_is_said_with_its_words(now):
    all_is_well(now)
    findings.report(findings.MAIL_DOWN, "smtp.example", "Connection refused", now=now)
    found = health(now)
    assert not found.ok
    assert found.headline == "The mail provider takes no mail."
    assert "Connection refused" in found.advice


def test_an_account_that_is_due_later_does_not_wait(now):
    all_is_well(now)
    beat(QUEUE, now - timedelta(hours=5))
    AccountFactory(next_look_at=now + MINUTE)
    assert health(now).ok


def test_work_far_behind_is_said_even_though_it_moves(now):
    all_is_well(now)
    AccountFactory(next_look_at=now - timedelta(minutes=16))
    found = health(now)
    assert not found.ok
    assert not found.stopped
    assert "behind" in found.headline


def test_an_account_set_aside_is_counted_in_sight(now):
    all_is_well(now)
    created(ParkedAccount, account=AccountFactory(), error="boom", parked_at=now)
    found = health(now)
    assert not found.ok
    assert found.headline.startswith("1 account set aside")


def test_a_pause_is_said_but_is_no_trouble(now):
    all_is_well(now)
    created(Pause, paused_at=now - MINUTE, paused_by="ada", reason="New price list")
    found = health(now)
    assert found.ok
    assert found.paused
    assert found.headline == "Sending is paused by ada since 10:49."
    assert found.advice == "New price list"


def test_a_pause_does_not_hide_that_work_has_stopped(now):
    created(Pause, paused_at=now, paused_by="ada")
    assert health(now).stopped


def test_whatever_else_there_is_to_look_at_does_not_hide_a_pause(as_role):
    now = timezone.now()
    all_is_well(now)
    created(Pause, paused_at=now - MINUTE, paused_by="ada", reason="New price list")
    created(ParkedAccount, account=AccountFactory(), error="boom", parked_at=now)
    for told in (as_role("analyst").get("/numbers/").content.decode(), as_text(health(now))):
        assert "Sending is paused by ada since" in told
        assert "1 account set aside" in told


def test_mail_that_waits_for_a_pause_to_end_is_no_trouble_of_its_own(now):
    all_is_well(now)
    signs = replace(read_signs(now), longest_queued=now - timedelta(hours=2))
    assert "E-mail has waited" in judge(signs).headline
    assert judge(replace(signs, pause=Pause(paused_by="ada", paused_at=now))).ok


def test_a_sending_domain_that_is_paused_is_said(now):
    all_is_well(now)
    created(SendingDomain, name="mail.example.com", paused_at=now)
    found = health(now)
    assert not found.ok
    assert found.headline == "Nothing is sent from mail.example.com: paused."


def status() -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("status", stdout=out)
    except SystemExit as leaving:
        return int(leaving.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_status_exits_with_0_when_all_is_well():
    all_is_well(timezone.now())
    code, text = status()
    assert code == 0
    assert text.startswith("All is well.")


def test_status_exits_with_1_and_says_what_to_do_when_it_is_not():
    code, text = status()
    assert code == 1
    assert "Start `manage.py work`" in text
    assert "✗ Background work" in text
    assert len(text.splitlines()) < 24


def test_the_banner_shows_when_work_stops_and_goes_when_it_runs_again(as_superuser):
    for address in ("/status/", reverse("admin:accounts_user_changelist"), "/numbers/"):
        work.forget()
        assert "Nothing is being sent" in as_superuser.get(address).content.decode()
    all_is_well(timezone.now())
    work.forget()
    assert "Nothing is being sent" not in as_superuser.get("/numbers/").content.decode()


def test_the_banner_refreshes_itself_alone(as_superuser):
    answer = as_superuser.get("/status/banner/", headers={"HX-Request": "true"})
    assert answer.content.decode().lstrip().startswith('<div id="work-banner"')
    assert "HX-Request" in answer["Vary"]
    assert as_superuser.get("/status/banner/").url == "/status/"


def test_the_login_page_says_nothing_about_our_work(client):
    assert "Nothing is being sent" not in client.get(reverse("admin:login")).content.decode()


def test_health_is_kept_for_a_few_seconds(as_superuser, django_assert_max_num_queries):
    as_superuser.get("/reviews/")
    with django_assert_max_num_queries(8):
        as_superuser.get("/reviews/")


def test_a_database_that_is_not_ready_is_said_with_what_to_do(monkeypatch):
    def broken(now):
        raise DatabaseError("no such table: accounts_account")

    monkeypatch.setattr("lifecycle.runner.management.commands.status.health", broken)
    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        call_command("status")
