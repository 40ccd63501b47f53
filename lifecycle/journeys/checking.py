"""What the checks say about a template or a journey of this installation."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lifecycle.engine.journey import Journey
from lifecycle.journeys import claims, documents, publishing
from lifecycle.journeys.readers import all_like, samples_for
from lifecycle.journeys.samples import journeys_with, templates_of
from messaging.checks import template
from messaging.checks.links import check_links, registry
from messaging.checks.remark import Remark, Sample
from messaging.checks.trial import SECONDS
from messaging.content import read
from messaging.models import TemplateVersion, VersionStatus
from messaging.rendering import freeze

SLOW = Remark(
    "too_slow",
    "variants",
    "Trying it out took too long; not all of its links were looked at.",
    "Take out loops in loops, and whatever repeats itself very often.",
    blocking=True,
)


def check_template(
    template_key: str,
    content: Mapping[str, Any],
    frozen: Mapping[str, Any],
    *,
    samples: Sequence[Sample] | None = None,
    journeys: Sequence[Journey] | None = None,
) -> list[Remark]:
    """Every remark on what this template would say, blocking ones first; empty when all is well.

    Without `journeys` it is checked for those that send it (`samples.journeys_with`), and without
    `samples` it is tried on everybody whom these can send it to.
    """
    if journeys is None:
        journeys = journeys_with(template_key)
    if samples is None:
        samples = all_like(samples_for(template_key, content, frozen, journeys), content)
    began = time.thread_time()
    found = template.check(content, frozen, samples)
    # What cannot be read has no links, and what is too slow or too large is not tried again.
    if not {"form", "too_slow", "size"} & {remark.check for remark in found if remark.blocking}:
        found += _links(content, frozen, samples, began + SECONDS)
        found += _claims(template_key, content, journeys)
    return template.together(found)


def _links(
    content: Mapping[str, Any],
    frozen: Mapping[str, Any],
    samples: Sequence[Sample],
    deadline: float,
) -> Iterator[Remark]:
    """What is wrong with each of its links, as far as the processor time suffices.

    One link has many addresses (each provider's): those of the first reader who gets it stand for all.
    A host for tests is wrong everywhere alike, so it is said once. What somebody needs for a screen is
    said by the rules on actions.
    """
    known, said = registry(), read(content)
    told: dict[tuple[object, ...], list[Remark]] = {}
    for sample in samples:
        if time.thread_time() > deadline:
            yield SLOW
            return
        here: dict[tuple[object, ...], list[Remark]] = {}
        for remark in check_links(said, frozen, [sample], known=known):
            if remark.check == "link_staging":
                here.setdefault((remark.check, remark.message), [replace(remark, sample="")])
            elif remark.check != "link_capability":
                same = here.setdefault((remark.check, remark.place, remark.line), [])
                same.append(replace(remark, sample=""))
        for key, found in here.items():
            first = told.setdefault(key, found)
            yield from (replace(one, sample=sample.name) for one in found if one in first)


def _claims(
    template_key: str, content: Mapping[str, Any], journeys: Sequence[Journey]
) -> Iterator[Remark]:
    """What the template states as fact and is not so in one of these journeys, each remark once."""
    said = read(content)
    cast = publishing.cast()
    remarks = [
        remark
        for journey in journeys
        for remark in claims.check_claims(template_key, said, journey, cast)
    ]
    yield from dict.fromkeys(remarks)


def check_journey(
    document: Mapping[str, Any],
    *,
    drafts: Mapping[str, Mapping[str, Any]] | None = None,
    with_templates: bool = False,
) -> list[Remark]:
    """Every remark on a journey's document; empty when it can work here.

    `drafts` are the contents of templates that would be published with it, by key. `with_templates`
    asks for the remarks on every template it names as well, each place led by `templates.<key>.`.
    """
    drafts = drafts or {}
    world = publishing.world()
    world = replace(world, templates=world.templates | frozenset(drafts))
    try:
        journey = documents.read(document)
    except documents.BadDocument as bad:
        return [_remark(problem, blocking=True) for problem in bad.problems]
    problems = documents.check(journey, world)
    found = [_remark(problem, blocking=True) for problem in problems]
    if not problems:
        found += [_remark(odd, blocking=False) for odd in documents.advice(journey, world)]
    if with_templates:
        found += _of_templates(journey, drafts)
    return found


def _of_templates(journey: Journey, drafts: Mapping[str, Mapping[str, Any]]) -> Iterator[Remark]:
    keys = templates_of(journey)
    live = TemplateVersion.objects.filter(
        status=VersionStatus.LIVE, template__key__in=keys - set(drafts)
    ).values_list("template__key", "content", "frozen")
    now = freeze()
    texts = [(key, content, frozen) for key, content, frozen in live]
    texts += [(key, drafts[key], now) for key in keys & set(drafts)]
    for key, content, frozen in sorted(texts, key=lambda text: text[0]):
        for remark in check_template(key, content, frozen, journeys=[journey]):
            yield replace(remark, place=f"templates.{key}.{remark.place}")


# How a problem at a place of this name is mended; the message itself often says it already.
MENDS = (
    ("events", "Choose an event of the catalogue, or plan it there first."),
    ("start", "Choose an event of the catalogue, or plan it there first."),
    ("usable", "Choose the milestones that together mean that the integration works."),
    ("capability", "Give the capability to a role, or choose another."),
    ("destination", "Choose a screen from the list of destinations, or add it there."),
    ("template", "Choose a template that is live or part of this change."),
    ("purpose", "Choose another purpose, or move the step to another stage."),
    ("key", "Give it a key of its own."),
    ("when", "Change the condition, or the order of the stages."),
)


def _remark(problem: documents.Problem, *, blocking: bool) -> Remark:
    last = next((part for part in reversed(problem.place.split(".")) if not part.isdigit()), "")
    mend = next((mend for name, mend in MENDS if name == last), "Change the value at this place.")
    return Remark("journey", problem.place, problem.message, mend, blocking)
