"""Writing an e-mail in a real browser: typed, seen, saved, completed, and never over a colleague's words."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from lifecycle.journeys import blueprint
from lifecycle.pages.editing.seen import sealed
from messaging import drafts
from messaging.models import TemplateVersion
from tests.factories import UserFactory
from tests.runner import scenes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ADDRESS = "/emails/api_blocked/edit/#v0"
SAVED = re.compile(r"^\s*Saved \d\d:\d\d\.")


@pytest.fixture
def loaded():
    blueprint.load()


@pytest.fixture
def writing(opened, live_server, loaded):
    """Opens the page of an e-mail's draft, with or without scripts."""

    def open_page(**context) -> Page:
        page = opened(**context)
        page.goto(live_server.url + ADDRESS)
        return page

    return open_page


def draft() -> TemplateVersion:
    return TemplateVersion.objects.get(template__key="api_blocked")


def editor(page: Page, name: str, at: int = 0):
    return page.locator(f"#v{at}-{name}-typed")


def mail(page: Page):
    return page.frame_locator("#preview-frame").locator("body")


def test_what_is_typed_is_seen_and_saved(writing):
    page = writing()
    editor(page, "subject").fill("Hello {{ provider.name }}")
    editor(page, "body").fill("Just these **words**")
    expect(mail(page)).to_contain_text("Just these words")
    expect(page.locator("#preview-subject")).to_contain_text("Hello ")
    expect(page.locator("#saving")).to_contain_text("Saved")
    kept = draft().content["variants"][0]
    assert kept["subject"] == "Hello {{ provider.name }}"
    assert kept["body"] == "Just these **words**"


def test_a_fault_stands_beside_the_words_and_leads_to_its_line(writing):
    page = writing()
    editor(page, "body").fill("Fine\n\n{{ person.nmae }}")
    expect(page.locator("#preview-error")).to_contain_text("person.nmae")
    expect(page.locator("#remarks")).to_contain_text("person.nmae")
    page.locator(".writing-bar").get_by_role("link", name="1 must be mended").click()
    expect(page.locator("#remarks .remarks")).to_be_in_viewport()


def test_a_fault_names_its_line_once(writing):
    page = writing()
    told = page.locator("#preview-error")
    for body in ("Fine\n\n{{ person.nmae }}", "Fine\n\n{{ person.first_name |"):
        editor(page, "body").fill(body)
        expect(told).to_contain_text("line 3")
        expect(told).not_to_contain_text(re.compile("line 3.*line 3"))


def test_variables_and_screens_are_completed_as_they_are_typed(writing):
    page = writing()
    body = editor(page, "body")
    body.fill("")
    body.press_sequentially("Hi {{ person.fir", delay=30)
    offered = page.locator(".cm-tooltip-autocomplete")
    expect(offered).to_contain_text("person.first_name")
    expect(page.locator(".cm-completionInfo")).to_contain_text("first name")
    # What opens under a finger that types on is not taken at once.
    page.wait_for_timeout(200)
    body.press("Enter")
    expect(body).to_contain_text("Hi {{ person.first_name }}")
    body.press_sequentially(' {% button "api_ke', delay=30)
    expect(offered).to_contain_text("api_keys")
    page.wait_for_timeout(200)
    body.press("Tab")
    expect(body).to_contain_text('{% button "api_keys" %}')


