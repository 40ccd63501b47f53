"""The live event page: what arrives, what each event did, and a key to try it with."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from events import keys, voiding
from events.models import Event, EventName, EventType, IngestKey, RejectedEvent, Void
from lifecycle.pages.live_events import MOST_LOOKED_AT, arrivals, wanted
from lifecycle.runner.look import look_at
from tests.factories import IngestKeyFactory, UserFactory
from tests.runner import scenes

pytestmark = pytest.mark.django_db
PAGE = "/events/live/"


class Asked(dict):
    """Filters as a request has them."""


def lines(**filters: str):
    return arrivals(wanted(Asked(filters)))


def told() -> dict[str, list[str]]:
    """What the page says that each event did, by the event's name or type."""
    return {
        str(line.event): [effect.text for effect in line.effects] for line in lines() if line.event
    }


@pytest.fixture
def backend():
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    return backend


def looked_at():
    look_at(list(Account.objects.values_list("pk", flat=True)), now=scenes.at(60))


def test_each_event_says_what_the_journeys_made_of_it(backend):
    backend.starts(0, provider="stripe")
    backend.tells("api_key_created", 1, provider="stripe")
    backend.fails(2, provider="stripe")
    said = told()
    name = scenes.API.name
    assert said["integration_started"] == [f"{name}: starts a setup"]
    assert said["api_key_created"][0].startswith(f"{name}: reaches “")
    assert said["auth_failed"][0].startswith(f"{name}: counts as “")
    assert said["group"][0].startswith("Says that the person belongs to the account")


def test_an_event_names_the_setup_it_is_about_and_how_that_stands(backend):
    backend.starts(0, provider="stripe")
    backend.tells("api_key_created", 1, provider="stripe")
    looked_at()
    newest = lines()[0].effects[0]
    assert (newest.setup, newest.standing) == ("Stripe", "1 of 2 steps reached")
    backend.works(2, provider="stripe")
    looked_at()
    standing = {str(line.event): line.effects[0].standing for line in lines()}
    assert standing["first_api_call_success"] == "working"
    assert told()["integration_usable"] == ["Written by this application."]


def test_an_event_that_fits_two_setups_does_not_pretend_to_know_which(backend):
    backend.starts(0, provider="stripe")
    backend.starts(1, provider="hubspot")
    looked_at()
    backend.tells("api_key_created", 2)
    assert lines()[0].effects[0].setup == "one of several setups"


def test_a_name_that_would_count_with_other_properties_says_which(backend):
    backend.starts(0)
    backend.tells("first_api_call_success", 1, environment="sandbox")
    (said,) = told()["first_api_call_success"]
    assert said.startswith("Nothing, though journeys listen to this name")
    assert "environment is production" in said


def test_an_event_of_another_name_says_what_it_is_read_as(backend):
    ours = EventType.objects.get(name="api_key_created")
    EventName.objects.create(name="API Key Generated", event_type=ours)
    backend.tells("API Key Generated", 0)
    newest = lines()[0]
    assert newest.read_as == "api_key_created"
    assert "reaches" in newest.effects[0].text


def test_what_nobody_planned_and_what_only_shows_activity_are_told_apart(backend):
    EventType.objects.create(name="report_opened")
    backend.tells("report_opened", 0)
    backend.tells("report_closed", 1)
    said = told()
    assert said["report_opened"] == ["Shows somebody at work; no journey listens to it."]
    assert "nobody has planned this name" in said["report_closed"][0]


def test_an_event_taken_out_says_so(backend):
    backend.tells("api_key_created", 0)
    void = Void.objects.create(
        name="api_key_created",
        since=scenes.at(-1),
        until=scenes.at(1),
        reason="a wrong release",
    )
    voiding.apply(void, by=UserFactory(), now=scenes.at(2))
    assert told()["api_key_created"] == ["Taken out as sent by mistake; it no longer counts."]


