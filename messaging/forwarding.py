"""Passing a customer's reply on to the sender's support mailbox: never twice, and never lost from sight.

A forward is plain mail beside the outbox, with the outbox's rules: it is counted before it is tried,
each move is compare-and-set, and where the outcome is unknown no machine tries again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import formataddr

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from accounts.models import Environment
from messaging import addresses, findings, outbox, refusals, sending
from messaging.models import Reply
from messaging.outgoing import Mail
from messaging.rendering import one_line

Status = Reply.Status
LEASE = timedelta(seconds=120)
GIVE_UP_AFTER = timedelta(days=3)


def lease_due(now: datetime, limit: int = 50) -> list[int]:
    """Replies whose time to be forwarded has come, kept from other callers for a minute."""
    with transaction.atomic():
        due = Reply.objects.filter(status=Status.WAITING, next_attempt_at__lte=now)
        due = due.order_by("next_attempt_at")
        if database.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True, no_key=True)
        ids = list(due.values_list("pk", flat=True)[:limit])
        later = now + outbox.LEASE_DUE_FOR
        Reply.objects.filter(pk__in=ids, status=Status.WAITING).update(next_attempt_at=later)
    return ids


def forward(reply_id: int, *, clock: Callable[[], datetime]) -> bool:
    """Try to pass the reply on; whether it went. False also where somebody else has it, or it is done."""
    now = clock()
    waiting = Reply.objects.filter(pk=reply_id, status=Status.WAITING)
    if not waiting.update(
        status=Status.FORWARDING, attempts=F("attempts") + 1, lease_until=now + LEASE
    ):
        return False
    reply = Reply.objects.select_related("message__sender__domain", "message__account").get(
        pk=reply_id
    )
    verdict = _hand_over(reply)
    _settle(reply, verdict, now=clock())
    return verdict is None


def mailbox_of(reply: Reply) -> str:
    """Where the reply goes; empty where the sender names no mailbox."""
    sender = reply.message.sender
    return settings.EMAIL_REDIRECT_ALL_TO or sender.support_mailbox or sender.reply_to


def _hand_over(reply: Reply) -> refusals.Verdict | None:
    """None where the provider took it."""
    mailbox = mailbox_of(reply)
    if not mailbox:
        return refusals.Verdict("failed", "no_mailbox", "The sender names no support mailbox.")
    if forbidden := outbox.forbidden(Environment.PRODUCTION, addresses.normalise(mailbox)):
        return refusals.Verdict("failed", *forbidden)
    mail = build(reply, mailbox)
    with sending.line() as line:
        try:
            line.open()
        except Exception as error:
            # Any error at all: without a connection nothing was sent, whatever the backend calls it.
            return refusals.judge_opening(error)
        return sending.send(mail, line)


def build(reply: Reply, mailbox: str) -> Mail:
    """The reply as support gets it: from our own domain, so that it arrives, and answered to the customer."""
    message = reply.message
    domain = message.sender.domain.name
    mark = salted_hmac("messaging.forwarding", str(reply.pk)).hexdigest()[:16]
    who = formataddr((reply.from_name, reply.from_email)) if reply.from_name else reply.from_email
    mail = Mail(
        subject=reply.subject or "(no subject)",
        body=f"{who} answered “{one_line(message.subject)}”.\n"
        f"{message.account}: {settings.SITE_URL}{message.account.get_absolute_url()}\n"
        f"Your answer goes to the customer.\n\n{reply.text}\n",
        from_email=formataddr((one_line(f"{reply.from_name or reply.from_email} (customer)"), message.sender.address)),
        to=[mailbox],
        reply_to=[who] if addresses.usable(reply.from_email) else None,
        headers={
            "Message-ID": f"<r{reply.pk}.{mark}@{domain}>",
            # RFC 3834: the mailbox's own out-of-office must not answer.
            "Auto-Submitted": "auto-generated",
        },
        metadata={"reply_id": str(reply.pk)},
    )  # fmt: skip
    if reply.original:
        mail.attach("reply.eml", bytes(reply.original), "application/octet-stream")
    mail.envelope = (message.sender.address, mailbox)
    return mail


def _settle(reply: Reply, verdict: refusals.Verdict | None, *, now: datetime) -> None:
    values: dict[str, object] = {"lease_until": None, "next_attempt_at": None, "detail": ""}
    if verdict is None:
        # The mailbox has it now, attachments and all.
        values |= {"status": Status.FORWARDED, "forwarded_at": now, "original": b""}
    else:
        values["detail"] = f"{verdict.reason}: {verdict.words}"
        retry_at = now + sending.backoff(reply.pk, reply.attempts)
        if verdict.outcome == "uncertain":
            values["status"] = Status.UNCERTAIN
        elif verdict.outcome == "temporary" and retry_at < reply.received_at + GIVE_UP_AFTER:
            values |= {"status": Status.WAITING, "next_attempt_at": retry_at}
        else:
            values["status"] = Status.REFUSED
    mine = Reply.objects.filter(pk=reply.pk, attempts=reply.attempts)
    # Who forwarded it knows better than the reaper, but does not bring it back to be tried again.
    known_better = values["status"] in (Status.FORWARDED, Status.REFUSED)
    mine = mine.filter(
        status__in=[Status.FORWARDING, *([Status.UNCERTAIN] if known_better else [])]
    )
    if mine.update(**values) and values["status"] in (Status.UNCERTAIN, Status.REFUSED):
        _tell(reply, str(values["detail"]), now)


def reap(now: datetime) -> int:
    """Forwards whose process went silent become uncertain; how many."""
    silent = Reply.objects.filter(status=Status.FORWARDING, lease_until__lt=now)
    count = 0
    for reply in silent.select_related("message__sender"):
        detail = "lease_expired: The process that was forwarding it went silent."
        count += Reply.objects.filter(pk=reply.pk, status=Status.FORWARDING).update(
            status=Status.UNCERTAIN, lease_until=None, next_attempt_at=None, detail=detail
        )
        _tell(reply, detail, now)
    return count


def _tell(reply: Reply, detail: str, now: datetime) -> None:
    where = mailbox_of(reply) or str(reply.message.sender)
    findings.report(
        findings.REPLY_NOT_FORWARDED,
        where,
        f"The reply from {reply.from_email} of {reply.received_at:%d %b %Y, %H:%M} UTC may not have "
        f"arrived there ({detail[:300]}). It stands in the list of replies.",
        now=now,
    )
