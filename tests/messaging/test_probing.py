"""Probing: what an answer means, and what three failures over fifteen minutes lead to."""

import threading
from datetime import timedelta

import pytest

from messaging import probing
from messaging.checks import reachable
from messaging.checks.links import Whereabouts
from messaging.checks.reachable import try_links
from messaging.checks.remark import Sample
from messaging.fetching import Fetched
from messaging.models import Destination, Finding, Host, LinkHealth, VersionStatus
from messaging.probing import Prober, hosts, probe_links
from messaging.review import publish_template
from tests.factories import UserFactory
from tests.messaging.scenes import NOW, a_version
from tests.messaging.web_server import Web

pytestmark = pytest.mark.django_db
APP = "<html>the one page app</html>"


@pytest.fixture
def web(settings):
    settings.PROBE_ALLOW_LOOPBACK = True
    server = Web()
    server.host = Host.objects.create(
        key="app", base_url=server.url(), login_url=server.url("/login")
    )
    yield server
    server.shutdown()
    server.server_close()


def probed(web, path="/keys"):
    found = Prober(hosts()).probe(web.url(path))
    return found.outcome, found.words


def test_a_screen_that_answers_and_a_made_up_one_that_does_not(web):
    web.says["/setup/keys"] = 200
    assert probed(web, "/setup/keys?provider=stripe") == ("ok", "It answers HTTP 200.")
    [asked, made_up] = web.asked()
    assert asked == "/setup/keys?provider=stripe"
    assert made_up.startswith("/setup/no-such-page-")


def test_a_redirect_to_the_registered_login_page_counts_as_reachable(web):
    web.says |= {"/keys": "->/login?next=/keys"}
    assert probed(web) == ("ok", "It leads to the login page, as it should.")
    assert "/login" not in "".join(web.asked())


def test_where_every_path_leads_to_the_login_page_it_cannot_be_told(web):
    web.otherwise = "->/login?next={path}"
    outcome, words = probed(web)
    assert outcome == "cannot_tell"
    assert "made-up address" in words


def test_where_every_path_answers_with_the_same_page_it_cannot_be_told(web):
    web.otherwise = APP
    assert probed(web)[0] == "cannot_tell"


def test_a_page_that_differs_only_in_its_path_and_its_tokens_is_the_same_page(web):
    web.says["/keys"] = "<a href='/keys'>one page</a> <meta csrf=a8f7e6d5c4b3a29180f7e6d5c4b3a291>"
    web.otherwise = "<a href='/'>one page</a> <meta csrf=00f7e6d5c4b3a29180f7e6d5c4b3ffff>"
    assert probed(web)[0] == "cannot_tell"


def test_a_page_of_its_own_among_pages_that_always_answer_is_there(web):
    web.says["/keys"] = "<h1>API keys</h1> create a key with these scopes"
    web.otherwise = "<h1>Sorry</h1> there is nothing at this address"
    assert probed(web)[0] == "ok"


@pytest.mark.parametrize("status", [404, 410, 500, 503, 400])
def test_an_answer_that_says_no_is_a_failure(web, status):
    web.says["/keys"] = status
    assert probed(web) == ("failed", f"It answers HTTP {status}.")


@pytest.mark.parametrize("status", [401, 403, 429])
def test_an_answer_that_only_keeps_machines_out_cannot_be_told(web, status):
    web.says["/keys"] = status
    assert probed(web) == ("cannot_tell", f"It does not answer machines (HTTP {status}).")


def test_a_redirect_to_the_front_page_is_a_failure(web):
    web.says |= {"/keys": "->/", "/": 200}
    assert probed(web)[0] == "failed"
    assert "front page" in probed(web)[1]


def test_a_redirect_to_somebody_elses_host_is_a_failure(web):
    other = Web()
    other.otherwise = 200
    web.says["/keys"] = "->" + other.url("/parked")
    outcome, words = probed(web)
    assert (outcome, "not among your hosts" in words) == ("failed", True)
    other.shutdown()
    other.server_close()


def test_a_host_that_is_down_is_asked_once_for_all_of_its_screens():
    asked = []

    def fetch(url, **_):
        asked.append(url)
        return Fetched(url, problem="no_connection", detail="Nothing answers there.")

    prober = Prober(hosts(), fetch)
    assert prober.probe("https://app.acme.com/a").outcome == "failed"
    assert prober.probe("https://app.acme.com/b").words == "Nothing answers there."
    assert prober.probe("https://docs.acme.com/b").outcome == "failed"
    assert asked == ["https://app.acme.com/a", "https://docs.acme.com/b"]


