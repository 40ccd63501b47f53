"""Whoever was logged out meanwhile is told so on the page, loses no words, and goes on after a new login."""

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from playwright.sync_api import BrowserContext, Page, expect

from lifecycle.journeys import blueprint
from messaging.models import TemplateVersion
from tests.factories import UserFactory
from tests.pages.test_journey_browser import STEP, step
from tests.pages.test_writing import SAVED

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def loaded():
    blueprint.load()


def log_in_again(place: BrowserContext, address: str) -> None:
    """As somebody does it in another tab, which also changes the browser's token against forgery."""
    user = UserFactory(username="ann", is_superuser=True)
    user.set_password("a long way round")
    user.save()
    tab = place.new_page()
    tab.goto(address)
    tab.get_by_label("Username").fill("ann")
    tab.get_by_label("Password").fill("a long way round")
    tab.get_by_role("button", name="Log in").click()
    expect(tab.get_by_role("navigation").first).to_be_visible()
    tab.close()


def opened_at(opened, live_server, address: str) -> Page:
    page = opened()
    page.goto(live_server.url + address)
    return page


def test_a_journey_is_saved_after_logging_in_in_another_tab(opened, live_server, loaded):
    page = opened_at(opened, live_server, STEP)
    page.get_by_label("When: how many").fill("7")
    Session.objects.all().delete()
    page.get_by_role("button", name="Save").click()
    told = page.get_by_role("alert").filter(has_text="Not done: you have been logged out")
    expect(told).to_be_visible()
    expect(page.get_by_label("When: how many")).to_have_value("7")
    link = told.get_by_role("link", name="Log in")
    assert link.get_attribute("target") == "_blank"
    log_in_again(page.context, live_server.url + link.get_attribute("href"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(SAVED)).to_be_visible()
    expect(told).to_be_hidden()
    assert step()["after_minutes"] % 7 == 0


@pytest.mark.parametrize("cookies", [True, False])
@pytest.mark.parametrize(
    ("address", "role", "name"),
    [
        (STEP, "button", "Save"),
        ("/emails/api_started/edit/", "button", "Try the links"),
    ],
)
def test_a_click_that_asks_in_the_background_stays_on_the_page(
    address, role, name, cookies, opened, live_server, loaded
):
    page = opened_at(opened, live_server, address)
    if cookies:
        Session.objects.all().delete()
    else:
        page.context.clear_cookies()
    page.get_by_role(role, name=name).click()
    expect(page.locator("#not-done")).to_contain_text("you have been logged out")
    assert page.url == live_server.url + address
    assert page.get_by_label("Username").count() == 0


def test_a_page_that_asks_by_itself_says_it_once_and_stops_when_it_is_over(
    opened, live_server, loaded
):
    page = opened_at(opened, live_server, "/events/live/")
    page.route("**/events/live/**", lambda route: route.abort())
    told = page.locator("#not-done")
    expect(told).to_contain_text("Not loaded: there is no connection.")
    page.unroute("**/events/live/**")
    expect(told).to_be_hidden()


def test_an_email_is_not_left_with_words_that_could_not_be_saved(opened, live_server, loaded):
    page = opened_at(opened, live_server, "/emails/api_blocked/edit/#v0")
    page.locator("#v0-subject-typed").fill("Precious")
    Session.objects.all().delete()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#saving")).to_contain_text("Not saved: you are logged out")
    assert page.url.startswith(f"{live_server.url}/emails/api_blocked/edit/")
    expect(page.locator("#v0-subject")).to_have_value("Precious")
    log_in_again(page.context, live_server.url)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(SAVED)).to_be_visible()
    draft = TemplateVersion.objects.get(template__key="api_blocked")
    assert draft.content["variants"][0]["subject"] == "Precious"


def test_a_new_login_leads_back_to_the_page_and_not_to_a_click(opened, live_server, loaded):
    TemplateVersion.objects.all().delete()
    page = opened_at(opened, live_server, "/emails/api_blocked/")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    user = UserFactory(username="ann", is_superuser=True)
    user.set_password("a long way round")
    user.save()
    page.get_by_role("button", name="Write").first.click()
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("a long way round")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Write the next version")).to_be_visible()
    assert page.url == f"{live_server.url}/emails/api_blocked/"
