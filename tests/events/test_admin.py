"""Keys, catalogue, log and quarantine in the admin."""

import html
import json
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from accounts.staff import make_roles, put_user
from events import keys, quarantine
from events.ingest import ingest
from events.models import Event, EventType, IngestKey, RejectedEvent
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
CALL = {"type": "track", "event": "e", "userId": "ada", "messageId": "1"}


@pytest.fixture
def engineer(client):
    make_roles()
    client.force_login(put_user("eng", role="engineer", password=None))
    return client


@pytest.fixture
def refused(key):
    bad = [
        {"type": "track", "userId": "ada", "messageId": "1"},
        {"type": "track", "userId": "bob", "messageId": "2"},
        {"type": "wave", "messageId": "3"},
    ]
    ingest(bad, key=key[0], now=timezone.now())
    return {
        row.raw and json.loads(row.raw)["messageId"]: row for row in RejectedEvent.objects.all()
    }


def act(client, model, action, *rows):
    url = reverse(f"admin:events_{model}_changelist")
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(url, data, follow=True).content.decode()


class TestKeys:
    def test_a_new_key_is_shown_once_and_works(self, engineer):
        data = {"name": "shop", "environment": "test", "rate_per_second": 50}
        page = engineer.post(reverse("admin:events_ingestkey_add"), data, follow=True)
        (plain,) = re.findall(r"lk_[\w-]{20,}", page.content.decode())
        key = keys.verify(plain)
        assert (key.name, key.environment, key.rate_per_second) == ("shop", "test", 50)
        assert key.created_by.username == "eng"
        again = engineer.get(reverse("admin:events_ingestkey_change", args=[key.pk]))
        assert plain not in again.content.decode()
        assert key.key_hash not in again.content.decode()

    def test_its_name_may_change_and_its_world_may_not(self, engineer, key):
        url = reverse("admin:events_ingestkey_change", args=[key[0].pk])
        engineer.post(url, {"name": "new", "environment": "test", "rate_per_second": 9})
        row = IngestKey.objects.get()
        assert (row.name, row.environment, row.rate_per_second) == ("new", "production", 9)

    def test_revoking_ends_it(self, engineer, key):
        assert "1 revoked" in act(engineer, "ingestkey", "revoke", key[0])
        assert keys.verify(key[1]) is None
        assert "1 skipped: revoked already" in act(engineer, "ingestkey", "revoke", key[0])


class TestCatalogue:
    def test_it_shows_what_arrives_and_plans_with_one_click(self, engineer, key):
        EventType.objects.create(name="sync_completed", schema={"required": ["rows"]})
        ingest(
            [
                {"type": "track", "event": "sync_completed", "messageId": "1"},
                {
                    "type": "track",
                    "event": "sync_completed",
                    "messageId": "2",
                    "properties": {"rows": 1},
                },
                {"type": "track", "event": "API Key Generated", "messageId": "3"},
            ],
            key=key[0],
            now=timezone.now(),
        )
        page = engineer.get(reverse("admin:events_eventtype_changelist")).content.decode()
        assert "50 %" in page
        assert "2 (0 0 0 0 0 0 2)" in page
        assert "unplanned" in page
        act(engineer, "eventtype", "plan_these", *EventType.objects.filter(planned=False))
        assert EventType.objects.filter(planned=True).count() == 2

    def test_an_unplanned_name_is_planned_with_one_click(self, engineer):
        row = EventType.objects.create(name="API Key Generated", planned=False)
        url = reverse("admin:events_eventtype_plan", args=[row.pk])
        assert url in engineer.get(reverse("admin:events_eventtype_changelist")).content.decode()
        assert engineer.get(url).status_code == 405
        assert "1 planned" in engineer.post(url, follow=True).content.decode()
        assert EventType.objects.get().planned

    def test_planning_leads_back_to_the_list_as_it_was(self, engineer):
        row = EventType.objects.create(name="API Key Generated", planned=False)
        here = reverse("admin:events_eventtype_changelist") + "?q=key&planned__exact=0"
        page = engineer.get(here).content.decode()
        url = html.unescape(re.search(r'formaction="([^"]+)"', page)[1])
        assert engineer.post(url)["Location"] == here
        away = reverse("admin:events_eventtype_plan", args=[row.pk]) + "?next=https://evil.example/"
        assert engineer.post(away)["Location"] == reverse("admin:events_eventtype_changelist")

    def test_whoever_may_only_look_cannot_plan(self, engineer):
        row = EventType.objects.create(name="API Key Generated", planned=False)
        engineer.force_login(put_user("ana", role="analyst", password=None))
        url = reverse("admin:events_eventtype_plan", args=[row.pk])
        assert engineer.post(url).status_code == 403


