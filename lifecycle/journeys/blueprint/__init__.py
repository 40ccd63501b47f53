"""The blueprint: three journeys with their e-mails and reference data, as files that the product loads.

Loading creates what is missing and never touches what is there, so it may run again at any time.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Model

from accounts.models import Capability, Role, User
from events.models import EventType
from lifecycle.journeys import documents, publishing
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.journeys.publish_plan import templates_of
from messaging import review
from messaging.models import (
    Destination,
    Host,
    Sender,
    SendingDomain,
    Snippet,
    Template,
    TemplateVersion,
    VersionStatus,
)

HERE = Path(__file__).parent
PLACEHOLDER = "example.com"  # RFC 2606: nobody's domain, so it must not stay


@dataclass
class Loaded:
    """How many rows of each kind were created."""

    created: dict[str, int] = field(default_factory=dict)

    def count(self, kind: str, new: int) -> None:
        self.created[kind] = self.created.get(kind, 0) + new

    def add(self, kind: str, rows: Sequence[Model], by: str = "key") -> set[str]:
        """Create those that are not there yet, in two queries; what tells the created ones apart."""
        table = type(rows[0])._default_manager
        known = set(table.values_list(by, flat=True))
        missing = [row for row in rows if getattr(row, by) not in known]
        # Somebody else may have been quicker with one of them.
        table.bulk_create(missing, ignore_conflicts=True)
        self.count(kind, len(missing))
        return {getattr(row, by) for row in missing}


def read(name: str) -> dict[str, Any]:
    """One of the blueprint's TOML files."""
    return tomllib.loads((HERE / name).read_text())


@transaction.atomic
def load() -> Loaded:
    """Create the blueprint's rows that are not there yet; journeys and templates as drafts."""
    loaded = Loaded()
    _load_roles(loaded)
    _load_catalogue(loaded)
    _load_destinations(loaded)
    _load_senders(loaded)
    snippets = []
    for path in sorted((HERE / "snippets").glob("*.md")):
        title, _, body = path.read_text().partition("\n")
        name = title.removeprefix("# ").strip()
        snippets.append(Snippet(key=path.stem, name=name, body=body.strip() + "\n"))
    loaded.add("snippets", snippets)
    _load_templates(loaded)
    for path in sorted((HERE / "journeys").glob("*.toml")):
        _load_journey(tomllib.loads(path.read_text()), loaded)
    return loaded


def publish_all(*, author: User, reviewer: User, now: datetime, since: datetime) -> list[str]:
    """Publish every draft of the blueprint, as `author`'s work approved by `reviewer`; for the demo.

    Journeys count as published `since` then, so that a story may begin in the past. Returns the keys.
    """
    drafts = TemplateVersion.objects.filter(status=VersionStatus.DRAFT, number=1)
    drafts = drafts.exclude(template__versions__status=VersionStatus.LIVE)
    drafts.filter(created_by=None).update(created_by=author)
    published = []
    versions = JourneyVersion.objects.filter(status=VersionStatus.DRAFT, number=1)
    versions = versions.exclude(journey__versions__status=VersionStatus.LIVE)
    versions.filter(created_by=None).update(created_by=author)
    for version in versions:
        together = list(drafts.filter(template__key__in=templates_of(version)))
        publishing.publish(version, by=reviewer, now=now, templates=together)
        Journey.objects.filter(pk=version.journey_id).update(first_published_at=since)
        published += [one.template.key for one in together] + [version.journey.key]
    for template in drafts:
        review.publish_template(template, by=reviewer, now=now)
        published.append(template.template.key)
    return published


