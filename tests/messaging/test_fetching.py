"""Fetching: nothing inside is ever asked, however it is spelled, and nothing takes longer than allowed."""

import ast
import ipaddress
import ssl
import time
from pathlib import Path

import pytest

from messaging import fetching
from messaging.fetching import Problem, fetch, is_public
from tests.messaging.web_server import Web, certificate

ROOT = Path(__file__).resolve().parent.parent.parent
PUBLIC = "93.184.215.14"


@pytest.fixture
def web(settings):
    settings.PROBE_ALLOW_LOOPBACK = True
    server = Web()
    yield server
    server.shutdown()
    server.server_close()


def names(**addresses):
    """A resolver that knows these names, and counts how often each was asked for."""
    asked = []

    def resolve(name):
        asked.append(name)
        found = addresses[name.replace(".", "_").replace("-", "_")]
        return found.pop(0) if found and isinstance(found[0], list) else found

    resolve.asked = asked
    return resolve


# --- what may be asked ----------------------------------------------------------------------------

INSIDE = [
    "0.0.0.0",  # noqa: S104
    "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1", "100::1", "fc00::1",
    "fd00:ec2::254", "fd12::1", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_an_address_that_is_not_on_the_internet_is_refused(text):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_an_address_on_the_internet_may_be_asked(text):
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1",
        "017700000001", "127.0.0.1.", "0", "localhost", "localhost.", "LOCALHOST",
        "0.0.0.0",  # noqa: S104
        "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fd00:ec2::254]", "169.254.169.254",
        "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
    ],
)  # fmt: skip
def test_every_spelling_of_a_place_inside_is_refused_by_the_real_resolver(host):
    answer = fetch(f"http://{host}/latest/meta-data/")
    assert answer.problem in (Problem.REFUSED_ADDRESS, Problem.NO_SUCH_HOST, Problem.BAD_ADDRESS)
    assert answer.hops == ()


@pytest.mark.parametrize(
    "url",
    [
        "http://１２７.0.0.1/", "http://127。0。0。1/", "http://①②⑦.0.0.1/",
        "http://[::1", "http://[fe80::1%25eth0]/", "http://", "https:///path", "//app.acme.com/",
        "ftp://app.acme.com/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "javascript:alert(1)",
        "http://user:pw@app.acme.com/", "http://app.acme.com@127.0.0.1/", "http://app.acme.com:22/",
        "https://app.acme.com:6379/", "http://app.acme.com/" + "x" * 3000, "http://app .acme.com/",
        "http://app.acme.com\r\nHost: inside/",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_never_asked(url):
    def resolve(name):
        pytest.fail(f"{name} was looked up")

    answer = fetch(url, resolve=resolve)
    assert answer.problem in (Problem.BAD_ADDRESS, Problem.REFUSED_ADDRESS)


@pytest.mark.parametrize("text", INSIDE)
def test_a_name_that_leads_inside_is_refused_after_it_was_resolved(text):
    answer = fetch("https://harmless.acme.com/", resolve=names(harmless_acme_com=[text]))
    assert (answer.problem, answer.hops) == (Problem.REFUSED_ADDRESS, ())


def test_one_refused_address_among_several_refuses_the_name():
    both = names(app_acme_com=[PUBLIC, "10.0.0.7"])
    assert fetch("https://app.acme.com/", resolve=both).problem is Problem.REFUSED_ADDRESS


def test_a_name_without_an_address_is_no_host():
    assert fetch("https://app.acme.com/", resolve=names(app_acme_com=[])).problem == "no_such_host"
    assert fetch("https://does-not-exist.invalid/").problem == "no_such_host"


def test_loopback_is_let_through_by_the_test_setting_alone(web, settings):
    web.says["/"] = 200
    assert fetch(web.url("/")).status == 200
    settings.PROBE_ALLOW_LOOPBACK = False
    # Port and address are each reason enough.
    assert fetch(web.url("/")).problem == "bad_address"
    assert fetch("http://127.0.0.1/").problem == "refused_address"
    assert len(web.seen) == 1


def test_the_test_setting_opens_nothing_but_loopback(settings):
    settings.PROBE_ALLOW_LOOPBACK = True
    for host in ("10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]"):
        assert fetch(f"http://{host}/").problem == "refused_address", host


# --- rebinding and redirects ----------------------------------------------------------------------


def test_a_name_is_resolved_once_and_asked_at_the_address_that_was_judged(web):
    web.says["/"] = 200
    # Whoever resolved it again would be sent inside.
    resolve = names(app_acme_com=[["127.0.0.1"], ["10.0.0.1"]])
    answer = fetch(web.url("/", host="app.acme.com"), resolve=resolve)
    assert (answer.status, resolve.asked) == (200, ["app.acme.com"])
    assert web.seen[0][1]["host"] == f"app.acme.com:{web.server_address[1]}"


def test_a_name_that_answers_differently_for_the_redirect_is_judged_again(web):
    web.says["/"] = "->/second"
    resolve = names(app_acme_com=[["127.0.0.1"], ["10.0.0.1"]])
    answer = fetch(web.url("/", host="app.acme.com"), resolve=resolve)
    assert answer.problem == "refused_address"
    assert web.asked() == ["/"]


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://10.0.0.1/",
        "http://2852039166/", "//192.168.0.1/", "file:///etc/passwd", "http://a:b@app.acme.com/",
        "gopher://10.0.0.1/",
    ],
)  # fmt: skip
def test_a_redirect_inside_is_refused(web, target):
    web.says["/"] = f"->{target}"
    answer = fetch(web.url("/"))
    assert answer.problem in ("refused_address", "bad_address")
    assert [(hop.status, hop.location) for hop in answer.hops] == [(302, target)]


