"""Try an e-mail's links on the web before it is live, as its readers would follow them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from lifecycle.engine.journey import Journey
from lifecycle.journeys.readers import all_like, samples_for
from lifecycle.journeys.samples import journeys_with
from messaging.checks.links import addresses
from messaging.checks.reachable import Followed, try_links
from messaging.checks.remark import Remark
from messaging.checks.trial import try_all
from messaging.content import ContentError, read


def try_template(
    template_key: str,
    content: Mapping[str, Any],
    frozen: Mapping[str, Any],
    *,
    journeys: Sequence[Journey] | None = None,
) -> list[Remark]:
    """What is broken of the pages that this template leads to; seconds may pass. Not inside a transaction."""
    return list(follow(template_key, content, frozen, journeys=journeys).links.remarks)


@dataclass(frozen=True, slots=True)
class Trip:
    """What came of following a template's links; `until` says what has to be mended to follow them all."""

    links: Followed
    until: str = ""


def follow(
    template_key: str,
    content: Mapping[str, Any],
    frozen: Mapping[str, Any],
    *,
    journeys: Sequence[Journey] | None = None,
) -> Trip:
    """Follow the links of this template as its readers would; seconds may pass. Not inside a transaction."""
    if not settings.PROBE_LINKS:
        return Trip(Followed())
    if journeys is None:
        journeys = journeys_with(template_key)
    try:
        samples = all_like(samples_for(template_key, content, frozen, journeys), content)
        trials = try_all(read(content), frozen, samples)
    except ContentError as error:
        return Trip(Followed(), until=error.faults[0][1])
    fault = next((trial.error for trial in trials.done if trial.error), None)
    return Trip(try_links(addresses(trials)), until=str(fault or ""))
