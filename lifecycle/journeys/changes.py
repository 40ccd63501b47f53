"""Change sets of journeys and templates: what is in one, what the checks say, submitting and publishing it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Max

from accounts.models import User
from lifecycle.journeys import documents, publishing
from lifecycle.journeys.checking import check_journey, check_template
from lifecycle.journeys.link_trials import try_template
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.journeys.publish_plan import Plan, naming, plan_of, templates_of
from messaging import review
from messaging.checks.remark import Remark
from messaging.models import (
    OPEN,
    AuditEntry,
    ChangeSet,
    Reviewed,
    SharedChange,
    Template,
    TemplateVersion,
    VersionStatus,
)
from messaging.review import Again, Proposal
from messaging.review.proposal import shared_of
from messaging.review.submission import stored


@dataclass(frozen=True)
class Gathered:
    """What would be submitted, and the drafts beside it that belong to another change."""

    proposal: Proposal
    left_out: tuple[TemplateVersion, ...] = ()


@dataclass(frozen=True)
class Published:
    """It is live. These accounts are to be looked at again, at a pace."""

    accounts: tuple[int, ...]


def of_template(template: Template) -> Gathered:
    """The template's draft alone, or the change set that it belongs to already."""
    version = template.versions.filter(status__in=OPEN).select_related("change_set").first()
    if version is not None and version.change_set is not None:
        return Gathered(review.proposed(version.change_set))
    return Gathered(review.propose(str(template), [version] if version else []))


def of_journey(journey: Journey) -> Gathered:
    """The journey's draft with the drafts of the templates that it names."""
    mine = journey.versions.filter(status__in=OPEN).select_related("journey", "change_set").first()
    speaking = mine or journey.versions.filter(status=VersionStatus.LIVE).first()
    keys = templates_of(speaking) if speaking else set()
    change_set = mine.change_set if mine else None
    drafts = TemplateVersion.objects.filter(template__key__in=keys, status__in=OPEN)
    drafts = drafts.select_related("template", "change_set").order_by("template__key")
    joined = [one for one in drafts if one.change_set in (None, change_set)]
    members: list[Reviewed] = [*joined, *([mine] if mine else [])]
    shared: tuple[SharedChange, ...] = ()
    if change_set is not None:
        there = {one.subject_key for one in members}
        more = [one for one in review.members_of(change_set) if one.subject_key not in there]
        members = [*more, *members]
        shared = tuple(shared_of(change_set))
    proposal = review.propose(str(journey), members, shared=shared, change_set=change_set)
    return Gathered(proposal, tuple(one for one in drafts if one not in joined))


def of_change_set(change_set: ChangeSet) -> Gathered:
    """The change set as it would be submitted; a journey's drafts of templates join it."""
    for member in review.members_of(change_set):
        if isinstance(member, JourneyVersion):
            return of_journey(member.journey)
    return Gathered(review.proposed(change_set))


def check(members: Sequence[Reviewed], *, on_the_web: bool = False) -> list[Remark]:
    """Every remark on these versions as they would be live together, blocking ones first.

    `on_the_web` follows their links as well, which may take seconds and belongs in no transaction.
    """
    templates = [one for one in members if isinstance(one, TemplateVersion)]
    found: list[Remark] = []
    drafts = {one.template.key: one.content for one in templates}
    for one in members:
        if isinstance(one, JourneyVersion):
            found += _of_journey(one, drafts)
    replaced = {one.journey_id for one in members if isinstance(one, JourneyVersion)}
    covered = {
        key for one in members if isinstance(one, JourneyVersion) for key in templates_of(one)
    }
    for one in templates:
        key = one.template.key
        # A journey that changes with it was asked above, as it will be.
        others = [version for version in naming({key}) if version.journey_id not in replaced]
        if others or key not in covered:
            journeys = [documents.read(version.document) for version in others] or None
            remarks = check_template(key, one.content, one.frozen, journeys=journeys)
            found += _led(f"templates.{key}.", remarks)
    if on_the_web:
        for one in templates:
            found += _led(f"templates.{one.template.key}.", _tried(one, members, replaced))
    once = {(remark.place, remark.check, remark.message, remark.line): remark for remark in found}
    return sorted(once.values(), key=lambda remark: (not remark.blocking, remark.place))


