"""Batches that arrive at the same moment, on PostgreSQL."""

import threading
from datetime import UTC, datetime

import pytest
from django.db import connection, connections, transaction

from accounts.models import Account, Membership, Person
from events import log
from events.ingest import ingest
from events.models import Event
from tests.factories import IngestKeyFactory

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def together(*works):
    """Run these at once, each on its own connection; what they raised."""
    start, raised = threading.Barrier(len(works)), []

    def run(work):
        try:
            start.wait(10)
            work()
        except Exception as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def story(numbers):
    for n in numbers:
        yield {"type": "identify", "userId": f"u{n}", "anonymousId": f"a{n}", "traits": {"n": n}}
        yield {
            "type": "group",
            "groupId": f"acc{n % 7}",
            "userId": f"u{n}",
            "traits": {"role": "admin"},
        }
        yield {
            "type": "track",
            "event": "integration_started",
            "userId": f"u{n}",
            "messageId": f"t{n}",
        }
        yield {"type": "track", "event": "docs", "anonymousId": f"a{n}", "messageId": f"d{n}"}


def test_the_same_batch_many_times_at_once_is_stored_once():
    key = IngestKeyFactory()
    batch = list(story(range(25)))
    reports = []
    raised = together(
        *[lambda: reports.append(ingest(batch, key=key, now=NOW)) for _ in range(4)],
        *[lambda: reports.append(ingest(batch[::-1], key=key, now=NOW)) for _ in range(2)],
    )
    assert raised == []
    assert sum(report.stored for report in reports) == len(batch) == Event.objects.count()
    assert Person.objects.count() == Membership.objects.count() == 25
    assert Account.objects.count() == 7
    assert not Event.objects.filter(account=None).exists()
    assert not Event.objects.filter(person=None).exists()


def test_a_track_and_its_group_at_the_same_moment_find_each_other():
    key = IngestKeyFactory()
    for n in range(12):
        track = {"type": "track", "event": "e", "userId": f"u{n}", "messageId": f"t{n}"}
        group = {"type": "group", "groupId": f"acc{n}", "userId": f"u{n}"}
        raised = together(
            lambda track=track: ingest([track], key=key, now=NOW),
            lambda group=group: ingest([group], key=key, now=NOW),
        )
        assert raised == []
    assert not Event.objects.filter(account=None).exists()


def test_a_track_waits_for_a_group_call_under_another_id_of_its_person():
    key = IngestKeyFactory()
    for user in ("a", "b"):
        ingest([{"type": "identify", "userId": user}], key=key, now=NOW)
    ingest([{"type": "alias", "previousId": "a", "userId": "b"}], key=key, now=NOW)
    done = threading.Event()

    def send():
        try:
            ingest([{"type": "track", "event": "e", "userId": "b"}], key=key, now=NOW)
        finally:
            done.set()
            connections.close_all()

    thread = threading.Thread(target=send)
    with transaction.atomic():
        ingest([{"type": "group", "groupId": "acme", "userId": "a"}], key=key, now=NOW)
        thread.start()
        assert not done.wait(0.5)
    thread.join(10)
    assert Event.objects.get(name="e").account.external_id == "acme"


def test_an_anonymous_visit_and_its_link_at_the_same_moment_find_each_other():
    key = IngestKeyFactory()
    for n in range(12):
        visit = {"type": "page", "name": "Docs", "anonymousId": f"a{n}", "messageId": f"p{n}"}
        link = {"type": "identify", "userId": f"u{n}", "anonymousId": f"a{n}"}
        raised = together(
            lambda visit=visit: ingest([visit], key=key, now=NOW),
            lambda link=link: ingest([link], key=key, now=NOW),
        )
        assert raised == []
    assert not Event.objects.filter(person=None).exists()


def test_an_event_waits_for_whoever_holds_its_account():
    key = IngestKeyFactory()
    message = {"type": "track", "event": "e", "groupId": "acme", "messageId": "1"}
    ingest([message], key=key, now=NOW)
    account = Account.objects.get()
    done = threading.Event()

    def send():
        try:
            ingest([{**message, "messageId": "2"}], key=key, now=NOW)
        finally:
            done.set()
            connections.close_all()

    with transaction.atomic():
        log.lock([account.pk], now=NOW)
        thread = threading.Thread(target=send)
        thread.start()
        assert not done.wait(0.5)
        assert Event.objects.count() == 1
    thread.join(10)
    assert Event.objects.count() == 2


def test_a_batch_whose_connection_dies_leaves_nothing():
    key = IngestKeyFactory()
    ingest([{"type": "track", "event": "e", "groupId": "acme", "messageId": "1"}], key=key, now=NOW)
    account = Account.objects.get()
    batch = [
        {"type": "track", "event": "e", "groupId": group, "messageId": f"{group}-2"}
        for group in ("acme", "beta")
    ]
    raised = []

    def send():
        try:
            ingest(batch, key=key, now=NOW)
        except Exception as error:
            raised.append(error)
        finally:
            connections.close_all()

    with transaction.atomic():
        log.lock([account.pk], now=NOW)
        thread = threading.Thread(target=send)
        thread.start()
        with connection.cursor() as cursor:
            for _ in range(100):
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if cursor.fetchone()[0]:
                    break
                thread.join(0.05)
        thread.join(10)
    assert raised
    assert Event.objects.count() == 1
    assert Account.objects.count() == 1
    assert ingest(batch, key=key, now=NOW).stored == 2


def test_an_alias_its_group_and_a_track_at_the_same_moment_find_each_other():
    key = IngestKeyFactory()
    for n in range(12):
        alias = {"type": "alias", "previousId": f"a{n}", "userId": f"b{n}"}
        group = {"type": "group", "groupId": f"acc{n}", "userId": f"a{n}"}
        track = {"type": "track", "event": "e", "userId": f"b{n}", "messageId": f"t{n}"}
        raised = together(
            *(lambda each=each: ingest([each], key=key, now=NOW) for each in (alias, group, track))
        )
        assert raised == []
    assert not Event.objects.filter(type="track", account=None).exists()
