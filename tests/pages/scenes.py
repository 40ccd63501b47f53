"""Rows that the pages' tests need: a journey, setups on it, alerts."""

from dataclasses import asdict, replace
from datetime import datetime

from accounts.models import Account
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.journeys import documents
from lifecycle.journeys.models import Enrolment, Journey, JourneyVersion, Setup
from messaging.models import Sender, SendingDomain, VersionStatus
from tests.engine.world import API
from tests.factories import AccountFactory, created


def journey(key: str = "api", name: str = "API", integration_type: str = "api") -> Journey:
    domain, _ = SendingDomain.objects.get_or_create(name="company.example")
    sender, _ = Sender.objects.get_or_create(
        key="setup", defaults={"name": "Ada", "address": "a@company.example", "domain": domain}
    )
    return created(Journey, key=key, name=name, integration_type=integration_type, sender=sender)


def version(
    of: Journey, status: str = VersionStatus.LIVE, number: int = 1, **more
) -> JourneyVersion:
    named = {"key": of.key, "name": of.name, "integration_type": of.integration_type}
    document = asdict(replace(API, **named))
    content = documents.content_hash(document)
    live = {"content_hash": content, "approved_hash": content} if status == "live" else {}
    values = {"integration_type": of.integration_type, "number": number, "status": status}
    values["document"] = document
    return created(JourneyVersion, journey=of, **values, **live, **more)


def enrolled(
    on: JourneyVersion,
    *,
    account: Account | None = None,
    started: datetime | None = None,
    usable: datetime | None = None,
    key: str = "",
) -> Enrolment:
    account = account or AccountFactory()
    setup = created(
        Setup,
        account=account,
        integration_type=on.integration_type,
        key=key,
        started_at=started,
        usable_at=usable,
    )
    return created(
        Enrolment, journey=on.journey, version=on, setup=setup, account=account, attempt=1
    )


def alert_about(enrolment: Enrolment | None, now: datetime, *, account=None, **more) -> Alert:
    about = {"enrolment": enrolment, "account": account or (enrolment and enrolment.account)}
    values = {"kind": Alert.Kind.STEP, "dedupe_key": f"a{Alert.objects.count()}", "title": "Help"}
    alert = desk.open_alert(**{**values, **about, **more}, now=now)
    assert alert is not None
    return alert
