"""Every line of the wire contract, through Django's client."""

import gzip
import json
import sqlite3
import time
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, ProgrammingError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Membership, Person
from events import keys, quarantine
from events.api.routes import ROUTES
from events.models import Event, IngestKey, RejectedEvent
from tests.events.conftest import basic
from tests.factories import PersonFactory

pytestmark = pytest.mark.django_db
EXAMPLES = json.loads((Path(__file__).parent / "inputs/segment_spec_examples.json").read_text())
BATCHES = [path for path, route in ROUTES.items() if route.type is None]
SINGLES = {
    "/v1/track": {"event": "integration_started", "userId": "ada"},
    "/v1/identify": {"userId": "ada", "traits": {"email": "ada@x.example"}},
    "/v1/group": {"userId": "ada", "groupId": "acme"},
    "/v1/page": {"userId": "ada", "name": "Docs"},
    "/v1/screen": {"userId": "ada", "name": "Docs"},
    "/v1/alias": {"userId": "ada", "previousId": "a1"},
}
TRACK = {"type": "track", "event": "integration_started", "userId": "ada", "messageId": "m1"}


def failing(error):
    """A database that answers every statement with this error."""

    def execute(*_):
        raise error

    return execute


class TestRoutes:
    @pytest.mark.parametrize("path", BATCHES)
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_every_batch_route_stores(self, post, path, slash):
        response = post(path + slash, {"batch": [TRACK], "sentAt": None})
        assert response.status_code == 200
        assert response.json() == {
            "success": True,
            "stored": 1,
            "duplicates": 0,
            "rejected": 0,
            "events": [{"index": 0, "messageId": "m1", "status": "stored"}],
        }
        assert Event.objects.get().name == "integration_started"

    @pytest.mark.parametrize("path", SINGLES)
    def test_a_single_message_takes_its_type_from_the_path(self, post, path):
        response = post(path, SINGLES[path])
        assert response.status_code == 200
        assert Event.objects.get().type == path.removeprefix("/v1/")

    @pytest.mark.parametrize("path", ROUTES)
    @pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options", "patch"])
    def test_only_post_is_answered(self, path, method):
        response = getattr(Client(), method)(path)
        assert response.status_code == 405
        assert response["Allow"] == "POST"

    @pytest.mark.parametrize("path", [*ROUTES, *(f"{path}/" for path in ROUTES)])
    def test_never_a_redirect_even_where_everything_else_is_sent_to_https(
        self, post, path, settings
    ):
        settings.SECURE_SSL_REDIRECT = True
        response = post(path, {"batch": [TRACK]})
        assert (response.status_code, response.json()["code"]) == (403, "https_required")
        assert Event.objects.count() == 0

    def test_https_is_served_where_it_is_required(self, post, settings):
        settings.SECURE_SSL_REDIRECT = True
        assert post("/v1/batch", {"batch": [TRACK]}, secure=True).status_code == 200

    def test_where_a_proxy_ends_tls_its_word_counts_and_a_refusal_says_how_to_make_it_count(
        self, post, settings
    ):
        settings.SECURE_SSL_REDIRECT = True
        proxied = {"HTTP_X_FORWARDED_PROTO": "https"}
        refused = post("/v1/batch", {"batch": [TRACK]}, **proxied)
        assert refused.status_code == 403
        assert "BEHIND_PROXY=True" in refused.json()["message"]
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert post("/v1/batch", {"batch": [TRACK]}, **proxied).status_code == 200

    def test_an_unknown_route_is_a_404_in_json(self):
        response = Client().post("/v1/nothing", "{}", content_type="application/json")
        assert (response.status_code, response.json()["code"]) == (404, "unknown_route")

    @pytest.mark.parametrize("path", ROUTES)
    def test_no_csrf_no_session_no_cookie(self, key, path):
        client = Client(enforce_csrf_checks=True)
        response = client.post(
            path, json.dumps({"writeKey": key[1], "batch": []}), content_type="application/json"
        )
        assert response.status_code == 200
        assert not response.cookies


