"""Readers to try a template on: one for every state of the product in which a journey sends it.

They come from the exploration of the journey. Situations that the words cannot tell apart are one
sample; providers and roles that the journey does not distinguish take turns where the words may.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lifecycle.engine.explore import explore
from lifecycle.engine.journey import Email, Journey
from lifecycle.engine.situations import Exploration, Situation, as_provider, as_role
from lifecycle.engine.worlds import Cast, called, kinds_of_provider, kinds_of_role, needed
from lifecycle.journeys import documents, publishing, words
from lifecycle.journeys.models import JourneyVersion
from messaging.checks.remark import Sample
from messaging.content import EXAMPLES
from messaging.models import VersionStatus

WORKSPACE, PLAN = "Example Ltd", "team"


@dataclass(frozen=True, slots=True)
class Samples:
    """The readers of one template in one journey; `folded` situations look like one of them."""

    readers: tuple[Sample, ...]
    folded: int


def generate(journey: Journey, template_key: str, cast: Cast) -> Samples:
    """The readers of this template, the plainest first; none where the journey never sends it."""
    seen = explore(journey, cast)
    readers = list(_samples(journey, distinct(journey, seen, template_key, cast)))
    return Samples(tuple(readers), max(0, len(seen.of_template(template_key)) - len(readers)))


def samples_of(template_key: str) -> tuple[Sample, ...]:
    """The readers of this template in every journey that sends it: live ones, else the newest versions."""
    cast = publishing.cast()
    return tuple(
        sample
        for journey in journeys_with(template_key)
        for sample in generate(journey, template_key, cast).readers
    )


def journeys_with(template_key: str) -> list[Journey]:
    """The journeys that send this template: live ones, or where none is live the newest version of each."""
    versions = JourneyVersion.objects.order_by("journey__key", "-number")
    live = list(_using(template_key, versions.filter(status=VersionStatus.LIVE)))
    if live:
        return live
    newest = {version.journey_id: version for version in reversed(versions)}
    return list(_using(template_key, newest.values()))


def templates_of(journey: Journey) -> set[str]:
    """The keys of the templates that a journey sends."""
    steps = [step for stage in journey.stages for step in stage.steps]
    return {step.do.template for step in steps if isinstance(step.do, Email)}


def _using(template_key: str, versions: Iterable[JourneyVersion]) -> Iterator[Journey]:
    for version in versions:
        try:
            journey = documents.read(version.document)
        except documents.BadDocument:
            continue  # an unfinished draft sends nothing
        if template_key in templates_of(journey):
            yield journey


def distinct(
    journey: Journey, seen: Exploration, template_key: str, cast: Cast
) -> Iterator[Situation]:
    """One situation for everything that the words can tell apart, the plainest first.

    A variant is chosen by provider, error and role together, but only a mail about an error is likely
    to say something else for every pair; otherwise one thing differs from the plainest at a time.
    """
    found: dict[Any, Situation] = {}
    for situation in seen.of_template(template_key):
        found.setdefault(_worded(journey, situation), situation)
    plain_of: dict[str, Situation] = {}
    for situation in found.values():
        plain_of.setdefault(_error(situation), situation)
    turns: dict[Any, Situation] = {}
    first = next(iter(plain_of), "")
    for error, plain in plain_of.items():
        turns.setdefault(_worded(journey, plain), plain)
        if error != first and plain.facts.setup.block is None:
            continue
        for provider, kind in kinds_of_provider(journey).items():
            if kind == plain.world.provider:
                other = as_provider(journey, plain, provider)
                turns.setdefault(_worded(journey, other), other)
        if error == first and plain.facts.setup.last_error is not None:
            turns["no message"] = _without_message(plain)
    plainest = next(iter(found), ())
    for worded, situation in found.items():
        if _apart(plainest, worded) > 1:
            continue
        turns.setdefault(worded, situation)
        turns.setdefault(_role(situation), situation)
        for other in _other_roles(journey, cast, situation):
            turns.setdefault(_role(other), other)
    return iter({id(situation): situation for situation in turns.values()}.values())


def context(journey: Journey, situation: Situation) -> dict[str, Any]:
    """What the template's variables resolve to for this reader."""
    return words.context(
        journey,
        situation.facts,
        situation.person,
        workspace=WORKSPACE,
        plan=str(situation.world.traits.get("plan") or PLAN),
        support=EXAMPLES["support.email"],
        now=situation.now,
    )