def test_tab_leaves_an_editor(writing):
    page = writing()
    editor(page, "subject").focus()
    page.keyboard.press("Tab")
    expect(editor(page, "preheader")).to_be_focused()
    page.keyboard.press("Tab")
    expect(editor(page, "body")).to_be_focused()
    page.keyboard.type("{{ per")
    expect(page.locator(".cm-tooltip-autocomplete")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(editor(page, "body")).not_to_be_focused()


def test_a_component_goes_in_where_the_cursor_is(writing):
    page = writing()
    editor(page, "body").fill("Before")
    page.get_by_role("button", name="Checklist").click()
    page.keyboard.type("First")
    expect(page.locator("#v0-body")).to_have_value(
        "Before\n\n{% checklist %}\n- First\n- \n{% endchecklist %}"
    )


def test_one_variant_is_shown_at_a_time_with_a_reader_who_gets_it(writing):
    page = writing()
    page.locator("#variant-tabs a", has_text="error=auth").click()
    expect(editor(page, "subject", 1)).to_be_visible()
    expect(editor(page, "subject", 0)).to_be_hidden()
    expect(page.locator("#preview-variant")).to_contain_text("error=auth")


def test_a_page_opens_with_the_words_that_the_first_reader_gets(opened, live_server, loaded):
    page = opened()
    page.goto(live_server.url + ADDRESS.removesuffix("#v0"))
    expect(page.locator("#preview-variant")).to_have_text("variant: error=auth")
    expect(editor(page, "subject", 1)).to_be_visible()
    page.locator("#variant-tabs a", has_text="default").click()
    expect(page.locator("#preview-variant")).to_contain_text("made-up values")


def test_an_email_is_seen_in_a_real_account(opened, live_server, started):
    page = opened()
    page.goto(f"{live_server.url}/emails/{started}/")
    page.get_by_role("button", name="Write").first.click()
    editor(page, "subject").fill("For {{ person.email }}")
    expect(page.locator("#saving")).to_contain_text("Saved")
    subject, reader = page.locator("#preview-subject"), page.locator("[name=sample]")
    made_up = reader.input_value()
    account = page.get_by_label("or in a real account")
    account.fill(scenes.account().external_id)
    page.evaluate("window.here = true")
    account.press("Enter")
    expect(subject).to_have_text(f"For {scenes.person('dev').email}")
    expect(reader).to_have_value(re.compile("^account:"))
    assert page.evaluate("window.here") is True
    reader.select_option(made_up)
    expect(subject).not_to_contain_text(scenes.person("dev").email)
    expect(account).to_have_value("")
    account.fill(scenes.account().external_id)
    account.press("Tab")
    expect(subject).to_have_text(f"For {scenes.person('dev').email}")


def test_what_the_links_did_is_forgotten_when_the_words_change(writing, settings):
    settings.PROBE_LINKS = False
    page = writing()
    page.get_by_role("button", name="Try the links").click()
    told = page.locator("#try_links")
    expect(told).to_contain_text("Following links is switched off")
    editor(page, "body").fill('{% button "nowhere" "Go" %}')
    expect(told).to_be_empty()


def test_two_browsers_never_overwrite_each_other(writing):
    here, there = writing(), writing()
    editor(here, "subject").fill("From here")
    expect(here.locator("#saving")).to_contain_text("Saved")
    editor(there, "preheader").fill("From there")
    conflict = there.locator("#conflict")
    expect(conflict).to_contain_text("saved other words")
    expect(conflict).to_contain_text("From here")
    assert draft().content["variants"][0]["subject"] == "From here"
    expect(there.locator("#saving")).to_contain_text("compare them below")
    expect(conflict.get_by_role("heading").first).to_be_in_viewport()
    editor(there, "preheader").fill("From there, going on")
    there.get_by_role("button", name="Save with what is ticked").click()
    there.get_by_text(SAVED).wait_for()
    kept = draft().content["variants"][0]
    assert (kept["subject"], kept["preheader"]) == ("From here", "From there, going on")


def test_words_that_could_not_be_saved_are_not_left_without_a_warning(writing):
    page = writing()
    page.route("**/edit/", lambda route: route.abort())
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    editor(page, "subject").click()
    page.keyboard.type("Precious")
    status = page.locator("#saving")
    expect(status).to_contain_text("Not saved: no connection")
    expect(status).to_have_css("color", "rgb(185, 28, 28)")
    page.goto("about:blank")
    assert asked == ["beforeunload"]


def test_a_colleague_who_discards_the_draft_costs_no_words(writing):
    page = writing()
    version = draft()
    drafts.discard(version.pk, revision=1, by=UserFactory(), now=version.saved_at)
    editor(page, "subject").fill("Precious")
    expect(page.locator("#saving")).to_contain_text("discarded meanwhile")
    expect(page.locator("#v0-subject")).to_have_value("Precious")


def test_an_email_is_written_and_seen_without_scripts(writing):
    page = writing(java_script_enabled=False)
    page.locator("#v1-body").fill("Plain words")
    page.get_by_role("button", name="Show what is typed").click()
    expect(mail(page)).to_contain_text("Plain words")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#v1-body")).to_have_value("Plain words")
    assert draft().content["variants"][1]["body"] == "Plain words"


def test_a_test_mail_is_sent_without_leaving_the_page(writing):
    page = writing()
    page.get_by_role("button", name="Send it to me").click()
    expect(page.locator("#test-said")).to_contain_text("Sent to staff-")


def test_a_preview_runs_no_script_and_nothing_asks_another_host(writing, live_server):
    page = writing()
    asked = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url)))
    editor(page, "body").fill("<script>parent.taken = 1</script> [x](https://evil.example/)")
    expect(mail(page)).to_contain_text("parent.taken")
    page.goto(f"{live_server.url}/emails/api_blocked/versions/1/readers/")
    page.wait_for_load_state("networkidle")
    here = urlsplit(live_server.url).netloc
    assert {each.netloc for each in asked if each.scheme.startswith("http")} == {here}
    assert page.locator("iframe").first.get_attribute("sandbox") == ""


def test_even_a_hostile_page_in_the_preview_can_do_nothing(writing):
    page = writing()
    hostile = (
        "<html><head></head><body>Here<script>parent.taken = 1; document.cookie</script>"
        "<img src='/taken' onerror='parent.taken = 1'><form action='/taken'><button>x</button></form>"
        "<meta http-equiv=refresh content='0;url=https://evil.example/'></body></html>"
    )
    told = {"subject": "x", "preheader": "", "html": sealed(hostile), "text": "", "at": 0}
    page.route("**/preview/", lambda route: route.fulfill(json=told))
    asked = []
    # What a policy stops is announced as a request too, but is never answered.
    page.on("response", lambda response: asked.append(response.url))
    editor(page, "body").fill("anything")
    expect(mail(page)).to_contain_text("Here")
    page.wait_for_timeout(300)
    assert page.evaluate("window.taken") is None
    assert not [url for url in asked if "taken" in url or "evil.example" in url]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_emails_fit_a_phone(scheme, opened, live_server, loaded):
    page = opened(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    for address in (
        "/emails/",
        "/emails/new/",
        "/emails/api_blocked/",
        ADDRESS,
        "/emails/api_blocked/versions/1/readers/",
        "/emails/api_blocked/versions/1/",
    ):
        page.goto(live_server.url + address)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