def test_redirects_are_followed_and_told_of_one_by_one(web):
    web.says |= {"/a": "->/b", "/b": "->c?x=1", "/c": "the page"}
    answer = fetch(web.url("/a"))
    assert (answer.status, answer.arrived, answer.body) == (200, web.url("/c?x=1"), b"the page")
    assert [hop.status for hop in answer.hops] == [302, 302, 200]


def test_a_circle_and_an_endless_chain_are_given_up(web):
    web.says |= {"/a": "->/b", "/b": "->/a"}
    assert fetch(web.url("/a")).problem == "redirect_loop"
    web.otherwise = "->{path}x"
    assert fetch(web.url("/x")).problem == "too_many_redirects"
    assert len(web.seen) == 2 + fetching.REDIRECTS + 1


def test_it_stops_where_it_was_told_to_without_asking_there(web):
    web.says["/a"] = "->/login?next=/a"
    answer = fetch(web.url("/a"), stop_at=lambda url: "/login" in url)
    assert (answer.stopped, answer.arrived) == (True, web.url("/login?next=/a"))
    assert web.asked() == ["/a"]


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/drip", "/drip-head", "/silent"])
def test_an_answer_that_drips_is_given_up_when_the_time_is_over(web, path):
    began = time.monotonic()
    answer = fetch(web.url(path), seconds=0.6)
    assert answer.problem == "timeout"
    assert time.monotonic() - began < 2


def test_a_name_server_that_never_answers_is_given_up_too():
    began = time.monotonic()
    answer = fetch("https://slow.acme.com/", seconds=0.3, resolve=lambda _: time.sleep(3) or [])
    assert answer.problem == "timeout"
    assert time.monotonic() - began < 2


def test_a_huge_body_is_cut_off(web):
    answer = fetch(web.url("/huge"))
    assert (answer.status, answer.cut_off, len(answer.body)) == (200, True, fetching.BODY_LIMIT)
    assert web.sent < 50_000_000


def test_what_is_not_http_and_where_nobody_answers(web):
    assert fetch(web.url("/garbage")).problem == "not_http"
    web.shutdown()
    web.server_close()
    assert fetch(web.url("/")).problem == "no_connection"


def test_it_says_who_asks_and_keeps_no_cookie_and_obeys_no_proxy(web, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    web.says |= {"/a": "->/b", "/b": 200}
    assert fetch(web.url("/a")).status == 200
    assert all(headers["user-agent"] == fetching.USER_AGENT for _, headers in web.seen)
    assert not any("cookie" in headers for _, headers in web.seen)


# --- certificates ---------------------------------------------------------------------------------


@pytest.fixture
def encrypted(settings, tmp_path):
    settings.PROBE_ALLOW_LOOPBACK = True
    file = certificate(tmp_path, "app.acme.com")
    server = Web(file)
    server.certificate = file
    server.says["/"] = 200
    yield server
    server.shutdown()
    server.server_close()


def test_a_certificate_that_nobody_vouches_for_is_a_problem(encrypted):
    answer = fetch(encrypted.url("/", "app.acme.com"), resolve=names(app_acme_com=["127.0.0.1"]))
    assert (answer.problem, answer.status) == ("certificate", None)
    assert "self-signed" in answer.detail


def test_a_certificate_is_checked_against_the_name_and_not_the_address(encrypted):
    trusting = ssl.create_default_context(cafile=encrypted.certificate)
    known = names(app_acme_com=["127.0.0.1"], other_acme_com=["127.0.0.1"])
    answer = fetch(encrypted.url("/", "app.acme.com"), resolve=known, tls=trusting)
    assert (answer.status, answer.problem) == (200, None)
    trusting = ssl.create_default_context(cafile=encrypted.certificate)
    other = fetch(encrypted.url("/", "other.acme.com"), resolve=known, tls=trusting)
    assert other.problem == "certificate"
    assert "other.acme.com" in other.detail


def test_a_redirect_from_encrypted_to_plain_is_refused(encrypted):
    encrypted.says["/"] = "->http://app.acme.com/"
    trusting = ssl.create_default_context(cafile=encrypted.certificate)
    answer = fetch(
        encrypted.url("/", "app.acme.com"), resolve=names(app_acme_com=["127.0.0.1"]), tls=trusting
    )
    assert answer.problem == "insecure_redirect"


def test_a_plain_server_behind_an_https_address_is_no_encryption(web):
    answer = fetch(web.url("/").replace("http:", "https:"))
    assert answer.problem == "encryption"


def test_no_other_code_fetches():
    """Mail providers (Anymail), the DNS and the demo's own SDK go their own ways."""
    only_names_errors = {"messaging/refusals.py"}
    fetchers = {"httpx", "httpcore", "requests", "urllib.request", "http.client", "urllib3", "aiohttp"}  # fmt: skip
    found = set()
    for folder in ("accounts", "events", "messaging", "lifecycle"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names_ = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                if fetchers & set(names_):
                    found.add(str(path.relative_to(ROOT)))
    assert found - only_names_errors == {"messaging/fetching.py"}
