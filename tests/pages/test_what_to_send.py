"""What to send: what each live journey needs, what has been seen of it, and code that tells it."""

import shlex
from datetime import UTC, datetime, timedelta

import pytest
import segment.analytics
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Environment
from events import catalogue, keys, traffic
from events.ingest import ingest
from events.models import Event, EventName, EventType
from lifecycle.engine import journey as language
from lifecycle.journeys import blueprint
from lifecycle.pages import meaning
from lifecycle.pages.needed import plans
from lifecycle.pages.snippets import WRITE_KEY, snippets
from lifecycle.pages.what_to_send import live_documents
from tests.factories import IngestKeyFactory, UserFactory
from tests.runner import scenes
from tests.runner.scenes import T0

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def nothing_remembered():
    catalogue.forget()
    keys.forget()
    yield
    catalogue.forget()
    keys.forget()


@pytest.fixture
def backend():
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    return scenes.backend()


@pytest.fixture
def shipped(db):
    """The blueprint, live."""
    blueprint.load()
    long_ago = T0 - 30 * DAY
    blueprint.publish_all(
        author=UserFactory(), reviewer=UserFactory(), now=long_ago, since=long_ago
    )


def plan(now=T0):
    return plans(live_documents(), now=now)[0]


def needed(name: str, now=T0):
    return next(event for event in plan(now).events if event.name == name)


def test_the_minimum_is_the_start_every_step_and_two_kinds_of_errors(shipped):
    parts = {
        one.document.key: [part.events for part in one.minimum]
        for one in plans(live_documents(), now=T0)
    }
    assert parts["domain"] == [
        ("integration_started",),
        ("domain_verified",),
        ("sending_enabled", "authentication_check_passed"),
        ("dns_check_failed",),
        ("dns_check_failed",),
    ]
    assert parts.keys() == {"api", "domain", "data"}


def test_an_event_that_never_came_says_what_stays_off_without_it(backend):
    event = needed("api_key_created")
    assert (event.standing, event.minimum) == ("never", "minimum")
    assert "no setup that needs it ever counts as working" in event.without


def test_an_event_that_came_is_counted_and_marks_its_part_of_the_minimum(backend):
    backend.starts(0)
    backend.tells("api_key_created", 1)
    now = T0 + timedelta(hours=1)
    event = needed("api_key_created", now)
    assert (event.standing, event.traffic.total) == ("seen", 1)
    seen = {part.events[0] for part in plan(now).minimum if part.seen}
    assert seen == {"integration_started", "api_key_created"}


def test_an_event_that_breaks_its_schema_says_so_with_the_reason(backend):
    EventType.objects.filter(name="api_key_created").update(schema={"required": ["provider"]})
    catalogue.forget()
    backend.tells("api_key_created", 0)
    backend.tells("api_key_created", 1, provider="stripe")
    event = needed("api_key_created", T0 + timedelta(hours=1))
    assert event.standing == "failing"
    assert event.trouble == "50 % are not as they should be. provider is missing."


def test_an_event_whose_properties_never_pass_the_tests_counts_for_nothing(backend):
    backend.tells("first_api_call_success", 0, environment="prod")
    event = needed("first_api_call_success", T0 + timedelta(hours=1))
    assert event.standing == "not counting"
    assert "environment is production" in event.trouble
    assert "first_api_call_success" in {part.events[0] for part in plan().missing}


def test_what_arrives_under_another_name_is_seen_as_ours(backend):
    ours = EventType.objects.get(name="api_key_created")
    EventName.objects.create(name="API Key Generated", event_type=ours)
    backend.tells("API Key Generated", 0)
    event = needed("api_key_created", T0 + timedelta(hours=1))
    assert (event.standing, event.arrives_as) == ("seen", ("API Key Generated",))


def test_what_came_before_the_last_seven_days_is_seen_but_quiet(backend):
    EventType.objects.filter(name="api_key_created").update(last_seen_at=T0 - 30 * DAY)
    assert needed("api_key_created").standing == "quiet"


def test_an_events_properties_come_with_what_the_journey_tests(backend):
    schema = {"required": ["a"], "properties": {"b": {"type": ["integer", "null"]}, "a": {}}}
    EventType.objects.filter(name="first_api_call_success").update(schema=schema)
    rows = [(each.name, each.kind, each.required, each.decides)
            for each in needed("first_api_call_success").properties]  # fmt: skip
    assert rows == [
        ("a", "", True, False),
        ("environment", "", False, True),
        ("b", "whole number", False, False),
    ]


def test_a_schema_that_makes_no_sense_does_not_hide_the_event(backend):
    schema = {"required": [["a"]], "properties": {"b": {"type": [["string"], 5]}}}
    EventType.objects.filter(name="first_api_call_success").update(schema=schema)
    names = [each.name for each in needed("first_api_call_success").properties]
    assert names == ["environment", "b"]


