"""Everything around our pages is reached with the keyboard alone."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until what is called so has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").split() == name.split():
            return
    raise AssertionError(f"No Tab leads to {name}.")


@pytest.fixture
def page(opened, live_server) -> Page:
    shown = opened(viewport={"width": 1280, "height": 900})
    shown.goto(f"{live_server.url}/status/")
    return shown


def test_a_group_of_the_sidebar_opens(page):
    group = page.get_by_role("button", name="Customers")
    expect(group).to_have_attribute("aria-expanded", "false")
    tab_to(page, "Customers chevron_right")
    page.keyboard.press("Enter")
    expect(group).to_have_attribute("aria-expanded", "true")
    first = page.get_by_role("link", name="Accounts", exact=True)
    expect(first).to_be_visible()
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/admin/accounts/account/$"))


def test_somebody_logs_out(page, live_server):
    user = page.locator("#nav-sidebar button[x-ref=user]")
    for _ in range(60):
        page.keyboard.press("Tab")
        if user.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(user).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(user).to_have_attribute("aria-expanded", "false")
    expect(user).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Dark")).to_be_visible()
    tab_to(page, "Log out logout")
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation")).to_have_count(0)
    page.goto(f"{live_server.url}/status/")
    expect(page.get_by_label("Username")).to_be_visible()


def test_nothing_around_a_page_is_out_of_the_keyboards_reach(page, live_server):
    for address in ("/status/", "/admin/accounts/account/"):
        page.goto(live_server.url + address)
        unreachable = page.locator(":is(#nav-sidebar, #header-inner) [x-on\\:click]").evaluate_all(
            "all => all.filter(one => one.tabIndex < 0).map(one => one.outerHTML.slice(0, 120))"
        )
        assert unreachable == []
