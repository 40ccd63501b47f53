"""A domain's records and rates, judged from real answers of a name server on this machine."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from django.urls import reverse

from messaging import deliverability, lookup
from messaging.models import Message, SendingDomain
from tests.factories import UserFactory
from tests.messaging.scenes import NOW, queued

KEY_2048 = base64.b64encode(b"k" * 294).decode()
KEY_1024 = base64.b64encode(b"k" * 162).decode()
KEY_512 = base64.b64encode(b"k" * 94).decode()
Zone = dict[tuple[str, str], list[str]]


class NameServer(socketserver.ThreadingUDPServer):
    """Answers from its zone; a name with the value `silence` gets no answer at all."""

    daemon_threads = True
    zone: Zone

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.zone = {}
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def lookup(self) -> lookup.Dns:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.server_address[1]
        return lookup.Dns(resolver)


class Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        server: Any = self.server
        name = question.name.to_text(omit_final_dot=True)
        values = server.zone.get((name, kind), [])
        if values == ["silence"]:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if values:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        elif not any(known == name for known, _ in server.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        sock.sendto(answer.to_wire(), self.client_address)


@pytest.fixture
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.shutdown()
    server.server_close()


def txt(*values: str) -> list[str]:
    """As a zone file writes them: in quotes, in parts of at most 255 octets."""
    return [
        " ".join(f'"{value[at : at + 250]}"' for at in range(0, len(value), 250))
        for value in values
    ]


def states(names: NameServer, zone: Zone, selectors: str = "s1") -> dict[str, str]:
    names.zone = zone
    domain = SendingDomain(name="acme.example", dkim_selectors=selectors)
    return {
        check.name: check.state for check in deliverability.check(domain, lookup=names.lookup())
    }


def test_a_domain_with_everything_in_place_is_good(names):
    zone = {
        ("acme.example", "TXT"): txt("v=spf1 include:_spf.provider.example ~all", "other words"),
        ("_spf.provider.example", "TXT"): txt("v=spf1 ip4:192.0.2.0/24 ~all"),
        ("s1._domainkey.acme.example", "TXT"): txt(f"v=DKIM1; k=rsa; p={KEY_2048}"),
        ("_dmarc.acme.example", "TXT"): txt("v=DMARC1; p=quarantine"),
        ("acme.example", "MX"): ["10 mail.acme.example."],
    }
    assert states(names, zone) == {"SPF": "good", "DKIM s1": "good", "DMARC": "good", "MX": "good"}


def test_a_domain_without_records_is_told_what_to_publish(names):
    names.zone = {}
    domain = SendingDomain(name="acme.example", dkim_selectors="s1")
    checks = deliverability.check(domain, lookup=names.lookup())
    assert {check.state for check in checks} == {"bad"}
    assert all(check.advice for check in checks)


@pytest.mark.parametrize(
    ("records", "state"),
    [
        (["v=spf1 -all", "v=spf1 ~all"], "bad"),
        (["v=spf1 +all"], "bad"),
        (["v=spf1 all"], "bad"),
        (["v=spf1 ip4:192.0.2.1"], "advice"),
        (["v=spf1 ?all"], "advice"),
        (["v=spf1 redirect=x.example"], "good"),
        (["v=spf10 -all"], "bad"),
        (["v=spf1 " + " ".join(f"a:h{n}.example" for n in range(11)) + " -all"], "bad"),
        (["v=spf1 include:acme.example -all"], "bad"),
    ],
)
def test_spf_is_judged_as_receivers_do(names, records, state):
    assert states(names, {("acme.example", "TXT"): txt(*records)})["SPF"] == state


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (f"v=DKIM1; p={KEY_1024}", "advice"),
        (f"v=DKIM1; p={KEY_512}", "bad"),
        ("v=DKIM1; p=", "bad"),
        ("v=DKIM1; p=not*base64", "bad"),
        ("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "good"),
    ],
)
def test_dkim_keys_must_be_readable_and_long_enough(names, record, state):
    zone = {("s1._domainkey.acme.example", "TXT"): txt(record)}
    assert states(names, zone)["DKIM s1"] == state


@pytest.mark.parametrize(
    ("place", "record", "state"),
    [
        ("acme.example", "v=DMARC1; p=none", "advice"),
        ("acme.example", "v=DMARC1; p=whatever", "bad"),
        ("acme.example", "v=DMARC1; p=reject", "good"),
    ],
)
def test_dmarc_is_judged_by_its_policy(names, place, record, state):
    assert states(names, {(f"_dmarc.{place}", "TXT"): txt(record)})["DMARC"] == state


def test_a_subdomain_inherits_its_parents_dmarc_policy(names):
    names.zone = {("_dmarc.acme.example", "TXT"): txt("v=DMARC1; p=reject; sp=none")}
    domain = SendingDomain(name="mail.acme.example")
    checks = {c.name: c for c in deliverability.check(domain, lookup=names.lookup())}
    assert checks["DMARC"].state == "advice"
    assert "_dmarc.acme.example" in checks["DMARC"].says
    assert checks["DKIM"].state == "advice"


def test_a_domain_that_takes_no_mail_is_bad_and_one_without_mx_is_advice(names):
    assert states(names, {("acme.example", "MX"): ["0 ."]})["MX"] == "bad"
    assert states(names, {("acme.example", "A"): ["192.0.2.1"]})["MX"] == "advice"


def test_a_silent_name_server_makes_nothing_bad(names, monkeypatch):
    monkeypatch.setattr(lookup, "SECONDS", 0.3)
    kinds = [("acme.example", "TXT"), ("acme.example", "MX"), ("_dmarc.acme.example", "TXT")]
    found = states(names, {kind: ["silence"] for kind in kinds}, selectors="")
    assert found == {"SPF": "unknown", "DKIM": "advice", "DMARC": "unknown", "MX": "unknown"}


@pytest.mark.django_db
def test_days_count_what_left_and_what_came_of_it():
    messages = queued(6)
    outcomes = ["sent", "delivered", "bounced", "complained", "uncertain", "cancelled"]
    for message, status in zip(messages, outcomes, strict=True):
        Message.objects.filter(pk=message.pk).update(status=status, claimed_at=NOW, reason="x")
    Message.objects.filter(status="sent").update(claimed_at=NOW - timedelta(days=1))
    today, yesterday = deliverability.days(SendingDomain.objects.get(), now=NOW)
    assert (today.sent, today.bounced, today.complained, today.uncertain) == (4, 1, 1, 1)
    assert (yesterday.sent, yesterday.bounce_percent) == (1, 0.0)
    assert today.complaint_percent == 25.0


@pytest.mark.django_db
def test_the_page_shows_records_and_days(client, names, monkeypatch):
    queued(1)
    monkeypatch.setattr(lookup, "system", names.lookup)
    client.force_login(UserFactory(is_superuser=True))
    page = client.get(
        reverse("admin:messaging_domain_health", args=[SendingDomain.objects.get().pk])
    )
    assert page.status_code == 200
    assert b"There is no SPF record." in page.content
    assert b"0.3 % from 1000" in page.content.replace(b",", b"")