def _worded(journey: Journey, situation: Situation) -> tuple[Any, ...]:
    """What the words can tell apart, but for the time and for who exactly it is."""
    seen = context(journey, situation)
    granted = situation.person.capabilities & needed(journey)
    return (
        (situation.step.purpose, seen["next"]["milestone"]),
        seen["provider"]["key"],
        seen["error"]["class"],
        (_reader(situation), granted, bool(seen["setup"]["started_by"]["email"])),
        bool(seen["helper"]["email"]),
    )


def _apart(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _reader(situation: Situation) -> str:
    return "starter" if situation.person.id == situation.facts.setup.starter else "colleague"


def _role(situation: Situation) -> Any:
    return (situation.step.purpose, _reader(situation), situation.person.role)


def _error(situation: Situation) -> str:
    setup = situation.facts.setup
    last = setup.last_error.error_class if setup.last_error else ""
    return setup.block.error_class if setup.block else last


def _without_message(situation: Situation) -> Situation:
    """The same where the provider's words are not known."""
    setup = situation.facts.setup
    last = replace(setup.last_error, message="") if setup.last_error else None
    return replace(situation, facts=replace(situation.facts, setup=replace(setup, last_error=last)))


def _other_roles(journey: Journey, cast: Cast, situation: Situation) -> Iterator[Situation]:
    """The same for every other role that the reader, who started it, might have."""
    if _reader(situation) != "starter":
        return
    granted = situation.person.capabilities & needed(journey)
    for role in kinds_of_role(journey, cast).get(granted, []):
        yield as_role(journey, cast, situation, role)


# --- naming ---------------------------------------------------------------------------------------


def _samples(journey: Journey, situations: Iterable[Situation]) -> Iterator[Sample]:
    keys: dict[str, int] = {}
    names: dict[str, int] = {}
    for situation in situations:
        key, name = _key(journey, situation), _name(journey, situation)
        keys[key] = keys.get(key, 0) + 1
        names[name] = names.get(name, 0) + 1
        yield Sample(
            key=key if keys[key] == 1 else f"{key}.{keys[key]}",
            name=name if names[name] == 1 else f"{name} ({names[name]})",
            context=context(journey, situation),
            capabilities=situation.person.capabilities,
            purpose=str(situation.step.purpose),
            journey=journey.key,
            step=situation.step.key,
            story=situation.story,
        )


def _key(journey: Journey, situation: Situation) -> str:
    seen = context(journey, situation)
    said = [
        situation.step.key,
        seen["provider"]["key"] or "no-provider",
        seen["error"]["class"] or "no-error",
        "+".join(sorted(situation.facts.setup.reached)) or "nothing-reached",
        _reader(situation),
        situation.person.role or "no-role",
        "helped" if seen["helper"]["email"] else "alone",
    ]
    if not seen["setup"]["started_by"]["email"]:
        said.append("started-by-nobody")
    if seen["error"]["class"] and not seen["error"]["message"]:
        said.append("no-message")
    return ":".join(said)


def _name(journey: Journey, situation: Situation) -> str:
    """The reader and their state, such as “Dana (developer), Stripe, blocked: Authentication failed”."""
    seen, setup = context(journey, situation), situation.facts.setup
    said = [called(situation.person), seen["provider"]["name"] or "no provider"]
    if setup.usable:
        said.append("working")
    elif setup.reached:
        said.append(", ".join(journey.path.milestone(key).name for key in setup.reached))
    if name := seen["error"]["name"]:
        said.append(f"blocked: {name}" if setup.block else f"seen before: {name}")
        if not seen["error"]["message"]:
            said.append("without the provider's words")
    starter = situation.world.person(situation.world.starter)
    if starter is None:
        said.append("started by somebody unknown")
    elif starter.id != situation.person.id:
        said.append(
            f"started by {called(starter)}{f' {about}' if (about := situation.world.about) else ''}"
        )
    elif not seen["helper"]["email"]:
        said.append("nobody else can do it")
    return ", ".join(said)