def _tried(
    version: TemplateVersion, members: Sequence[Reviewed], replaced: set[int]
) -> list[Remark]:
    """What the pages that it leads to answer, for readers of the journeys as they would be."""
    key = version.template.key
    beside = [
        one for one in members if isinstance(one, JourneyVersion) and key in templates_of(one)
    ]
    others = [one for one in naming({key}) if one.journey_id not in replaced]
    journeys = [documents.read(one.document) for one in (*beside, *others)] or None
    return try_template(key, version.content, version.frozen, journeys=journeys)


def _of_journey(version: JourneyVersion, drafts: dict[str, dict[str, object]]) -> Iterator[Remark]:
    lead = f"journeys.{version.journey.key}."
    for remark in check_journey(version.document, drafts=drafts, with_templates=True):
        yield from [remark] if remark.place.startswith("templates.") else _led(lead, [remark])
    kind = version.settled()["integration_type"]
    others = JourneyVersion.objects.filter(status=VersionStatus.LIVE, integration_type=kind)
    for other in others.exclude(journey=version.journey_id).select_related("journey"):
        yield Remark(
            "one_journey",
            f"{lead}integration_type",
            f"{other.journey} is live for “{kind}” already; two would both follow its setups.",
            "Choose another integration type.",
            blocking=True,
        )


def _led(lead: str, remarks: Iterable[Remark]) -> Iterator[Remark]:
    for remark in remarks:
        yield replace(remark, place=f"{lead}{remark.place}")


def submit(gathered: Gathered, *, by: User, note: str, now: datetime) -> ChangeSet:
    """Put it up for review with what the checks say of it. Raises NotAllowed."""
    proposal = gathered.proposal
    remarks = check(proposal.members, on_the_web=True)
    return review.submit(proposal, by=by, note=note, remarks=remarks, now=now)


def plan(change_set: ChangeSet, *, now: datetime) -> Plan:
    """What publishing this change set would do now."""
    return plan_of(review.members_of(change_set), shared_of(change_set), now)


def check_again(change_set: ChangeSet, *, now: datetime) -> list[Remark]:
    """Ask the checks anew, for the world may have changed, and keep what they say."""
    remarks = check(review.members_of(change_set), on_the_web=True)
    waiting = ChangeSet.objects.filter(pk=change_set.pk, status=ChangeSet.Status.IN_REVIEW)
    waiting.update(**stored(remarks, now))
    return remarks


def approve(
    change_set: ChangeSet,
    *,
    by: User,
    hash_shown: str,
    plan_shown: str,
    overrule: str = "",
    now: datetime,
) -> Published | Again:
    """Publish exactly what was shown, doing what the shown plan says; else say what is different now.

    Raises NotAllowed, and then nothing is published.
    """
    # Here before the checks take their seconds, and below once nobody else can publish.
    review.refuse_decided(change_set)
    before = _newest_publish()
    remarks = check_again(change_set, now=now)
    with transaction.atomic():
        review.take_turns()
        review.refuse_decided(ChangeSet.objects.get(pk=change_set.pk))
        if _newest_publish() != before:
            return Again(("Something else was published at this moment; the checks ran again.",))
        if changes := plan(change_set, now=now).since(plan_shown):
            return Again(changes)
        done = review.publish(
            change_set, by=by, hash_shown=hash_shown, remarks=remarks, overrule=overrule, now=now
        )
        if isinstance(done, Again):
            return done
        accounts: set[int] = set()
        for member in done.members:
            if isinstance(member, JourneyVersion):
                accounts.update(publishing.take_effect(member, now=now))
    return Published(tuple(sorted(accounts)))


def _newest_publish() -> int:
    rows = AuditEntry.objects.filter(act="published")
    return rows.aggregate(newest=Max("pk"))["newest"] or 0
