"""Are the screens that mails lead to still there? Each is asked on a schedule, and what it means is decided here.

A link that failed three times over fifteen minutes is broken: a finding opens, and whoever sends holds the
steps whose mails lead there until it answers again.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from messaging import findings, links, preview
from messaging.checks.links import is_reserved
from messaging.checks.remark import Sample
from messaging.content import RenderError, Variant
from messaging.fetching import Fetched, Problem, fetch
from messaging.language import destination_url
from messaging.models import (
    Destination,
    Host,
    LinkHealth,
    Message,
    MessageStatus,
    TemplateVersion,
    VersionStatus,
)
from messaging.rendering import render
from messaging.slots import TIME_LIMIT_SECONDS, Run

KIND = "broken_link"
Verdict = LinkHealth.Verdict
EVERY = timedelta(minutes=30)
# Three probes at this pace are two intervals apart, a little more than `FAILED_FOR`.
AFTER_A_FAILURE = timedelta(minutes=8)
WHILE_BROKEN = timedelta(minutes=5)
FAILURES = 3
FAILED_FOR = timedelta(minutes=15)
CONFIRMED_FOR = timedelta(days=7)
LONGEST_URL = 1000
ASKED_AT_ONCE = 10
ASKED_FOR = timedelta(seconds=20)
EXAMPLE_READER = Variant("", "", "", "", "", "")
# Troubles of the whole host, whatever the path.
OF_THE_HOST = frozenset(
    {
        Problem.NO_SUCH_HOST,
        Problem.NO_CONNECTION,
        Problem.TIMEOUT,
        Problem.CERTIFICATE,
        Problem.ENCRYPTION,
        Problem.REFUSED_ADDRESS,
    }
)
# Answers that say "not to machines" or "not now" rather than "not there".
HELD_BACK = frozenset({401, 403, 407, 429})

Fetch = Callable[..., Fetched]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Our customer's product: its base addresses and login pages."""

    bases: tuple[str, ...]
    logins: tuple[str, ...]

    def is_login(self, url: str) -> bool:
        """Whether the address is a registered login page, whatever its query."""
        return links.screen_of(url) in {links.screen_of(login) for login in self.logins if login}

    def is_ours(self, url: str) -> bool:
        return origin(url) in {origin(known) for known in (*self.bases, *self.logins) if known}

    def is_front_page(self, url: str) -> bool:
        return links.screen_of(url) in {links.screen_of(base) for base in self.bases}


def hosts() -> Hosts:
    """The registered hosts as they are now."""
    rows = list(Host.objects.order_by("key").values_list("base_url", "login_url"))
    return Hosts(tuple(base for base, _ in rows), tuple(login for _, login in rows if login))


