"""Journey documents at the border: JSON in, engine dataclasses or a list of problems out."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Annotated, Any, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from lifecycle.engine import journey as words
from lifecycle.engine.explore import explore
from lifecycle.engine.hours import clock
from lifecycle.engine.journey import (
    AllOf,
    Always,
    AnyOf,
    Blocked,
    Condition,
    Email,
    Journey,
    Match,
    Not,
    Purpose,
    Reached,
    Step,
)
from lifecycle.engine.promises import PROMISES
from lifecycle.engine.worlds import Cast, parts

# The engine's classes know nothing of pydantic; that unknown keys are refused is said here.
for _class in vars(words).values():
    if isinstance(_class, type) and is_dataclass(_class):
        _class.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
# Which condition is meant is told by its `kind` alone. If every kind were tried, as pydantic does with a plain
# union, reading would take three times as long for each level of nesting.
ByKind = Annotated[Condition, Field(discriminator="kind")]


def adapter(of: Any) -> TypeAdapter[Any]:
    """Reads one of the engine's classes, or `ByKind`. The engine names the union `Condition`, and knows no pydantic."""
    words.Condition = ByKind
    try:
        return TypeAdapter(of)
    finally:
        words.Condition = Condition


_ADAPTER: TypeAdapter[Journey] = adapter(Journey)
_KINDS = {
    next(field.default for field in fields(kind) if field.name == "kind"): kind.__name__
    for kind in (*get_args(Condition), words.Email, words.OpenAlert, words.HandOff)
}
_CONDITIONS = ", ".join(
    sorted(
        str(name)
        for name, kind in _KINDS.items()
        if kind in {one.__name__ for one in get_args(Condition)}
    )
)


@dataclass(frozen=True)
class Problem:
    """Something that keeps a document from working: where, and what to do about it."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class BadDocument(ValueError):
    """A document that cannot work; `problems` says where and why."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def canonical(document: Mapping[str, Any]) -> str:
    """The document as text that is equal for equal documents."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical document; approval is bound to it."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def read(document: Mapping[str, Any]) -> Journey:
    """The journey that a document describes. Raises BadDocument with every problem of its form."""
    return _read(canonical(document))


@lru_cache(maxsize=64)
def _read(text: str) -> Journey:
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise BadDocument(list(form_problems(error, json.loads(text)))) from None


def form_problems(error: ValidationError, document: Any) -> Iterator[Problem]:
    """The errors of the alternative that a `kind` names; the other alternatives' errors are noise."""
    alternatives = set(_KINDS.values())
    for fault in error.errors(include_url=False, include_input=False):
        place: list[str] = []
        here, meant = document, True
        for part in fault["loc"]:
            if isinstance(part, str) and part in alternatives:
                named = _KINDS.get(here.get("kind")) if isinstance(here, dict) else None
                if named is not None and part != named:
                    meant = False
                    break
                continue
            if isinstance(here, dict) and part == here.get("kind") and part not in here:
                continue
            place.append(str(part))
            try:
                here = here[part]
            except (KeyError, IndexError, TypeError):
                here = None
        if meant:
            said = fault["msg"]
            if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
                said = f"Say with `kind` which condition is meant: {_CONDITIONS}."
            yield Problem(".".join(place) or "document", said)


@dataclass(frozen=True)
class World:
    """What a journey may refer to in this installation."""

    events: frozenset[str]
    capabilities_held: frozenset[str]
    templates: frozenset[str]
    destinations: frozenset[str]
    roles: tuple[tuple[str, frozenset[str]], ...] = ()
    """What each role grants; empty where only `capabilities_held` is known."""

    @property
    def cast(self) -> Cast:
        """Who may be in an account."""
        return Cast(self.roles or (("somebody", self.capabilities_held), ("nobody", frozenset())))


def check(journey: Journey, world: World) -> list[Problem]:
    """Why this journey cannot work here; empty when it can."""
    problems = [
        *_check_path(journey, world),
        *_check_stages(journey),
        *_check_steps(journey, world),
        *_check_timing(journey),
    ]
    # What cannot work as it is written need not be tried.
    return problems or list(_check_reachable(journey, world))


