"""Unmodified clients against a running server: they tell their story and see no error."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import requests
from segment.analytics.client import Client
from segment.analytics.request import _session

from accounts.models import Account, AnonymousId, Membership, Person
from events.models import Event, IngestKey, RejectedEvent

pytestmark = pytest.mark.django_db(transaction=True)


def everything():
    """All rows but the key's own, whose last use may move."""
    return {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in (Event, Account, Person, Membership, AnonymousId, RejectedEvent)
    }


def told_by(client):
    """A setup as a backend tells it."""
    started = datetime.now(UTC) - timedelta(hours=2)
    client.track(anonymous_id="cookie-1", event="docs_viewed", timestamp=started)
    client.identify("ada", {"email": "ada@acme.example", "name": "Ada"}, anonymous_id="cookie-1")
    client.group("ada", "acme", {"name": "Acme", "plan": "pro", "role": "developer"})
    client.identify("bob", {"email": "bob@acme.example", "role": "owner"}, {"groupId": "acme"})
    client.track(
        "ada",
        "integration_started",
        {"integration_type": "api", "provider": "github"},
        {"groupId": "acme"},
    )
    client.track(
        "ada", "api_key_created", {"key_scope": "read"}, timestamp=started + timedelta(hours=1)
    )
    client.page("ada", "docs", "Quickstart", {"url": "https://acme.example/docs"})
    client.screen("ada", "app", "Setup")
    client.alias("ada-before", "ada")
    client.group("bob", "acme", {"status": "removed"})
    client.track(42, "first_api_call_success", context={"groupId": "acme"})


@pytest.fixture
def sent(monkeypatch):
    """Every request that the SDK makes, as bytes."""
    kept = []
    real = _session.send

    def send(request, **how):
        kept.append((request.url, dict(request.headers), request.body))
        return real(request, **how)

    monkeypatch.setattr(_session, "send", send)
    return kept


@pytest.mark.parametrize("how", [{}, {"gzip": True}, {"sync_mode": True}, {"upload_size": 2}])
def test_the_python_sdk_of_segment_tells_its_story(live_server, key, sent, how):
    errors = []
    client = Client(key[1], host=live_server.url, on_error=lambda *told: errors.append(told), **how)
    told_by(client)
    if not how.get("sync_mode"):
        client.flush()
        client.join()
    assert errors == []
    assert Event.objects.count() == 11
    assert RejectedEvent.objects.count() == 0
    account = Account.objects.get()
    assert (account.name, account.plan, account.environment) == ("Acme", "pro", "production")
    ada = Person.objects.get(external_id="ada")
    assert (ada.email, ada.name) == ("ada@acme.example", "Ada")
    memberships = {each.person.external_id: each for each in Membership.objects.all()}
    assert memberships["ada"].role == "developer"
    assert memberships["bob"].role == "owner"
    assert memberships["bob"].ended_at is not None
    assert set(Event.objects.values_list("account", flat=True)) == {account.pk}
    assert Event.objects.get(name="docs_viewed").person == ada
    assert Event.objects.get(name="first_api_call_success").person.external_id == "42"

    before = everything()
    for url, headers, body in sent:
        again = requests.post(url, data=body, headers=headers, timeout=10)
        assert (again.status_code, again.json()["stored"]) == (200, 0)
    assert everything() == before


def test_the_python_sdk_understands_a_wrong_key(live_server, db):
    errors = []
    client = Client(
        "lk_wrong",
        host=live_server.url,
        max_retries=0,
        on_error=lambda error, _: errors.append(error),
    )
    client.track("ada", "x")
    client.flush()
    client.join()
    assert [(error.status, error.code) for error in errors] == [(401, "invalid_write_key")]


def test_the_python_sdk_waits_when_told_so(live_server, key):
    IngestKey.objects.update(rate_per_second=1)
    client = Client(key[1], host=live_server.url, upload_size=5, upload_interval=0.05)
    for number in range(12):
        client.track("ada", "x", {"n": number})
    client.flush()
    client.join()
    assert Event.objects.count() == 12


@pytest.mark.skipif(not shutil.which("curl"), reason="NOT RUN: curl was not found")
@pytest.mark.parametrize("form", [[], ["-H", "Expect: 100-continue"]])
def test_curl_tells_its_story(live_server, key, form):
    done = subprocess.run(
        [
            "curl", "-sS", "-L", "-u", f"{key[1]}:", *form, f"{live_server.url}/v1/track",
            "-d", '{"userId": "ada", "event": "integration_started"}',
        ],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert json.loads(done.stdout)["stored"] == 1
