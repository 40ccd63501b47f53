"""Where e-mails are used: the journeys' steps that send them, and the readers these can have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from accounts.models import Role
from lifecycle.engine.journey import (
    AllOf,
    AnyOf,
    Blocked,
    BlockedAgain,
    Condition,
    Email,
    Journey,
    ProviderIn,
    Stage,
)
from lifecycle.journeys import documents
from lifecycle.journeys.models import JourneyVersion
from messaging.drafts import UNFINISHED
from messaging.models import VersionStatus


@dataclass(frozen=True, slots=True)
class Use:
    """One step that sends an e-mail; `live` when its journey's live version has it."""

    journey: Journey
    stage: Stage
    step: str
    live: bool

    @property
    def name(self) -> str:
        return f"{self.journey.name}: {self.stage.name}"


@dataclass(frozen=True, slots=True)
class Readers:
    """Who an e-mail can be for, as (key, name): providers, error classes, roles."""

    providers: tuple[tuple[str, str], ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    roles: tuple[tuple[str, str], ...] = ()


def uses() -> Mapping[str, Sequence[Use]]:
    """Every use by the template's key, live ones first. A draft that cannot be read has none."""
    found: dict[str, list[Use]] = {}
    rows = JourneyVersion.objects.filter(status__in=[VersionStatus.LIVE, *UNFINISHED])
    seen: set[tuple[str, str, str]] = set()
    for version in sorted(rows, key=lambda row: row.status != VersionStatus.LIVE):
        for stage, key, step, journey in _sent(version):
            # The draft of a live journey says the same of most steps.
            if (journey.key, step, key) not in seen:
                seen.add((journey.key, step, key))
                live = version.status == VersionStatus.LIVE
                found.setdefault(key, []).append(Use(journey, stage, step, live))
    return found


def _sent(version: JourneyVersion) -> Iterator[tuple[Stage, str, str, Journey]]:
    try:
        journey = documents.read(version.document)
    except documents.BadDocument:
        return
    for stage, step in journey.steps().values():
        if isinstance(step.do, Email):
            yield stage, step.do.template, step.key, journey


def readers(found: Sequence[Use]) -> Readers:
    """Who these uses can send to, in the journeys' own order; roles are all that are known."""
    providers: dict[str, str] = {}
    errors: dict[str, str] = {}
    for use in found:
        providers |= dict(use.journey.provider_names)
        for condition in _parts(use.stage.when):
            if isinstance(condition, ProviderIn):
                providers |= {key: providers.get(key, key) for key in condition.providers}
            if isinstance(condition, Blocked | BlockedAgain):
                named = getattr(condition, "error_class", "")
                errors |= {
                    each.key: each.name
                    for each in use.journey.path.errors
                    if named in ("", each.key)
                }
    roles = Role.objects.order_by("key").values_list("key", "name")
    return Readers(tuple(providers.items()), tuple(errors.items()), tuple(roles))


def _parts(condition: Condition) -> Iterator[Condition]:
    """The condition and what it demands; what it excludes says nothing about its readers."""
    yield condition
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.of:
            yield from _parts(part)