@pytest.mark.parametrize("host", ["app.example.com", "app.test", "acme.invalid"])
def test_a_host_that_nobody_can_have_is_not_asked(host):
    def fetch(url, **_):
        pytest.fail(url)

    assert Prober(hosts(), fetch).probe(f"https://{host}/keys").outcome == "cannot_tell"


# --- on a schedule --------------------------------------------------------------------------------


def a_link(web, path="/keys"):
    """A live version that leads there, listed."""
    Destination.objects.create(key="keys", name="Keys", host=web.host, path=path)
    version = a_version(
        {"variants": [{"subject": "s", "body": '{% button "keys" %}Go{% endbutton %}\n'}]}
    )
    publish_template(version, by=UserFactory(), now=NOW)
    probing.list_links(version, [Sample("a", "Ann", {})], now=NOW)
    return LinkHealth.objects.get()


def let_pass(minutes, *, start=0):
    """Probe whatever is due, minute by minute."""
    for minute in range(start, minutes + 1):
        now = NOW + timedelta(minutes=minute)
        ids = probing.lease_due(now, limit=9, until=now + timedelta(minutes=2))
        probe_links(ids, clock=lambda now=now: now, for_at_most=timedelta(seconds=9))


def state():
    link = LinkHealth.objects.get()
    return link.verdict, link.failures


def test_the_links_of_a_version_are_written_down_with_their_screens(web):
    link = a_link(web)
    assert (link.url, link.destination.key) == (web.url("/keys"), "keys")
    assert [version.links_listed_at for version in link.versions.all()] == [NOW]


def test_a_working_link_is_probed_every_half_hour(web):
    web.says["/keys"] = 200
    a_link(web)
    let_pass(61)
    assert state() == ("ok", 0)
    assert web.asked().count("/keys") == 3
    assert LinkHealth.objects.get().chain == [[web.url("/keys"), 200]]


def test_three_failures_over_fifteen_minutes_are_one_finding_within_twenty(web):
    a_link(web)
    let_pass(15)
    assert state() == ("failing", 2)
    assert not Finding.objects.exists()
    let_pass(20, start=16)
    assert state()[0] == "broken"
    finding = Finding.objects.get()
    assert (finding.kind, finding.subject, finding.closed_at) == (
        "broken_link",
        web.url("/keys"),
        None,
    )
    assert "HTTP 404" in finding.detail
    let_pass(60, start=21)
    assert Finding.objects.count() == 1


def test_three_failures_in_a_hurry_break_nothing(web):
    link = a_link(web)
    for second in range(5):
        now = NOW + timedelta(seconds=second)
        probe_links([link.pk], clock=lambda now=now: now, for_at_most=timedelta(seconds=9))
    assert state() == ("failing", 5)
    assert not Finding.objects.exists()


def test_one_success_between_failures_begins_anew(web):
    a_link(web)
    let_pass(8)
    web.says["/keys"] = 200
    let_pass(16, start=9)
    assert state() == ("ok", 0)
    del web.says["/keys"]
    let_pass(60, start=17)
    assert state() == ("failing", 2)


def test_recovery_closes_the_finding_and_asks_for_the_release(web):
    a_link(web)
    let_pass(20)
    web.says["/keys"] = 200
    let_pass(30, start=21)
    assert state() == ("ok", 0)
    assert Finding.objects.get().closed_at is not None
    assert LinkHealth.objects.get().released_at is not None


def test_a_broken_host_is_one_finding_for_all_of_its_links(web):
    a_link(web, '/keys?provider={{ provider.key | default: "" }}')
    version = LinkHealth.objects.get().versions.get()
    readers = [Sample(key, key, {"provider": {"key": key}}) for key in ("stripe", "hubspot")]
    probing.list_links(version, readers, now=NOW)
    probing.forget_unwatched(NOW)
    web.shutdown()
    web.server_close()
    let_pass(20)
    assert list(LinkHealth.objects.broken().values_list("trouble", flat=True)) == [web.url()] * 2
    assert Finding.objects.get().subject == web.url()


def test_a_probe_that_another_worker_overtook_changes_nothing(web):
    link = a_link(web)
    found = Prober(hosts()).probe(link.url)
    assert probing.record(link, found, now=NOW)
    assert not probing.record(link, found, now=NOW)
    assert state() == ("failing", 1)


def test_what_there_is_no_time_for_is_due_again(web):
    link = a_link(web)
    ids = probing.lease_due(NOW, limit=9, until=NOW + timedelta(minutes=2))
    assert ids == [link.pk]
    assert probing.lease_due(NOW, limit=9, until=NOW + timedelta(minutes=2)) == []
    assert probe_links(ids, clock=lambda: NOW, for_at_most=timedelta(0)) == 0
    assert list(LinkHealth.objects.due(NOW)) == [link]


