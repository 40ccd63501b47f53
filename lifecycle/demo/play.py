"""Tell the stories through Segment's own SDK, watch what arrives, and compare."""

import email
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import policy
from pathlib import Path

import segment.analytics
from django.core.management import call_command
from django.utils import timezone

from accounts import staff
from accounts.models import Account
from events import keys
from lifecycle.alerts.models import Alert
from lifecycle.demo.stories import Member, Step, Story, local_zone, stories
from lifecycle.journeys import blueprint
from lifecycle.journeys.models import JourneyVersion
from lifecycle.runner import health
from messaging.models import Message, VersionStatus
from messaging.outgoing import message_id

PASSWORD = "setup-demo"  # noqa: S105 - the demo answers on this machine only
WAIT_AT_MOST = timedelta(seconds=75)
# After the last expected mail, how long to watch for one that must not come.
WATCH_ON = timedelta(seconds=8)


def say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201


def set_up() -> None:
    """Database, roles, one staff user per role, and the blueprint, live."""
    say("Preparing the database…")
    call_command("migrate", verbosity=0)
    staff.make_roles()
    users = {role: staff.put_user(role, role=role, password=PASSWORD) for role in staff.ROLE_NAMES}
    blueprint.load()
    send_on_weekends_too()
    now = timezone.now()
    blueprint.publish_all(
        author=users["marketer"],
        reviewer=users["reviewer"],
        now=now,
        since=now - timedelta(days=30),
    )


def send_on_weekends_too() -> None:
    """The blueprint writes on weekdays; the demo is looked at on any day."""
    for version in JourneyVersion.objects.filter(status=VersionStatus.DRAFT, number=1):
        version.document["hours"]["days"] = list(range(7))
        version.save(update_fields=["document"])


@dataclass(frozen=True)
class Told:
    """A story with the names it was told under."""

    story: Story
    account_id: str
    run: int

    def address(self, member: Member) -> str:
        return f"{member.name}@{self.account_id}.example".lower()


def perform(*, url: str, mailbox: Path, check: bool) -> int:
    """Tell every story; returns the exit status. Without `check`, stay until interrupted."""
    began = timezone.now()
    run = 1 + Account.objects.filter(external_id__startswith="northwind").count()
    say(f"\nSending events to {url}/v1/batch through segment-analytics-python…\n")
    _, key = keys.create(f"Demo {run}")
    client = segment.analytics.Client(key, host=url, gzip=True, on_error=_complain)
    told = [Told(story, f"{story.name.lower()}-{run}", run) for story in stories()]
    for one in told:
        _introduce(client, one, began)
    _tell_until_done(client, told, began)
    client.shutdown()
    seen = _watch(told, mailbox, began)
    if check:
        return _compare(told, seen)
    if missing := (_expected(told) - seen).total():
        well = health.health(timezone.now())
        say(f"\n  !! {missing} did not arrive: {well.headline} {well.advice}")
        say("     A paused journey or account, or your own changes since, may be the reason too;")
        say("     each account's page says why.")
    _where_to_look(url, key)
    while True:
        time.sleep(1)
        seen = _announce(told, mailbox, seen)


def _complain(error: Exception, _batch: object) -> None:
    say(f"  !! the SDK reports: {error}")


def _introduce(client: "segment.analytics.Client", one: Told, began: datetime) -> None:
    """Who they are, and everything that has happened before the play began."""
    say(f"→ {one.story.name} {one.story.about}")
    zone = local_zone(began)
    joined = began - timedelta(days=10)
    for member in one.story.members:
        user = f"{one.account_id}-{member.name.lower()}"
        client.identify(
            user,
            {
                "email": one.address(member),
                "name": f"{member.name} {one.story.name}",
                "timezone": zone,
            },
            timestamp=joined,
        )
        client.group(
            user,
            one.account_id,
            {
                "name": one.story.name,
                "plan": "team",
                "timezone": zone,
                "role": member.role,
                **one.story.traits,
            },
            timestamp=joined,
        )


def _tell_until_done(
    client: "segment.analytics.Client", told: Iterable[Told], began: datetime
) -> None:
    """Each step at its time: what lies in the past right away, what the audience sees when it is due."""
    # A batch of identities first: a step must find its people.
    client.flush()
    script = sorted(
        ((one, step) for one in told for step in one.story.steps),
        key=lambda pair: sent_at(pair[1]),
    )
    for one, step in script:
        wait = (began + sent_at(step) - timezone.now()).total_seconds()
        if wait > 0:
            client.flush()
            time.sleep(wait)
        client.track(
            f"{one.account_id}-{step.who.name.lower()}",
            step.event,
            dict(step.properties),
            context={"groupId": one.account_id},
            timestamp=min(began + step.at, timezone.now()),
        )
    client.flush()


