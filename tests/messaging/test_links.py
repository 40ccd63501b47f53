"""Links of a mail: which there are, and what is wrong with them for each reader."""

from urllib.parse import urlsplit

import pytest

from messaging.checks.links import Registry, check_links, not_the_real_host, registry, secret_in
from messaging.checks.remark import Sample
from messaging.content import read
from messaging.links import Link, destination_of, links_of
from messaging.models import Destination, Host
from messaging.rendering import render

DESTINATIONS = {
    key: {"base_url": "https://app.acme.com", "path": path, "name": key}
    for key, path in {
        "keys": '/settings/api-keys?provider={{ provider.key | default: "" }}',
        "records": "/domains/{{ integration.type }}/records",
        "logs": "/logs",
        "reports": "/reports/first",
        "invite": "/team/invite",
    }.items()
}
FROZEN = {"snippets": {}, "destinations": DESTINATIONS}
KNOWN = Registry(
    ("https://app.acme.com", "https://docs.acme.com/help"),
    {"keys": "manage_api_keys", "records": "manage_dns", "reports": "launch"},
)
STOP = "https://mail.acme.com/u/9f8e7d6c5b4a39281706f5e4d3c2b1a0?token=9f8e7d6c5b4a39281706"
FACTS = {
    "person": {"name": "Ann", "first_name": "Ann", "role": "developer"},
    "provider": {"key": "stripe", "name": "Stripe"},
    "integration": {"type": "api", "name": "API"},
    "next": {"destination": "keys"},
    "activation": {"destination": "reports"},
    "support": {"email": "help@acme.com"},
    "unsubscribe_url": STOP,
}
ABLE = frozenset({"manage_api_keys", "manage_dns", "launch"})
BUTTON = '{% button "keys" %}Create the key{% endbutton %}\n'


def content(body):
    return read({"variants": [{"subject": "s", "body": body}]})


def sample(name="Ann at Stripe", *, purpose="nudge", able=ABLE, **facts):
    return Sample(name, name, {**FACTS, **facts}, able, purpose)


def remarks(body, *readers, production=True, known=KNOWN):
    readers = readers or (sample(),)
    return check_links(content(body), FROZEN, readers, known=known, production=production)


def checks(body, *readers, **more):
    return sorted((r.check, r.blocking) for r in remarks(body, *readers, **more))


# --- which links there are ------------------------------------------------------------------------


def test_links_are_found_in_both_parts_with_their_words():
    body = (
        "Read [the *docs*](https://docs.acme.com/help/a?b=1&c=2), "
        'see <https://docs.acme.com/help/x> or [logs]({% link "logs" %}).\n\n'
        f"{BUTTON}\nBare (https://docs.acme.com/help/bare), or https://docs.acme.com/help/y_(z).\n"
    )
    found = links_of(render(content(body), FROZEN, FACTS))
    assert found[:4] == [
        Link("https://docs.acme.com/help/a?b=1&c=2", "the docs", "text"),
        Link("https://docs.acme.com/help/x", "https://docs.acme.com/help/x", "text"),
        Link("https://app.acme.com/logs", "logs", "text"),
        Link("https://app.acme.com/settings/api-keys?provider=stripe", "Create the key", "button"),
    ]
    assert [(link.href, link.kind) for link in found[4:]] == [
        ("mailto:help@acme.com", "text"),
        (STOP, "text"),
        ("https://docs.acme.com/help/bare", "plain"),
        ("https://docs.acme.com/help/y_(z)", "plain"),
    ]


def test_a_screen_is_known_by_its_path_whatever_stands_in_the_query():
    def key(path):
        return destination_of(f"https://app.acme.com{path}", DESTINATIONS, FACTS)

    assert key("/settings/api-keys?provider=stripe") == "keys"
    assert key("/settings/api-keys/?provider=hubspot#top") == "keys"
    assert key("/domains/api/records") == "records"
    assert key("/domains/data/records") == ""
    assert key("/settings") == key("") == ""


# --- what is wrong with them ----------------------------------------------------------------------


