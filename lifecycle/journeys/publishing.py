"""Make a journey's version the live one, checked against everything it refers to."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.models import Role, User
from events.models import EventType
from lifecycle.engine.worlds import Cast
from lifecycle.journeys import documents
from lifecycle.journeys.models import Enrolment, Journey, JourneyVersion
from messaging import review
from messaging.models import Destination, TemplateVersion, VersionStatus
from messaging.review import NotAllowed


def world() -> documents.World:
    """What a journey may refer to: planned events, capabilities somebody can hold, live templates, screens."""
    return documents.World(
        events=frozenset(EventType.objects.filter(planned=True).values_list("name", flat=True)),
        capabilities_held=frozenset(
            Role.objects.exclude(capabilities=None).values_list("capabilities__key", flat=True)
        ),
        templates=frozenset(
            TemplateVersion.objects.filter(status=VersionStatus.LIVE).values_list(
                "template__key", flat=True
            )
        ),
        destinations=frozenset(Destination.objects.values_list("key", flat=True)),
        roles=cast().roles,
    )


def cast() -> Cast:
    """Who may be in an account: every role with what it grants."""
    granted: dict[str, set[str]] = {}
    for role, capability in Role.objects.values_list("key", "capabilities__key"):
        granted.setdefault(role, set()).add(capability)
    return Cast.of({role: frozenset(keys - {None}) for role, keys in granted.items()})


def publish(
    version: JourneyVersion,
    *,
    by: User,
    now: datetime,
    templates: Sequence[TemplateVersion] = (),
) -> list[int]:
    """Submit a journey, as its author's work, and approve it at once; for what ships and for tests.

    `templates` are drafts that go live with it. Only the rules of documents are asked, not the checks.
    Returns the accounts to look at again; the caller spreads those looks, so that a publish is no burst.
    Raises BadDocument or NotAllowed.
    """
    if version.status in (VersionStatus.LIVE, VersionStatus.RETIRED):
        raise NotAllowed(f"{version} is {version.get_status_display().lower()} already.")
    document = documents.read(version.document)
    author = version.created_by
    with transaction.atomic():
        proposal = review.propose(str(version.journey), [*templates, version])
        change_set = review.submit(proposal, by=author, note="", remarks=(), now=now)
        shown = proposal.content_hash
        review.publish(change_set, by=by, hash_shown=shown, remarks=(), now=now)
        if problems := documents.check(document, world()):
            raise documents.BadDocument(problems)
        again = take_effect(version, now=now)
    version.refresh_from_db()
    return again


def take_effect(version: JourneyVersion, *, now: datetime) -> list[int]:
    """Move open enrolments to a version that has just become live; the accounts to look at again.

    Setups that started before the journey's first publish stay outside.
    """
    document = documents.read(version.document)
    journey = Journey.objects.filter(pk=version.journey_id)
    journey.update(integration_type=document.integration_type)
    journey.filter(first_published_at=None).update(first_published_at=now)
    still_open = Enrolment.objects.filter(journey=version.journey_id, left_at=None)
    still_open.update(version=version)
    return sorted(set(still_open.values_list("account_id", flat=True)))
