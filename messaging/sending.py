"""Handing claimed messages over to the mail provider, and saying how each hand-over ended.

Runs outside any transaction. Whatever is not settled here when the process dies stays `sending`
until its lease runs out and then becomes `uncertain`; it is never tried again by a machine.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.db import InterfaceError, OperationalError
from django.db import connection as database

from messaging import (
    addresses,
    breaker,
    findings,
    outbox,
    outgoing,
    refusals,
    suppression,
    unsubscribe,
)
from messaging.content import ContentError, RenderError
from messaging.models import Message, MessageStatus, Suppression, TemplateVersion
from messaging.rendering import Rendered, render

logger = logging.getLogger(__name__)
Clock = Callable[[], datetime]

# Settled together: what a kill can leave uncertain although it was sent is at most this many.
SETTLE_GROUP = 10
SETTLE_AFTER = timedelta(milliseconds=250)
# A hand-over that starts must be able to end within the lease, also on a machine whose clock differs a little.
LEASE_MARGIN = timedelta(seconds=35)
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(minutes=30)
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


@dataclass
class Outcomes:
    """The ids of the messages by how their hand-over ended.

    `lost` were settled by somebody else; `not_tried` are queued again, since their turn came too late.
    """

    sent: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    temporary: list[int] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    not_tried: list[int] = field(default_factory=list)
    domains: set[int] = field(default_factory=set)

    def add(self, settlement: outbox.Settlement, *, moved: bool) -> None:
        getattr(self, settlement.outcome if moved else "lost").append(settlement.message_id)


def backoff(message_id: int, attempt: int) -> timedelta:
    """How long to wait after this many tries: doubling, with a quarter of jitter either way.

    The jitter comes from the message's id, so that a group refused together does not come back together.
    """
    spread = hashlib.sha256(f"{message_id}:{attempt}".encode()).digest()[0] / 255
    wait: timedelta = min(FIRST_RETRY * 2 ** min(attempt - 1, 10), LONGEST_RETRY)
    return wait * (0.75 + spread / 2)


def connect() -> Any:
    """A connection of the configured backend; SMTP is the kind that knows how far it got."""
    backend = settings.EMAIL_BACKEND
    return get_connection("messaging.smtp.EmailBackend" if backend == SMTP_BACKEND else backend)


@contextlib.contextmanager
def line() -> Iterator[Any]:
    """A connection for several calls of `hand_over`; it is opened by the first mail that needs it."""
    connection = connect()
    try:
        yield connection
    finally:
        _close(connection)


def hand_over(
    message_ids: Sequence[int],
    *,
    owner: str,
    clock: Clock,
    connection: Any = None,
    start_by: datetime | None = None,
) -> Outcomes:
    """Hand these messages over, claimed by `owner` before, over one connection; how each ended.

    Settles in small groups. What `owner` does not hold (any more) is left alone. A `connection` from
    `line` stays open afterwards. Whose turn has not come by `start_by` is queued again, the first apart.
    """
    if connection is None:
        with line() as own:
            return hand_over(
                message_ids, owner=owner, clock=clock, connection=own, start_by=start_by
            )
    return hand_over_held(
        held(message_ids, owner), owner=owner, clock=clock, connection=connection, start_by=start_by
    )


def hand_over_held(
    messages: Sequence[Message],
    *,
    owner: str,
    clock: Clock,
    connection: Any,
    start_by: datetime | None = None,
) -> Outcomes:
    """As `hand_over`, for messages that `held` has just read, so that one query serves several groups."""
    outcomes = Outcomes()
    pending: list[outbox.Settlement] = []
    pending_since = clock()
    try:
        for settlement in each(messages, connection, clock, outcomes, start_by):
            pending.append(settlement)
            if len(pending) >= SETTLE_GROUP or clock() - pending_since > SETTLE_AFTER:
                settle(pending, owner, outcomes)
                pending = []
                pending_since = clock()
    finally:
        # Also when something unforeseen ends the loop: what is known must not become unknown.
        settle(pending, owner, outcomes)
    finish(outcomes, owner, clock())
    return outcomes


def finish(outcomes: Outcomes, owner: str, now: datetime) -> None:
    """What is left to do when everything is settled: queue again what was not tried, look at the refusals."""
    outcomes.not_tried = outbox.give_back(outcomes.not_tried, owner=owner, now=now)
    if outcomes.failed:
        breaker.check(now=now, domains=outcomes.domains)


def held(message_ids: Sequence[int], owner: str) -> list[Message]:
    """The messages that the owner holds, in the order asked for, each version loaded once."""
    mine = Message.objects.filter(
        pk__in=message_ids, status=MessageStatus.SENDING, lease_owner=owner
    )
    rows = mine.for_hand_over().select_related("account", "address", "sender__domain")
    found = {
        message.pk: message for message in with_versions(rows.defer("receipt", "account__traits"))
    }
    return [found[pk] for pk in message_ids if pk in found]


def with_versions(messages: Iterable[Message]) -> list[Message]:
    """These messages, read `for_hand_over`, with their template versions."""
    found = list(messages)
    for message in found:
        message.template_version = _version(message.template_version_id, message.version_hash)  # type: ignore[attr-defined]
    return found


@lru_cache(maxsize=256)
def _version(pk: int, content_hash: str) -> TemplateVersion:
    """A version as it was approved: immutable, and too large to read for every group anew."""
    versions = TemplateVersion.objects.select_related("template")
    return versions.get(pk=pk, content_hash=content_hash)


def each(
    messages: Sequence[Message],
    connection: Any,
    clock: Clock,
    outcomes: Outcomes,
    start_by: datetime | None = None,
) -> Iterator[outbox.Settlement]:
    """One settlement per message. After a failed connection or a fault of ours the rest is not tried."""
    no_use: refusals.Verdict | None = None
    for position, message in enumerate(messages):
        now = clock()
        if no_use is not None:
            yield settlement_of(message, no_use, now)
            continue
        if position and start_by is not None and now > start_by:
            outcomes.not_tried = [late.pk for late in messages[position:]]
            return
        if message.lease_until is None or message.lease_until - now < LEASE_MARGIN:
            short = refusals.Verdict("temporary", "lease_ran_short", "Not tried in time.")
            yield settlement_of(message, short, now)
            continue
        prepared = prepare(message, now)
        if isinstance(prepared, outbox.Settlement):
            yield prepared
            continue
        rendered, mail = prepared
        outgoing.turn_tracking_off(mail, getattr(connection, "esp_name", ""))
        try:
            connection.open()
        except Exception as error:
            # Any error at all: without a connection nothing was sent, whatever the backend calls it.
            no_use = refusals.judge_opening(error)
            _report(no_use, now)
            yield settlement_of(message, no_use, clock())
            continue
        started = clock()
        if position and start_by is not None and started > start_by:
            outcomes.not_tried = [late.pk for late in messages[position:]]
            return
        outcomes.domains.add(message.sender.domain_id)
        verdict = send(mail, connection)
        if verdict is None:
            yield _sent(message, rendered, mail, connection, started=started, now=clock())
            continue
        _close(connection)
        if verdict.our_fault:
            no_use = verdict if verdict.outcome == "temporary" else None
            _report(verdict, now)
        if verdict.reason == refusals.NO_SUCH_MAILBOX_REASON:
            _bounced_at_once(message, verdict, now)
        yield settlement_of(message, verdict, clock(), rendered, started)


def _bounced_at_once(message: Message, verdict: refusals.Verdict, now: datetime) -> None:
    if not settings.EMAIL_REDIRECT_ALL_TO:
        suppression.suppress(
            message.address.value,
            Suppression.Reason.HARD_BOUNCE,
            source=f"refused: {verdict.words}",
            now=now,
        )


def prepare(message: Message, now: datetime) -> tuple[Rendered, Any] | outbox.Settlement:
    """The mail to send, or why it cannot be."""

    def failed(reason: str, detail: str) -> outbox.Settlement:
        return outbox.Settlement(message.pk, "failed", now, reason=reason, detail=detail[:2000])

    if reason := outbox.forbidden(message.account.environment, message.address.value):
        return failed(*reason)
    if not addresses.usable(message.address.value):
        return failed("bad_address", "No mail can be addressed to it.")
    version = message.template_version
    stop = unsubscribe.url(message.address_id, message.category)
    context = {**message.context, "unsubscribe_url": stop}
    try:
        rendered = render(version.content, version.frozen, context)
    except (RenderError, ContentError) as error:
        findings.report(findings.RENDER_ERROR, str(version), str(error), now=now)
        return failed("render_error", str(error))
    return rendered, outgoing.build(message, rendered, stop=stop)


def send(mail: Any, connection: Any) -> refusals.Verdict | None:
    """Hand one mail over; None where the provider took it."""
    try:
        if connection.send_messages([mail]):
            return refusals.judge_answer(getattr(mail, "anymail_status", None))
    except Exception as error:
        # Unknown is not failed: what we cannot tell apart is judged uncertain there, never lost here.
        return refusals.judge(error, handed_over=getattr(connection, "handed_over", None))
    return refusals.Verdict("failed", "not_sent", "The mail backend declined to send it.")


def settlement_of(
    message: Message,
    verdict: refusals.Verdict,
    now: datetime,
    rendered: Rendered | None = None,
    started: datetime | None = None,
) -> outbox.Settlement:
    """What the verdict means for this message: a refusal for now is tried again while it is of use."""
    common: dict[str, Any] = {
        "reason": verdict.reason,
        "detail": verdict.words,
        "subject": rendered.subject if rendered else "",
        "variant": rendered.variant[:120] if rendered else "",
        "started": started,
    }
    if verdict.outcome != "temporary":
        return outbox.Settlement(message.pk, verdict.outcome, now, **common)
    retry_at = now + max(backoff(message.pk, message.attempts), verdict.wait or timedelta())
    if retry_at > message.not_after:
        return outbox.Settlement(message.pk, "failed", now, **{**common, "reason": "too_late"})
    return outbox.Settlement(message.pk, "temporary", now, retry_at=retry_at, **common)


def _sent(
    message: Message,
    rendered: Rendered,
    mail: Any,
    connection: Any,
    *,
    started: datetime,
    now: datetime,
) -> outbox.Settlement:
    status = getattr(mail, "anymail_status", None)
    provider_id = getattr(status, "message_id", None) or mail.extra_headers["Message-ID"]
    return outbox.Settlement(
        message.pk,
        "sent",
        now,
        provider=str(getattr(connection, "esp_name", "SMTP"))[:40],
        provider_id=str(provider_id)[:255],
        subject=rendered.subject,
        variant=rendered.variant[:120],
        started=started,
    )


def _report(verdict: refusals.Verdict, now: datetime) -> None:
    if verdict.our_fault:
        findings.report(findings.MAIL_CONFIGURATION, settings.EMAIL_BACKEND, verdict.words, now=now)


def settle(pending: Sequence[outbox.Settlement], owner: str, outcomes: Outcomes) -> None:
    """Record these in the database and among the outcomes.

    Where the database went away for a moment this waits for it: what we know would else become unknown.
    """
    if not pending:
        return
    for wait in (0.1, 0.4, 1.5, 3.0, None):
        try:
            moved = set(outbox.settle(pending, owner=owner))
            break
        except (OperationalError, InterfaceError):
            if wait is None or database.in_atomic_block:
                raise
            database.close()
            time.sleep(wait)
    for settlement in pending:
        outcomes.add(settlement, moved=settlement.message_id in moved)


def _close(connection: Any) -> None:
    """Hang up; what goes wrong with that changes nothing about what was said before."""
    with contextlib.suppress(Exception):
        connection.close()
