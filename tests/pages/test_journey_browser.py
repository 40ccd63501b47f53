"""Writing a journey in a real browser, with scripts and without, on a screen and on a phone."""

import re

import pytest
from playwright.sync_api import Page, expect

from lifecycle.journeys import blueprint
from lifecycle.journeys.models import JourneyVersion
from lifecycle.pages.journey_editing import parts

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
STEP = "/journeys/api/edit/?part=step.api_started"


@pytest.fixture
def writing(opened, live_server):
    blueprint.load()

    def open_page(address: str = STEP, **context) -> Page:
        page = opened(**context)
        page.goto(live_server.url + address)
        return page

    return open_page


def step() -> dict:
    return parts.locate(JourneyVersion.objects.get(journey__key="api").document, "step.api_started")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_delay_is_changed_and_read_in_words(scripts, writing):
    page = writing(java_script_enabled=scripts)
    page.get_by_label("When: how many").fill("3")
    page.get_by_label("When: unit").select_option("hours")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".in-words")).to_contain_text("3 hours after the stage began")
    expect(page.get_by_text("Saved ").first).to_be_visible()
    assert step()["after_minutes"] == 180
    link = page.get_by_role("link", name="Submit for review")
    assert link.get_attribute("href") == "/reviews/submit/journey/api/"
    link.click()
    expect(page).to_have_title(re.compile("Submit for review"))


def test_what_was_typed_wrongly_stays_beside_its_reason(writing):
    page = writing()
    page.get_by_label("When: how many").fill("soon")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".field-wrong").get_by_role("alert")).to_contain_text(
        "“soon” is not a whole number."
    )
    expect(page.get_by_label("When: how many")).to_have_value("soon")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_save_that_failed_says_so_and_leads_to_the_value(scripts, writing):
    page = writing("/journeys/api/edit/?part=rules", java_script_enabled=scripts)
    page.get_by_label("From", exact=False).first.fill("25:99")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#edit_journey > .banner")).to_contain_text("Not saved: 1 value to mend")
    expect(page.locator(".writing-bar")).to_contain_text("not saved: 1 value to mend")
    expect(page.locator(".writing-bar")).not_to_contain_text("the checks have no remark")
    if not scripts:
        page.get_by_role("link", name="To the first").click()
    else:
        expect(page.locator(".field-wrong input")).to_be_focused()
    expect(page.locator(".field-wrong")).to_be_in_viewport()


def test_unsaved_values_are_not_left_unasked(writing):
    page = writing("/journeys/api/edit/?part=rules")
    asked, goes = [], False
    page.on("dialog", lambda one: (asked.append(one.type), one.accept() if goes else one.dismiss()))
    page.get_by_role("link", name="Credentials created").first.click()
    name = page.get_by_label("Name", exact=False).first
    name.fill("Anew")
    page.get_by_role("link", name="General rules").click(no_wait_after=True)
    expect(name).to_have_value("Anew")
    with page.expect_event("dialog"):
        page.evaluate("history.back()")
    assert asked == ["beforeunload", "beforeunload"]
    assert page.url.endswith("part=milestone.credentials")
    # What could not be saved is unsaved still, though nobody touched it since.
    name.fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".field-wrong")).to_be_visible()
    goes = True
    page.reload()
    assert asked == ["beforeunload"] * 3
    name.fill("Anew")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Anew")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="General rules")).to_be_visible()
    assert asked == ["beforeunload"] * 3


def test_a_half_typed_stage_is_not_lost_by_saving_what_stands_beside_it(writing):
    page = writing("/journeys/api/edit/?part=milestone.credentials")
    asked = []
    page.on("dialog", lambda one: (asked.append(one.message), one.dismiss()))
    adding = page.locator("details", has=page.locator("summary", has_text="Add a milestone"))
    adding.locator("summary").click()
    key = adding.get_by_label("Key")
    key.fill("halfway")
    page.get_by_role("button", name="Save", exact=True).click()
    assert asked == ["What you changed under “Add a milestone” is not saved. Go on without it?"]
    expect(key).to_have_value("halfway")
    adding.get_by_label("Name").fill("Halfway")
    adding.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Halfway")).to_be_visible()
    assert page.url.endswith("part=milestone.halfway")
    assert len(asked) == 1


def test_a_condition_asks_only_for_what_its_fact_needs(writing):
    page = writing(java_script_enabled=False)
    providers = page.get_by_label("Providers, with commas between them").first
    expect(providers).to_be_hidden()
    page.get_by_label("Fact 1", exact=True).select_option("provider_in")
    providers.fill("stripe, hubspot")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".in-words")).to_contain_text("Only if the provider is Stripe or HubSpot")
    assert step()["when"] == {"kind": "provider_in", "providers": ["stripe", "hubspot"]}


@pytest.mark.parametrize(
    "part", ["rules", "path", "milestone.credentials", "stage.waiting", "step.api_started", "document"]
)  # fmt: skip
def test_every_form_fits_a_phone(part, writing):
    page = writing(f"/journeys/api/edit/?part={part}", viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
