"""What publishing a change set would do, in figures, so that a reviewer approves that too."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.db.models import QuerySet

from lifecycle.engine.journey import Email
from lifecycle.journeys import documents
from lifecycle.journeys.models import Enrolment, Journey, JourneyVersion
from messaging.models import Reviewed, SharedChange, TemplateVersion, VersionStatus

SOON = timedelta(hours=1)
# Counts move all the time; less than this is no news to whoever has seen the plan.
SMALL_SHARE, SMALL_COUNT = 0.1, 5
SALT = "lifecycle.publish-plan"


@dataclass(frozen=True)
class Effect:
    """What it means for one live or coming journey. `changes`: its own version is in the change set."""

    journey: str
    changes: bool
    first: bool
    paused: bool
    open_now: int
    due_soon: int


@dataclass(frozen=True)
class Plan:
    """Versions by name, shared texts by name, and the journeys that are concerned."""

    live: tuple[str, ...]
    retired: tuple[str, ...]
    shared: tuple[str, ...]
    effects: tuple[Effect, ...]

    def token(self) -> str:
        """The plan as a page posts it back; nobody can make one up."""
        return signing.dumps(asdict(self), salt=SALT, compress=True)

    def since(self, token: str) -> tuple[str, ...]:
        """What is materially different from the plan of this token, in words; empty when nothing is."""
        shown = _read(token)
        if shown is None:
            return ("This page did not show what publishing would do.",)
        return tuple(_differences(shown, self))


def plan_of(members: Sequence[Reviewed], shared: Sequence[SharedChange], now: datetime) -> Plan:
    """What making these versions live would do now."""
    replaced = [old for one in members for old in one.siblings().filter(status=VersionStatus.LIVE)]
    return Plan(
        live=tuple(sorted(str(one) for one in members)),
        retired=tuple(sorted(str(one) for one in replaced)),
        shared=tuple(sorted(str(change.target) for change in shared)),
        effects=tuple(_effects(members, now)),
    )


def naming(keys: set[str]) -> list[JourneyVersion]:
    """The live versions of journeys that send any of these templates."""
    live = JourneyVersion.objects.filter(status=VersionStatus.LIVE).select_related("journey")
    return [version for version in live if keys & templates_of(version)]


def templates_of(version: JourneyVersion) -> set[str]:
    """The keys of the templates that its steps send; empty where the document cannot be read."""
    try:
        document = documents.read(version.document)
    except documents.BadDocument:
        return set()
    steps = [step for _, step in document.steps().values()]
    return {step.do.template for step in steps if isinstance(step.do, Email)}


def _effects(members: Sequence[Reviewed], now: datetime) -> Iterator[Effect]:
    changing = {one.journey_id: one.journey for one in members if isinstance(one, JourneyVersion)}
    keys = {one.template.key for one in members if isinstance(one, TemplateVersion)}
    concerned = {version.journey_id: version.journey for version in naming(keys)} | changing
    for journey in sorted(concerned.values(), key=lambda journey: journey.name):
        on_it = Enrolment.objects.filter(journey=journey, left_at=None)
        yield Effect(
            journey=journey.name,
            changes=journey.pk in changing,
            first=journey.first_published_at is None,
            paused=journey.paused_at is not None,
            open_now=on_it.count(),
            due_soon=_due(journey, on_it, now),
        )


def _due(journey: Journey, on_it: "QuerySet[Enrolment]", now: datetime) -> int:
    if journey.paused_at is not None:
        return 0
    treated = on_it.filter(arm=Enrolment.Arm.TREATED)
    return treated.filter(next_look_at__lte=now + SOON).count()


def _read(token: str) -> Plan | None:
    try:
        stored: dict[str, Any] = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return Plan(
        live=tuple(stored["live"]),
        retired=tuple(stored["retired"]),
        shared=tuple(stored["shared"]),
        effects=tuple(Effect(**effect) for effect in stored["effects"]),
    )


def _differences(shown: Plan, now: Plan) -> Iterator[str]:
    for words, before, after in (
        ("goes live", shown.live, now.live),
        ("is replaced", shown.retired, now.retired),
        ("changes as a shared text or screen", shown.shared, now.shared),
    ):
        yield from (f"{name} {words} too now." for name in after if name not in before)
        yield from (f"{name} no longer {words}." for name in before if name not in after)
    before_of = {effect.journey: effect for effect in shown.effects}
    for effect in now.effects:
        was = before_of.pop(effect.journey, None)
        if was is None:
            yield f"{effect.journey} is concerned too now."
            continue
        if effect.paused != was.paused:
            yield f"{effect.journey} is {'paused' if effect.paused else 'no longer paused'} now."
        if effect.first != was.first:
            yield f"{effect.journey} was published for the first time meanwhile."
        for what, old, new in (
            ("setups are on it", was.open_now, effect.open_now),
            ("of them are due within the hour", was.due_soon, effect.due_soon),
        ):
            if abs(new - old) > max(SMALL_COUNT, SMALL_SHARE * old):
                yield f"{effect.journey}: {new} {what} now, not {old}."
    yield from (f"{name} is no longer concerned." for name in before_of)
