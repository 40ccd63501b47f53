"""Is all well: does background work progress, and does anything wait for a person?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min
from django_q.models import OrmQ

from accounts.models import Account
from lifecycle.runner.models import Heartbeat, ParkedAccount, Pause
from messaging.findings import PROVIDER_TROUBLES
from messaging.models import Finding, Message, MessageStatus, SendingDomain

SUPERVISOR = "supervisor"  # beats about once a second while `manage.py work` runs
STARTED = "workers_started"  # workers were started, for the first time or again
QUEUE = "queue"  # a task went through the queue from end to end
HAND_OVER = "hand_over"  # a message was handed to the mail provider

SUPERVISOR_SILENT = timedelta(seconds=15)
# One task may take the whole timeout; the rest is for the queue to notice and to start the next.
NO_PROGRESS = timedelta(seconds=settings.TASK_TIMEOUT_SECONDS + 30)
# Work that moves but is this far behind needs more workers rather than a restart.
BEHIND = timedelta(minutes=15)


@dataclass(frozen=True)
class Line:
    """One thing that was looked at, in words for a person."""

    name: str
    value: str
    ok: bool = True


@dataclass(frozen=True)
class Trouble:
    """Something that everybody should know: what is so, and what to do about it."""

    headline: str
    advice: str


WELL = Trouble("All is well.", "Nothing to do.")


@dataclass(frozen=True)
class Health:
    """Whether all is well, and what is not, most urgent first."""

    ok: bool
    findings: tuple[Trouble, ...]
    lines: tuple[Line, ...]
    # Nothing moves at all, as opposed to something waiting for a person.
    stopped: bool = False
    # Somebody stopped sending on purpose: worth a banner, but no trouble.
    paused: bool = False

    @property
    def headline(self) -> str:
        return (*self.findings, WELL)[0].headline

    @property
    def advice(self) -> str:
        return (*self.findings, WELL)[0].advice


@dataclass(frozen=True)
class Signs:
    """What the database says about background work, as of `now`."""

    now: datetime
    beats: dict[str, datetime]
    oldest_due: datetime | None
    oldest_queued: datetime | None
    # The mail that has been in the outbox longest, also while it waits for another try; and why it waits.
    longest_queued: datetime | None
    refused_because: str
    tasks_queued: bool
    uncertain: int
    parked: int
    pause: Pause | None
    paused_domains: tuple[str, ...] = ()
    # What the mail provider said when it took nothing any more; None while it takes mail.
    mail_down: str | None = None

    @property
    def work_waits(self) -> bool:
        return bool(self.oldest_due or self.oldest_queued or self.tasks_queued)


def is_late(*, work_waits: bool, progressed_at: datetime | None, now: datetime) -> bool:
    """Whether the queue has stopped: there is something to do and no task came through for long.

    An idle queue is never late, and a long backlog that still moves is not either.
    """
    return work_waits and (progressed_at is None or now - progressed_at > NO_PROGRESS)


def health(now: datetime) -> Health:
    """How background work is doing; asks the database, a handful of indexed questions."""
    return judge(read_signs(now))


def read_signs(now: datetime) -> Signs:
    due = Account.objects.due(now).order_by().aggregate(oldest=Min("next_look_at"))
    queued = Message.objects.due(now).order_by().aggregate(oldest=Min("next_attempt_at"))
    longest = (
        Message.objects.filter(status=MessageStatus.QUEUED)
        .order_by("queued_at")
        .values_list("queued_at", "reason", "detail")
        .first()
    )
    return Signs(
        now=now,
        beats=dict(Heartbeat.objects.values_list("name", "at")),
        oldest_due=due["oldest"],
        oldest_queued=queued["oldest"],
        longest_queued=longest[0] if longest else None,
        refused_because=(longest[2] or longest[1])[:200] if longest else "",
        tasks_queued=OrmQ.objects.exists(),
        uncertain=Message.objects.filter(status=MessageStatus.UNCERTAIN).count(),
        parked=ParkedAccount.objects.count(),
        pause=Pause.objects.filter(is_open=True).first(),
        paused_domains=tuple(
            SendingDomain.objects.exclude(paused_at=None).values_list("name", flat=True)
        ),
        mail_down=Finding.objects.filter(kind__in=PROVIDER_TROUBLES, closed_at=None)
        .values_list("detail", flat=True)
        .first(),
    )


def judge(signs: Signs) -> Health:
    """The findings tell what is not as usual; the lines tell everything."""
    now, beats = signs.now, signs.beats
    supervisor, progress, sent = (beats.get(name) for name in (SUPERVISOR, QUEUE, HAND_OVER))
    not_running = supervisor is None or now - supervisor > SUPERVISOR_SILENT
    # Nobody can have done anything before they were started.
    since = max((at for at in (progress, beats.get(STARTED)) if at), default=None)
    late = is_late(work_waits=signs.work_waits, progressed_at=since, now=now)
    looks_behind = signs.oldest_due is not None and now - signs.oldest_due > BEHIND
    # While everything is paused, it is meant to wait.
    mail_behind = (
        signs.pause is None
        and signs.longest_queued is not None
        and now - signs.longest_queued > BEHIND
    )
    down = signs.mail_down is not None
    lines = (
        Line("Background work", _ago(supervisor, now, never="not running"), not not_running),
        Line("Last task done", _ago(progress, now), not late),
        Line("Last e-mail handed over", _ago(sent, now)),
        Line("Oldest account to look at", _waits(signs.oldest_due, now), not looks_behind),
        Line("Mail provider", "takes no mail" if down else "no trouble known", not down),
        Line("Oldest e-mail in the queue", _waits(signs.longest_queued, now), not mail_behind),
        Line("E-mails with unknown outcome", str(signs.uncertain), not signs.uncertain),
        Line("Accounts set aside after an error", str(signs.parked), not signs.parked),
        Line("Sending", _paused(signs.pause)),
        Line(
            "Sending domains that are paused",
            ", ".join(signs.paused_domains) or "none",
            not signs.paused_domains,
        ),
    )
    stopped = not_running or late
    troubles = _standstill(signs, not_running=not_running) if stopped else ()
    found = (*troubles, *_findings(signs, looks_behind=looks_behind, mail_behind=mail_behind))
    return Health(
        ok=all(line.ok for line in lines),
        findings=found,
        lines=lines,
        stopped=stopped,
        paused=signs.pause is not None,
    )


def _standstill(signs: Signs, *, not_running: bool) -> tuple[Trouble, ...]:
    sent = signs.beats.get(HAND_OVER)
    since = f"Nothing has been sent since {_clock(sent, signs.now)}." if sent else ""
    if not_running:
        seen = signs.beats.get(SUPERVISOR)
        stopped = f"Background work stopped at {_clock(seen, signs.now)}. " if seen else ""
        return (
            Trouble(
                f"{stopped}{since}" or "Nothing is being sent: background work is not running.",
                "Start `manage.py work` and keep it running beside the web server.",
            ),
        )
    return (
        Trouble(
            since or "Nothing is being sent: work is waiting, but none of it gets done.",
            "Restart `manage.py work`; its log says what it was doing.",
        ),
    )


def _findings(signs: Signs, *, looks_behind: bool, mail_behind: bool) -> Iterator[Trouble]:
    if signs.pause:
        yield Trouble(
            f"Sending is paused by {signs.pause.paused_by} since "
            f"{_clock(signs.pause.paused_at, signs.now)}.",
            signs.pause.reason or "Everybody stays where they are until it is resumed.",
        )
    if signs.paused_domains:
        yield Trouble(
            f"Nothing is sent from {', '.join(signs.paused_domains)}: paused.",
            "Its mail waits until somebody resumes it in the list of sending domains.",
        )
    if signs.uncertain:
        yield Trouble(
            f"{_count(signs.uncertain, 'e-mail')} may or may not have been delivered.",
            "Look them up at the mail provider and settle them in the list of messages.",
        )
    if signs.parked:
        yield Trouble(
            f"{_count(signs.parked, 'account')} set aside after an error; nothing is sent there.",
            "Open the accounts set aside and show the error to an engineer.",
        )
    if signs.mail_down is not None:
        said = f" It said: {signs.mail_down[:200]}" if signs.mail_down else ""
        yield Trouble(
            "The mail provider takes no mail.",
            f"E-mail is tried again and again until it would be too late. Check its settings.{said}",
        )
    elif mail_behind:
        why = f" The last try said: {signs.refused_because}" if signs.refused_because else ""
        yield Trouble(
            f"E-mail has waited in the queue since {_clock(signs.longest_queued or signs.now, signs.now)}.",
            f"Check the mail provider's settings and whether a sending domain is paused.{why}",
        )
    if looks_behind:
        yield Trouble(
            "Work is more than 15 minutes behind.",
            "It still moves. If this lasts, raise WORKERS or start `manage.py work` on another machine.",
        )


def _clock(at: datetime, now: datetime) -> str:
    """The time of day, with its date when that is not today's (UTC, as all times here)."""
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%d %B, %H:%M}"


def _span(length: timedelta) -> str:
    seconds = max(0, int(length.total_seconds()))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return _count(seconds // size, unit)
    return _count(seconds, "second")


def _ago(at: datetime | None, now: datetime, *, never: str = "never") -> str:
    return f"{_span(now - at)} ago" if at else never


def _waits(since: datetime | None, now: datetime) -> str:
    return f"waiting for {_span(now - since)}" if since else "none waiting"


def _paused(pause: Pause | None) -> str:
    return f"paused by {pause.paused_by}" if pause else "on"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