def sent_at(step: Step) -> timedelta:
    """When a step is sent, after the play began. Seconds of the past are "just now": they are sent when the play has reached them."""
    recent = step.at > -timedelta(minutes=1)
    return step.at + timedelta(minutes=1) if recent else timedelta()


Seen = Counter[tuple[str, str]]


def _watch(told: list[Told], mailbox: Path, began: datetime) -> Seen:
    """Show what arrives until everything expected has, and then a little longer."""
    expected = _expected(told)
    seen: Seen = Counter()
    last_word = time.monotonic()
    quiet_until: datetime | None = None
    while timezone.now() < began + WAIT_AT_MOST:
        before = seen.total()
        seen = _announce(told, mailbox, seen)
        if seen.total() > before:
            last_word = time.monotonic()
        elif time.monotonic() - last_word > 3:
            waiting = (expected - seen).total()
            say(f"  … {waiting} to come" if waiting else "  … watching that nothing else is sent")
            last_word = time.monotonic()
        if not expected - seen:
            quiet_until = quiet_until or timezone.now() + WATCH_ON
            if timezone.now() >= quiet_until:
                break
        time.sleep(0.2)
    return seen


def _expected(told: Iterable[Told]) -> Seen:
    members = (
        (one, member, template)
        for one in told
        for member in one.story.members
        for template in one.story.mails.get(member.name, ())
    )
    return Counter((one.address(member), template) for one, member, template in members)


def _announce(told: list[Told], mailbox: Path, seen: Seen) -> Seen:
    """What has really arrived at these accounts' people so far; new mails are printed."""
    run = {one.account_id for one in told}
    now = _arrived(mailbox, run)
    for (address, template), count in (now - seen).items():
        say(f"  ✉ {address} got {template}" + (f" {count} times" if count > 1 else ""))
    return now


def _arrived(mailbox: Path, account_ids: set[str]) -> Seen:
    """Mails in the catcher's folder, named by what our Message-ID says they are."""
    messages = Message.objects.filter(account__external_id__in=account_ids).select_related(
        "template_version__template", "sender__domain"
    )
    templates = {message_id(message): message.template_version.template.key for message in messages}
    seen: Seen = Counter()
    for path in mailbox.glob("*.eml"):
        mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        template = templates.get(str(mail["Message-ID"]))
        if template:
            seen[str(mail["To"]), template] += 1
    return seen


def _compare(told: list[Told], seen: Seen) -> int:
    """One row per account: expected, received, verdict."""
    say()
    wrong = 0
    widths = (12, 44, 44)
    say(_row(widths, "account", "expected", "received") + "verdict")
    for one in told:
        addresses = {one.address(member) for member in one.story.members}
        expected = _named(_expected([one]), addresses)
        received = _named(seen, addresses)
        alerts = Alert.objects.filter(account__external_id=one.account_id).count()
        expected += [f"{one.story.alerts} alert"] if one.story.alerts else []
        received += [f"{alerts} alert"] if alerts else []
        good = expected == received
        wrong += not good
        for place in range(max(len(expected), len(received), 1)):
            cells = (
                one.story.name if place == 0 else "",
                expected[place] if place < len(expected) else "",
                received[place] if place < len(received) else "",
            )
            say(_row(widths, *cells) + (("ok" if good else "DIFFERS") if place == 0 else ""))
    say()
    say(f"{len(told) - wrong} of {len(told)} accounts got exactly what they should.")
    return 1 if wrong else 0


def _row(widths: tuple[int, ...], *cells: str) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


def _named(mails: Seen, addresses: set[str]) -> list[str]:
    return sorted(
        f"{address.partition('@')[0]}: {template}" + (f" ×{count}" if count > 1 else "")
        for (address, template), count in mails.items()
        if address in addresses
    )


def _where_to_look(url: str, key: str) -> None:
    say("\nEverything was told. Look around:")
    say(f"  {url}/            log in as one of: {', '.join(staff.ROLE_NAMES)}")
    say(f"                    with the password {PASSWORD}; each lands on their own list")
    say(f"  {url}/mailbox/    what arrived, as it looks, as text, with its headers")
    say(f"  {url}/admin/accounts/account/   the accounts, and why each got what it got")
    say("\nSend it an event of your own, and watch it arrive under Event health:")
    say(
        f"  curl -u {key}: {url}/v1/track -d '"
        '{"userId": "me", "event": "integration_started", "context": {"groupId": "my-account"}, '
        '"properties": {"integration_type": "api", "provider": "stripe"}}\''
    )
    say("\nmanage.py works on the demo's data with these in front of it:")
    say(f"  LIFECYCLE_ENV=development DATABASE_URL={os.environ['DATABASE_URL']}")
    say("\nCtrl-C stops everything.")