def make_it_yours() -> list[str]:
    """What still has to be changed before the blueprint may write to real customers."""
    points = []
    for host in Host.objects.filter(base_url__contains=PLACEHOLDER):
        points.append(f"Host “{host.key}”: set your product's address in place of {host.base_url}.")
    for sender in Sender.objects.filter(address__contains=PLACEHOLDER):
        points.append(
            f"Sender “{sender.key}”: set an address on a domain of yours in place of {sender.address}."
        )
    if Destination.objects.exists():
        points.append("Destinations: compare each path with your product's setup screens.")
    reviewers = User.objects.filter(is_active=True, groups__name="reviewer").count()
    if reviewers < 2:
        points.append(
            f"Reviewers: there {'is one' if reviewers == 1 else 'are none'}; nobody approves their "
            "own work, so name a second one (manage.py staff_user NAME --role reviewer)."
        )
    for name, rows in (
        ("Templates", TemplateVersion.objects.filter(status=VersionStatus.DRAFT)),
        ("Journeys", JourneyVersion.objects.filter(status=VersionStatus.DRAFT)),
    ):
        if count := rows.count():
            points.append(f"{name}: {count} are drafts; read them, then submit them for review.")
    if settings.PRODUCT_NAME == "our product":
        points.append("PRODUCT_NAME: set what your mails call the product.")
    return points


def _load_roles(loaded: Loaded) -> None:
    data = read("roles.toml")
    loaded.add("capabilities", [Capability(**entry) for entry in data["capabilities"]])
    for entry in data["roles"]:
        role, new = Role.objects.get_or_create(key=entry["key"], defaults={"name": entry["name"]})
        loaded.count("roles", new)
        if new:
            role.capabilities.set(entry["capabilities"])


def _load_catalogue(loaded: Loaded) -> None:
    entries = {entry["name"]: entry for entry in read("catalogue.toml")["event_types"]}
    loaded.add("event types", [EventType(**entry) for entry in entries.values()], by="name")
    for row in EventType.objects.filter(name__in=entries, planned=False):
        # It arrived before anybody had planned it; now somebody has.
        EventType.objects.filter(pk=row.pk).update(planned=True, **entries[row.name])


def _load_destinations(loaded: Loaded) -> None:
    data = read("destinations.toml")
    loaded.add("hosts", [Host(**entry) for entry in data["hosts"]])
    screens = [
        Destination(
            key=entry["key"],
            name=entry["name"],
            host_id=entry["host"],
            path=entry["path"],
            capability=entry.get("capability", ""),
        )
        for entry in data["destinations"]
    ]
    loaded.add("destinations", screens)


def _load_senders(loaded: Loaded) -> None:
    for entry in read("senders.toml")["senders"]:
        domain, _ = SendingDomain.objects.get_or_create(name=entry["domain"])
        values = {
            "name": entry["name"],
            "address": entry["address"],
            "reply_to": entry["reply_to"],
            "support_mailbox": entry["support_mailbox"],
            "domain": domain,
        }
        loaded.count("senders", Sender.objects.get_or_create(key=entry["key"], defaults=values)[1])


def _load_templates(loaded: Loaded) -> None:
    found = [tomllib.loads(path.read_text()) for path in sorted((HERE / "emails").glob("*.toml"))]
    new = loaded.add(
        "templates",
        [
            Template(key=each["key"], name=each["name"], description=each["description"])
            for each in found
        ],
    )
    rows = Template.objects.in_bulk(new, field_name="key")
    TemplateVersion.objects.bulk_create(
        TemplateVersion(
            template=rows[each["key"]],
            number=1,
            content={"variants": each["variants"], "claims": each.get("claims", [])},
        )
        for each in found
        if each["key"] in rows
    )


def _load_journey(document: dict[str, Any], loaded: Loaded) -> None:
    documents.read(document)
    journey, new = Journey.objects.get_or_create(
        key=document["key"],
        defaults={
            "name": document["name"],
            "integration_type": document["integration_type"],
            "sender": Sender.objects.get(key=read("senders.toml")["senders"][0]["key"]),
        },
    )
    loaded.count("journeys", new)
    if new:
        JourneyVersion.objects.create(
            journey=journey,
            number=1,
            integration_type=document["integration_type"],
            document=document,
        )
