"""A small world on the real tables: a published journey, people, and what their backend tells us.

Everything goes in the way it does in life: journeys through publishing, events through ingestion,
looks and hand-overs through the tick and its tasks. Times are minutes after T0.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.db import transaction
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from accounts.models import Account, Capability, Person, Role, User
from events import catalogue
from events.ingest import Report, ingest
from events.models import EventKind, EventType, IngestKey
from lifecycle.engine import ENGINE_VERSION
from lifecycle.engine.journey import Cap, Journey, Purpose, Stage
from lifecycle.journeys import models, publishing
from lifecycle.journeys.models import Enrolment, JourneyVersion, Setup
from lifecycle.runner import handoff, link_watch
from lifecycle.runner.deliver import deliver
from lifecycle.runner.gate import gate
from lifecycle.runner.look import look_at
from lifecycle.runner.models import Decision, EngineRelease, StepRun
from lifecycle.runner.tick import tick
from messaging import forwarding, review
from messaging.models import Message, Sender, SendingDomain, Template, TemplateVersion
from tests.engine import world
from tests.engine.world import API, CAN, DAY, DOMAIN, HOUR, T0, at
from tests.factories import IngestKeyFactory

LONG_AGO = T0 - timedelta(days=30)
NAMES = count(1)


def lean(journey: Journey, **changes: Any) -> Journey:
    """The engine tests' journey, without what a published one may not have."""
    stages = tuple(
        replace(stage, steps=tuple(s for s in stage.steps if s.key != "blocked_nudge"))
        for stage in journey.stages
    )
    return replace(journey, **{"stages": stages, **changes})


def steps_of(journey: Journey, stage: str, *steps: Any) -> Journey:
    """The journey with these steps alone in that stage."""
    stages = tuple(replace(s, steps=steps) if s.key == stage else s for s in journey.stages)
    return replace(journey, stages=stages)


def document(journey: Journey) -> dict[str, Any]:
    """The journey as the document that a marketer's editor would store."""
    return asdict(journey)


def reference_data() -> None:
    """Roles, the catalogue, a sender that is as quick as it likes."""
    for role, capabilities in CAN.items():
        row = Role.objects.create(key=role, name=role)
        for capability in capabilities:
            row.capabilities.add(
                Capability.objects.get_or_create(key=capability, name=capability)[0]
            )
    EventType.objects.bulk_create(
        [
            EventType(
                name=name,
                kind=EventKind.MILESTONE
                if name in world.ROUTER.completing()
                else EventKind.ACTIVITY,
                counts_as_activity=name != "auth_failed",
            )
            for name in sorted(world.ROUTER.names)
        ]
    )
    catalogue.forget()
    domain = SendingDomain.objects.create(
        name="company.example", rate_per_second=10_000, burst=10_000, tokens_at=LONG_AGO
    )
    Sender.objects.create(key="setup", name="Setup", address="a@company.example", domain=domain)
    EngineRelease.objects.create(version=ENGINE_VERSION, since=LONG_AGO, swept_to=None)


def staff(name: str) -> User:
    return User.objects.get_or_create(username=name, defaults={"is_staff": True})[0]


def template(key: str) -> None:
    """A live template whose subject is its key."""
    row, new = Template.objects.get_or_create(key=key, defaults={"name": key})
    if new:
        version = TemplateVersion.objects.create(
            template=row,
            number=1,
            created_by=staff("author"),
            content={"variants": [{"subject": key, "preheader": "", "body": "Hello.\n"}]},
        )
        review.publish_template(version, by=staff("reviewer"), now=LONG_AGO)


def publish(journey: Journey, *, now: datetime = LONG_AGO) -> JourneyVersion:
    """Make this the live version, with everything it refers to."""
    for _, step in journey.steps().values():
        if step.do.kind == "email":
            template(step.do.template)
    row, _ = models.Journey.objects.get_or_create(
        key=journey.key,
        defaults={
            "name": journey.name,
            "integration_type": journey.integration_type,
            "sender": Sender.objects.get(key="setup"),
        },
    )
    version = JourneyVersion.objects.create(
        journey=row,
        number=row.versions.count() + 1,
        integration_type=journey.integration_type,
        document=document(journey),
        created_by=staff("author"),
    )
    publishing.publish(version, by=staff("reviewer"), now=now)
    return version