def test_a_refused_event_stands_in_its_place_with_the_way_to_mend_it(backend, as_role):
    backend.tells("api_key_created", 0)
    backend.send({"type": "wave"}, received=1)
    backend.tells("api_key_created", 2)
    kinds = ["rejected" if line.reject else "stored" for line in lines()]
    assert kinds[:3] == ["stored", "rejected", "stored"]
    text = as_role("engineer").get(PAGE).content.decode()
    reject = RejectedEvent.objects.get()
    assert reverse("admin:events_rejectedevent_mend", args=[reject.pk]) in text


def test_it_is_filtered_by_key_by_name_and_by_what_is_wrong(backend):
    other = scenes.Backend(IngestKeyFactory(name="other"))
    backend.tells("api_key_created", 0)
    backend.tells("api_key_created", 1, account=None, by=None)
    other.tells("docs_viewed", 2)
    other.send({"type": "wave"}, received=3)
    EventType.objects.filter(name="auth_failed").update(schema={"required": ["provider"]})
    scenes.catalogue.forget()
    backend.fails(4)

    def shown(**filters: str):
        return [str(line.event or "rejected") for line in lines(**filters)]

    assert shown(key=str(other.key.pk)) == ["rejected", "docs_viewed"]
    assert shown(name="docs_viewed") == ["docs_viewed"]
    assert shown(only="unplaced") == ["api_key_created"]
    assert shown(only="problems") == ["auth_failed"]
    assert shown(only="rejected") == ["rejected"]


@pytest.mark.parametrize("key", ["x", "9" * 30, "-1", "²", "0"])
def test_a_filter_that_makes_no_sense_is_left_out(key, as_role):
    client = as_role("engineer")
    assert client.get(PAGE, {"key": key, "only": "nonsense"}).status_code == 200


def test_it_asks_the_same_number_of_queries_for_one_event_and_for_fifty(backend):
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            for line in lines():
                str(line.event and (line.event.account, line.event.person))
        return len(seen)

    backend.starts(0, account="first")
    queries()  # a process reads each version's document once
    few = queries()
    for number in range(60):
        backend.starts(number, account=f"account-{number}")
        backend.send({"type": "wave", "n": number}, received=number)
    looked_at()
    assert queries() == few


def test_it_looks_back_only_so_far(backend):
    backend.tells("api_key_created", 0)
    first = Event.objects.latest("pk")
    at = timezone.now()
    far = {"occurred_at": at, "received_at": at, "type": "track", "source": "key:0"}
    Event.objects.create(pk=first.pk + MOST_LOOKED_AT, name="far", message_id="far", **far)
    assert [str(line.event) for line in lines()] == ["far"]


def test_the_list_refreshes_itself_with_the_filters_it_has(backend, as_role):
    text = as_role("engineer").get(PAGE, {"only": "unplaced"}).content.decode()
    assert f'hx-get="{PAGE}?only=unplaced"' in text
    assert 'hx-trigger="every 2s [!document.hidden' in text


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_test_key_is_shown_once_inside_the_line_that_uses_it(headers, as_role):
    client = as_role("engineer")
    text = client.post(reverse("make_test_key"), headers=headers).content.decode()
    (plain,) = re.findall(r"lk_[\w-]{20,}", text)
    key = keys.verify(plain)
    assert (key.environment, key.created_by.username) == ("test", "engineer")
    assert f"curl -u {plain}: http" in text.replace("&#x27;", "'").replace("'", "")
    assert plain not in client.get(PAGE).content.decode()
    assert IngestKey.objects.get().name == "Test key of engineer"


def test_without_script_the_page_around_the_new_key_is_whole(as_role):
    assert "<html" in as_role("engineer").post(reverse("make_test_key")).content.decode()


def test_what_was_received_at_last_stands_first(backend):
    backend.tells("api_key_created", 0, received=30)
    backend.tells("docs_viewed", 5, received=10)
    first, second = lines()[:2]
    assert (str(first.event), first.at - second.at) == ("api_key_created", timedelta(minutes=20))
