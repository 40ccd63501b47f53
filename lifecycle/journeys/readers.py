"""The readers that a template is tried on: those of its journeys, and others who may stand in their place."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lifecycle.engine.journey import Journey
from lifecycle.journeys import publishing
from lifecycle.journeys.samples import generate, samples_of
from messaging.checks.remark import Sample
from messaging.content import Content, ContentError, RenderError, Variant, choose, read
from messaging.preview import example_facts
from messaging.rendering import without_empty

# What is not known of everybody, and of every account and setup.
NAMES = (
    "person.name",
    "person.first_name",
    "setup.started_by.name",
    "setup.started_by.first_name",
    "helper.name",
    "helper.first_name",
)
OPTIONAL = (
    *NAMES,
    "account.plan",
    "provider.key",
    "provider.name",
    "error.message",
    "helper.email",
    "helper.role",
    "support.email",
)


def samples_for(
    template_key: str,
    content: Mapping[str, Any],
    frozen: Mapping[str, Any],
    journeys: Sequence[Journey] | None = None,
) -> Sequence[Sample]:
    """The readers that these journeys can send it to (all that send it, where none are named).

    Where none sends it, made-up ones.
    """
    if journeys is None:
        return samples_of(template_key) or examples_for(content, frozen)
    cast = publishing.cast()
    found = [
        sample for journey in journeys for sample in generate(journey, template_key, cast).readers
    ]
    return found or examples_for(content, frozen)


def examples_for(content: Mapping[str, Any], frozen: Mapping[str, Any]) -> list[Sample]:
    """Two made-up readers for each variant, able to use every screen; of one of them little is known."""
    try:
        variants = read(content).variants
    except ContentError:
        return []
    able = frozenset(
        str(one.get("capability") or "") for one in (frozen.get("destinations") or {}).values()
    )
    found = []
    for at, one in enumerate(variants):
        known = example_facts(one)
        # What selects the variant stays.
        missing = [path for path in OPTIONAL if not (one.provider and path.startswith("provider"))]
        little = _with(dict.fromkeys(missing, ""), known)
        found += [
            Sample(f"{at}-known", f"an example reader of “{one.name}”", known, able),
            Sample(
                f"{at}-unknown", f"a reader of “{one.name}” of whom little is known", little, able
            ),
        ]
    return found


def all_like(readers: Sequence[Sample], content: Mapping[str, Any]) -> list[Sample]:
    """The readers, and for each variant what only some of them were tried with: no names, other roles.

    The readers of a journey differ from the plainest in one thing at a time, but a variant has a text of its own.
    """
    try:
        words = read(content)
    except ContentError:
        return list(readers)
    return [*readers, *_unnamed(readers, words), *_other_roles(readers, words)]


def _unnamed(readers: Sequence[Sample], words: Content) -> Iterator[Sample]:
    met = set()
    for sample in readers:
        variant = _variant(words, sample)
        if variant is not None and variant not in met:
            met.add(variant)
            yield replace(
                sample,
                key=f"{sample.key}:unnamed",
                name=f"{sample.name}, nobody's name known",
                context=_with(dict.fromkeys(NAMES, ""), sample.context),
            )


def _other_roles(readers: Sequence[Sample], words: Content) -> Iterator[Sample]:
    """Each variant for every role that the same step, at the same point of the path, can write to."""
    roles: dict[Any, dict[str, frozenset[str]]] = {}
    for sample in readers:
        roles.setdefault(_point(sample), {})[_fact(sample, "person", "role")] = sample.capabilities
    met = {(_point(one), _variant(words, one), _fact(one, "person", "role")) for one in readers}
    for sample in readers:
        variant = _variant(words, sample)
        for role, granted in roles[_point(sample)].items():
            here = (_point(sample), variant, role)
            if variant is None or here in met:
                continue
            met.add(here)
            changed = {"person.role": role}
            if _is_starter(sample):
                changed["setup.started_by.role"] = role
            yield replace(
                sample,
                key=f"{sample.key}:as-{role or 'nobody'}",
                name=f"{sample.name}, but with {f'the role {role}' if role else 'no role'}",
                context=_with(changed, sample.context),
                capabilities=granted,
            )


def _point(sample: Sample) -> Any:
    """What decides who may be written to."""
    milestone = _fact(sample, "next", "milestone")
    return (sample.journey, sample.step, milestone, _is_starter(sample))


def _is_starter(sample: Sample) -> bool:
    starter = (sample.context.get("setup") or {}).get("started_by") or {}
    return bool(starter.get("email")) and starter["email"] == _fact(sample, "person", "email")


def _fact(sample: Sample, group: str, name: str) -> str:
    return str((sample.context.get(group) or {}).get(name) or "")


def _variant(words: Content, sample: Sample) -> Variant | None:
    try:
        return choose(words, without_empty(sample.context))
    except RenderError:
        return None


def _with(changed: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with these values, by dotted name; a name that is not among them is left out."""
    found = copy.deepcopy(dict(facts))
    for path, value in changed.items():
        *groups, name = path.split(".")
        inner = found
        for group in groups:
            inner = inner.get(group) or {}
        if name in inner:
            inner[name] = value
    return found