def test_the_right_button_for_a_reader_who_may_use_it_is_fine():
    assert checks(f'{BUTTON}\n[logs]({{% link "logs" %}})\n') == []
    assert checks("Nothing to click.\n") == []


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("http://app.acme.com/logs", [("link_scheme", True), ("link_unregistered", True)]),
        ("https://elsewhere.com/logs", [("link_host", True)]),
        ("https://app.acme.com.evil.com/logs", [("link_host", True)]),
        ("https://app.acme.com:8443/logs", [("link_host", True)]),
        ("https://app.acme.com", [("link_homepage", False)]),
        ("https://app.acme.com/", [("link_homepage", False)]),
        ("https://docs.acme.com/help/", [("link_homepage", False)]),
        ("https://app.acme.com/old-screen", [("link_unregistered", True)]),
        ("https://staging.acme.com/logs", [("link_host", True), ("link_staging", True)]),
        ("https://10.0.0.8/logs", [("link_host", True), ("link_staging", True)]),
        ("https://your-domain.com/x", [("link_host", True), ("link_placeholder", True)]),
        ("https://app.acme.com/logs?id=TODO", [("link_placeholder", True)]),
        ("https://app.acme.com/logs?id=xxxx", [("link_placeholder", True)]),
        ("https://app.acme.com/logs?id=%7B%7Bid%7D%7D", [("link_placeholder", True)]),
        ("https://app.acme.com/logs?team=lorem", [("link_placeholder", True)]),
        ("https://app.acme.com/logs?token=abc", [("link_secret", True)]),
        ("https://app.acme.com/logs?api_key=abc", [("link_secret", True)]),
        ("https://app.acme.com/logs?x=sk_live_abc", [("link_secret", True)]),
        ("https://app.acme.com/logs#access_token=abc", [("link_secret", True)]),
        ("https://app.acme.com/logs?s=9f8e7d6c5b4a39281706f5e4d3c2b1a0", [("link_secret", True)]),
        ("https://ann:pw@app.acme.com/logs", [("link_secret", True)]),
    ],
)  # fmt: skip
def test_a_link_of_its_own(link, expected):
    assert checks(f"[here]({link})\n\n{BUTTON}") == expected


def test_outside_production_the_scheme_and_the_host_are_advice():
    link = "[here](http://staging.acme.com/logs)\n"
    known = Registry((*KNOWN.hosts, "http://staging.acme.com"), KNOWN.capabilities)
    assert checks(link, known=known, production=False) == [
        ("link_scheme", False), ("link_staging", False), ("link_unregistered", True),
    ]  # fmt: skip
    assert ("link_staging", True) in checks(link, known=known, production=True)


@pytest.mark.parametrize(
    "host",
    [
        "staging.acme.com", "app.staging.acme.com", "app-staging.acme.com", "dev.acme.com", "qa2.acme.com",
        "localhost", "app.local", "app.test", "app.example", "app.example.com", "acme.internal",
        "abc.ngrok.io", "abc.ngrok-free.app", "127.0.0.1", "::1", "intranet",
    ],
)  # fmt: skip
def test_hosts_that_are_not_the_real_one(host):
    assert not_the_real_host(host)


@pytest.mark.parametrize(
    "host", ["app.acme.com", "developers.acme.com", "contest.com", "example-shop.com", "testa.io"]
)
def test_hosts_that_may_be(host):
    assert not not_the_real_host(host)


@pytest.mark.parametrize(
    "query",
    [
        "provider=google_sheets", "topic=api&provider=stripe", "status=failed&from=2026-03-04",
        "utm_campaign=setup-reminder-number-2-march-2026", "monkey=1", "keyboard=1",
        "tab=first-request-in-production-1", "provider=",
        "integration=3f2c1b0a-9d8e-4c7b-a6f5-e4d3c2b1a098",
    ],
)  # fmt: skip
def test_an_ordinary_query_is_no_secret(query):
    assert secret_in(urlsplit(f"https://app.acme.com/x?{query}")) == ""


# --- the main action ------------------------------------------------------------------------------