class TestLog:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", 3),
            ("?q=acme", 2),
            ("?q=ada", 1),
            ("?q=m1", 1),
            ("?q=docs_viewed", 1),
            ("?q=nobody", 0),
            ("?placed=no", 1),
            ("?problems=yes", 1),
            ("?name=docs_viewed", 1),
            ("?received=1", 3),
            ("?source=staff", 0),
        ],
    )
    def test_it_is_searched_and_filtered(self, engineer, key, query, found):
        ingest(
            [
                {
                    "type": "track",
                    "event": "a",
                    "userId": "ada",
                    "groupId": "acme",
                    "messageId": "m1",
                },
                {
                    "type": "track",
                    "event": "b",
                    "groupId": "acme",
                    "messageId": "m2",
                    "timestamp": "x",
                },
                {"type": "track", "event": "docs_viewed", "anonymousId": "z", "messageId": "m3"},
            ],
            key=key[0],
            now=timezone.now(),
        )
        page = engineer.get(reverse("admin:events_event_changelist") + query)
        assert page.context["cl"].result_count == found

    def test_nobody_edits_it(self, client, key):
        client.force_login(UserFactory(is_superuser=True))
        ingest([{"type": "track", "event": "a"}], key=key[0], now=timezone.now())
        url = reverse("admin:events_event_change", args=[Event.objects.get().pk])
        assert client.get(url).status_code == 200
        assert client.post(url, {"name": "b"}).status_code == 403

    def test_a_page_of_it_costs_the_same_however_long_it_is(
        self, engineer, key, django_assert_max_num_queries
    ):
        for number in range(30):
            message = {
                "type": "track",
                "event": "a",
                "userId": f"u{number}",
                "groupId": f"g{number}",
            }
            ingest([message], key=key[0], now=timezone.now())
        # What the frame around the list remembers for seconds may just be asked for; a query per row would be seen.
        with django_assert_max_num_queries(25):
            engineer.get(reverse("admin:events_event_changelist"))


