"""Ingest keys: shown once, recognised, revoked, and held to their rate."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events import keys
from events.models import IngestKey

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def key():
    row, _ = keys.create("backend")
    IngestKey.objects.update(leased_at=NOW)
    return row


def limited(key, rate):
    IngestKey.objects.filter(pk=key.pk).update(rate_per_second=rate)
    return key


def test_the_key_itself_is_stored_nowhere():
    row, plain = keys.create("backend")
    assert plain.startswith("lk_")
    assert all(plain not in str(value) for value in IngestKey.objects.values().get().values())
    assert plain.endswith(row.hint)


def test_a_key_is_recognised_and_another_is_not():
    row, plain = keys.create("backend")
    assert keys.verify(plain) == row
    assert keys.verify(plain + "x") is None
    assert keys.verify("") is None
    assert keys.verify("\ud800") is None


def test_a_key_is_looked_up_once_and_then_remembered(django_assert_num_queries):
    _, plain = keys.create("backend")
    with django_assert_num_queries(1):
        keys.verify(plain)
        keys.verify(plain)


def test_a_revoked_key_is_refused_at_once():
    row, plain = keys.create("backend")
    assert keys.verify(plain)
    assert keys.revoke(row, now=NOW)
    assert keys.verify(plain) is None
    assert not keys.revoke(row, now=NOW)


def test_last_use_is_noted_once_a_minute(key, django_assert_num_queries):
    with django_assert_num_queries(1):
        keys.note_use(key, now=NOW)
        keys.note_use(key, now=NOW + timedelta(seconds=30))
    assert IngestKey.objects.get().last_used_at == NOW


def test_the_rate_allows_a_burst_and_then_says_how_long_to_wait(key):
    limited(key, 10)
    assert keys.wait_for(key, 100, now=NOW) == 0
    assert keys.wait_for(key, 25, now=NOW) == 3
    assert keys.wait_for(key, 25, now=NOW + timedelta(seconds=3)) == 0


def test_a_batch_larger_than_the_burst_passes_once_nothing_is_owed(key):
    limited(key, 1)
    assert keys.wait_for(key, 5000, now=NOW) == 0
    assert keys.wait_for(key, 1, now=NOW) == 300


def test_processes_share_the_rate(key):
    limited(key, 10)
    assert keys.wait_for(key, 60, now=NOW) == 0
    keys.forget()
    assert keys.wait_for(key, 60, now=NOW) > 0


def test_many_small_requests_write_the_keys_row_a_few_times(key):
    limited(key, 4000)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(1000):
            assert keys.wait_for(key, 1, now=NOW) == 0
    assert len(queries) == 2


def test_the_command_prints_just_the_key():
    out = io.StringIO()
    call_command("ingest_key", "create", "backend", "--environment", "test", stdout=out)
    plain = out.getvalue()
    assert plain.count("\n") == 1
    row = keys.verify(plain.strip())
    assert (row.name, row.environment) == ("backend", "test")


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "cannot be blank"), ("  ", "cannot be blank"), ("k" * 300, "at most 120 characters")],
)
def test_the_command_takes_no_name_that_the_admin_refuses(name, said):
    with pytest.raises(CommandError, match=f"The key's name: .*{said}"):
        call_command("ingest_key", "create", name)
    assert not IngestKey.objects.exists()


def test_the_command_lists_and_revokes(key):
    out = io.StringIO()
    call_command("ingest_key", "revoke", str(key.pk))
    call_command("ingest_key", "list", stdout=out)
    assert "revoked" in out.getvalue()
    with pytest.raises(CommandError, match="no key number"):
        call_command("ingest_key", "revoke", "999999")


def test_a_rate_of_nothing_is_refused_in_the_form(admin_client):
    form = {"name": "Backend", "environment": "production", "rate_per_second": 0}
    page = admin_client.post(reverse("admin:events_ingestkey_add"), form)
    said = "At least 1; to refuse everything, revoke the key."
    assert page.context["adminform"].form.errors == {"rate_per_second": [said]}
