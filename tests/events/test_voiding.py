"""Events sent by mistake are taken out of account, and may come back."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from accounts.models import Account
from accounts.staff import make_roles, put_user
from events import voiding
from events.ingest import ingest
from events.models import Event, Void
from tests.factories import IngestKeyFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def key():
    key = IngestKeyFactory()
    for minutes, name, account in (
        (0, "good", "acme"),
        (10, "bad", "acme"),
        (10, "bad", "beta"),
        (90, "bad", "late"),
    ):
        message = {
            "type": "track",
            "event": name,
            "groupId": account,
            "messageId": f"{minutes}{account}{name}",
        }
        ingest([message], key=key, now=NOW + timedelta(minutes=minutes))
    Account.objects.update(next_look_at=None)
    return key


def mistake(key, **values):
    return Void.objects.create(
        key=key,
        name="bad",
        since=NOW,
        until=NOW + timedelta(hours=1),
        reason="a wrong release",
        **values,
    )


def test_it_is_shown_before_anything_happens(key):
    shown = voiding.preview(mistake(key))
    assert (shown.events, shown.accounts) == (2, 2)
    assert {event.name for event in shown.latest} == {"bad"}
    assert Event.objects.counting().count() == 4


def test_the_preview_says_that_what_calls_said_of_people_stays(key, client):
    ingest([{"type": "group", "groupId": "acme", "userId": "ada"}], key=key, now=NOW)
    every = Void.objects.create(
        key=key, since=NOW, until=NOW + timedelta(hours=1), reason="a wrong release"
    )
    assert (voiding.preview(every).events, voiding.preview(every).calls) == (4, 1)
    make_roles()
    client.force_login(put_user("eve", role="engineer", password="long enough 1"))
    page = client.get(reverse("admin:events_void_change", args=[every.pk]))
    assert "1 of them are identify, group or alias calls" in page.content.decode()


def test_exactly_those_events_no_longer_count_and_their_accounts_are_folded_again(key):
    assert voiding.apply(mistake(key), by=UserFactory(), now=NOW) == 2
    assert Event.objects.counting().count() == 2
    folded = Account.objects.filter(history_version=1, next_look_at=NOW)
    assert set(folded.values_list("external_id", flat=True)) == {"acme", "beta"}


def test_an_unplaced_event_held_every_account_of_its_person_and_all_are_folded_again(key):
    who = {"userId": "ada"}
    ingest(
        [
            *({"type": "group", "groupId": each, **who} for each in ("acme", "beta", "late")),
            {"type": "track", "event": "member_removed", "groupId": "late", "memberId": "ada"},
        ],
        key=key,
        now=NOW - timedelta(minutes=1),
    )
    ingest([{"type": "track", "event": "doubt", **who}], key=key, now=NOW)
    assert Event.objects.get(name="doubt").account is None
    Account.objects.update(next_look_at=None, history_version=0)
    void = mistake(key)
    Void.objects.filter(pk=void.pk).update(name="doubt")
    void.refresh_from_db()
    for version, change in ((1, voiding.apply), (2, voiding.undo)):
        assert change(void, by=UserFactory(), now=NOW) == 1
        folded = Account.objects.filter(history_version=version, next_look_at=NOW)
        assert set(folded.values_list("external_id", flat=True)) == {"acme", "beta", "late"}
        Account.objects.update(next_look_at=None)


def test_it_is_applied_once_and_undone_once(key):
    void, by = mistake(key), UserFactory()
    assert voiding.undo(void, by=by, now=NOW) is None
    voiding.apply(void, by=by, now=NOW)
    assert voiding.apply(void, by=by, now=NOW) is None
    assert voiding.undo(void, by=by, now=NOW) == 2
    assert voiding.undo(void, by=by, now=NOW) is None
    assert Event.objects.counting().count() == 4
    assert set(Account.objects.values_list("history_version", flat=True)) == {2, 0}


def test_another_keys_events_and_our_own_stay(key):
    assert voiding.preview(mistake(IngestKeyFactory())).events == 0
    Event.objects.update(source="staff")
    assert voiding.preview(mistake(None)).events == 0


def test_a_resend_of_what_was_taken_out_stays_out(key):
    voiding.apply(mistake(key), by=UserFactory(), now=NOW)
    message = {"type": "track", "event": "bad", "groupId": "acme", "messageId": "10acmebad"}
    assert ingest([message], key=key, now=NOW).stored == 0


def test_the_engineer_does_it_in_the_admin(client, key):
    make_roles()
    client.force_login(put_user("eng", role="engineer", password=None))
    void = mistake(key)
    page = client.get(reverse("admin:events_void_change", args=[void.pk])).content.decode()
    assert "2 events of 2 accounts would be taken out" in page
    url = reverse("admin:events_void_changelist")
    for action in ("apply_these", "undo_these"):
        client.post(url, {"action": action, "_selected_action": [void.pk]})
    void.refresh_from_db()
    assert (void.applied_by.username, void.undone_by.username) == ("eng", "eng")


def test_a_void_that_ends_before_it_begins_is_refused_in_plain_words(client):
    client.force_login(UserFactory(username="root", is_superuser=True))
    form = {
        "name": "sync_completed", "reason": "A wrong release",
        "since_0": "2026-03-10", "since_1": "10:00", "until_0": "2026-03-10", "until_1": "09:00",
    }  # fmt: skip
    page = client.post(reverse("admin:events_void_add"), form)
    assert page.context["adminform"].form.errors == {"until": ["It has to end after it begins."]}
