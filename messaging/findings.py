"""Troubles with our messages that a person should see, each open once."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from messaging.models import Finding, Message, Reply, TemplateVersion, VersionStatus

MAIL_CONFIGURATION = "mail_configuration"
MAIL_DOWN = "mail_down"
RENDER_ERROR = "render_error"
# While one of these is open, no mail goes out.
PROVIDER_TROUBLES = (MAIL_CONFIGURATION, MAIL_DOWN)
REPLY_NOT_FORWARDED = "reply_not_forwarded"
LONGEST_QUEUE = timedelta(days=7)
# No mail went for so long, while some were tried within this time: the provider cannot be reached.
QUIET_FOR = timedelta(minutes=1)
LOOKS_BACK = timedelta(hours=1)


def report(kind: str, subject: str, detail: str, *, now: datetime) -> None:
    """Open a finding; while the same one is open, nothing happens."""
    Finding.objects.bulk_create(
        [Finding(kind=kind, subject=subject[:200], detail=detail, opened_at=now)],
        ignore_conflicts=True,
    )


def close(kind: str, subject: str, *, now: datetime) -> int:
    """Close the finding if it is open; how many were."""
    return Finding.objects.filter(kind=kind, subject=subject[:200], closed_at=None).update(
        closed_at=now
    )


def follow(now: datetime) -> None:
    """Find what only shows over time, and close what shows by itself that it is over."""
    if _is_down(now):
        words = Message.objects.filter(**_TRIED_IN_VAIN).order_by("-claimed_at").first()
        report(MAIL_DOWN, settings.EMAIL_HOST, words.detail if words else "", now=now)
    for finding in Finding.objects.filter(closed_at=None, kind__in=_OVER):
        if _OVER[finding.kind](finding):
            Finding.objects.filter(pk=finding.pk, closed_at=None).update(closed_at=now)


# Three tries take about two minutes (see `messaging.sending.backoff`).
_TRIED_IN_VAIN = {
    "status": "queued",
    "reason__in": ["no_connection", "connection_broke"],
    "attempts__gte": 3,
}


def _is_down(now: datetime) -> bool:
    """Whether mails were tried again and again in vain, and none went meanwhile."""
    in_vain = Message.objects.filter(**_TRIED_IN_VAIN, claimed_at__gt=now - LOOKS_BACK)
    return in_vain.exists() and not _sent_since(now - QUIET_FOR).exists()


def _sent_since(since: datetime) -> "QuerySet[Message]":
    # Nothing waits in the queue for longer than days, and the index knows the time of queueing.
    lately = Message.objects.filter(queued_at__gt=since - LONGEST_QUEUE, sent_at__gt=since)
    return lately.filter(status__in=["sent", "delivered"])


def _mail_goes_again(finding: Finding) -> bool:
    return _sent_since(finding.opened_at).exists()


def _replies_arrive_again(finding: Finding) -> bool:
    since = finding.opened_at
    return Reply.objects.filter(status="forwarded", forwarded_at__gt=since).exists()


def _can_be_written_again(finding: Finding) -> bool:
    """The version is no longer in use, or a mail of it, or of a later one of its template, went."""
    versions = TemplateVersion.objects.select_related("template").defer("content", "frozen")
    version = next((each for each in versions if str(each)[:200] == finding.subject), None)
    if version is None:
        return False
    if version.status == VersionStatus.RETIRED:
        return True
    sent = _sent_since(finding.opened_at).filter(
        template_version__template=version.template_id,
        template_version__number__gte=version.number,
    )
    return sent.exists()


_OVER: dict[str, Callable[[Finding], bool]] = {
    MAIL_CONFIGURATION: _mail_goes_again,
    MAIL_DOWN: _mail_goes_again,
    REPLY_NOT_FORWARDED: _replies_arrive_again,
    RENDER_ERROR: _can_be_written_again,
}