class TestKeys:
    @pytest.mark.parametrize(
        "header",
        [
            basic,
            lambda plain: basic(plain).replace("Basic", "basic"),
            lambda plain: f"Bearer {plain}",
            lambda plain: plain,
        ],
    )
    def test_the_header_carries_the_key(self, post, header):
        response = post("/v1/track", TRACK, headers={"Authorization": header(post.plain)})
        assert response.status_code == 200

    @pytest.mark.parametrize("name", ["writeKey", "api_key"])
    @pytest.mark.parametrize("path", ["/v1/batch", "/v1/track", "/batch/"])
    def test_the_body_carries_the_key_and_it_is_not_stored(self, post, path, name):
        content = TRACK if path == "/v1/track" else {"batch": [{**TRACK, "writeKey": post.plain}]}
        response = post(path, {**content, name: post.plain}, headers={})
        assert response.status_code == 200
        assert post.plain not in json.dumps(list(Event.objects.values()), default=str)

    @pytest.mark.parametrize("path", ROUTES)
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": basic("lk_wrong")},
            {"Authorization": "Basic !!!"},
            {"Authorization": "Bearer"},
            {"Authorization": "Basic " + "/w==" * 3},
        ],
    )
    def test_no_key_or_a_wrong_one_is_401(self, post, path, headers):
        response = post(path, {"batch": []}, headers=headers)
        assert response.status_code == 401
        assert set(response.json()) >= {"code", "message"}

    def test_a_wrong_key_shows_up_once_without_the_body(self, post, key):
        for _ in range(2):
            post("/v1/track", TRACK, headers={"Authorization": basic("lk_stolen-9876")})
        row = RejectedEvent.objects.get()
        assert (row.code, row.raw, row.key) == ("invalid_write_key", "", None)
        assert "/v1/track" in row.detail
        assert "lk_stolen" not in row.detail
        keys.revoke(key[0], now=timezone.now())
        post("/v1/track", TRACK)
        assert RejectedEvent.objects.get(key=key[0]).code == "invalid_write_key"

    def test_a_revoked_key_is_401(self, post, key):
        assert post("/v1/track", TRACK).status_code == 200
        keys.revoke(key[0], now=timezone.now())
        assert post("/v1/track", TRACK).status_code == 401

    def test_last_use_is_noted(self, post):
        post("/v1/track", TRACK)
        assert timezone.now() - IngestKey.objects.get().last_used_at < timedelta(minutes=1)

    def test_beyond_the_rate_it_is_429_with_the_seconds_to_wait(self, post):
        IngestKey.objects.update(rate_per_second=1)
        batch = {"batch": [{**TRACK, "messageId": str(n)} for n in range(9)]}
        assert post("/v1/batch", batch).status_code == 200
        response = post("/v1/batch", batch)
        assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(response["Retry-After"]) <= 300


