"""A marketer's day: a sentence is written, doubted, mended, reviewed, published, and arrives with its first reader."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts import staff
from accounts.models import Account
from lifecycle.journeys import blueprint
from lifecycle.runner.deliver import deliver
from lifecycle.runner.look import look_at
from messaging.models import Destination, Host
from tests.factories import UserFactory
from tests.messaging.web_server import Web
from tests.runner import inbox
from tests.runner.scenes import T0, Backend, backend

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SENTENCE = "Ask us anything on the way."
CLAIM = "An API key exists"
GONE = "/settings/api-logs"


@pytest.fixture
def web(settings):
    """The customer's product, whose request log is not where we think that it is."""
    settings.PROBE_ALLOW_LOOPBACK = True
    server = Web()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def company(web, settings) -> Backend:
    """The blueprint live, on the customer's product; three people who work on its e-mails."""
    settings.EMAIL_BACKEND = "tests.runner.inbox.Backend"
    inbox.PROVIDER.__init__()
    staff.make_roles()
    for role in ("marketer", "reviewer"):
        staff.put_user(role, role=role, password="a long way round")
    root = UserFactory(username="root", is_superuser=True)
    root.set_password("a long way round")
    root.save()
    blueprint.load()
    Host.objects.update(base_url=web.url())
    for screen in Destination.objects.all():
        web.says[screen.path.partition("?")[0]] = 200
    web.says[GONE] = 404
    now = timezone.now()
    author, reviewer = UserFactory(username="before"), UserFactory(username="before too")
    blueprint.publish_all(author=author, reviewer=reviewer, now=now, since=now - timedelta(days=9))
    return backend()


@pytest.fixture
def logged_in(browser, live_server):
    """Logs somebody in by the form, in a browser of their own."""
    places = []

    def log_in(name: str) -> Page:
        place = browser.new_context(base_url=live_server.url)
        places.append(place)
        page = place.new_page()
        page.set_default_timeout(8000)
        page.goto("/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill("a long way round")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("navigation").first).to_be_visible()
        return page

    yield log_in
    for place in places:
        place.close()


def arrives(told: Backend) -> str:
    """A fresh account starts, the runner looks whenever it wants to; the text of the first mail."""
    minutes = (timezone.now() - T0) / timedelta(minutes=1)
    told.joins("dev", account="fresh", minutes=minutes - 60)
    told.starts(minutes, account="fresh", provider="stripe")
    moment = timezone.now()
    for _ in range(9):
        account = Account.objects.get(external_id="fresh")
        deliver(look_at([account.pk], now=moment), clock=lambda at=moment: at)
        if inbox.PROVIDER.got:
            return str(inbox.PROVIDER.got[0].body)
        account.refresh_from_db()
        assert account.next_look_at is not None
        moment = max(account.next_look_at, moment + timedelta(minutes=1))
    raise AssertionError("No mail came.")


def writes(page: Page, text: str) -> None:
    """Puts the text at the end of the e-mail's body."""
    page.locator("#v0-body-typed").press("Control+End")
    page.keyboard.insert_text(text)


def saved(page: Page) -> None:
    expect(page.locator("#saving")).to_contain_text(re.compile("^Saved "))


def test_a_sentence_goes_from_the_marketers_keyboard_to_a_customer(logged_in, company, web):
    page = logged_in("marketer")
    page.get_by_role("link", name="E-mails").first.click()
    page.get_by_role("link", name="API 1: started").click()
    page.get_by_role("button", name="Write the next version").click()
    writes(page, f"\n{SENTENCE}\n")
    expect(page.frame_locator("#preview-frame").locator("body")).to_contain_text(SENTENCE)

    # What is not so in every state is told, with how it comes about.
    page.locator("[name=claim2-says]").fill(CLAIM)
    page.locator("#claim2-holds").select_option(label="“Credentials created” is reached")
    remarks = page.locator("#remarks")
    expect(remarks).to_contain_text(f"“{CLAIM}”")
    expect(remarks).to_contain_text("must be mended")

    # What leads nowhere is told as well.
    writes(page, '\n[Look at the log]({% link "api_logs" %}).\n')
    page.get_by_role("button", name="Try the links").click()
    tried = page.locator("#try_links")
    expect(tried).to_contain_text("It answers HTTP 404")
    expect(tried.get_by_role("link", name="Body (default)")).to_be_visible()

    web.says[GONE] = 200
    page.locator("[name=claim2-says]").fill("")
    page.locator("#claim2-holds").select_option("")
    page.get_by_role("button", name="Try the links").click()
    expect(tried).to_contain_text("Every link that can be followed works")
    expect(remarks).not_to_contain_text("must be mended")
    saved(page)

    # A superuser lends a hand, which makes it their work as well.
    root = logged_in("root")
    root.goto("/emails/api_started/edit/")
    root.locator("#v0-preheader-typed").fill("About ten minutes.")
    saved(root)

    page.reload()
    page.get_by_role("link", name="Submit for review").click()
    page.get_by_label("What changed, and why").fill("Offers help from the start")
    page.get_by_role("button", name="Submit for review").click()
    expect(page.get_by_text("This is your own work: somebody else reviews it")).to_be_visible()
    for author in (page, root):
        author.goto("/reviews/")
        author.get_by_role("link", name="API 1: started").click()
        expect(author.get_by_text("This is your own work")).to_be_visible()
        expect(author.get_by_text("Approve and publish")).to_have_count(0)
    where = root.url.rstrip("/")
    cookies = {one["name"]: one["value"] for one in root.context.cookies()}
    token = {"X-CSRFToken": cookies["csrftoken"], "Referer": where}
    forced = root.request.post(f"{where}/approve/", headers=token, form={"hash": "", "plan": ""})
    assert "your own" in forced.text()

    other = logged_in("reviewer")
    other.goto("/reviews/")
    other.get_by_role("link", name="API 1: started").click()
    expect(other.locator("ins", has_text=SENTENCE)).to_be_visible()
    other.get_by_text("Approve and publish", exact=True).click()
    other.get_by_role("button", name="Approve and publish it").click()
    expect(other.get_by_text("Published").first).to_be_visible()

    assert SENTENCE in arrives(company)