class TestQuarantine:
    def test_a_corrected_event_is_stored_and_the_row_says_so(self, engineer, refused):
        row = refused["1"]
        url = reverse("admin:events_rejectedevent_mend", args=[row.pk])
        assert "Refused:" in engineer.get(url).content.decode()
        engineer.post(url, {"raw": row.raw.replace('"track"', '"track", "event": "docs_viewed"')})
        row.refresh_from_db()
        assert (row.status, row.closed_by.username) == ("replayed", "eng")
        assert row.event.name == "docs_viewed"

    @pytest.mark.parametrize(
        ("raw", "code"), [("{", "invalid_json"), ('{"type": "x"}', "unknown_type")]
    )
    def test_what_is_still_wrong_is_refused_again_and_nothing_changes(
        self, engineer, refused, raw, code
    ):
        url = reverse("admin:events_rejectedevent_mend", args=[refused["1"].pk])
        page = engineer.post(url, {"raw": raw})
        assert page.status_code == 422
        assert code in page.content.decode()
        assert (
            RejectedEvent.objects.filter(status="open").count()
            == RejectedEvent.objects.count()
            == 3
        )

    def test_all_alike_are_replayed_together(self, engineer, refused):
        page = act(engineer, "rejectedevent", "replay_alike", refused["1"])
        assert "0 replayed, 2 skipped: A track call needs the name of its event." in page

    def test_a_body_that_could_not_be_read_is_mended_and_replayed(self, post):
        post(
            "/v1/batch",
            b'{"batch": [{"type": "track", "event": "a"}, {"type": "track", "event": "b"}',
        )
        row = RejectedEvent.objects.get()
        done = quarantine.replay(row, row.raw + "]}", by=None, now=timezone.now())
        assert done.stored
        assert Event.objects.count() == 2

    @pytest.mark.parametrize(
        ("path", "body", "expected"),
        [
            ("/v1/import", {"batch": [CALL]}, {"historical": True, "message_id": "1"}),
            ("/v1/batch", {"batch": [CALL], "historical": True}, {"historical": True}),
            (
                "/v1/batch",
                {"batch": [CALL], "context": {"groupId": "acme"}},
                {"account__external_id": "acme"},
            ),
            ("/v1/identify", {"userId": "ada", "messageId": "1"}, {"type": "identify"}),
            (
                "/batch/",
                {"batch": [{"event": "e", "distinct_id": "ada", "uuid": "u-1", "properties": {}}]},
                {"message_id": "u-1", "person__external_id": "ada"},
            ),
        ],
    )
    def test_a_body_is_replayed_as_it_was_sent(self, post, path, body, expected):
        text = json.dumps(body)[:-1]
        assert post(path, text.encode()).status_code == 400
        row = RejectedEvent.objects.get()
        assert quarantine.replay(row, text + "}", by=None, now=timezone.now()).stored
        assert Event.objects.filter(**expected).count() == 1

    def test_a_body_corrects_its_clock_in_a_replay_too(self, post):
        past = timezone.now() - timedelta(days=1)
        call = {**CALL, "timestamp": past.isoformat()}
        text = json.dumps({"batch": [call], "sentAt": past.isoformat()})[:-1]
        post("/v1/batch", text.encode())
        row = RejectedEvent.objects.get()
        quarantine.replay(row, text + "}", by=None, now=timezone.now())
        assert row.received_at - Event.objects.get().occurred_at < timedelta(seconds=1)

    def test_what_was_no_event_and_came_as_the_past_stays_the_past(self, post):
        post("/v1/import", {"batch": [7]})
        row = RejectedEvent.objects.get()
        quarantine.replay(row, json.dumps(CALL), by=None, now=timezone.now())
        assert Event.objects.get().historical

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            ('{"type": "track", "event": "e", "properties": {"n": NaN}}', "not_a_number"),
            ("", "empty_body"),
            ("[]", "empty_batch"),
        ],
    )
    def test_a_replay_refuses_what_the_endpoint_refuses(self, refused, raw, code):
        again = quarantine.replay(refused["1"], raw, by=None, now=timezone.now())
        assert (again.stored, again.code) == (False, code)

    def test_half_a_character_is_no_harm_in_a_replay_either(self, refused):
        raw = '{"type": "track", "event": "e", "userId": "md\\ud800"}'
        assert quarantine.replay(refused["1"], raw, by=None, now=timezone.now()).stored
        assert Event.objects.get().person.external_id == "md?"

    def test_the_same_words_sent_elsewhere_are_another_body(self, post):
        for path in ("/v1/batch", "/v1/import", "/v1/import/"):
            post(path, b"{")
        assert RejectedEvent.objects.count() == 2

    def test_what_is_too_long_to_be_edited_here_is_downloaded_and_uploaded(self, engineer, post):
        text = json.dumps({"batch": [CALL], "pad": "é" * 1_000_000})
        post("/v1/batch", text[:-1].replace("\\u00e9", "é").encode())
        row = RejectedEvent.objects.get()
        listed = engineer.get(reverse("admin:events_rejectedevent_changelist"))
        (shown,) = listed.context["cl"].result_list
        assert shown.get_deferred_fields() == {"raw"}
        page = engineer.get(reverse("admin:events_rejectedevent_change", args=[row.pk]))
        url = reverse("admin:events_rejectedevent_raw", args=[row.pk])
        assert url in page.content.decode()
        assert len(page.content) < 200_000
        whole = engineer.get(url).content.decode()
        assert whole == row.raw
        mend = reverse("admin:events_rejectedevent_mend", args=[row.pk])
        assert "too long to be edited here" in engineer.get(mend).content.decode()
        engineer.post(mend, {"file": SimpleUploadedFile("it.json", (whole + "}").encode())})
        assert Event.objects.get().message_id == "1"

    @pytest.mark.parametrize("revoked", [True, False])
    def test_what_came_with_a_wrong_key_is_not_offered_for_replay(
        self, engineer, post, key, revoked
    ):
        if revoked:
            keys.revoke(key[0], now=timezone.now())
        else:
            post.plain = "lk_unknown"
        post("/v1/batch", {"batch": [CALL]})
        row = RejectedEvent.objects.get()
        mend = reverse("admin:events_rejectedevent_mend", args=[row.pk])
        listed = engineer.get(reverse("admin:events_rejectedevent_changelist")).content.decode()
        assert mend not in listed
        assert "send it again with a valid key" in listed
        page = engineer.get(mend).content.decode()
        assert "send it again with a valid key" in page
        assert "<textarea" not in page
        engineer.post(mend, {"raw": json.dumps(CALL)})
        assert not Event.objects.exists()

    def test_what_came_while_its_key_was_valid_is_replayed_after_it_was_revoked(self, refused, key):
        keys.revoke(key[0], now=timezone.now())
        assert quarantine.replay(refused["1"], json.dumps(CALL), by=None, now=timezone.now()).stored

    def test_dismissed_is_closed_for_good(self, engineer, refused):
        assert "1 dismissed" in act(engineer, "rejectedevent", "dismiss", refused["3"])
        with pytest.raises(ValueError, match="already"):
            quarantine.replay(refused["3"], by=None, now=timezone.now())

    def test_a_replay_keeps_the_time_of_the_first_try(self, refused):
        row = refused["1"]
        raw = row.raw.replace('"track"', '"track", "event": "e"')
        quarantine.replay(row, raw, by=None, now=timezone.now())
        assert Event.objects.get().received_at == row.received_at

    def test_who_may_only_look_cannot_replay(self, client, refused):
        make_roles()
        client.force_login(put_user("ana", role="analyst", password=None))
        url = reverse("admin:events_rejectedevent_mend", args=[refused["1"].pk])
        assert client.post(url, {"raw": "{}"}).status_code == 403