def test_a_button_that_leads_home_blocks():
    assert checks("[Go](https://app.acme.com/)\n", known=KNOWN) == [("link_homepage", False)]
    home = {**DESTINATIONS, "home": {"base_url": "https://app.acme.com", "path": "/", "name": "h"}}
    body = content('{% button "home" %}Go{% endbutton %}\n')
    found = check_links(
        body, {"destinations": home}, [sample(purpose="resolution")], known=KNOWN, production=True
    )
    # Whoever registers the front page as a screen has said so.
    assert found == []


@pytest.mark.parametrize(
    ("purpose", "button", "able", "expected"),
    [
        ("nudge", "keys", ABLE, []),
        ("nudge", "logs", ABLE, ["link_main_action"]),
        ("ask", "logs", ABLE, ["link_main_action"]),
        # Who may not do the next step is led to what they may do.
        ("nudge", "invite", frozenset(), []),
        ("ask", "invite", frozenset(), []),
        ("nudge", "keys", frozenset(), ["link_capability"]),
        ("resolution", "logs", ABLE, []),
        ("resolution", "records", frozenset(), ["link_capability"]),
        ("confirmation", "reports", ABLE, []),
        ("confirmation", "keys", ABLE, ["link_main_action"]),
        ("confirmation", "logs", frozenset(), []),
        ("", "logs", ABLE, []),
    ],
)
def test_the_main_action(purpose, button, able, expected):
    body = f'{{% button "{button}" %}}Go on{{% endbutton %}}\n'
    found = remarks(body, sample(purpose=purpose, able=able))
    assert [remark.check for remark in found] == expected
    assert all(remark.blocking for remark in found)


def test_only_the_first_button_is_the_main_action():
    assert checks(f'{BUTTON}\n{{% button "logs" %}}Logs{{% endbutton %}}\n') == []


def test_a_text_link_to_a_screen_that_the_reader_may_not_use_is_advice():
    body = 'See [records]({% link "records" %}).\n'
    assert checks(body, sample(able=frozenset())) == [("link_capability", False)]


def test_a_button_for_somebody_whose_role_nobody_told_us_is_advice():
    unknown = sample(able=frozenset(), person={"first_name": "Ann", "role": ""})
    assert checks(BUTTON, unknown) == [("link_capability", False)]


def test_every_reader_is_tried_and_each_trouble_is_said_once():
    body = f"{BUTTON}\nSee [this](https://elsewhere.com/{{{{ provider.key }}}}).\n"
    readers = [
        sample("Ann at Stripe"),
        sample("Bob at Stripe"),
        sample("Eve at HubSpot", provider={"key": "hubspot", "name": "HubSpot"}),
        sample("Jo who cannot", able=frozenset()),
    ]
    found = {(r.check, r.message): r for r in remarks(body, *readers)}
    assert len(found) == 3
    stripe = next(r for r in found.values() if "elsewhere.com/stripe" in r.message)
    assert (stripe.sample, stripe.place, stripe.line) == ("Ann at Stripe and 2 more", "variants.0.body", None)  # fmt: skip
    hubspot = next(r for r in found.values() if "elsewhere.com/hubspot" in r.message)
    assert hubspot.sample == "Eve at HubSpot"
    cannot = next(r for r in found.values() if r.check == "link_capability")
    assert (cannot.sample, cannot.line) == ("Jo who cannot", 1)
    assert all(remark.mend for remark in found.values())


def test_the_unsubscribe_link_and_mail_addresses_are_nobodys_trouble():
    assert "link_secret" not in dict(checks(BUTTON))
    assert checks("[Write](mailto:help@acme.com)\n") == []


def test_of_a_mail_that_cannot_be_rendered_the_addresses_are_checked_as_they_are_written():
    broken = '{% button "nowhere" %}Go{% endbutton %}\n'
    assert remarks(broken) == []
    body = f"{broken}[a](https://elsewhere.com/a)[b](https://else.com/{{{{ provider.key }}}})\n"
    assert [(one.check, one.line) for one in remarks(body)] == [("link_host", 2)]


@pytest.mark.django_db
def test_the_registry_is_what_stands_in_the_database():
    host = Host.objects.create(key="app", base_url="https://app.acme.com")
    Destination.objects.create(
        key="keys", name="Keys", host=host, path="/keys", capability="manage_api_keys"
    )
    assert registry() == Registry(("https://app.acme.com",), {"keys": "manage_api_keys"})