def test_a_link_that_no_mail_has_any_more_is_let_be_and_its_finding_closes(web):
    link = a_link(web)
    let_pass(20)
    link.versions.update(status=VersionStatus.RETIRED)
    probing.forget_unwatched(NOW + timedelta(minutes=21))
    link.refresh_from_db()
    assert (link.verdict, link.next_check_at, link.is_watched) == ("unknown", None, False)
    assert link.released_at is not None
    assert Finding.objects.get().closed_at is not None


def test_a_refused_place_inside_counts_as_broken_and_is_never_asked(web, settings):
    link = a_link(web)
    settings.PROBE_ALLOW_LOOPBACK = False
    LinkHealth.objects.update(url="https://169.254.169.254/keys")
    let_pass(20)
    link.refresh_from_db()
    assert (link.verdict, web.asked()) == ("broken", [])
    assert "not on the internet" in link.detail


def test_customers_on_the_page_confirm_what_cannot_be_told(web):
    web.otherwise = APP
    a_link(web)
    let_pass(0)
    assert state()[0] == "cannot_tell"
    elsewhere = f"https://other.acme.com{'/keys'}"
    assert probing.confirm([(elsewhere, NOW)]) == 0
    assert probing.confirm([(web.url("/keys/?utm=1"), NOW)]) == 1
    assert state()[0] == "confirmed"
    assert probing.confirm([("/keys", NOW)]) == 0
    let_pass(30, start=30)
    assert state()[0] == "confirmed"
    later = 60 * 24 * 8
    let_pass(later, start=later)
    assert state()[0] == "cannot_tell"


def test_links_that_are_tried_get_remarks_where_they_stand(web):
    web.says |= {"/setup/keys": 200, "/b/keys": 404}
    web.otherwise = 404
    web.says["/c/keys"] = 403
    here = Whereabouts("variants.0.body", 3, "Dana")
    found = try_links(
        {web.url(path): here for path in ("/setup/keys", "/b/keys", "/c/keys", "/b/keys")}
    ).remarks
    assert [(r.check, r.blocking) for r in found] == [
        ("link_broken", True),
        ("link_cannot_tell", False),
    ]
    assert web.url("/b/keys") in found[0].message
    assert all(remark.mend for remark in found)
    assert {(r.place, r.line, r.sample) for r in found} == {("variants.0.body", 3, "Dana")}


def test_what_is_wrong_with_every_address_of_a_link_is_said_once(web):
    web.otherwise = 404
    here, there = (
        Whereabouts("variants.0.body", 3, "Dana"),
        Whereabouts("variants.0.body", 4, "Dana"),
    )
    found = try_links(
        {
            web.url("/a?p=1"): here,
            web.url("/a?p=2"): here,
            web.url("/a?p=3"): here,
            web.url("/b"): there,
        }
    ).remarks
    assert [(remark.line, "2 other addresses" in remark.message) for remark in found] == [
        (3, True),
        (4, False),
    ]


def test_a_link_that_takes_too_long_is_said_not_to_be_tried(web, monkeypatch):
    monkeypatch.setattr(reachable, "SECONDS", 0.2)
    slow = threading.Event()

    def waits(url, **_):
        slow.wait(5)
        raise AssertionError("nobody waits for this answer")

    here = Whereabouts("variants.0.body", None, "Dana")
    try:
        followed = try_links({web.url("/slow"): here}, fetch=waits)
    finally:
        slow.set()
    [remark] = followed.remarks
    assert (remark.check, remark.blocking) == ("link_not_tried", False)
    assert (followed.asked, followed.because) == (0, ["There was no time left."])


def test_what_was_not_asked_is_counted_with_the_reason(web):
    web.says["/a"] = 200
    here = Whereabouts("variants.0.body", 3, "Dana")
    followed = try_links({web.url("/a"): here, "https://evil.example/x": here})
    assert (followed.asked, followed.known) == (1, 2)
    assert followed.because == [
        "evil.example is reserved for examples and tests; nothing was asked."
    ]


def test_a_probe_may_be_asked_for_also_where_no_mail_leads_yet(web):
    screen = Destination.objects.create(
        key="keys", name="Keys", host=web.host, path="/keys/{{ provider.key }}"
    )
    web.says["/keys/stripe"] = 200
    [link] = probing.links_to([screen])
    assert link.url == web.url("/keys/stripe")
    assert probing.ask_for([link], now=NOW) == 1
    link.refresh_from_db()
    assert link.is_being_probed
    probing.probe_asked([link.pk])
    link.refresh_from_db()
    assert (link.verdict, link.is_being_probed, link.next_check_at) == ("ok", False, None)
    assert probing.links_to([screen]) == [link]
