"""What the checks say of a journey's document, sorted by the part that each remark is about."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.cache import cache

from lifecycle.journeys import documents, publishing
from lifecycle.journeys.checking import check_journey
from lifecycle.journeys.drafting import problems
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.journey_editing import parts
from messaging import drafts
from messaging.checks.remark import Remark
from messaging.models import TemplateVersion, VersionStatus

# Trying every state takes a second or two; the same document in the same world need not wait again.
KEPT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Placed:
    """A remark with the part it is about, the field's path within it, and what the part is called."""

    remark: Remark
    part: str
    path: str
    name: str


def placed(
    journey: Journey, document: Mapping[str, Any], templates: Mapping[str, str]
) -> Sequence[Placed]:
    """Every remark, blocking ones first."""
    if faults := problems(document):
        return [_unread(fault) for fault in faults]
    found = sorted(check(journey, document), key=lambda remark: not remark.blocking)
    return [_placed(document, remark, templates) for remark in found]


def _unread(fault: documents.Problem) -> Placed:
    mend = "Correct it in the text of the whole document."
    remark = Remark("journey", fault.place, fault.message, mend, blocking=True)
    return Placed(remark, parts.DOCUMENT, fault.place, "The whole document")


def _placed(document: Mapping[str, Any], remark: Remark, templates: Mapping[str, str]) -> Placed:
    part, path = parts.part_at(document, remark.place)
    return Placed(remark, part, path, parts.name_of(document, part, templates))


def check(journey: Journey, document: Mapping[str, Any]) -> Sequence[Remark]:
    """What the checks say of the document, with the drafts of e-mails that would be submitted with it."""
    keys = template_keys(document)
    rows = TemplateVersion.objects.filter(template__key__in=keys, status__in=drafts.OPEN)
    written: dict[str, Mapping[str, Any]] = dict(rows.values_list("template__key", "content"))
    kept = f"journey-remarks:{_digest(documents.canonical(document), publishing.world(), written)}"
    found: list[Remark] | None = cache.get(kept)
    if found is None:
        found = check_journey(document, drafts=written)
        cache.set(kept, found, KEPT_SECONDS)
    return [*found, *_other_live(journey, document)]


def template_keys(document: Mapping[str, Any]) -> set[str]:
    """The e-mails that its steps send."""
    found = (step["do"].get("template") for _, step in parts.all_steps(document))
    return {key for key in found if key}


def _other_live(journey: Journey, document: Mapping[str, Any]) -> Sequence[Remark]:
    kind = document.get("integration_type")
    rows = JourneyVersion.objects.filter(status=VersionStatus.LIVE, integration_type=kind)
    others = rows.exclude(journey=journey.pk).select_related("journey")
    return [
        Remark(
            "one_journey",
            "integration_type",
            f"“{other.journey}” is live for “{kind}” already; two would both follow its setups.",
            "Choose another integration type.",
            blocking=True,
        )
        for other in others
    ]


def _digest(text: str, world: documents.World, written: Mapping[str, Any]) -> str:
    roles = [(role, sorted(granted)) for role, granted in world.roles]
    lists = (world.events, world.templates, world.destinations, world.capabilities_held, written)
    seen = repr((text, [sorted(one) for one in lists], roles))
    return hashlib.sha256(seen.encode()).hexdigest()
