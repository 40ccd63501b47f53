"""What the roles' lists say: journeys, the review queue, numbers, event health."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Environment
from events.models import Event, RejectedEvent
from lifecycle.pages.event_health import traffic
from lifecycle.pages.journeys import journeys_with_counts
from lifecycle.pages.numbers import median_time, numbers
from lifecycle.pages.reviewing.queue import groups_for
from messaging.models import ChangeSet, Participant, VersionStatus
from tests.factories import AccountFactory, IngestKeyFactory, UserFactory, created
from tests.pages.scenes import enrolled, journey, version

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
PAGES = [
    "/journeys/",
    "/emails/",
    "/reviews/",
    "/reviews/record/",
    "/alerts/",
    "/numbers/",
    "/event-health/",
    "/events/live/",
    "/events/what-to-send/",
    "/events/traits/",
    "/events/export/",
    "/status/",
]


def hours(*lengths: float, finished: bool = True) -> list[tuple[timedelta, bool]]:
    return [(length * HOUR, finished) for length in lengths]


def test_journeys_are_listed_with_their_live_version_and_counts(now):
    api = journey()
    live = version(api)
    version(api, VersionStatus.RETIRED, number=2)
    version(api, VersionStatus.IN_REVIEW, number=3)
    enrolled(live, started=now)
    gone = enrolled(live, started=now)
    gone.left_at, gone.left_reason = now, "usable"
    gone.save()
    row = journeys_with_counts().get()
    assert (row.live_number, row.next_number, row.next_status) == (1, 3, "in_review")
    assert (row.enrolled, row.open_now) == (2, 1)


def test_the_review_queue_has_the_longest_waiting_first_and_marks_ones_own(now):
    ada, bob = UserFactory(username="ada"), UserFactory(username="bob")
    for by, submitted_at in ((ada, now), (bob, now - HOUR)):
        row = created(ChangeSet, title=by.username, status="in_review", submitted_at=submitted_at)
        created(Participant, change_set=row, user=by, part="author")
    created(ChangeSet, title="not yet")
    waiting, drafted = groups_for(ada)
    assert [(row.change_set.title, row.own) for row in waiting.rows] == [
        ("bob", False),
        ("ada", True),
    ]
    assert [row.change_set.title for row in drafted.rows] == ["not yet"]


def test_numbers_count_what_started_and_what_works(now):
    on = version(journey())
    enrolled(on, started=now - 5 * HOUR, usable=now - 3 * HOUR)
    enrolled(on, started=now - 4 * HOUR, usable=now)
    enrolled(on, started=now - 6 * HOUR)
    row = numbers(now)[0]
    assert (row.started, row.working, row.rate) == (3, 2, pytest.approx(2 / 3))
    assert row.median == 4 * HOUR
    assert row.is_small


def test_numbers_leave_out_test_accounts_and_former_attempts(now):
    on = version(journey())
    enrolled(on, account=AccountFactory(environment=Environment.TEST), started=now)
    former = enrolled(on, started=now)
    former.setup.attempt = 2
    former.setup.save()
    row = numbers(now)[0]
    assert (row.started, row.rate, row.median) == (0, None, None)


def test_the_median_counts_the_unfinished():
    # Gehan's leukaemia data, 6-MP arm (Biometrika 52, 1965): the published median is 23 weeks.
    finished = hours(6, 6, 6, 7, 10, 13, 16, 22, 23)
    unfinished = hours(6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35, finished=False)
    assert median_time(finished + unfinished) == 23 * HOUR


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([], None),
        (hours(3), 3 * HOUR),
        (hours(3, finished=False), None),
        (hours(1, 2, 3), 2 * HOUR),
        (hours(1, 2) + hours(5, 6, 7, finished=False), None),
        # At one moment those who finish leave before those who are merely not watched any longer.
        (hours(2) + hours(2, finished=False), 2 * HOUR),
    ],
)
def test_the_median_is_not_known_before_half_have_finished(times, median):
    assert median_time(times) == median


def test_event_health_counts_each_keys_traffic(now):
    key, quiet = IngestKeyFactory(name="a"), IngestKeyFactory(name="b")
    account = AccountFactory()

    def event(number, age, **more):
        at = {"received_at": now - age, "occurred_at": now - age}
        created(Event, source=key.source, message_id=f"m{number}", type="track", **at, **more)

    event(1, timedelta(minutes=5), account=account)
    event(2, 3 * HOUR, account=account)
    event(3, 3 * HOUR)
    event(4, 30 * HOUR, account=account)
    refused = {"code": "bad_time", "detail": "No such month", "raw": "{}", "received_at": now}
    created(RejectedEvent, key=key, raw_hash="a", **refused)
    created(RejectedEvent, key=key, raw_hash="b", status="dismissed", **refused)
    busy, idle = traffic(now)
    assert (busy.last_hour, busy.last_day, busy.unattributed, busy.rejected) == (1, 3, 1, 1)
    assert (idle.key, idle.last_day) == (quiet, 0)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_page_says_what_would_stand_there(page, as_superuser):
    text = as_superuser.get(page).content.decode()
    assert "None" not in text.replace("None yet", "").replace("None: everything", "")


@pytest.mark.parametrize("page", PAGES)
def test_htmx_gets_the_fragment_and_caches_keep_the_two_apart(page, as_superuser):
    whole, part = as_superuser.get(page), as_superuser.get(page, headers={"HX-Request": "true"})
    assert "<html" in whole.content.decode()
    assert part.content.decode().lstrip().startswith("<section id=")
    assert "HX-Request" in whole["Vary"]
    assert "HX-Request" in part["Vary"]


def test_going_back_in_history_gets_the_whole_page(as_superuser):
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in as_superuser.get("/numbers/", headers=headers).content.decode()


def test_names_from_outside_are_text_on_every_page(as_superuser):
    hostile = """<script>alert("x")</script>'"{{ 7|add:7 }}{% url %}"""
    now = timezone.now()
    account = AccountFactory(name=hostile)
    enrolled(version(journey(name=hostile)), account=account, started=now)
    key = IngestKeyFactory(name=hostile)
    at = {"received_at": now, "occurred_at": now}
    created(
        Event, source=key.source, message_id="m", type="track", name=hostile, account=account, **at
    )
    created(
        RejectedEvent, key=key, raw_hash="a", code="x", detail=hostile, raw=hostile, received_at=now
    )
    addresses = [*PAGES, "/admin/accounts/account/", "/admin/journeys/setup/"]
    addresses.append(f"/admin/accounts/account/{account.pk}/change/")
    for address in addresses:
        text = as_superuser.get(address).content.decode()
        assert "<script>alert" not in text, address
        assert "14{%" not in text, address
    assert "&lt;script&gt;alert" in as_superuser.get("/event-health/").content.decode()