def test_the_code_for_curl_tells_all_of_the_minimum_of_every_journey(shipped):
    _, plain = keys.create("backend")
    for one in plans(live_documents(), now=datetime.now(UTC)):
        line = snippets(one, site="http://testserver")[2].text
        words = shlex.split(line.replace("\\\n", ""))
        headers = {"Authorization": f"Bearer {plain}"}
        url, body = words[3].removeprefix("http://testserver"), words[words.index("-d") + 1]
        answer = Client().post(url, body, content_type="application/json", headers=headers)
        assert answer.json()["rejected"] == 0
    for one in plans(live_documents(), now=datetime.now(UTC) + timedelta(minutes=1)):
        assert (one.missing, one.in_trouble) == ([], 0), one.document.key
    assert not Event.objects.filter(problems__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
def test_the_code_for_python_runs_as_it_stands(shipped, live_server):
    _, plain = keys.create("backend")
    one = next(each for each in plans(live_documents(), now=T0) if each.document.key == "api")
    text = snippets(one, site=live_server.url)[0].text
    try:
        exec(compile(text.replace(WRITE_KEY, plain), "snippet", "exec"), {})  # noqa: S102
    finally:
        client, segment.analytics.default_client = segment.analytics.default_client, None
        client.join()
    names = set(Event.objects.exclude(name="").values_list("name", flat=True))
    assert names >= {"integration_started", "api_key_created", "first_api_call_success"}
    assert not Event.objects.filter(account=None).exclude(type="identify").exists()


def test_the_pages_name_this_installation_and_lead_to_a_key(backend, as_role, settings):
    settings.SITE_URL = "https://setup.company.example"
    client = as_role("engineer")
    assert "/events/what-to-send/api/" in client.get("/events/what-to-send/").content.decode()
    text = client.get("/events/what-to-send/api/").content.decode()
    assert "https://setup.company.example/v1/batch" in text
    assert "make one for tests" in text
    assert "make one for tests" not in (
        as_role("marketer").get("/events/what-to-send/api/").content.decode()
    )


def test_names_from_outside_are_text(as_role):
    hostile = """<script>alert("x")</script>'"</code>"""
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API, name=hostile))
    kind = {
        "description": hostile,
        "example": {hostile: hostile},
        "schema": {"required": [hostile]},
    }
    EventType.objects.filter(name="api_key_created").update(**kind)
    catalogue.forget()
    scenes.backend().tells("api_key_created", 0, **{hostile: hostile})
    client = as_role("engineer")
    for page in ("/events/what-to-send/", "/events/what-to-send/api/", "/events/live/"):
        text = client.get(page).content.decode()
        assert "<script>alert" not in text, page
        assert "&lt;script&gt;alert" in text, page


def test_a_journey_that_is_not_live_has_no_page(as_role):
    assert as_role("engineer").get("/events/what-to-send/api/").status_code == 404


def test_the_number_of_queries_does_not_grow_with_journeys_or_events(shipped):
    def queries(documents) -> int:
        with CaptureQueriesContext(connection) as seen:
            plans(documents, now=T0)
        return len(seen)

    documents = live_documents()
    assert queries(documents) == queries(documents[:1])


def test_only_the_newest_events_are_counted_and_the_page_says_from_when(backend, monkeypatch):
    monkeypatch.setattr(traffic, "MOST_COUNTED", 3)
    for minute in range(5):
        backend.tells("api_key_created", minute)
    week = traffic.of_week({"api_key_created"}, now=T0 + timedelta(hours=1))
    assert week.by_name["api_key_created"].total == 3
    assert week.since == T0 + timedelta(minutes=2)


def test_traffic_is_told_by_day_with_the_share_of_tests():
    test = IngestKeyFactory(environment=Environment.TEST)
    real = IngestKeyFactory()
    for key, days in ((real, 0), (real, 0), (test, 1), (real, 6), (real, 8)):
        message = {"type": "track", "userId": "ada", "event": "tried", "n": days}
        ingest([message | {"messageId": f"{key}{days}{Event.objects.count()}"}],
               key=key, now=T0 - days * DAY)  # fmt: skip
    week = traffic.of_week({"tried", "identify"}, now=T0)
    assert week.by_name["tried"].days == [1, 0, 0, 0, 0, 1, 2]
    assert (week.by_name["tried"].test, week.by_name["tried"].last_seen_at) == (1, T0)
    assert (week.by_name["identify"].total, week.since) == (0, None)


def test_the_catalogue_remembers_when_a_name_was_seen_at_most_once_a_minute(
    django_assert_num_queries,
):
    EventType.objects.create(name="tried")
    EventName.objects.create(name="Tried It", event_type=EventType.objects.get(name="tried"))
    catalogue.note_seen({"Tried It", "unheard of", ""}, now=T0)
    with django_assert_num_queries(0):
        catalogue.note_seen({"Tried It"}, now=T0 + timedelta(seconds=30))
    assert EventType.objects.get().last_seen_at == T0


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (language.Test("a", "eq", "x"), "a is x"),
        (language.Test("a", "ne", None), "a is not empty"),
        (language.Test("a", "in", ("x", 2)), "a is one of x, 2"),
        (language.Test("a", "not_in", (True,)), "a is none of true"),
        (language.Test("a", "exists"), "a is given"),
        (language.Test("a", "gte", 3), "a is at least 3"),
        (language.Test("a", "lte", 3.5), "a is at most 3.5"),
    ],
)
def test_a_journeys_tests_are_told_in_words(test, said):
    assert meaning.conditions([test]) == said


def test_the_catalogue_says_which_journeys_each_event_feeds(backend, as_role):
    client = as_role("engineer")
    row = EventType.objects.get(name="first_api_call_success")
    listed = client.get(reverse("admin:events_eventtype_changelist")).content.decode()
    opened = client.get(reverse("admin:events_eventtype_change", args=[row.pk])).content.decode()
    for text in (listed, opened):
        assert f"{scenes.API.name} reaches" in text
        assert "where environment is production" in text
