"""Whether mail from a domain is likely to arrive: its DNS records, with what to do, and its days."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from messaging.lookup import Lookup, Unanswered
from messaging.models import Message, MessageStatus, SendingDomain
from messaging.refusals import NO_SUCH_MAILBOX_REASON

State = Literal["good", "advice", "bad", "unknown"]
# RFC 7208, 4.6.4: more than ten lookups make the record invalid for every mail.
SPF_LOOKUPS = 10
# A 2048-bit RSA key is 294 octets in DER, a 1024-bit one 162; RFC 8301 asks for at least 1024, better 2048.
RSA_2048, RSA_1024 = 290, 160
DAYS = 14


@dataclass(frozen=True, slots=True)
class Check:
    """One thing about a domain: how it stands, what we found, and what to do about it."""

    name: str
    state: State
    says: str
    advice: str = ""


def check(domain: SendingDomain, *, lookup: Lookup) -> list[Check]:
    """Every check of the domain. A name server that does not answer makes a check `unknown`, never bad."""
    name = domain.name
    selectors = [part.strip() for part in domain.dkim_selectors.split(",") if part.strip()]
    checks = [_answered("SPF", lambda: spf(name, lookup))]
    checks += [
        _answered(f"DKIM {one}", lambda one=one: dkim(name, one, lookup))  # type: ignore[misc]
        for one in selectors
    ]
    if not selectors:
        checks.append(
            Check("DKIM", "advice", "No selector is known here.", "Enter the selectors that your mail provider shows for this domain; without DKIM, Gmail and Yahoo refuse bulk mail.")
        )  # fmt: skip
    checks.append(_answered("DMARC", lambda: dmarc(name, lookup)))
    checks.append(_answered("MX", lambda: mail_hosts(name, lookup)))
    return checks


def _answered(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except Unanswered as error:
        return Check(name, "unknown", str(error), "Try again in a few minutes.")


def spf(name: str, lookup: Lookup) -> Check:
    """RFC 7208: exactly one record, not open to everybody, at most ten lookups."""
    found = spf_records(name, lookup)
    if not found:
        return Check("SPF", "bad", "There is no SPF record.", f"Publish a TXT record at {name} such as “v=spf1 include:<your provider> ~all”.")  # fmt: skip
    if len(found) > 1:
        return Check("SPF", "bad", f"There are {len(found)} SPF records, which makes all of them invalid.", "Merge them into one.")  # fmt: skip
    record = found[0]
    ending = re.search(r"(?:^|\s)([+?~-]?)all(?:\s|$)", record, re.IGNORECASE)
    if ending and ending[1] in ("", "+"):
        return Check("SPF", "bad", f"“{record}” lets everybody send in your name.", "End it with ~all or -all.")  # fmt: skip
    lookups = spf_lookups(record, lookup)
    if lookups > SPF_LOOKUPS:
        return Check("SPF", "bad", f"“{record}” needs more than {SPF_LOOKUPS} DNS lookups, so receivers treat it as invalid.", "Remove includes of services that you no longer use.")  # fmt: skip
    if "redirect=" not in record.lower() and (ending is None or ending[1] == "?"):
        return Check("SPF", "advice", f"“{record}” says nothing about other senders.", "End it with ~all or -all.")  # fmt: skip
    return Check("SPF", "good", f"“{record}”, {lookups} lookups.")


def spf_records(name: str, lookup: Lookup) -> list[str]:
    return [
        text
        for text in lookup.texts(name)
        if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")
    ]


def spf_lookups(record: str, lookup: Lookup, *, spent: int = 0) -> int:
    """The DNS lookups that the record costs a receiver; stops counting once there are too many."""
    for term in record.split()[1:]:
        bare = term.lstrip("+-~?").lower()
        if not re.match(r"(include:|redirect=|a\b|mx\b|ptr\b|exists:)", bare):
            continue
        spent += 1
        if spent > SPF_LOOKUPS:
            break
        if bare.startswith(("include:", "redirect=")):
            for inner in spf_records(re.split("[:=]", bare, maxsplit=1)[1], lookup)[:1]:
                spent = spf_lookups(inner, lookup, spent=spent)
    return spent


def tags(record: str) -> dict[str, str]:
    """The record's `name=value` pairs, as DKIM and DMARC write them."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if key.strip()}