def origin(url: str) -> str:
    """Scheme and host of the address, with its port if it names one."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


@dataclass(frozen=True, slots=True)
class Probe:
    """What one probe came to, in a sentence, with the answer it rests on (None: nothing was asked)."""

    outcome: Literal["ok", "failed", "cannot_tell"]
    words: str
    answer: Fetched | None = None

    @property
    def of_the_host(self) -> bool:
        """Whether every other screen of the host would fail just so."""
        return (
            self.outcome == "failed"
            and self.answer is not None
            and len(self.answer.hops) == 0
            and self.answer.problem in OF_THE_HOST
        )


@dataclass
class Prober:
    """Probes in a row: what is known of a host, or of a wrong path in a folder, is asked once."""

    hosts: Hosts
    fetch: Fetch = fetch
    wrong: dict[str, tuple[str, Fetched]] = field(default_factory=dict)
    down: dict[str, Probe] = field(default_factory=dict)

    def probe(self, url: str) -> Probe:
        """Whether a reader would get to this screen. Takes up to twice `fetching.SECONDS`."""
        host = urlsplit(url).hostname or ""
        if is_reserved(host) and not _is_local(host):
            return Probe(
                "cannot_tell", f"{host} is reserved for examples and tests; nothing was asked."
            )
        if known := self.down.get(origin(url)):
            return known
        answer = self.fetch(url, stop_at=self.hosts.is_login)
        found = judge(url, answer, self.hosts)
        if found.of_the_host:
            self.down[origin(url)] = found
        if found.outcome == "failed":
            return found
        token, other = self._wrong_path(url)
        if same_answer(answer, url, other, wrong_url(url, token)):
            return Probe(
                "cannot_tell",
                "It answers, but a made-up address beside it answers just the same.",
                answer,
            )
        return found

    def _wrong_path(self, url: str) -> tuple[str, Fetched]:
        """What a made-up screen in the same folder answers."""
        folder = links.screen_of(url).rpartition("/")[0]
        if folder not in self.wrong:
            token = f"no-such-page-{secrets.token_hex(6)}"
            asked = self.fetch(wrong_url(url, token), stop_at=self.hosts.is_login)
            self.wrong[folder] = (token, asked)
        return self.wrong[folder]


def _is_local(host: str) -> bool:
    """Names of this machine are left to the fetcher, which refuses them but in tests."""
    return host == "localhost"


def wrong_url(url: str, token: str) -> str:
    """A sibling of the screen that nobody has ever made."""
    parts = urlsplit(url)
    folder = parts.path.rstrip("/").rpartition("/")[0]
    return urlunsplit((parts.scheme, parts.netloc, f"{folder}/{token}", "", ""))


def judge(url: str, answer: Fetched, known: Hosts) -> Probe:
    """What the answer means for somebody who follows the link."""
    if answer.problem is not None:
        return Probe("failed", answer.detail, answer)
    if answer.stopped:
        return Probe("ok", "It leads to the login page, as it should.", answer)
    status = answer.status or 0
    if len(answer.hops) > 1 and not known.is_ours(answer.arrived):
        away = urlsplit(answer.arrived).netloc
        return Probe("failed", f"It leads away to {away}, which is not among your hosts.", answer)
    if status in HELD_BACK:
        return Probe("cannot_tell", f"It does not answer machines (HTTP {status}).", answer)
    if not 200 <= status < 300:
        return Probe("failed", f"It answers HTTP {status}.", answer)
    if known.is_front_page(answer.arrived) and not known.is_front_page(url):
        return Probe("failed", "It leads to the front page instead of the setup screen.", answer)
    return Probe("ok", f"It answers HTTP {status}.", answer)


def same_answer(one: Fetched, url: str, other: Fetched, other_url: str) -> bool:
    """Whether the screen's answer shows nothing that a made-up address would not get as well."""
    if other.problem is not None or one.status != other.status or one.stopped != other.stopped:
        return False
    if links.screen_of(one.arrived) == links.screen_of(other.arrived):
        return True  # both were sent on to the same place
    if one.arrived.partition("?")[0] != url.partition("?")[0]:
        return False
    return _same_words(_words(one, url), _words(other, other_url))


def _words(answer: Fetched, url: str) -> list[str]:
    """The page's words without what names the address or changes every time."""
    text = answer.body.decode("utf-8", "replace")
    path = urlsplit(url).path
    for own in (url, path, path.rpartition("/")[2]):
        if len(own) > 1:
            text = text.replace(own, " ")
    text = re.sub(r"[\w+/=-]*\d[\w+/=-]*|[A-Za-z0-9+/=_-]{24,}", " ", text)
    return re.findall(r"\w+", text)


def _same_words(one: Sequence[str], other: Sequence[str]) -> bool:
    here, there = set(one), set(other)
    if not here or not there:
        return here == there
    return len(here & there) / len(here | there) >= 0.97


# --- what follows from a probe --------------------------------------------------------------------


def record(link: LinkHealth, found: Probe, *, now: datetime) -> bool:
    """Write down what the probe came to; open or close the finding. False where another probe was first."""
    failing_since = link.failing_since or now if found.outcome == "failed" else None
    failures = link.failures + 1 if found.outcome == "failed" else 0
    verdict = _verdict(link, found, failures, failing_since, now)
    was_broken, is_broken = link.verdict == Verdict.BROKEN, verdict == Verdict.BROKEN
    trouble = link.trouble if was_broken else trouble_of(link.url, found)
    answer = found.answer
    with transaction.atomic():
        mine = LinkHealth.objects.filter(pk=link.pk, checked_at=link.checked_at)
        changed = mine.update(
            verdict=verdict,
            status=answer.status if answer else None,
            detail=found.words[:300],
            chain=[[hop.url, hop.status] for hop in answer.hops] if answer else [],
            checked_at=now,
            next_check_at=now + _pause(verdict) if link.is_watched else None,
            failing_since=failing_since,
            failures=failures,
            trouble=trouble if is_broken else "",
            released_at=now if was_broken and not is_broken else link.released_at,
        )
        if not changed:
            return False
        if is_broken and not was_broken:
            findings.report(KIND, trouble, _told(link, found), now=now)
        elif was_broken and not is_broken:
            _close(trouble, now)
    return True


