"""The buttons of an account's page, of the status page and of the journeys' list."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Consent, Environment, Membership, Role
from events.models import Event
from lifecycle.journeys.models import Enrolment, Journey, Setup
from lifecycle.runner.look import look_at
from lifecycle.runner.models import ParkedAccount, Pause
from tests.factories import AccountFactory, MembershipFactory, PersonFactory
from tests.pages.rows import make
from tests.pages.scenes import journey, version
from tests.runner import scenes

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def acme(settings) -> Account:
    """An account whose one setup is blocked."""
    settings.ADMIN_OUTREACH = "yes"
    return begun("stripe", fails=3)


def begun(*providers: str, fails: int = 0, **more) -> Account:
    """The account acme, which started these setups an hour ago."""
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    started = minutes_ago(60)
    for provider in providers:
        backend.starts(started, provider=provider)
    backend.fails(*(started + 1 + each for each in range(fails)))
    row = scenes.account()
    look_at([row.pk], now=timezone.now())
    return row


def minutes_ago(number: float) -> float:
    """That moment as the scenes count: minutes after their beginning."""
    return (timezone.now() - scenes.T0) / timedelta(minutes=1) - number


def press(client, route: str, *arguments: int, form=None, **more):
    return client.post(reverse(route, args=arguments), form or {}, **more)


def page(client, account: Account) -> str:
    return client.get(reverse("customer", args=[account.pk])).content.decode()


def test_a_blocked_setup_can_be_unblocked_and_a_running_one_cannot(acme, as_role):
    client = as_role("support")
    assert "Unblock it" in page(client, acme)
    press(client, "unblock_setup", acme.pk, Setup.objects.get().pk)
    assert "Unblock it" not in page(client, acme)
    assert "support unblocked Stripe" in page(client, acme)


def test_a_click_without_scripts_leads_back_and_says_what_came_of_it(acme, as_role):
    setup = Setup.objects.get()
    answer = press(as_role("support"), "stop_setup", acme.pk, setup.pk, follow=True)
    assert answer.redirect_chain == [(reverse("customer", args=[acme.pk]), 302)]
    assert "Nothing more is sent about it." in answer.content.decode()
    assert "Start again" in answer.content.decode()


def test_a_click_with_scripts_gets_the_account_alone(acme, as_role):
    setup = Setup.objects.get()
    answer = press(as_role("support"), "stop_setup", acme.pk, setup.pk, headers=HTMX)
    text = answer.content.decode()
    assert text.lstrip().startswith('<section id="customer">')
    assert "Stopped. Nothing more is sent about it." in text
    assert "HX-Request" in answer["Vary"]


def test_what_makes_no_sense_any_more_is_said_and_changes_nothing(acme, as_role):
    client, setup = as_role("support"), Setup.objects.get()
    press(client, "unblock_setup", acme.pk, setup.pk)
    before = Event.objects.count()
    answer = press(client, "unblock_setup", acme.pk, setup.pk, headers=HTMX)
    assert "Nothing was changed: it is not blocked any more." in answer.content.decode()
    assert Event.objects.count() == before


def test_a_setup_is_steered_only_on_its_own_accounts_page(acme, as_role):
    other = AccountFactory()
    answer = press(as_role("support"), "stop_setup", other.pk, Setup.objects.get().pk)
    assert answer.status_code == 404


def test_stopping_and_starting_again_on_the_page_moves_the_enrolment(acme, as_role):
    client, setup = as_role("support"), Setup.objects.get()
    press(client, "stop_setup", acme.pk, setup.pk)
    look_at([acme.pk], now=timezone.now())
    assert Enrolment.objects.get().left_reason == "stopped_by_staff"
    assert "Staff stopped it." in page(client, acme)
    press(client, "restart_setup", acme.pk, setup.pk)
    look_at([acme.pk], now=timezone.now())
    assert Enrolment.objects.get().left_at is None


@pytest.mark.parametrize("role", ["marketer", "analyst", "engineer"])
def test_whoever_may_only_look_sees_no_buttons(role, acme, as_role):
    text = page(as_role(role), acme)
    assert "Stripe" in text
    for button in ("Unblock it", "Stop it", "Pause the account", "They left"):
        assert button not in text


def test_a_success_in_doubt_shows_a_button_for_each_setup_and_goes_when_placed(as_role):
    acme = begun("stripe", "hubspot")
    scenes.backend().tells("api_key_created", minutes_ago(5))
    client = as_role("support")
    text = page(client, acme)
    assert "A success that could belong to several setups" in text
    assert "silent until it is placed" in text
    event = Event.objects.get(name="api_key_created")
    setup = Setup.objects.get(provider="hubspot")
    address = reverse("place_in_setup", args=[acme.pk, event.pk, setup.pk])
    assert address in text
    assert "It belongs to" not in page(as_role("analyst"), acme)
    as_role("support").post(address)
    look_at([acme.pk], now=timezone.now())
    assert "A success that could belong" not in page(client, acme)
    assert Enrolment.objects.get(setup=setup).stage == "key_created"


def test_a_success_of_somebody_in_two_accounts_is_placed_in_one(as_role):
    acme = begun("stripe")
    other = AccountFactory(name="Beta")
    MembershipFactory(account=other, person=scenes.person("dev"))
    scenes.backend().tells("api_key_created", minutes_ago(5), account=None)
    client, event = as_role("support"), Event.objects.get(name="api_key_created")
    assert "A success that could belong to several accounts" in page(client, acme)
    answer = press(client, "place_in_account", acme.pk, event.pk, other.pk, follow=True)
    assert "Placed: it belongs to Beta." in answer.content.decode()
    event.refresh_from_db()
    assert event.account == other
    again = press(client, "place_in_account", acme.pk, event.pk, acme.pk, headers=HTMX)
    assert "Nothing was changed: it has its place already." in again.content.decode()


def test_an_event_of_the_test_world_is_never_placed_on_a_production_account(as_role):
    member = MembershipFactory()
    event = make(Event)
    Event.objects.filter(pk=event.pk).update(
        account=None, person=member.person, environment=Environment.TEST
    )
    account = member.account.pk
    answer = press(as_role("support"), "place_in_account", account, event.pk, account)
    assert answer.status_code == 404
    event.refresh_from_db()
    assert event.account is None


def test_an_event_is_placed_only_in_an_account_that_its_person_is_in(as_role):
    member, stranger = MembershipFactory(), AccountFactory()
    event = make(Event)
    Event.objects.filter(pk=event.pk).update(account=None, person=member.person)
    client = as_role("support")
    for here, there in ((member.account, stranger), (stranger, member.account)):
        answer = press(client, "place_in_account", here.pk, event.pk, there.pk)
        assert answer.status_code == 404


def test_pausing_an_account_shows_since_when_and_how_to_go_on(acme, as_role):
    client = as_role("support")
    press(client, "pause_account", acme.pk)
    acme.refresh_from_db()
    assert acme.paused_at
    text = page(client, acme)
    assert "Paused since" in text
    assert "Resume the account" in text
    twice = press(client, "pause_account", acme.pk, headers=HTMX).content.decode()
    assert "Nothing was changed: it is paused already." in twice
    press(client, "resume_account", acme.pk)
    acme.refresh_from_db()
    assert acme.paused_at is None


def test_an_account_that_was_set_aside_can_still_be_paused(acme, as_role):
    ParkedAccount.objects.create(account=acme, error="boom", parked_at=timezone.now())
    answer = press(as_role("support"), "pause_account", acme.pk, follow=True)
    assert answer.status_code == 200
    assert Account.objects.get(pk=acme.pk).paused_at


def test_a_role_is_changed_to_one_that_is_known(acme, as_role):
    client, member = as_role("support"), Membership.objects.get()
    form = {"role": "admin"}
    answer = press(client, "change_role", acme.pk, member.pk, form=form, headers=HTMX)
    assert "changed the role of dev@customer.example from developer to admin" in (
        answer.content.decode()
    )
    press(client, "change_role", acme.pk, member.pk, form={"role": "emperor"})
    member.refresh_from_db()
    assert member.role == "admin"
    assert Role.objects.filter(key="admin").exists()


def test_setup_help_is_refused_and_allowed_again(acme, as_role):
    client, member = as_role("support"), Membership.objects.get()
    press(client, "withdraw_consent", acme.pk, member.pk)
    assert Consent.objects.get().given is False
    assert "refused" in page(client, acme)
    press(client, "give_consent", acme.pk, member.pk)
    assert Consent.objects.get().given is True


def test_a_membership_is_ended_only_on_its_own_accounts_page(acme, as_role):
    client, member = as_role("support"), Membership.objects.get()
    assert press(client, "end_membership", AccountFactory().pk, member.pk).status_code == 404
    press(client, "end_membership", acme.pk, member.pk)
    member.refresh_from_db()
    assert member.ended_at


def test_the_page_of_an_account_with_many_people_asks_no_more_questions(acme, as_role):
    client = as_role("support")
    page(client, acme)
    with CaptureQueriesContext(connection) as for_one:
        page(client, acme)
    for _ in range(20):
        MembershipFactory(account=acme, person=PersonFactory())
    with CaptureQueriesContext(connection) as for_many:
        page(client, acme)
    assert len(for_many) == len(for_one)


# --- pause everything, pause a journey -------------------------------------------------------------


def test_pausing_all_needs_a_reason_and_says_who_when_and_why(as_role):
    client = as_role("support")
    press(client, "pause_all", form={"reason": "  "})
    assert not Pause.objects.exists()
    press(client, "pause_all", form={"reason": "Wrong links in every mail"})
    pause = Pause.objects.get(is_open=True)
    assert (pause.paused_by, pause.reason) == ("support", "Wrong links in every mail")
    text = client.get(reverse("status")).content.decode()
    assert "by support" in text
    assert "Wrong links in every mail" in text


def test_a_pause_of_all_is_on_every_page_at_once(as_role):
    client = as_role("administrator")
    client.get(reverse("journeys"))
    press(client, "pause_all", form={"reason": "Wrong links"})
    for route in ("journeys", "alerts", "numbers"):
        page_of = client.get(reverse(route))
        assert page_of.context["work"].paused
    press(client, "resume_all")
    assert not client.get(reverse("journeys")).context["work"].paused


def test_with_scripts_the_switch_comes_alone_and_tells_the_banner(as_role):
    client = as_role("administrator")
    answer = press(client, "pause_all", form={"reason": "Wrong links"}, headers=HTMX)
    assert answer.content.decode().lstrip().startswith('<section id="switch">')
    assert "sending" in answer["HX-Trigger"]
    assert "All sending is paused since" in answer.content.decode()


def test_pausing_and_resuming_twice_is_said(as_role):
    client = as_role("administrator")
    for _ in range(2):
        answer = press(client, "pause_all", form={"reason": "Wrong links"}, headers=HTMX)
    assert "It was paused already." in answer.content.decode()
    for _ in range(2):
        answer = press(client, "resume_all", headers=HTMX)
    assert "It was not paused." in answer.content.decode()
    assert "Wrong links" in client.get(reverse("status")).content.decode()


@pytest.mark.parametrize("role", ["marketer", "reviewer", "analyst", "engineer"])
def test_whoever_may_not_pause_all_sees_whether_it_is_paused(role, as_role):
    text = as_role(role).get(reverse("status")).content.decode()
    assert "Sending is on" in text
    assert "Pause everything" not in text


def test_a_marketer_pauses_a_journey_and_lets_it_go_on(as_role):
    client, row = as_role("marketer"), version(journey()).journey
    answer = press(client, "pause_journey", row.pk, follow=True)
    assert "API is paused." in answer.content.decode()
    assert Journey.objects.get().paused_at
    answer = press(client, "resume_journey", row.pk, headers=HTMX)
    assert answer.content.decode().lstrip().startswith('<section id="journeys">')
    assert Journey.objects.get().paused_at is None


def test_a_reviewer_sees_no_button_to_pause_a_journey(as_role):
    version(journey())
    assert "Pause the journey" not in as_role("reviewer").get("/journeys/").content.decode()