def dkim(name: str, selector: str, lookup: Lookup) -> Check:
    """RFC 6376: a key is published, not revoked, and long enough (RFC 8301)."""
    title = f"DKIM {selector}"
    place = f"{selector}._domainkey.{name}"
    found = [text for text in lookup.texts(place) if "p=" in text]
    if not found:
        return Check(title, "bad", f"There is no key at {place}.", "Publish the record that your mail provider shows for this selector, or correct the selector here.")  # fmt: skip
    told = tags(found[0])
    key = "".join(told.get("p", "").split())
    if not key:
        return Check(title, "bad", f"The key at {place} is revoked (p= is empty).", "Publish the provider's current key.")  # fmt: skip
    try:
        octets = len(base64.b64decode(key, validate=True))
    except binascii.Error:
        return Check(title, "bad", f"The key at {place} is not readable.", "Copy it again in one piece; long records are often cut.")  # fmt: skip
    if told.get("k", "rsa") == "rsa" and octets < RSA_2048:
        state: State = "bad" if octets < RSA_1024 else "advice"
        return Check(title, state, "The key is shorter than 2048 bits.", "Ask your provider for a 2048-bit key.")  # fmt: skip
    return Check(title, "good", f"A key is published at {place}; it signs for {name} itself, so DMARC aligns.")  # fmt: skip


def dmarc(name: str, lookup: Lookup) -> Check:
    """RFC 7489: a policy at the domain or, failing that, at a domain above it."""
    labels = name.split(".")
    for position in range(len(labels) - 1):
        place = ".".join(labels[position:])
        found = [text for text in lookup.texts(f"_dmarc.{place}") if tags(text).get("v", "").upper() == "DMARC1"]  # fmt: skip
        if len(found) > 1:
            return Check("DMARC", "bad", f"There are {len(found)} policies at _dmarc.{place}, which count as none.", "Keep one.")  # fmt: skip
        if found:
            return _dmarc_policy(found[0], place, inherited=place != name)
    return Check("DMARC", "bad", "There is no DMARC policy; Gmail and Yahoo ask bulk senders for one.", f"Publish a TXT record at _dmarc.{name}: “v=DMARC1; p=none; rua=mailto:…” to begin with.")  # fmt: skip


def _dmarc_policy(record: str, place: str, *, inherited: bool) -> Check:
    told = tags(record)
    policy = (told.get("sp") if inherited else None) or told.get("p", "")
    where = f"“{record}” at _dmarc.{place}"
    if policy not in ("none", "quarantine", "reject"):
        return Check("DMARC", "bad", f"{where} has no policy that receivers know.", "Set p= to none, quarantine or reject.")  # fmt: skip
    if policy == "none":
        return Check("DMARC", "advice", f"{where} only watches.", "Once its reports show only your own mail, set p=quarantine.")  # fmt: skip
    return Check("DMARC", "good", f"{where}.")


def mail_hosts(name: str, lookup: Lookup) -> Check:
    """Whether answers and bounces to the domain can arrive."""
    hosts = lookup.mail_hosts(name)
    if hosts == ["."]:
        return Check("MX", "bad", "The domain says that it takes no mail, so nobody can answer, and some receivers refuse mail from it.", "Publish MX records, or send from a domain that has them.")  # fmt: skip
    if hosts:
        return Check("MX", "good", f"Mail to it goes to {', '.join(host.rstrip('.') for host in hosts)}.")  # fmt: skip
    if lookup.has_address(name):
        return Check("MX", "advice", "There is no MX record; mail goes to the domain's web address.", "Publish MX records.")  # fmt: skip
    return Check("MX", "bad", "Mail to the domain cannot be delivered, so nobody can answer.", "Publish MX records.")  # fmt: skip


# --- days ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Day:
    """What a domain sent on one day and what came of it."""

    day: date
    sent: int
    bounced: int
    complained: int
    uncertain: int

    @property
    def bounce_percent(self) -> float:
        return round(100 * self.bounced / self.sent, 2) if self.sent else 0.0

    @property
    def complaint_percent(self) -> float:
        return round(100 * self.complained / self.sent, 2) if self.sent else 0.0


LEFT = (
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
    MessageStatus.BOUNCED,
    MessageStatus.COMPLAINED,
    MessageStatus.UNCERTAIN,
)


def days(domain: SendingDomain, *, now: datetime, count: int = DAYS) -> Sequence[Day]:
    """The domain's last days with any mail, newest first, by when the mail was handed over."""
    gone = Q(status=MessageStatus.FAILED, reason=NO_SUCH_MAILBOX_REASON)
    rows = (
        Message.objects.filter(
            Q(status__in=LEFT) | gone,
            sender__domain=domain,
            claimed_at__gte=now - timedelta(days=count),
        )
        .annotate(day=TruncDate("claimed_at"))
        .values("day")
        .annotate(
            sent=Count("pk"),
            bounced=Count("pk", filter=Q(status=MessageStatus.BOUNCED) | gone),
            complained=Count("pk", filter=Q(status=MessageStatus.COMPLAINED)),
            uncertain=Count("pk", filter=Q(status=MessageStatus.UNCERTAIN)),
        )
        .order_by("-day")
    )
    return [Day(**row) for row in rows]