def _verdict(
    link: LinkHealth,
    found: Probe,
    failures: int,
    failing_since: datetime | None,
    now: datetime,
) -> LinkHealth.Verdict:
    match found.outcome:
        case "ok":
            return Verdict.OK
        case "cannot_tell":
            seen = link.confirmed_at
            lately = seen is not None and now - seen <= CONFIRMED_FOR
            return Verdict.CONFIRMED if lately else Verdict.CANNOT_TELL
        case "failed":
            long_enough = failing_since is not None and now - failing_since >= FAILED_FOR
            lasting = failures >= FAILURES and long_enough and link.is_watched
            return Verdict.BROKEN if lasting or link.verdict == Verdict.BROKEN else Verdict.FAILING


def _pause(verdict: LinkHealth.Verdict) -> timedelta:
    match verdict:
        case Verdict.FAILING:
            return AFTER_A_FAILURE
        case Verdict.BROKEN:
            return WHILE_BROKEN
        case _:
            return EVERY


def trouble_of(url: str, found: Probe) -> str:
    """What the finding is about: the whole host where it is the host's trouble, else the screen."""
    return (origin(url) if found.of_the_host else links.screen_of(url))[:200]


def _told(link: LinkHealth, found: Probe) -> str:
    return (
        f"{found.words} {link.failures + 1} probes in a row failed, the last one of {link.url}. "
        "E-mails that lead there are held until it answers again; then this closes by itself."
    )


def _close(trouble: str, now: datetime) -> None:
    if not LinkHealth.objects.broken().filter(trouble=trouble).exists():
        findings.close(KIND, trouble, now=now)


# --- which links there are ------------------------------------------------------------------------


def watched() -> Q:
    """Versions whose links matter: what is live, and what stands in the outbox."""
    waiting = Message.objects.filter(status=MessageStatus.QUEUED).values("template_version")
    return Q(status=VersionStatus.LIVE) | Q(pk__in=waiting)


def list_links(version: TemplateVersion, samples: Iterable[Sample], *, now: datetime) -> list[str]:
    """Write down every address that the version leads these readers to; the addresses."""
    found: dict[str, str] = {}
    for sample in samples:
        found |= urls_for(version, sample)
    known = dict(Destination.objects.filter(key__in=set(found.values())).values_list("key", "pk"))
    with transaction.atomic():
        LinkHealth.objects.bulk_create(
            [
                LinkHealth(url=url, destination_id=known.get(key), next_check_at=now)
                for url, key in sorted(found.items())
            ],
            ignore_conflicts=True,
        )
        rows = LinkHealth.objects.filter(url__in=found)
        rows.filter(next_check_at=None).update(next_check_at=now)
        version.links.set(rows)
        TemplateVersion.objects.filter(pk=version.pk).update(links_listed_at=now)
    return sorted(found)


def urls_for(version: TemplateVersion, sample: Sample) -> dict[str, str]:
    """The web addresses in this reader's mail, each with the key of its screen, if it is one."""
    try:
        mail = render(version.content, version.frozen, sample.context)
    except RenderError:
        return {}
    ours = sample.context.get("unsubscribe_url")
    screens = links.Screens(version.frozen.get("destinations") or {}, sample.context)
    return {
        link.href: screens.key_of(link.href)
        for link in links.links_of(mail)
        if link.href.startswith(("https://", "http://"))
        and link.href != ours
        and len(link.href) <= LONGEST_URL
    }


def forget_unwatched(now: datetime) -> None:
    """Stop probing what no mail leads to any more; a hold because of it ends.

    Nothing is forgotten while it is not known yet where a new version leads.
    """
    if TemplateVersion.objects.filter(watched(), links_listed_at=None).exists():
        return
    led_to = LinkHealth.versions.through.objects.filter(
        templateversion__in=TemplateVersion.objects.filter(watched())
    )
    watched_now = LinkHealth.objects.exclude(next_check_at=None)
    _forget(watched_now.exclude(pk__in=led_to.values("linkhealth")), now)


