"""In a real browser: nothing is fetched from elsewhere, nothing is wider than a phone, clicks work."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import Capability, Role
from events.models import Event, EventType, RejectedEvent, TraitName
from lifecycle.alerts.models import Alert
from lifecycle.runner.look import look_at
from messaging import review
from messaging.models import ChangeSet, Destination, Host, LinkHealth
from tests.factories import (
    AccountFactory,
    IngestKeyFactory,
    MembershipFactory,
    UserFactory,
    created,
)
from tests.pages.scenes import alert_about, enrolled, journey, version
from tests.runner import scenes

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGES = [
    "/journeys/",
    "/emails/",
    "/journeys/new/",
    "/journeys/api/",
    "/journeys/api/changes/",
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
    "/mailbox/",
    "/mailbox/hostile/",
    "/admin/accounts/account/",
    "/admin/journeys/setup/",
]
LONG = "Extraordinarily-Long-Company-Name-Incorporated-of-North-America-and-Elsewhere"


@pytest.fixture
def scene(browser, settings, tmp_path):
    settings.MAILBOX_DIR = tmp_path
    (tmp_path / "hostile.eml").write_bytes(
        b"Subject: Hello\nContent-Type: text/html\n\n<p>Hello</p>"
        b"<img src='https://tracker.example/x.gif'><link rel=stylesheet href='//evil.example/a.css'>"
        b"<script>parent.document.title = 'taken over'; fetch('https://evil.example/')</script>"
        b"<meta http-equiv=refresh content='0;url=https://evil.example/'>"
    )
    now = timezone.now()
    account = AccountFactory(name=LONG)
    MembershipFactory(account=account)
    alert_about(enrolled(version(journey()), account=account, started=now), now, title=LONG)
    at = {"received_at": now, "occurred_at": now}
    created(Event, source="key:1", message_id="m", type="track", name=LONG, account=account, **at)


def test_no_page_asks_another_host_for_anything(opened, live_server, scene):
    page = opened()
    asked: set[str] = set()
    stopped: list[tuple[str, str | None]] = []
    page.on("requestfinished", lambda request: asked.add(urlsplit(request.url).netloc))
    # What our policy stops is announced as well, but never leaves.
    page.on("requestfailed", lambda request: stopped.append((request.url, request.failure)))
    for address in ["/admin/login/", *PAGES]:
        page.goto(live_server.url + address)
        page.wait_for_load_state("networkidle")
    assert asked <= {urlsplit(live_server.url).netloc, ""}
    assert {failure for _, failure in stopped} <= {"csp"}, stopped


def test_a_mails_script_does_not_reach_the_page_around_it(opened, live_server, scene):
    page = opened()
    page.goto(f"{live_server.url}/mailbox/hostile/")
    page.wait_for_load_state("networkidle")
    assert "taken over" not in page.title()
    assert page.frame_locator("iframe.mail").locator("p").inner_text() == "Hello"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone(scheme, opened, live_server, scene):
    size = {"width": 390, "height": 800}
    page = opened(viewport=size, color_scheme=scheme)
    for address in PAGES:
        page.goto(live_server.url + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (
        scheme == "dark"
    )


def test_what_has_no_place_to_break_fits_all_the_same(opened, live_server, scene):
    now = timezone.now()
    event = Event.objects.get()
    Event.objects.update(message_id="content:" + "0" * 64, properties={"a" * 150: "b" * 150})
    kept = {"received_at": now, "code": "event_missing", "detail": LONG, "raw": "x" * 300}
    reject = created(RejectedEvent, key=IngestKeyFactory(), raw_hash="f" * 64, **kept)
    created(TraitName, name="a" * 150, fills="account.name")
    phone = opened(viewport={"width": 390, "height": 800})
    for address in (
        f"/admin/events/event/{event.pk}/change/",
        f"/admin/events/rejectedevent/{reject.pk}/change/",
        "/events/traits/",
    ):
        phone.goto(live_server.url + address)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, address
    desk = opened(viewport={"width": 1280, "height": 800})
    desk.goto(f"{live_server.url}/admin/events/rejectedevent/")
    edge = "document.querySelector('#result_list').getBoundingClientRect().right"
    assert desk.evaluate(edge) <= 1280


def test_an_alert_is_taken_and_resolved_without_leaving_the_page(opened, live_server, scene):
    page = opened()
    page.goto(f"{live_server.url}/alerts/")
    page.evaluate("window.here = true")
    page.get_by_role("button", name="Take").click()
    page.get_by_label("What came of it").fill("Called them")
    page.get_by_role("button", name="Resolve").click()
    page.get_by_text("Resolved.").wait_for()
    assert page.evaluate("window.here") is True
    assert Alert.objects.get().resolution == "Called them"


def test_a_click_on_one_alert_leaves_alone_what_is_typed_into_another(opened, live_server, scene):
    alert_about(None, timezone.now(), title="Another")
    page = opened()
    page.goto(f"{live_server.url}/alerts/")
    first, second = page.locator("article").all()
    first.get_by_role("button", name="Take").click()
    first.get_by_label("What came of it").fill("They asked for")
    second.get_by_role("button", name="Take").click()
    second.get_by_text("It is yours now.").wait_for()
    assert first.get_by_label("What came of it").input_value() == "They asked for"


def test_whoever_takes_an_alert_with_the_keyboard_is_told_there_and_goes_on_there(
    opened, live_server, scene
):
    page = opened()
    page.goto(f"{live_server.url}/alerts/")
    page.get_by_role("button", name="Take").focus()
    page.keyboard.press("Enter")
    said = page.locator("article [role=status]")
    expect(said).to_be_focused()
    expect(said).to_have_text("It is yours now.")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_label("What came of it")).to_be_focused()
    page.keyboard.type("Called them")
    page.keyboard.press("Enter")
    expect(said).to_have_text("Resolved.")
    assert Alert.objects.get().resolution == "Called them"


def test_new_alerts_are_shown_beside_what_is_being_typed(opened, live_server, scene):
    page = opened()
    page.goto(f"{live_server.url}/alerts/")
    page.get_by_role("button", name="Take").click()
    page.get_by_label("What came of it").fill("They asked for")
    alert_about(None, timezone.now(), title="Another trouble")
    # The page asks once a minute; the test does not wait for that.
    page.evaluate(
        "htmx.ajax('GET', document.querySelector('#new-alerts').getAttribute('hx-get'), {target: '#new-alerts', swap: 'outerHTML'})"
    )
    page.get_by_role("link", name="1 new alert: show").click()
    page.get_by_role("heading", name="Another trouble").wait_for()
    expect(page.get_by_role("heading", name="New", exact=True)).to_be_focused()
    assert page.get_by_label("What came of it").input_value() == "They asked for"
    page.get_by_role("button", name="Take").click()
    expect(page.get_by_label("What came of it")).to_have_count(2)


def test_an_old_window_does_not_give_back_what_a_colleague_has_taken(opened, live_server, scene):
    old, ada = opened(), UserFactory()
    old.goto(f"{live_server.url}/alerts/")
    old.get_by_role("button", name="Take").click()
    old.get_by_label("What came of it").fill("They asked for")
    Alert.objects.update(taken_by=ada)
    old.get_by_role("button", name="Give back").click()
    old.get_by_text("Somebody else was first.").wait_for()
    assert old.get_by_text("What you typed: They asked for").is_visible()
    assert Alert.objects.get().taken_by == ada


def test_a_result_must_be_typed_before_an_alert_is_resolved(opened, live_server, scene):
    page = opened()
    page.goto(f"{live_server.url}/alerts/")
    page.get_by_role("button", name="Take").click()
    page.get_by_role("button", name="Resolve").click()
    page.get_by_role("button", name="Give back").click()
    page.get_by_text("Given back").wait_for()
    assert Alert.objects.get().status == Alert.Status.OPEN


def test_an_alert_is_taken_without_scripts(opened, live_server, scene):
    page = opened(java_script_enabled=False)
    page.goto(f"{live_server.url}/alerts/")
    page.get_by_role("button", name="Take").click()
    assert page.get_by_text("It is yours now.").is_visible()
    assert Alert.objects.get().status == Alert.Status.TAKEN


@pytest.fixture
def in_doubt(settings) -> int:
    """An account with a blocked setup and a success that two setups may have; its id."""
    settings.ADMIN_OUTREACH = "yes"
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    started = (timezone.now() - scenes.T0) / timedelta(minutes=1) - 60
    for provider in ("stripe", LONG):
        backend.starts(started, provider=provider)
    backend.fails(*(started + 1 + each for each in range(3)), provider="stripe")
    backend.tells("api_key_created", started + 10)
    look_at([scenes.account().pk], now=timezone.now())
    return scenes.account().pk


def test_a_setup_is_unblocked_and_a_success_placed_without_leaving_the_page(
    opened, live_server, in_doubt
):
    page = opened()
    page.goto(f"{live_server.url}/accounts/{in_doubt}/")
    page.evaluate("window.here = true")
    page.locator("summary", has_text="Unblock").click()
    page.get_by_role("button", name="Unblock it").click()
    page.get_by_text("Unblocked.").wait_for()
    page.get_by_role("button", name="Stripe").click()
    page.get_by_text("Placed.").wait_for()
    assert page.evaluate("window.here") is True
    names = ["staff_unblocked", "staff_placed"]
    told = Event.objects.filter(source="staff").order_by("pk")
    assert list(told.values_list("name", flat=True)) == names


def test_an_accounts_buttons_work_without_scripts_and_fit_a_phone(opened, live_server, in_doubt):
    page = opened(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page.goto(f"{live_server.url}/accounts/{in_doubt}/")
    page.locator("summary", has_text="Stop").first.click()
    page.get_by_role("button", name="Stop it").first.click()
    assert page.get_by_text("Stopped. Nothing more is sent about it.").is_visible()
    scripted = opened(viewport={"width": 390, "height": 800})
    scripted.goto(f"{live_server.url}/accounts/{in_doubt}/")
    scripted.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert scripted.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_banner_says_at_once_that_all_is_paused(opened, live_server, scene):
    page = opened()
    page.goto(f"{live_server.url}/status/")
    page.locator("summary", has_text="Pause all").click()
    page.get_by_label("Why").fill("Wrong links")
    page.get_by_role("button", name="Pause everything").click()
    page.get_by_text("All sending is paused since").wait_for()
    # Nothing works in this test, which is worse news than the pause; either way the page has asked anew.
    page.locator("#status", has_text="paused by").wait_for()


def test_one_htmx_of_version_2_runs_on_every_page(opened, live_server, scene):
    page = opened()
    for address in ("/alerts/", "/admin/accounts/account/"):
        page.goto(live_server.url + address)
        assert page.evaluate("htmx.version").startswith("2.")
        assert page.locator("script[src*=htmx]").count() == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_a_name_without_an_end_is_broken_wherever_a_customer_is_named(width, opened, live_server):
    now, name = timezone.now(), "W" * 250
    account, other = AccountFactory(name=name), AccountFactory(name=name)
    MembershipFactory(account=account, person__name=name)
    enrolment = enrolled(version(journey()), account=account, started=now)
    alert_about(enrolment, now, title=name, detail=name)
    page = opened(viewport={"width": width, "height": 844})
    for address in (
        "/alerts/",
        f"/accounts/{account.pk}/",
        f"/accounts/{account.pk}/merge/",
        f"/accounts/{account.pk}/merge/?other={other.pk}",
    ):
        page.goto(live_server.url + address)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        wide = "[...document.querySelectorAll('.page *, h1')].filter(one => !one.closest('.sr-only') && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
        assert page.evaluate(wide) == [], address


IN_ORDER = """(text) => {
  const words = text.split(" "), nodes = document.createTreeWalker(document.querySelector(".page"), NodeFilter.SHOW_TEXT);
  while (nodes.nextNode()) {
    const node = nodes.currentNode, at = node.data.indexOf(words[0]);
    const last = node.data.indexOf(words.at(-1), at + 1);
    if (at < 0 || last < 0) continue;
    const left = (from) => {
      const range = document.createRange();
      range.setStart(node, from);
      range.setEnd(node, from + 1);
      return range.getBoundingClientRect().left;
    };
    return left(at) < left(last);
  }
}"""


def test_a_name_that_is_written_backwards_turns_nothing_else_round(opened, live_server):
    now, name = timezone.now(), "Acme\u202eevil"
    member = MembershipFactory(account__name=name, person__name=name)
    enrolment = enrolled(version(journey()), account=member.account, started=now)
    alert_about(enrolment, now)
    page = opened(viewport={"width": 1280, "height": 844})
    page.goto(f"{live_server.url}/alerts/")
    assert page.evaluate(IN_ORDER, "Opened by a journey") is True
    other = AccountFactory(name="Beta")
    page.goto(f"{live_server.url}/accounts/{member.account.pk}/merge/?other={other.pk}")
    assert page.evaluate(IN_ORDER, "becomes part of") is True


def test_the_admins_lists_show_all_of_a_row_on_a_phone(opened, live_server):
    role = Role.objects.create(key="developer", name="Developer")
    for at in range(9):
        role.capabilities.add(Capability.objects.create(key=f"can_do_{at}", name=f"Can do {at}"))
    EventType.objects.create(name="planned", planned=True)
    host = Host.objects.create(key="app", base_url="https://app.company.com")
    Destination.objects.create(key="keys", name="Keys", host=host, path="/keys")
    LinkHealth.objects.create(url=f"https://app.company.com/{'x' * 300}")
    page = opened(viewport={"width": 390, "height": 844})
    for address in ("accounts/role", "messaging/linkhealth", "events/eventtype"):
        page.goto(f"{live_server.url}/admin/{address}/")
        clipped = "[...document.querySelectorAll('.data-row > *')].filter(one => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"
        assert page.evaluate(clipped) == [], address
    assert not page.locator("td.field-plan_it").is_visible()


def test_a_word_without_an_end_is_broken_on_a_change_sets_page(opened, live_server):
    now, author = timezone.now(), UserFactory()
    change_set = ChangeSet.objects.create(
        title="t" * 200, note="n" * 400, created_by=author, created_at=now
    )
    review.comment(change_set, by=author, text="c" * 400, place="p" * 200, now=now)
    page = opened(viewport={"width": 390, "height": 844})
    page.goto(live_server.url + change_set.get_absolute_url())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