def advice(journey: Journey, world: World) -> list[Problem]:
    """What is most likely not meant, though it can work: steps that nothing leads to, promises that break,
    a definition of done that proves nothing.

    For a journey that `check` finds nothing wrong with.
    """
    seen = explore(journey, world.cast)
    places = _step_places(journey)
    found = [
        Problem(places[key], f"In no state that was tried does the step “{key}” become due.")
        for key in seen.never_done
    ]
    for broken in seen.violations:
        story = "; ".join(broken.story)
        place = places.get(broken.step, "stages")
        found.append(Problem(place, f"{PROMISES[broken.promise]} But: {story}."))
    last = journey.path.milestones[-1]
    if last.key not in journey.path.usable:
        # A key that was created, a domain that was verified: nothing has come through it yet.
        found.append(
            Problem(
                "path.usable",
                f"It counts as working before “{last.name}”: reminders stop, and the success mail goes, "
                "while nothing may have come through yet. Let it work only when that is reached too.",
            )
        )
    return found


def _check_reachable(journey: Journey, world: World) -> Iterator[Problem]:
    """Stages that no product state leads to; silent where not every state could be tried."""
    seen = explore(journey, world.cast)
    if seen.bound:
        return
    for place, stage in enumerate(journey.stages):
        if stage.key in seen.never_held:
            yield Problem(
                f"stages.{place}.when",
                f"The stage “{stage.name}” can never hold: in every product state that events can lead "
                "to, another stage comes first or its condition fails. Change it, or take the stage out.",
            )


def _step_places(journey: Journey) -> dict[str, str]:
    return {
        step.key: f"stages.{at}.steps.{place}"
        for at, stage in enumerate(journey.stages)
        for place, step in enumerate(stage.steps)
    }


def _check_path(journey: Journey, world: World) -> Iterator[Problem]:
    path = journey.path
    keys = [milestone.key for milestone in path.milestones]
    if not keys:
        yield Problem("path.milestones", "A path needs at least one milestone.")
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield Problem("path.milestones", f"The milestone “{key}” stands there twice.")
    if not path.usable:
        yield Problem("path.usable", "Say which milestones make the integration usable.")
    for place, key in enumerate(path.usable):
        if key not in keys:
            yield Problem(f"path.usable.{place}", f"There is no milestone “{key}”.")
    named: list[tuple[str, tuple[Match, ...]]] = [("path.start", path.start)]
    named += [("path.intent", path.intent)]
    named += [("path.activation", (Match(path.activation.event),))]
    for place, milestone in enumerate(path.milestones):
        here = f"path.milestones.{place}"
        named += [(f"{here}.events", milestone.events), (f"{here}.undo", milestone.undo)]
        if not milestone.events:
            yield Problem(f"{here}.events", "Without an event this milestone is never reached.")
        if milestone.capability and milestone.capability not in world.capabilities_held:
            yield Problem(
                f"{here}.capability",
                f"No role holds “{milestone.capability}”; give it to a role or choose another.",
            )
        if milestone.destination and milestone.destination not in world.destinations:
            yield Problem(
                f"{here}.destination", f"There is no destination “{milestone.destination}”."
            )
        if milestone.expected_minutes <= 0:
            yield Problem(f"{here}.expected_minutes", "The expected window must be longer than 0.")
    for place, error in enumerate(path.errors):
        named += [(f"path.errors.{place}.events", error.events)]
        if error.threshold < 1 or error.window_minutes < 1:
            yield Problem(f"path.errors.{place}", "Threshold and window must be at least 1.")
    for where, matches in named:
        for match in matches:
            if match.event not in world.events:
                yield Problem(
                    where,
                    f"The event “{match.event}” is not in the catalogue; plan it there first.",
                )


