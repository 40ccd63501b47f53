"""Their names for our events, and events that a person places."""

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db.models import ProtectedError
from django.urls import reverse

from accounts.models import Account
from accounts.staff import make_roles, put_user
from events import catalogue, naming, placing
from events.ingest import ingest
from events.models import Event, EventName, EventType
from tests.factories import AccountFactory, IngestKeyFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FIELDS = {
    "integration_type": {"constant": "api"},
    "provider": {"path": "vendor.name"},
    "error_class": {"path": "code", "table": {"401": "auth_failed", "x": "other"}},
}


@pytest.fixture
def renamed():
    kind = EventType.objects.create(
        name="auth_failed", kind="error", schema={"required": ["provider", "error_class"]}
    )
    return EventName.objects.create(name="Login Broke", event_type=kind, fields=FIELDS)


def send(event, at=NOW, **properties):
    message = {
        "type": "track",
        "event": event,
        "groupId": "acme",
        "userId": "ada",
        "properties": properties,
    }
    return ingest([message], key=IngestKeyFactory(), now=at)


@pytest.mark.parametrize(
    ("properties", "read"),
    [
        (
            {"vendor": {"name": "github"}, "code": "401"},
            {"provider": "github", "error_class": "auth_failed"},
        ),
        (
            {"vendor": {"name": "github"}, "code": 401},
            {"provider": "github", "error_class": "auth_failed"},
        ),
        ({"vendor": "github", "code": "500"}, {}),
        ({}, {}),
    ],
)
def test_an_event_is_read_under_our_name(renamed, properties, read):
    name, said = naming.current().read("Login Broke", properties)
    assert name == "auth_failed"
    assert said == {**properties, "integration_type": "api", **read}


def test_other_events_are_read_as_they_came(renamed):
    assert naming.current().read("docs_viewed", {"a": 1}) == ("docs_viewed", {"a": 1})


def test_our_names_lead_to_theirs(renamed):
    assert naming.current().sent_as(["auth_failed"]) == {"auth_failed", "Login Broke"}


def test_every_change_has_another_fingerprint(renamed):
    before = naming.current().fingerprint
    EventName.objects.update(fields={})
    assert naming.current().fingerprint not in (before, "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([], "must be an object"),
        ({"a": "x"}, "a: write a path"),
        ({"a": {}}, "a: write either"),
        ({"a": {"path": "x", "constant": 1}}, "a: write either"),
        ({"a": {"path": "x..y"}}, "a: a path is text"),
        ({"a": {"path": "x", "table": []}}, "a: a table is an object"),
        ({"a": {"paht": "x"}}, "a: write a path"),
    ],
)
def test_a_rule_that_means_nothing_is_named(fields, said):
    with pytest.raises(ValueError, match=said):
        naming.rules(fields)


def test_the_event_is_checked_as_what_it_means_and_is_not_unplanned(renamed):
    catalogue.forget()
    send("Login Broke", vendor={"name": "github"}, code="500")
    event = Event.objects.get()
    assert event.name == "Login Broke"
    assert [each["path"] for each in event.problems] == ["error_class"]
    assert not EventType.objects.filter(planned=False).exists()


def test_a_new_name_folds_the_accounts_concerned_again(client):
    make_roles()
    client.force_login(put_user("root", role="administrator", password=None))
    kind = EventType.objects.create(name="api_key_created")
    send("API Key Generated", vendor={"name": "github"})
    assert EventType.objects.filter(planned=False).count() == 1
    Account.objects.update(next_look_at=None)
    data = {
        "name": "API Key Generated",
        "event_type": kind.pk,
        "fields": '{"provider": {"path": "vendor.name"}}',
    }
    client.post(reverse("admin:events_eventname_add"), data)
    account = Account.objects.get()
    assert account.history_version == 1
    assert account.next_look_at is not None
    assert not EventType.objects.filter(planned=False).exists()
    page = client.get(reverse("admin:events_eventname_change", args=[EventName.objects.get().pk]))
    assert "github" in page.content.decode()
    data["fields"] = '{"provider": {}}'
    assert (
        "write either" in client.post(reverse("admin:events_eventname_add"), data).content.decode()
    )


