"""Events as a file, and the mails that went out while events sent by mistake counted."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import openpyxl
import pytest
from django.urls import reverse

from events import export, voiding
from events.models import Event, Void
from lifecycle.pages import mistaken
from tests.factories import AccountFactory, PersonFactory, UserFactory, created
from tests.runner import scenes

pytestmark = pytest.mark.django_db
FILE = "/events/export/file/"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAYS = {"first": "2026-03-09", "last": "2026-03-10"}


def event(name: str, at: datetime = NOON, **more) -> Event:
    number = Event.objects.count()
    times = {"received_at": at, "occurred_at": at}
    return created(
        Event, source="key:1", message_id=f"m{number}", type="track", name=name, **times, **more
    )


def lines(client, **asked: str) -> list[dict[str, str]]:
    answer = client.get(FILE, {**DAYS, **asked})
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_a_file_holds_one_line_per_event_with_ids_and_properties(as_role):
    account, person = AccountFactory(external_id="acme"), PersonFactory(external_id="ada")
    event("tried", account=account, person=person, properties={"a": "ä"}, historical=True)
    (line,) = lines(as_role("engineer"))
    assert (line["name"], line["account"], line["person"]) == ("tried", "acme", "ada")
    assert (line["properties"], line["historical"]) == ('{"a": "ä"}', "yes")


def test_it_is_chosen_by_account_name_and_whole_days(as_role):
    acme = AccountFactory(external_id="acme")
    event("early", datetime(2026, 3, 8, 23, 59, tzinfo=UTC))
    event("first", datetime(2026, 3, 9, 0, 0, tzinfo=UTC))
    event("last", datetime(2026, 3, 10, 23, 59, tzinfo=UTC), account=acme)
    event("late", datetime(2026, 3, 11, 0, 0, tzinfo=UTC), account=acme)
    client = as_role("analyst")
    assert [line["name"] for line in lines(client)] == ["first", "last"]
    assert [line["name"] for line in lines(client, account="acme")] == ["last"]
    assert [line["name"] for line in lines(client, name="first")] == ["first"]
    assert lines(client, account="nobody") == []


def test_a_spreadsheet_says_the_same(as_role):
    event("tried", properties={"long": "x" * 40_000})
    answer = as_role("engineer").get(FILE, {**DAYS, "format": "xlsx"})
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    heading, row = list(book.active.iter_rows(values_only=True))
    assert heading == export.COLUMNS
    assert (row[6], len(row[12])) == ("tried", export.LONGEST_CELL)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(kind, as_role):
    event('=HYPERLINK("https://evil.example")\x1f', anonymous_id="@SUM(1)")
    answer = as_role("engineer").get(FILE, {**DAYS, "format": kind})
    content = b"".join(answer.streaming_content)
    if kind == "xlsx":
        row = list(openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True))[
            1
        ]
    else:
        row = list(csv.reader(io.StringIO(content.decode())))[1]
    assert (row[6], row[9]) == ('\'=HYPERLINK("https://evil.example")', "'@SUM(1)")


def test_a_file_is_never_longer_than_said(as_role, monkeypatch):
    monkeypatch.setattr(export, "MOST_ROWS", 3)
    for number in range(5):
        event(f"e{number}")
    client = as_role("engineer")
    assert [line["name"] for line in lines(client)] == ["e0", "e1", "e2"]
    assert "More than 3 events" in client.get("/events/export/", DAYS).content.decode()


def test_the_queries_do_not_grow_with_the_rows(django_assert_max_num_queries):
    for number in range(30):
        event(f"e{number}", account=AccountFactory(), person=PersonFactory())
    choice = export.Choice(date(2026, 3, 9), date(2026, 3, 10))
    with django_assert_max_num_queries(1):
        assert len(list(export.as_csv(choice))) == 31


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"first": "soon"}, "A day is written like"),
        ({"first": "2026-03-10", "last": "2026-03-09"}, "before the first"),
        ({"first": "2024-03-10", "last": "2026-03-09"}, "at most a year"),
        ({"last": "0001-01-01"}, "A day is written like"),
        ({"last": "9999-12-31"}, "A day is written like"),
    ],
)
@pytest.mark.parametrize("page", ["/events/export/", FILE])
def test_a_choice_that_makes_no_sense_is_answered_in_words(page, asked, said, as_role):
    answer = as_role("engineer").get(page, asked)
    assert answer.status_code == 422
    assert said in answer.content.decode()


@pytest.mark.parametrize("page", ["/events/export/", FILE])
def test_a_choice_that_makes_no_sense_stays_as_it_was_typed_and_offers_no_file(page, as_role):
    asked = {"first": "2026-03-10", "last": "2026-03-09", "account": "acme", "name": "tried"}
    text = as_role("engineer").get(page, asked).content.decode()
    for value in asked.values():
        assert f'value="{value}"' in text
    assert FILE not in text
    last_day = text[text.index('name="last"') : text.index('name="account"')]
    assert "The last day comes before the first." in last_day
    assert FILE in as_role("engineer").get(page.replace("file/", ""), DAYS).content.decode()


# --- mails sent while mistakes counted ------------------------------------------------------------


@pytest.fixture
def mailed():
    """A reminder that went out because of a start that never happened."""
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    backend.starts(0)
    scenes.until(60)
    assert scenes.mails()
    return backend


def mistake(**more) -> Void:
    times = {"since": scenes.at(-1), "until": scenes.at(30), "reason": "a test in production"}
    return created(Void, name="integration_started", **times, **more)


def test_the_mails_that_had_seen_a_mistaken_event_are_listed_before_and_after(mailed, as_role):
    void = mistake()
    assert mistaken.mails(void).count == len(scenes.mails())
    voiding.apply(void, by=UserFactory(), now=scenes.at(90))
    void.refresh_from_db()
    assert mistaken.mails(void).count == len(scenes.mails())
    page = reverse("admin:events_void_change", args=[void.pk])
    text = as_role("engineer").get(page).content.decode()
    assert "handed over to people of these accounts" in text
    assert "dev@customer.example" in text


def test_mails_from_before_the_mistake_or_after_it_was_taken_out_are_not(mailed):
    other = created(
        Void, name="nothing_like_it", since=scenes.at(-1), until=scenes.at(30), reason="x"
    )
    assert mistaken.mails(other).count == 0
    taken_out_early = mistake(applied_at=scenes.at(0.5), applied_by=UserFactory())
    Event.objects.filter(name="integration_started").update(void=taken_out_early)
    assert mistaken.mails(taken_out_early).count == 0
