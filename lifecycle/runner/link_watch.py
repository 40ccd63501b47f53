"""The links of live e-mails: which there are, when they are probed, and what holds or goes on because of it."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from django.conf import settings
from django.db.models import Max, Q
from django_q.tasks import async_task

from accounts.models import Environment
from events.models import Event
from lifecycle.engine.journey import Email, Journey, Purpose, Step
from lifecycle.journeys import samples
from lifecycle.journeys.models import Enrolment
from lifecycle.runner.definition import Definition, current
from lifecycle.runner.tick import queue_is_full, spread
from messaging import content, links, preview, probing
from messaging.checks.remark import Sample
from messaging.models import LinkHealth, Template, TemplateVersion

# Links change with a template's version, and with the journeys that use it.
LIST_AGAIN_AFTER = timedelta(hours=1)
LISTED_AT_ONCE = 4  # versions per task: each is rendered for every kind of reader
PROBED_AT_ONCE = 25  # links per task
PROBE_FOR = timedelta(
    seconds=20
)  # then the task gives the rest back; one probe more may take as long
LEASE = timedelta(seconds=settings.TASK_TIMEOUT_SECONDS + 60)
PAGES_AT_MOST = 2000
SEEN_WITHIN = timedelta(minutes=30)


def begin(now: datetime) -> None:
    """Give the queue one task each: links to list, links to probe, pages that customers were on."""
    if not settings.PROBE_LINKS:
        probing.forget_all(now)
        release(now)
        return
    probing.forget_unwatched(now)
    release(now)
    if queue_is_full(now):
        return
    if versions := stale(now):
        async_task("lifecycle.runner.tasks.list_links", versions)
    if ids := probing.lease_due(now, limit=PROBED_AT_ONCE, until=now + LEASE):
        async_task("lifecycle.runner.tasks.probe", ids)


def stale(now: datetime) -> list[int]:
    """Versions that may be sent and whose links were not listed lately."""
    asked_for = TemplateVersion.objects.filter(probing.watched()).filter(
        Q(links_listed_at=None) | Q(links_listed_at__lt=now - LIST_AGAIN_AFTER)
    )
    return list(asked_for.order_by("pk").values_list("pk", flat=True)[:LISTED_AT_ONCE])


def list_links(version_ids: Sequence[int], *, now: datetime) -> None:
    """Write down the links of these versions, for every kind of reader that the live journeys know."""
    definition = current()
    for version in TemplateVersion.objects.filter(pk__in=version_ids).select_related("template"):
        probing.list_links(version, readers(definition, version), now=now)
        earlier = version.template.versions.filter(pk__in=definition.broken_versions)
        if version.links_listed_at is None and earlier.exists():
            # What an earlier version's link held may go on with this one, or is held again.
            spread(_waiting_for({version.template.key}), now)


def probe(ids: Sequence[int], *, clock: Callable[[], datetime]) -> None:
    """Probe these links, and let go what was held because of those that work again."""
    probing.probe_links(ids, clock=clock, for_at_most=PROBE_FOR)
    release(clock())


def release(now: datetime) -> None:
    """Look again at whoever was held by a link that works again, at a pace."""
    for link in LinkHealth.objects.filter(released_at__isnull=False):
        keys = set(
            Template.objects.filter(versions__links=link).values_list("key", flat=True).distinct()
        )
        spread(_waiting_for(keys), now)
        # Broken and mended again meanwhile: that is another release.
        LinkHealth.objects.filter(pk=link.pk, released_at=link.released_at).update(released_at=None)


def _waiting_for(templates: set[str]) -> list[int]:
    """Accounts on a journey that sends one of these e-mails."""
    journeys = [
        live.id
        for live in current(fresh=True).journeys.values()
        if any(step.do.template in templates for step in emails(live.document))
    ]
    on = Enrolment.objects.filter(left_at=None, journey__in=journeys).order_by("account_id")
    return list(on.values_list("account_id", flat=True).distinct())


def confirm(now: datetime) -> int:
    """Take customers' page views of the last while as a sign that those screens are there; how many links."""
    urls = LinkHealth.objects.exclude(next_check_at=None).values_list("url", flat=True)
    screens = {links.screen_of(url) for url in urls}
    paths = (
        {path for url in screens if (path := "/" + url.split("/", 3)[3]) != "/"}
        if screens
        else set()
    )
    if not paths:
        return 0
    spellings = [*paths, *(f"{path}/" for path in paths)]
    rows = (
        Event.objects.counting()
        .filter(
            type="page",
            environment=Environment.PRODUCTION,
            historical=False,
            received_at__gt=now - SEEN_WITHIN,
            properties__path__in=spellings,
        )
        .values_list("properties__path", "properties__url")
        .annotate(at=Max("received_at"))[:PAGES_AT_MOST]
    )
    # The whole address where the call has it: another site of theirs may have the same path.
    return probing.confirm((str(url or path), at) for path, url, at in rows)


# --- the readers ----------------------------------------------------------------------------------


def emails(document: Journey) -> Iterator[Any]:
    """The steps of a journey that send an e-mail."""
    return (step for _, step in document.steps().values() if isinstance(step.do, Email))


def readers(definition: Definition, version: TemplateVersion) -> list[Sample]:
    """The readers of every state in which it is sent, and one for every provider, milestone, error and role.

    Samples take turns over providers, while an address may depend on provider and milestone together.
    A template that no live journey sends has the example readers of its variants.
    """
    said = content.read(version.content)
    found = [
        sample
        for live in definition.journeys.values()
        for step in emails(live.document)
        if step.do.template == version.template.key
        for sample in _of_step(live.document, step, said)
    ]
    if found:
        return [*found, *samples.samples_of(version.template.key)]
    return [Sample(one.name, one.name, preview.example_facts(one)) for one in said.variants]


def _of_step(document: Journey, step: Step, said: content.Content) -> Iterator[Sample]:
    names = dict(document.provider_names)
    providers = ["", *names, *sorted({one.provider for one in said.variants} - {"", *names})]
    known = {error.key for error in document.path.errors}
    errors = sorted(known) if step.purpose is Purpose.RESOLUTION else [""]
    roles = ["", *sorted({one.role for one in said.variants} - {""})]
    for provider, milestone, error, role in product(
        providers, document.path.milestones, errors, roles
    ):
        base = preview.example_facts(said.variants[0])
        key = ":".join((document.key, step.key, provider, milestone.key, error, role))
        yield Sample(
            key=key,
            name=key,
            purpose=step.purpose,
            journey=document.key,
            step=step.key,
            context=base
            | {
                "person": {**base["person"], "role": role},
                "integration": {
                    "type": document.integration_type,
                    "name": document.integration_name,
                },
                "provider": {"key": provider, "name": names.get(provider, provider)},
                "next": {
                    "milestone": milestone.key,
                    "name": milestone.name,
                    "action": milestone.action,
                    "capability": milestone.capability,
                    "destination": milestone.destination,
                },
                "error": {**base["error"], "class": error, "name": error},
                "activation": {
                    "name": document.path.activation.name,
                    "destination": document.path.activation.destination,
                },
            },
        )