def test_a_name_is_seen_at_work_before_it_is_saved(client):
    make_roles()
    client.force_login(put_user("root", role="administrator", password=None))
    kind = EventType.objects.create(name="api_key_created")
    send("API Key Generated", vendor={"name": "github"})
    url = reverse("admin:events_eventname_add")
    assert "Press Preview" in client.get(url).content.decode()
    data = {
        "name": "API Key Generated",
        "event_type": kind.pk,
        "fields": '{"provider": {"path": "vendor.name"}}',
    }
    page = unescape(client.post(url, {**data, "_preview": "1"}).content.decode())
    assert "Nothing is saved." in page
    assert 'api_key_created <code>{"vendor": {"name": "github"}, "provider": "github"}' in page
    assert "Please correct" not in page
    assert not EventName.objects.exists()
    assert EventType.objects.filter(planned=False).exists()
    assert Account.objects.get().history_version == 0
    client.post(url, {**data, "_save": "1"})
    saved = EventName.objects.get()
    change = reverse("admin:events_eventname_change", args=[saved.pk])
    data["fields"] = '{"provider": {"constant": "gitlab"}}'
    page = unescape(client.post(change, {**data, "_preview": "1"}).content.decode())
    assert '"provider": "gitlab"' in page
    assert EventName.objects.get().fields == saved.fields


def test_a_name_is_not_mapped_onto_itself(client):
    make_roles()
    client.force_login(put_user("root", role="administrator", password=None))
    send("Trial Started")
    kind = EventType.objects.get(planned=False)
    data = {"name": " Trial Started", "event_type": kind.pk, "fields": "{}"}
    page = client.post(reverse("admin:events_eventname_add"), data).content.decode()
    assert "Trial Started is its own type already: plan it instead." in page
    assert EventType.objects.get() == kind
    assert not EventName.objects.exists()


def test_a_type_that_names_lead_to_stays(client):
    make_roles()
    client.force_login(put_user("root", role="administrator", password=None))
    send("Trial Started")
    middle = EventType.objects.get(planned=False)
    EventName.objects.create(name="Trial Began", event_type=middle)
    kind = EventType.objects.create(name="trial_started")
    data = {"name": "Trial Started", "event_type": kind.pk, "fields": "{}"}
    client.post(reverse("admin:events_eventname_add"), data)
    assert EventName.objects.count() == 2
    with pytest.raises(ProtectedError):
        middle.delete()


class TestPlacing:
    @pytest.fixture
    def unplaced(self):
        key = IngestKeyFactory()
        for account in ("acme", "beta"):
            ingest([{"type": "group", "groupId": account, "userId": "ada"}], key=key, now=NOW)
        ingest([{"type": "track", "event": "sync_completed", "userId": "ada"}], key=key, now=NOW)
        Account.objects.update(next_look_at=None)
        return Event.objects.get(type="track")

    def test_it_goes_where_a_person_says_and_every_candidate_is_looked_at(self, unplaced):
        acme = Account.objects.get(external_id="acme")
        later = NOW + timedelta(hours=1)
        assert placing.place(unplaced, acme, by=UserFactory(username="kim"), now=later)
        unplaced.refresh_from_db()
        assert unplaced.account == acme
        assert dict(Account.objects.values_list("external_id", "history_version")) == {
            "acme": 1,
            "beta": 0,
        }
        assert set(Account.objects.values_list("next_look_at", flat=True)) == {later}
        assert Event.objects.get(source="staff").properties["by"] == "kim"

    def test_it_is_placed_once(self, unplaced):
        first, second = Account.objects.order_by("pk")
        assert placing.place(unplaced, first, by=UserFactory(), now=NOW)
        assert not placing.place(unplaced, second, by=UserFactory(), now=NOW)

    def test_it_never_leaves_its_world(self, unplaced):
        with pytest.raises(ValueError, match="production"):
            placing.place(unplaced, AccountFactory(environment="test"), by=UserFactory(), now=NOW)

    def test_the_engineer_places_it_in_the_admin(self, client, unplaced):
        make_roles()
        client.force_login(put_user("eng", role="engineer", password=None))
        url = reverse("admin:events_event_place", args=[unplaced.pk])
        assert url in client.get(reverse("admin:events_event_changelist")).content.decode()
        assert "beta" in client.get(url).content.decode()
        assert client.post(url, {"account": "nobody"}).status_code == 422
        client.post(url, {"account": "beta"})
        unplaced.refresh_from_db()
        assert unplaced.account.external_id == "beta"
