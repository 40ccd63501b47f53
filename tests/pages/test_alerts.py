"""The support desk: who has an alert, and what that means for mail."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models import Event
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.pages.alerts import place_of
from tests.factories import AccountFactory, UserFactory
from tests.pages.scenes import alert_about, enrolled, journey, version

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def enrolment(now):
    return enrolled(version(journey()), started=now, key="provider:acme")


def holds(account) -> list[str]:
    rows = Event.objects.filter(account=account, source="staff").order_by("pk")
    return [name.removeprefix("staff_hold_") for name in rows.values_list("name", flat=True)]


def press(client, route: str, alert: Alert, form=None, **more):
    return client.post(reverse(route, args=[alert.pk]), form or {}, follow=True, **more)


def test_the_same_trouble_is_one_alert_until_it_is_resolved(now):
    first = alert_about(None, now, dedupe_key="same")
    again = {"kind": "step", "dedupe_key": "same", "title": "Again", "now": now}
    assert desk.open_alert(**again) is None
    desk.resolve(first.pk, resolution="Called them", now=now)
    assert desk.open_alert(**again) is not None


def test_an_alert_that_is_wrong_for_another_reason_raises(now):
    with pytest.raises(IntegrityError):
        desk.open_alert(kind=None, dedupe_key="x", title="x", now=now)  # type: ignore[arg-type]


def test_only_the_first_of_two_takes_an_alert(now):
    alert, ada, bob = alert_about(None, now), UserFactory(), UserFactory()
    assert desk.take(alert.pk, by=ada, now=now)
    assert not desk.take(alert.pk, by=bob, now=now)
    alert.refresh_from_db()
    assert (alert.status, alert.taken_by) == (Alert.Status.TAKEN, ada)


def test_taking_an_alert_is_written_to_the_accounts_log_with_the_setup_it_holds(enrolment, now):
    alert = alert_about(enrolment, now)
    desk.take(alert.pk, by=UserFactory(username="ada"), now=now)
    event = Event.objects.get(account=enrolment.account)
    assert (event.name, event.source) == ("staff_hold_started", "staff")
    assert event.properties == {
        "alert_id": alert.pk,
        "by": "ada",
        "setup_id": enrolment.setup_id,
        "integration_type": "api",
        "setup_key": "provider:acme",
    }
    enrolment.account.refresh_from_db()
    assert enrolment.account.next_look_at == now


@pytest.mark.parametrize("ending", ["release", "resolve"])
def test_giving_back_and_resolving_end_the_hold(ending, enrolment, now):
    alert, ada = alert_about(enrolment, now), UserFactory()
    desk.take(alert.pk, by=ada, now=now)
    mine = {"by": ada, "held_by": ada.pk, "now": now + HOUR}
    if ending == "release":
        assert desk.release(alert.pk, **mine)
    else:
        assert desk.resolve(alert.pk, resolution="Called them", **mine)
    assert holds(enrolment.account) == ["started", "ended"]


def test_taking_and_giving_back_again_and_again_is_written_each_time(enrolment, now):
    alert, ada = alert_about(enrolment, now), UserFactory()
    for hour in range(2):
        desk.take(alert.pk, by=ada, now=now + hour * HOUR)
        later = now + hour * HOUR + timedelta(minutes=5)
        desk.release(alert.pk, by=ada, held_by=ada.pk, now=later)
    assert holds(enrolment.account) == ["started", "ended"] * 2


def test_an_alert_that_nobody_took_ends_no_hold(enrolment, now):
    alert = alert_about(enrolment, now)
    desk.resolve(alert.pk, resolution="Gone by itself", now=now)
    assert holds(enrolment.account) == []


def test_putting_off_what_one_has_keeps_the_hold(enrolment, now):
    alert, ada = alert_about(enrolment, now), UserFactory()
    mine = {"by": ada, "held_by": ada.pk, "now": now}
    desk.take(alert.pk, by=ada, now=now)
    assert desk.snooze(alert.pk, until=now + HOUR, **mine)
    assert holds(enrolment.account) == ["started"]
    assert desk.release(alert.pk, **mine)
    assert holds(enrolment.account) == ["started", "ended"]


def test_two_alerts_about_one_setup_hold_it_until_the_last_is_done(enrolment, now):
    first, second = alert_about(enrolment, now), alert_about(enrolment, now)
    for alert in (first, second):
        desk.take(alert.pk, by=UserFactory(), now=now)
    desk.resolve(first.pk, resolution="Done", now=now + HOUR)
    assert "ended" not in holds(enrolment.account)
    desk.resolve(second.pk, resolution="Done", now=now + 2 * HOUR)
    assert holds(enrolment.account)[-1] == "ended"


def test_ending_an_accounts_hold_keeps_the_setups_own(enrolment, now):
    whole = alert_about(None, now, account=enrolment.account)
    single = alert_about(enrolment, now)
    for alert in (whole, single):
        desk.take(alert.pk, by=UserFactory(), now=now)
    desk.resolve(whole.pk, resolution="Done", now=now + HOUR)
    last = Event.objects.filter(account=enrolment.account).order_by("pk").last()
    assert last.name == "staff_hold_started"
    assert last.properties["setup_key"] == "provider:acme"


def test_an_alert_without_an_account_holds_nobody(now):
    alert = alert_about(None, now)
    assert desk.take(alert.pk, by=UserFactory(), now=now)
    assert not Event.objects.exists()


def test_a_resolved_alert_moves_no_more(now):
    alert, ada = alert_about(None, now), UserFactory()
    desk.resolve(alert.pk, resolution="Done", now=now)
    assert not desk.take(alert.pk, by=ada, now=now)
    assert not desk.snooze(alert.pk, until=now, by=ada, now=now)
    assert not desk.release(alert.pk, by=ada, held_by=None, now=now)
    assert not desk.resolve(alert.pk, resolution="Again", by=ada, now=now)


def test_a_put_off_alert_waits_again_when_its_time_has_come(now):
    alert = alert_about(None, now)
    desk.snooze(alert.pk, until=now + HOUR, by=UserFactory(), now=now)
    assert alert not in desk.waiting(now)
    assert alert in desk.waiting(now + HOUR)


def test_the_list_shows_mine_apart_from_what_waits(as_role, now):
    client = as_role("support")
    mine = alert_about(None, now, title="Mine to do")
    alert_about(None, now, title="Free to take")
    client.post(reverse("take_alert", args=[mine.pk]))
    groups = {group.key: list(group.alerts) for group in client.get("/alerts/").context["groups"]}
    assert [alert.title for alert in groups["mine"]] == ["Mine to do"]
    assert [alert.title for alert in groups["waiting"]] == ["Free to take"]


def test_a_click_without_scripts_leads_back_to_the_list_and_says_what_came_of_it(as_role, now):
    alert = alert_about(None, now)
    answer = as_role("support").post(reverse("take_alert", args=[alert.pk]), follow=True)
    assert answer.redirect_chain == [("/alerts/", 302)]
    assert "It is yours now." in answer.content.decode()


def test_a_click_with_scripts_gets_its_alert_alone_with_what_came_of_it(as_role, now):
    alert, other = alert_about(None, now), alert_about(None, now, title="Something else")
    answer = as_role("support").post(reverse("take_alert", args=[alert.pk]), headers=HTMX)
    text = answer.content.decode()
    assert text.lstrip().startswith(f'<article class="panel" id="alert-{alert.pk}">')
    assert "It is yours now." in text
    assert "banner-good" in text
    assert other.title not in text


def test_every_alert_stands_where_a_click_on_it_would_show_it(as_role, staff_user, now):
    client, me, ada = as_role("support"), staff_user("support"), UserFactory()
    moment, late = timezone.now(), timezone.now() + HOUR
    for taken_by in (None, me, ada):
        for until in (None, moment - HOUR, late):
            alert = alert_about(None, now)
            if taken_by:
                desk.take(alert.pk, by=taken_by, now=moment)
            if until:
                held_by = taken_by and taken_by.pk
                desk.snooze(alert.pk, until=until, by=me, held_by=held_by, now=moment)
    groups = client.get("/alerts/").context["groups"]
    shown = [(group.key, alert) for group in groups for alert in group.alerts]
    assert len(shown) == 9
    assert {key for key, _ in shown} == {"mine", "waiting", "later", "others"}
    assert all(place_of(alert, me, moment) == key for key, alert in shown)


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize("route", ["take_alert", "release_alert", "snooze_alert"])
def test_what_was_typed_outlives_another_button(route, headers, as_role, staff_user, now):
    alert = alert_about(None, now)
    if route != "take_alert":
        desk.take(alert.pk, by=staff_user("support"), now=now)
    form = {"resolution": "Called <them>", "hours": "24"}
    form["held_by"] = "" if route == "take_alert" else staff_user("support").pk
    text = press(as_role("support"), route, alert, form, headers=headers).content.decode()
    assert "Called &lt;them&gt;" in text


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_being_second_is_said(headers, as_role, now):
    alert = alert_about(None, now)
    desk.take(alert.pk, by=UserFactory(username="ada"), now=now)
    text = press(as_role("support"), "take_alert", alert, headers=headers).content.decode()
    assert "Somebody else was first." in text
    assert "with <bdi>ada</bdi>" in text


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize("route", ["release_alert", "resolve_alert", "snooze_alert"])
def test_a_window_from_before_a_colleague_took_it_changes_nothing_and_loses_nothing(
    route, headers, as_role, staff_user, enrolment, now
):
    alert, me, ada = alert_about(enrolment, now), staff_user("support"), UserFactory(username="ada")
    desk.take(alert.pk, by=me, now=now)
    desk.release(alert.pk, by=me, held_by=me.pk, now=now + HOUR)
    desk.take(alert.pk, by=ada, now=now + 2 * HOUR)
    form = {"held_by": me.pk, "resolution": "Called <them>", "hours": "24"}
    text = press(as_role("support"), route, alert, form, headers=headers).content.decode()
    assert "Somebody else was first." in text
    assert "with <bdi>ada</bdi>" in text
    assert "Called &lt;them&gt;" in text
    alert.refresh_from_db()
    assert (alert.status, alert.taken_by) == (Alert.Status.TAKEN, ada)
    assert holds(enrolment.account)[-1] == "started"


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_what_was_typed_is_shown_when_a_colleague_resolved_it_first(
    headers, as_role, staff_user, now
):
    alert, me = alert_about(None, now), staff_user("support")
    desk.resolve(alert.pk, resolution="Wrote to them", by=UserFactory(username="ada"), now=now)
    form = {"held_by": me.pk, "resolution": "Called them"}
    answer = press(as_role("support"), "resolve_alert", alert, form, headers=headers)
    text = answer.content.decode()
    assert "Somebody else was first." in text
    assert "What you typed: Called them" in text
    assert "Resolved by <bdi>ada</bdi>: Wrote to them" in text


def test_what_a_colleague_has_put_off_is_taken_only_by_whoever_saw_that(as_role, now):
    alert, ada = alert_about(None, now), UserFactory()
    desk.take(alert.pk, by=ada, now=now)
    desk.snooze(alert.pk, until=now + HOUR, by=ada, held_by=ada.pk, now=now)
    client = as_role("support")
    press(client, "take_alert", alert, {"held_by": ""})
    alert.refresh_from_db()
    assert alert.taken_by == ada
    press(client, "take_alert", alert, {"held_by": ada.pk})
    alert.refresh_from_db()
    assert alert.taken_by.username == "support"


def test_what_nobody_has_is_put_off_or_resolved_by_anybody_who_then_had_it(as_role, now):
    alert, client = alert_about(None, now), as_role("support")
    press(client, "snooze_alert", alert, {"held_by": ""})
    press(client, "resolve_alert", alert, {"held_by": "", "resolution": "Called them"})
    alert.refresh_from_db()
    assert (alert.resolution, alert.taken_by.username) == ("Called them", "support")


def test_putting_off_takes_only_the_lengths_that_are_offered(as_role):
    alert = alert_about(None, timezone.now())
    as_role("support").post(reverse("snooze_alert", args=[alert.pk]), {"hours": "999999"})
    alert.refresh_from_db()
    assert alert.snoozed_until - timezone.now() < 25 * HOUR


def test_the_page_says_what_waits_while_an_alert_is_taken(as_role):
    text = as_role("support").get("/alerts/").content.decode()
    assert "reminders about its setup wait" in text
    assert "the account gets no more reminders" not in text


def test_when_a_put_off_alert_comes_back_is_said_with_its_zone(as_role, now):
    alert, late = alert_about(None, now), timezone.now() + 2 * HOUR
    desk.snooze(alert.pk, until=late, by=UserFactory(), now=now)
    text = as_role("support").get("/alerts/").content.decode()
    assert f"put off until {late:%-d %b, %H:%M} UTC" in text


def test_an_alert_that_does_not_exist_is_a_404(as_role):
    assert as_role("support").post(reverse("take_alert", args=[999])).status_code == 404


def test_more_alerts_than_fit_are_counted_and_led_to(as_role, now, monkeypatch):
    monkeypatch.setattr("lifecycle.pages.alerts.SHOWN", 2)
    client = as_role("support")
    for number in range(5):
        alert_about(None, now + number * HOUR, title=f"Trouble {number}")
    text = client.get("/alerts/").content.decode()
    assert "1 to 2 of 5" in text
    assert 'href="?waiting=2#waiting"' in text
    last = client.get("/alerts/", {"waiting": "3"}).content.decode()
    assert "Trouble 4" in last
    assert "5 to 5 of 5" in last
    assert client.get("/alerts/", {"waiting": "9" * 5000}).status_code == 200


def asked(client, **query):
    return client.get(reverse("new_alerts"), query, headers=HTMX)


def test_new_alerts_are_counted_once_and_shown_alone(as_role, now):
    old, client = alert_about(None, now, title="Old one"), as_role("support")
    assert client.get("/alerts/").context["newest"] == old.pk
    assert asked(client, after=old.pk, told="0").status_code == 204
    alert_about(None, now, title="New one")
    gone = alert_about(None, now, title="Gone again")
    desk.resolve(gone.pk, resolution="Done", now=now)
    said = asked(client, after=old.pk, told="0").content.decode()
    assert "1 new alert: show" in said
    assert "New one" not in said
    assert asked(client, after=old.pk, told="1").status_code == 204
    shown = asked(client, after=old.pk, show="1").content.decode()
    assert "New one" in shown
    assert "Old one" not in shown
    assert "new alert" not in shown.split('id="new-alerts"')[1].split(">", 1)[1]


def test_asking_for_new_alerts_without_scripts_leads_to_the_list(as_role):
    assert as_role("support").get(reverse("new_alerts")).url == "/alerts/"


def test_the_list_asks_as_many_questions_for_many_alerts_as_for_one(as_role, now):
    client, on = as_role("support"), version(journey())
    alert_about(enrolled(on), now)
    client.get("/alerts/")
    with CaptureQueriesContext(connection) as for_one:
        client.get("/alerts/")
    for _ in range(5):
        alert_about(enrolled(on), now, account=AccountFactory())
    with CaptureQueriesContext(connection) as for_many:
        client.get("/alerts/")
    assert len(for_many) == len(for_one)
