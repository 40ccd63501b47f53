"""What holds right now: the live journeys, what events mean, what roles grant, which templates are live."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from django.conf import settings

from accounts.models import Role
from events import naming
from events.models import EventType
from events.naming import Naming
from lifecycle.engine import ENGINE_VERSION
from lifecycle.engine.journey import Journey as Document
from lifecycle.engine.routing import Router
from lifecycle.journeys import documents
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.runner.models import Pause
from messaging.models import LinkHealth, TemplateVersion, VersionStatus


@dataclass(frozen=True, slots=True)
class LiveJourney:
    """A journey with its live version, read and ready."""

    id: int
    key: str
    version_id: int
    sender_id: int
    support: str
    salt: str
    published_at: datetime | None
    document: Document


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything besides the account's own rows that a look depends on.

    `fingerprint` covers what the fold depends on: folds stored under another one are folded again.
    """

    journeys: Mapping[str, LiveJourney]
    router: Router
    fingerprint: str
    activity: Mapping[str, tuple[bool, bool]]
    capabilities: Mapping[str, frozenset[str]]
    naming: Naming
    templates: Mapping[str, int]
    paused: bool = False
    paused_journeys: frozenset[int] = frozenset()
    # Live versions whose links were not written down yet.
    unlisted: frozenset[int] = frozenset()
    broken_versions: frozenset[int] = frozenset()
    broken_before: frozenset[str] = frozenset()

    @property
    def broken_templates(self) -> frozenset[str]:
        """The keys of the e-mails whose live version leads to a screen that does not answer.

        Until it is known where a new version leads, what held an earlier one holds it too.
        """
        return frozenset(
            key
            for key, version in self.templates.items()
            if version in self.broken_versions
            or (version in self.unlisted and key in self.broken_before)
        )

    def is_activity(self, name: str, kind: str, actor: str) -> bool:
        """Whether the event shows a person, or an agent for one, at work."""
        if kind in ("identify", "group", "alias"):
            return False
        by_person, by_system = self.activity.get(name, (True, False))
        return by_system if actor == "system" else by_person


_kept: tuple[float, Definition] | None = None


def current(*, fresh: bool = False) -> Definition:
    """The definition as it stands in the database now; a fixed number of queries.

    Pauses and broken links are always asked for. The rest changes rarely and may be as old as `DEFINITION_KEPT_SECONDS`
    for a gate, which asks again a moment later; a look, which says when to look next, takes it `fresh`.
    """
    global _kept
    moment = time.monotonic()
    if fresh or _kept is None or moment - _kept[0] >= settings.DEFINITION_KEPT_SECONDS:
        _kept = (moment, read())
    paused_journeys = Journey.objects.filter(paused_at__isnull=False)
    leading = LinkHealth.objects.broken().exclude(versions=None)
    broken = set(leading.values_list("versions", "versions__template__key"))
    return replace(
        _kept[1],
        paused=Pause.objects.filter(is_open=True).exists(),
        paused_journeys=frozenset(paused_journeys.values_list("pk", flat=True)),
        broken_versions=frozenset(version for version, _ in broken),
        broken_before=frozenset(key for _, key in broken),
    )


def read() -> Definition:
    """All of the definition but the pauses and the broken links, as it stands in the database now."""
    versions = list(
        JourneyVersion.objects.filter(status=VersionStatus.LIVE)
        .order_by("integration_type")
        .values_list(
            "pk",
            "content_hash",
            "integration_type",
            "journey_id",
            "journey__key",
            "journey__sender_id",
            "journey__sender__support_mailbox",
            "journey__holdout_salt",
            "journey__first_published_at",
        )
    )
    journeys = {
        kind: LiveJourney(
            id=journey_id,
            key=key,
            version_id=version_id,
            sender_id=sender_id,
            support=support,
            salt=salt,
            published_at=published_at,
            document=_document(version_id, content_hash),
        )
        for (
            version_id,
            content_hash,
            kind,
            journey_id,
            key,
            sender_id,
            support,
            salt,
            published_at,
        ) in versions
    }
    catalogue = tuple(
        # What arrives unplanned is listed there too, as it comes; it must not fold everybody again.
        EventType.objects.filter(planned=True)
        .order_by("name")
        .values_list("name", "counts_as_activity", "system_counts_as_activity")
    )
    capabilities: dict[str, set[str]] = {}
    for role, capability in Role.objects.values_list("key", "capabilities__key"):
        capabilities.setdefault(role, set()).add(capability)
    hashes = tuple((version[0], version[1]) for version in versions)
    templates = list(
        TemplateVersion.objects.filter(status=VersionStatus.LIVE).values_list(
            "template__key", "pk", "links_listed_at"
        )
    )
    names = naming.current()
    router, fingerprint = _router(hashes, catalogue, names.fingerprint)
    return Definition(
        journeys=journeys,
        router=router,
        fingerprint=fingerprint,
        activity={name: (person, system) for name, person, system in catalogue},
        capabilities={role: frozenset(keys - {None}) for role, keys in capabilities.items()},
        naming=names,
        templates={key: version for key, version, _ in templates},
        unlisted=frozenset(version for _, version, listed_at in templates if listed_at is None),
    )


@lru_cache(maxsize=64)
def _document(version_id: int, content_hash: str) -> Document:
    """A version is immutable, so its document is read once per process."""
    stored = JourneyVersion.objects.values_list("document", flat=True).get(
        pk=version_id, content_hash=content_hash
    )
    return documents.read(stored)


@lru_cache(maxsize=16)
def _router(
    versions: tuple[tuple[int, str], ...],
    catalogue: tuple[tuple[str, bool, bool], ...],
    names: str,
) -> tuple[Router, str]:
    read = [_document(*version) for version in versions]
    parts = repr((ENGINE_VERSION, [content for _, content in versions], catalogue, names))
    fingerprint = hashlib.sha256(parts.encode()).hexdigest()
    return Router({journey.integration_type: journey.path for journey in read}), fingerprint