@dataclass
class Backend:
    """The customer's backend, telling us what happens through an ingest key."""

    key: IngestKey

    def send(self, *messages: dict[str, Any], received: float, **options: Any) -> Report:
        numbered = [{"messageId": f"m{next(NAMES)}", **message} for message in messages]
        return ingest(numbered, key=self.key, now=at(received), **options)

    def joins(
        self,
        name: str,
        role: str = "developer",
        account: str = "acme",
        minutes: float = -7 * DAY,
        email: str | None = None,
    ) -> None:
        """Somebody is, or becomes, a member with that role."""
        when = at(minutes).isoformat()
        self.send(
            {
                "type": "identify", "userId": name, "timestamp": when,
                "traits": {"email": email or f"{name}@customer.example"},
            },
            {
                "type": "group", "userId": name, "groupId": account, "timestamp": when,
                "traits": {"role": role},
            },
            received=minutes,
        )  # fmt: skip

    def leaves(self, name: str, minutes: float, account: str = "acme") -> None:
        self.send(
            {
                "type": "group", "userId": name, "groupId": account,
                "timestamp": at(minutes).isoformat(), "traits": {"status": "removed"},
            },
            received=minutes,
        )  # fmt: skip

    def tells(
        self,
        event: str,
        minutes: float,
        by: str | None = "dev",
        account: str | None = "acme",
        *,
        received: float | None = None,
        actor: str | None = None,
        uid: str | None = None,
        **properties: Any,
    ) -> Report:
        """An event at that moment; `received` when it arrives later."""
        message: dict[str, Any] = {
            "type": "track", "event": event, "timestamp": at(minutes).isoformat(),
            "properties": properties,
        }  # fmt: skip
        if by:
            message["userId"] = by
        else:
            message["anonymousId"] = "machine"
        if account:
            message["groupId"] = account
        if actor:
            message["context"] = {"actor": actor}
        if uid:
            message["messageId"] = uid
        return self.send(message, received=minutes if received is None else received)

    def starts(self, minutes: float = 0, by: str = "dev", kind: str = "api", **more: Any) -> Report:
        return self.tells("integration_started", minutes, by, integration_type=kind, **more)

    def works(self, minutes: float, **more: Any) -> None:
        """The API integration becomes usable."""
        self.tells("api_key_created", minutes, **more)
        self.tells("first_api_call_success", minutes, environment="production", **more)

    def fails(self, *minutes: float, **more: Any) -> None:
        for minute in minutes:
            self.tells("auth_failed", minute, **more)


def backend() -> Backend:
    return Backend(IngestKeyFactory(rate_per_second=1_000_000))


# --- what our side does ---------------------------------------------------------------------------


def account(name: str = "acme") -> Account:
    return Account.objects.get(external_id=name)


def person(name: str) -> Person:
    return Person.objects.get(external_id=name)


def enrolment(name: str = "acme", **which: Any) -> Enrolment:
    return Enrolment.objects.get(account__external_id=name, **which)


def setup(name: str = "acme", **which: Any) -> Setup:
    return Setup.objects.get(account__external_id=name, **which)


def look(minutes: float, *names: str) -> list[int]:
    """Look at these accounts (acme, if none is named); the messages that may go."""
    return look_at([account(name).pk for name in names or ("acme",)], now=at(minutes))


def gated(message_ids: list[int], *, owner: str, now: datetime) -> list[int]:
    """The ids of those of these messages that the gate let through and claimed."""
    return [message.pk for message in gate(message_ids, owner=owner, now=now)]


def send(messages: list[int], minutes: float) -> None:
    """Hand these messages over at that moment."""
    deliver(messages, clock=lambda: at(minutes))


def works_off(now: datetime) -> int:
    """What the workers do with the tasks in the queue, at that moment; how many there were."""
    tasks = list(OrmQ.objects.order_by("pk"))
    for queued in tasks:
        task = SignedPackage.loads(queued.payload)
        verb = task["func"].rpartition(".")[2]
        queued.delete()
        match verb, task["args"]:
            case "look", (ids,):
                deliver(look_at(ids, now=now), clock=lambda: now)
            case "send", (ids,):
                deliver(ids, clock=lambda: now)
            case "hand_off", (pk,):
                handoff.deliver(pk, now=now)
            case "forward", (pk,):
                forwarding.forward(pk, clock=lambda: now)
            case "list_links", (ids,):
                link_watch.list_links(ids, now=now)
            case "probe", (ids,):
                link_watch.probe(ids, clock=lambda: now)
    return len(tasks)


def turn(minutes: float) -> None:
    """Tick and work until nothing more is due at that moment."""
    now = at(minutes)
    for _ in range(50):
        tick(now)
        if not works_off(now):
            return
    raise AssertionError("the runner does not come to rest")


def until(minutes: float, *, every: float = 10, start: float = 0) -> None:
    """Let time pass, with the runner at work all along."""
    moment = start
    while moment < minutes:
        turn(moment)
        moment += every
    turn(minutes)


def verdicts(step: str, name: str = "acme") -> list[tuple[str, str]]:
    """Every decision that was written about the step, oldest first: outcome and reason."""
    rows = Decision.objects.filter(account__external_id=name, step_key=step).order_by("pk")
    return list(rows.values_list("outcome", "reason"))


def mails(name: str = "acme") -> list[tuple[str, str, str]]:
    """Every message of the account, oldest first: template, status, reason."""
    rows = Message.objects.filter(account__external_id=name).order_by("pk")
    return list(rows.values_list("template_version__template__key", "status", "reason"))


def runs(name: str = "acme") -> list[tuple[str, str]]:
    rows = StepRun.objects.filter(enrolment__account__external_id=name).order_by("pk")
    return list(rows.values_list("step_key", "status"))


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


__all__ = [
    "API", "DAY", "DOMAIN", "HOUR", "T0", "Backend", "Callable", "Cap", "Purpose", "Stage", "at",
]  # fmt: skip