def condition_problems(journey: Journey, place: str, condition: Condition) -> Iterator[Problem]:
    """What the condition names that this journey does not have."""
    milestones = {milestone.key for milestone in journey.path.milestones}
    errors = {error.key for error in journey.path.errors}
    for part in parts(condition):
        match part:
            case Reached(milestone=key) if key not in milestones:
                yield Problem(place, f"There is no milestone “{key}”.")
            case Blocked(error_class=key) if key and key not in errors:
                yield Problem(place, f"There is no error class “{key}”.")
            case AllOf(of=()) | AnyOf(of=()):
                yield Problem(place, "A list of conditions must not be empty.")


def _check_stages(journey: Journey) -> Iterator[Problem]:
    if not journey.stages:
        yield Problem("stages", "A journey needs at least one stage.")
        return
    seen: set[str] = set()
    for place, stage in enumerate(journey.stages):
        here = f"stages.{place}"
        if stage.key in seen:
            yield Problem(f"{here}.key", f"The stage “{stage.key}” stands there twice.")
        seen.add(stage.key)
        yield from condition_problems(journey, f"{here}.when", stage.when)
        shadowed = any(
            isinstance(earlier.when, Always) or earlier.when == stage.when
            for earlier in journey.stages[:place]
        )
        if shadowed or _contradicts_itself(stage.when):
            yield Problem(f"{here}.when", f"The stage “{stage.name}” can never hold.")
    if not isinstance(journey.stages[-1].when, Always):
        yield Problem(f"stages.{len(seen) - 1}.when", "The last stage must always hold.")


def _contradicts_itself(condition: Condition) -> bool:
    """Whether an `all` names something together with its very opposite."""
    if not isinstance(condition, AllOf):
        return False
    return any(Not(part) in condition.of for part in condition.of)


def _check_steps(journey: Journey, world: World) -> Iterator[Problem]:
    seen: set[str] = set()
    for at, stage in enumerate(journey.stages):
        for place, step in enumerate(stage.steps):
            here = f"stages.{at}.steps.{place}"
            if step.key in seen:
                yield Problem(f"{here}.key", f"The step key “{step.key}” is used twice.")
            seen.add(step.key)
            yield from condition_problems(journey, f"{here}.when", step.when)
            yield from _step_problems(world, here, stage, step)


def _step_problems(world: World, here: str, stage: words.Stage, step: Step) -> Iterator[Problem]:
    usable = isinstance(stage.when, words.Usable)
    if usable and step.purpose is not Purpose.CONFIRMATION:
        yield Problem(f"{here}.purpose", "Once it is usable, only a confirmation may be sent.")
    if isinstance(stage.when, Blocked) and step.purpose in (Purpose.NUDGE, Purpose.ASK):
        yield Problem(f"{here}.purpose", "While a setup is blocked, reminders are silent.")
    if isinstance(step.do, Email) and step.do.template not in world.templates:
        yield Problem(f"{here}.do.template", f"There is no template “{step.do.template}”.")
    if step.after_minutes is not None and step.after_minutes < 0:
        yield Problem(f"{here}.after_minutes", "The delay must not be negative.")
    if step.late_after_minutes < 1:
        yield Problem(f"{here}.late_after_minutes", "It must be worth doing for a minute at least.")


def _check_timing(journey: Journey) -> Iterator[Problem]:
    hours = journey.hours
    for name in ("start", "end", "quiet_start", "quiet_end"):
        try:
            clock(getattr(hours, name))
        except ValueError:
            yield Problem(f"hours.{name}", "Write the time as HH:MM.")
            return
    if not hours.days or any(day not in range(7) for day in hours.days):
        yield Problem("hours.days", "Choose at least one weekday, Monday being 0.")
    if clock(hours.start) >= clock(hours.end):
        yield Problem("hours", "The window must begin before it ends.")
    if not 0 <= journey.holdout_percent <= 100:
        yield Problem("holdout_percent", "The control group is between 0 and 100 percent.")
    for place, cap in enumerate(journey.caps):
        if cap.window_minutes < 1 or cap.limit < 0:
            yield Problem(f"caps.{place}", "A limit needs a window and must not be negative.")