def forget_all(now: datetime) -> None:
    """Probing is switched off: nothing is known of any link, and nothing is held."""
    _forget(LinkHealth.objects.exclude(next_check_at=None), now)


def _forget(rows: Iterable[LinkHealth], now: datetime) -> None:
    for link in rows:
        was_broken = link.verdict == Verdict.BROKEN
        with transaction.atomic():
            LinkHealth.objects.filter(pk=link.pk).update(
                next_check_at=None,
                verdict=Verdict.UNKNOWN,
                failures=0,
                failing_since=None,
                trouble="",
                released_at=now if was_broken else link.released_at,
            )
            if was_broken:
                _close(link.trouble, now)


# --- out of turn ----------------------------------------------------------------------------------


def ask_for(rows: Iterable[LinkHealth], *, now: datetime) -> int:
    """Have these links probed by the queue as soon as it can; how many."""
    ids = [link.pk for link in rows]
    for start in range(0, len(ids), ASKED_AT_ONCE):
        part = ids[start : start + ASKED_AT_ONCE]
        LinkHealth.objects.filter(pk__in=part).update(asked_at=now)
        async_task("messaging.probing.probe_asked", part)
    return len(ids)


def probe_asked(ids: Sequence[int]) -> None:
    """The queue's task for probes out of turn."""
    probe_links(ids, clock=timezone.now, for_at_most=ASKED_FOR)


def links_to(destinations: Iterable[Destination]) -> list[LinkHealth]:
    """The links to these screens; one is made up for an example reader where no mail leads there."""
    found: list[LinkHealth] = []
    for screen in destinations:
        mine = list(screen.links.all())
        if not mine and (url := _example_url(screen)):
            mine = [LinkHealth.objects.get_or_create(url=url, defaults={"destination": screen})[0]]
        found += mine
    return found


def _example_url(screen: Destination) -> str:
    entry = {"base_url": screen.host.base_url, "path": screen.path}
    run = Run({}, {screen.key: entry}, deadline=time.thread_time() + TIME_LIMIT_SECONDS)
    try:
        return destination_url(screen.key, run, preview.example_facts(EXAMPLE_READER))
    except RenderError:
        return ""


# --- on a schedule --------------------------------------------------------------------------------


def lease_due(now: datetime, *, limit: int, until: datetime) -> list[int]:
    """Links to probe now, put off until then so that nobody else takes them meanwhile."""
    ids = list(LinkHealth.objects.due(now).values_list("pk", flat=True)[:limit])
    taken = LinkHealth.objects.filter(pk__in=ids, next_check_at__lte=now)
    return ids if taken.update(next_check_at=until) else []


def probe_links(
    ids: Sequence[int],
    *,
    clock: Callable[[], datetime],
    for_at_most: timedelta,
    fetch: Fetch = fetch,
) -> int:
    """Probe these links one after the other, host by host; how many. What there is no time for is due again."""
    prober = Prober(hosts(), fetch)
    began = clock()
    rows = LinkHealth.objects.filter(pk__in=ids).order_by("url")
    done = 0
    for link in list(rows):
        if clock() - began >= for_at_most:
            LinkHealth.objects.filter(pk=link.pk, checked_at=link.checked_at).exclude(
                next_check_at=None
            ).update(next_check_at=clock())
            continue
        done += record(link, prober.probe(link.url), now=clock())
    return done


def confirm(pages: Iterable[tuple[str, datetime]]) -> int:
    """Note that customers were on these pages, by address or path; how many links that speaks for."""
    seen = {links.screen_of(page): at for page, at in pages}
    changed = 0
    for pk, url, before in LinkHealth.objects.exclude(next_check_at=None).values_list(
        "pk", "url", "confirmed_at"
    ):
        screen = links.screen_of(url)
        times = [seen[key] for key in (screen, _path_only(screen)) if key in seen]
        at = max(times, default=None)
        if at is None or (before is not None and at <= before):
            continue
        row = LinkHealth.objects.filter(pk=pk)
        changed += row.update(confirmed_at=at)
        row.filter(verdict=Verdict.CANNOT_TELL).update(verdict=Verdict.CONFIRMED)
    return changed


def _path_only(screen: str) -> str:
    return links.screen_of(urlsplit(screen).path)