class TestBody:
    @pytest.mark.parametrize(
        "kind",
        [
            "application/json",
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data",
        ],
    )
    def test_gzip_under_any_content_type(self, post, kind):
        response = post.client.post(
            "/v1/batch",
            gzip.compress(json.dumps({"batch": [TRACK]}).encode()),
            content_type=kind,
            headers={"Authorization": basic(post.plain), "Content-Encoding": "gzip"},
        )
        assert response.status_code == 200
        assert Event.objects.count() == 1

    def test_gzip_in_several_members_and_deflate(self, post):
        text = json.dumps({"batch": [TRACK]}).encode()
        auth = {"Authorization": basic(post.plain)}
        several = gzip.compress(text[:20]) + gzip.compress(text[20:])
        assert (
            post("/v1/batch", several, headers={**auth, "Content-Encoding": "gzip"}).status_code
            == 200
        )
        assert (
            post(
                "/v1/batch", zlib.compress(text), headers={**auth, "Content-Encoding": "deflate"}
            ).status_code
            == 200
        )

    @pytest.mark.parametrize(
        ("data", "encoding", "status", "code"),
        [
            (b"not gzip", "gzip", 400, "bad_gzip"),
            (gzip.compress(b"{}" * 100)[:-9], "gzip", 400, "bad_gzip"),
            (b"{}", "br", 415, "unknown_encoding"),
            (gzip.compress(b"[" + b" " * 3_000_000 + b"]"), "gzip", 413, "body_too_large"),
            (b'"' + b"x" * 2_000_000 + b'"', "", 413, "body_too_large"),
            (b"", "", 400, "empty_body"),
            (b"{", "", 400, "invalid_json"),
            (b'{"a": "\xff"}', "", 400, "invalid_json"),
            (b'{"batch": [{"a": NaN}]}', "", 400, "not_a_number"),
            (b'{"batch": [{"a": -Infinity}]}', "", 400, "not_a_number"),
            (b"[" * 100_000, "", 400, "too_deep"),
            (b"[" * 500 + b"]" * 500, "", 400, "too_deep"),
            (b"[" + b"9" * 9000 + b"]", "", 400, "invalid_json"),
        ],
        ids=range(13),
    )
    def test_a_body_that_cannot_be_used_is_refused_clearly(
        self, post, settings, data, encoding, status, code
    ):
        settings.EVENTS_MAX_BODY_BYTES = 1_000_000
        settings.EVENTS_MAX_UNPACKED_BYTES = 2_000_000
        response = post(
            "/v1/batch",
            data,
            headers={"Authorization": basic(post.plain), "Content-Encoding": encoding},
        )
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.json()["message"]
        kept = RejectedEvent.objects.filter(code=code)
        assert kept.exists() == (status != 413 or encoding == "gzip")

    def test_ten_megabytes_are_fine(self, post):
        events = [
            {**TRACK, "messageId": str(n), "properties": {"x": "y" * 9000}} for n in range(1050)
        ]
        assert post("/v1/batch", {"batch": events}).json()["stored"] == 1050

    def test_a_bad_key_in_a_bad_body_learns_nothing(self, post):
        assert post("/v1/batch", b"{", headers={}).status_code == 401

    def test_the_key_is_not_kept_with_an_unreadable_body(self, post):
        post("/v1/batch", b'{"writeKey": "' + post.plain.encode() + b'"')
        assert post.plain not in RejectedEvent.objects.get().raw

    def test_an_unreadable_body_is_kept_whole_and_as_it_was_before_it_was_packed(self, post):
        text = json.dumps(
            {"batch": [{**TRACK, "properties": {"a": float("nan"), "b": "x" * 200_000}}]}
        )
        headers = {"Authorization": basic(post.plain), "Content-Encoding": "gzip"}
        answer = post("/v1/batch", gzip.compress(text.encode()), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_a_number")
        row = RejectedEvent.objects.get()
        assert row.raw == text
        mended = row.raw.replace("NaN", "null")
        assert quarantine.replay(row, mended, by=None, now=timezone.now()).stored

    def test_half_a_character_does_not_lose_the_batch(self, post):
        response = post(
            "/v1/batch", b'{"batch": [{"type": "track", "event": "e \\ud83d", "userId": "u"}]}'
        )
        assert response.json()["stored"] == 1

    def test_a_nul_character_is_refused_for_its_event_alone(self, post):
        batch = {"batch": [TRACK, {**TRACK, "messageId": "m2", "properties": {"a": "\x00"}}]}
        response = post("/v1/batch", batch)
        assert response.status_code == 200
        assert [each.get("code") for each in response.json()["events"]] == [None, "nul_character"]

    @pytest.mark.parametrize("content", ["text", 7, None, {}, {"batch": "x"}, {"batch": {}}, [7]])
    @pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
    def test_json_that_is_no_batch_is_reported_and_quarantined(self, post, path, content):
        response = post(path, content)
        assert (response.status_code, response.json()["rejected"]) == (200, 1)
        assert RejectedEvent.objects.count() == 1

    @pytest.mark.parametrize("number", [10**400, 1.5e300, "1e999", -(2**63) - 1])
    def test_numbers_of_any_size_are_stored(self, post, number):
        text = json.dumps({**TRACK, "properties": {"n": 0}}).replace('"n": 0', f'"n": {number}')
        assert post("/v1/track", text.encode()).json()["stored"] == 1
        assert Event.objects.get().properties["n"]

    def test_unknown_keys_are_kept(self, post):
        post("/v1/track", {**TRACK, "channel": "server", "_metadata": {"a": 1}, "zebra": [1]})
        extra = Event.objects.get().extra
        assert (extra["channel"], extra["_metadata"], extra["zebra"]) == ("server", {"a": 1}, [1])

    def test_the_context_of_the_batch_holds_for_its_messages(self, post):
        own = {**TRACK, "messageId": "m2", "context": {"groupId": "beta"}}
        post("/v1/batch", {"batch": [TRACK, own, "x"], "context": {"groupId": "acme"}})
        found = Event.objects.order_by("message_id").values_list("account__external_id", flat=True)
        assert list(found) == ["acme", "beta"]


class TestAnswers:
    def test_the_same_batch_again_is_told_as_duplicates(self, post):
        post("/v1/batch", {"batch": [TRACK]})
        told = post("/v1/batch", {"batch": [TRACK]}).json()
        assert (told["stored"], told["duplicates"]) == (0, 1)
        assert told["events"][0]["status"] == "duplicate"

    def test_bad_members_are_told_in_their_place(self, post):
        batch = [{"type": "wave"}, TRACK, {"type": "track", "messageId": "x"}]
        told = post("/v1/batch", {"batch": batch}).json()
        assert [each["status"] for each in told["events"]] == ["rejected", "stored", "rejected"]
        assert told["events"][2]["messageId"] == "x"
        assert RejectedEvent.objects.count() == 2

    def test_without_a_database_it_is_503_and_a_time_to_come_back(self, post):
        with connection.execute_wrapper(failing(OperationalError("server closed the connection"))):
            response = post("/v1/batch", {"batch": [TRACK]})
        assert (response.status_code, response.json()["code"]) == (503, "unavailable")
        assert 1 <= int(response["Retry-After"]) <= 300

    def test_a_fault_of_ours_is_500_in_json(self, post):
        with connection.execute_wrapper(failing(ProgrammingError("no such column"))):
            response = post("/v1/batch", {"batch": [TRACK]})
        assert (response.status_code, response.json()["code"]) == (500, "internal_error")

    def test_an_import_is_marked_as_the_past(self, post):
        post("/v1/import", {"batch": [{**TRACK, "timestamp": "2020-01-01T00:00:00Z"}]})
        post("/v1/batch", {"batch": [{**TRACK, "messageId": "m2"}], "historical": True})
        assert list(Event.objects.values_list("historical", flat=True)) == [True, True]

    def test_the_clock_of_the_batch_corrects_its_events(self, post):
        past = timezone.now() - timedelta(days=1)
        post(
            "/v1/batch",
            {"sentAt": past.isoformat(), "batch": [{**TRACK, "timestamp": past.isoformat()}]},
        )
        assert timezone.now() - Event.objects.get().occurred_at < timedelta(minutes=1)


class TestOfficialExamples:
    def test_all_69_are_stored_one_by_one_or_known_already(self, post):
        seen = set()
        for each in EXAMPLES["examples"]:
            message = each["example"]
            response = post(f"/v1/{message.get('type') or message['action']}", message)
            (told,) = response.json()["events"]
            expected = "duplicate" if told["messageId"] in seen else "stored"
            seen.add(told["messageId"])
            assert (response.status_code, told["status"]) == (200, expected), message
        assert len(EXAMPLES["examples"]) == 69
        assert Event.objects.count() == len(seen)

    def test_all_69_are_stored_in_one_batch(self, post):
        batch = [each["example"] for each in EXAMPLES["examples"]]
        told = post("/v1/batch", {"batch": batch}).json()
        assert told["rejected"] == 0
        assert told["stored"] + told["duplicates"] == 69
        assert RejectedEvent.objects.count() == 0

    @pytest.mark.parametrize("number", range(5))
    def test_the_5_that_are_broken_as_printed_are_400(self, post, number):
        text = EXAMPLES["printed_but_invalid_json"][number]["text"]
        response = post("/v1/track", text.encode())
        assert (response.status_code, response.json()["code"]) == (400, "invalid_json")
        assert RejectedEvent.objects.get().raw == text


class TestPostHog:
    def test_its_messages_are_understood(self, post):
        batch = [
            {
                "event": "$identify",
                "distinct_id": "ada",
                "properties": {"$anon_distinct_id": "a1"},
                "$set": {"email": "ada@x.example"},
                "uuid": "1",
            },
            {
                "event": "$groupidentify",
                "distinct_id": "$company_acme",
                "properties": {
                    "$group_type": "company",
                    "$group_key": "acme",
                    "$group_set": {"name": "Acme"},
                },
                "uuid": "2",
            },
            {
                "event": "api_key_created",
                "properties": {"distinct_id": "ada", "$groups": {"company": "acme"}},
                "uuid": "3",
            },
            {
                "event": "$create_alias",
                "distinct_id": "old",
                "properties": {"distinct_id": "old", "alias": "ada"},
                "uuid": "4",
            },
            {
                "event": "$pageview",
                "distinct_id": "a1",
                "properties": {"$current_url": "https://x.example/docs"},
                "uuid": "5",
            },
        ]
        response = post(
            "/batch/", {"api_key": post.plain, "batch": batch, "sent_at": None}, headers={}
        )
        assert response.json()["stored"] == 5
        assert Person.objects.get(external_id="ada").email == "ada@x.example"
        assert Account.objects.get().name == "Acme"
        assert Event.objects.get(message_id="3").account.external_id == "acme"
        assert Event.objects.get(message_id="5").type == "page"

    def test_who_identifies_is_whoever_visited_before(self, post):
        def send(event, who, **properties):
            message = {"event": event, "distinct_id": who, "properties": properties, "uuid": event}
            return post("/batch/", {"api_key": post.plain, "batch": [message]}, headers={})

        send("$pageview", "visitor", **{"$current_url": "https://x.example/docs"})
        send("docs_viewed", "visitor")
        told = send("$identify", "ada", **{"$anon_distinct_id": "visitor"}).json()["events"]
        assert [(each["messageId"], each["status"]) for each in told] == [("$identify", "stored")]
        send("$groupidentify", "ada", **{"$group_key": "acme"})
        send("pricing_viewed", "visitor")
        people = Event.objects.exclude(type="group").values_list("person__external_id", flat=True)
        assert set(people) == {"ada"}
        assert Person.objects.get(merged_into=None).external_id == "ada"

    @pytest.mark.parametrize("beside", [True, False])
    @pytest.mark.parametrize("event", ["$identify", "$set", "$pageview", "docs_viewed"])
    def test_what_any_message_says_of_its_person_reaches_them(self, post, event, beside):
        def send(**said):
            message = {"event": event, "distinct_id": "ada", "properties": {}, "uuid": str(said)}
            (message if beside else message["properties"]).update(said)
            post("/batch/", {"api_key": post.plain, "batch": [message]}, headers={})

        send(**{"$set": {"name": "Ada", "plan": "free"}, "$set_once": {"plan": "x", "from": "ads"}})
        send(**{"$set": {"plan": "pro"}, "$set_once": {"from": "mail", "email": "a@x.example"}})
        send(**{"$set_once": {"email": "b@x.example", "name": "Other"}})
        send(**{"$set": ["no object"], "$set_once": "nor this"})
        ada = Person.objects.get()
        assert ada.traits == {"name": "Ada", "plan": "pro", "from": "ads", "email": "a@x.example"}
        assert (ada.name, ada.email) == ("Ada", "a@x.example")
        assert Event.objects.count() == 4

    def test_what_fills_blanks_leaves_what_staff_wrote(self, post):
        PersonFactory(external_id="ada", name="Ada Lovelace")
        said = {"$set_once": {"name": "ada1815", "firstName": "A."}}
        message = {"event": "docs_viewed", "distinct_id": "ada", **said}
        post("/batch/", {"api_key": post.plain, "batch": [message]}, headers={})
        assert Person.objects.get().name == "Ada Lovelace"


def test_a_role_reaches_the_membership(post):
    post("/v1/group", {"userId": "ada", "groupId": "acme", "traits": {"role": "admin"}})
    assert Membership.objects.get().role == "admin"


def test_the_openapi_document_names_every_route():
    document = Client().get("/events/openapi.json").json()
    assert set(document["paths"]) == set(ROUTES)


def test_the_page_about_the_routes_loads_nothing_from_another_host():
    page = Client().get("/events/api/").content.decode()
    assert "swagger-ui" in page
    assert "https://cdn" not in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has its lock_timeout")
def test_while_another_holds_sqlites_write_lock_a_client_is_asked_to_come_back(post, monkeypatch):
    monkeypatch.setattr("events.api.endpoint.BUSY_MILLISECONDS", 100)
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    response = post("/v1/track", TRACK)
    other.close()
    # What the request set must not outlive it; the test client does not close the connection.
    connection.close()
    assert time.monotonic() - began < 8
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert 1 <= int(response["Retry-After"]) <= 300
    assert post("/v1/track", TRACK).json()["stored"] == 1
    connection.close()
