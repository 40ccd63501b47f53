"""Telling whoever is waited for: a row with the move, and a mail that goes out later, once.

The mail is plain mail beside the outbox with the outbox's rules, as forwarding is: counted before it is
tried, every move compare-and-set, and where the outcome is unknown no machine tries again.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import F, Q
from django.utils.crypto import salted_hmac

from accounts.models import Environment, User
from messaging import addresses, outbox, refusals, sending
from messaging.models import ChangeSet, Notice, Participant
from messaging.outgoing import Mail
from messaging.rendering import one_line

APPROVE = "messaging.approve_change_set"
LEASE = timedelta(seconds=120)
GIVE_UP_AFTER = timedelta(days=1)
Status = ChangeSet.Status
# While a change set stands there, the notice is still true.
STANDS = {
    Notice.Kind.REVIEW: Status.IN_REVIEW,
    Notice.Kind.CHANGES: Status.CHANGES_REQUESTED,
    Notice.Kind.PUBLISHED: Status.PUBLISHED,
}
log = logging.getLogger(__name__)


def reviewers_of(change_set: ChangeSet) -> Iterable[User]:
    """Everybody who may decide it: the permission, and no part in writing it."""
    authors = change_set.participants.filter(part=Participant.Part.AUTHOR).values("user")
    able = User.objects.with_perm(APPROVE).filter(is_active=True, is_staff=True)
    return able.exclude(pk__in=authors).order_by("pk")


def tell_reviewers(change_set: ChangeSet, *, now: datetime) -> None:
    """They are waited for; in the transaction of the move."""
    _tell(change_set, Notice.Kind.REVIEW, reviewers_of(change_set), now)


def tell_authors(change_set: ChangeSet, kind: Notice.Kind, *, now: datetime) -> None:
    """It was decided; in the transaction of the move."""
    parts = change_set.participants.filter(part=Participant.Part.AUTHOR, user__is_active=True)
    _tell(change_set, kind, [part.user for part in parts.select_related("user")], now)


def _tell(change_set: ChangeSet, kind: Notice.Kind, users: Iterable[User], now: datetime) -> None:
    Notice.objects.bulk_create(
        [
            Notice(user=user, change_set=change_set, kind=kind, at=now, next_attempt_at=now)
            if _reachable(user)
            else Notice(
                user=user,
                change_set=change_set,
                kind=kind,
                at=now,
                mail=Notice.Mail.NOT_NEEDED,
                detail="There is no address to write to.",
            )
            for user in users
        ],
        ignore_conflicts=True,
    )


def _reachable(user: User) -> bool:
    """Whether there is an address; made-up ones are of use only where the mail catcher is."""
    made_up = settings.PRODUCTION and user.email.endswith("@localhost")
    return addresses.usable(user.email) and not made_up


def waiting_on(user: User) -> int:
    """How many change sets wait for this user: to be decided, or to be changed."""
    mine = Q(participants__user=user, participants__part=Participant.Part.AUTHOR)
    waiting = ChangeSet.objects.filter(mine, status=Status.CHANGES_REQUESTED).count()
    if user.has_perm(APPROVE):
        waiting += ChangeSet.objects.filter(status=Status.IN_REVIEW).exclude(mine).count()
    return waiting


def lease_due(now: datetime, limit: int = 50) -> list[int]:
    """Notices whose mail is to go now, kept from other callers for a minute."""
    if not Notice.objects.filter(mail=Notice.Mail.WAITING, next_attempt_at__lte=now).exists():
        return []
    with transaction.atomic():
        due = Notice.objects.filter(mail=Notice.Mail.WAITING, next_attempt_at__lte=now)
        due = due.order_by("next_attempt_at")
        if database.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True, no_key=True)
        ids = list(due.values_list("pk", flat=True)[:limit])
        later = now + outbox.LEASE_DUE_FOR
        Notice.objects.filter(pk__in=ids, mail=Notice.Mail.WAITING).update(next_attempt_at=later)
    return ids


def mail(notice_id: int, *, clock: Callable[[], datetime]) -> bool:
    """Try to mail the notice; whether it went. False also where somebody else has it, or it is over."""
    now = clock()
    waiting = Notice.objects.filter(pk=notice_id, mail=Notice.Mail.WAITING)
    if not waiting.update(
        mail=Notice.Mail.SENDING, attempts=F("attempts") + 1, lease_until=now + LEASE
    ):
        return False
    notice = Notice.objects.select_related("user", "change_set__submitted_by").get(pk=notice_id)
    if notice.change_set.status != STANDS[Notice.Kind(notice.kind)] or not notice.user.is_active:
        _settle(notice, mail=Notice.Mail.NOT_NEEDED)
        return False
    verdict = _hand_over(notice)
    _settle_as(notice, verdict, clock())
    return verdict is None


def _hand_over(notice: Notice) -> refusals.Verdict | None:
    """None where the provider took it."""
    recipient = settings.EMAIL_REDIRECT_ALL_TO or notice.user.email
    if forbidden := outbox.forbidden(Environment.PRODUCTION, addresses.normalise(recipient)):
        return refusals.Verdict("failed", *forbidden)
    written = build(notice, recipient)
    with sending.line() as line:
        try:
            line.open()
        except Exception as error:
            # Any error at all: without a connection nothing was sent, whatever the backend calls it.
            return refusals.judge_opening(error)
        return sending.send(written, line)


def build(notice: Notice, recipient: str) -> Mail:
    """The mail to one of our own staff."""
    change_set = notice.change_set
    author = change_set.submitted_by
    who = author.get_username() if author else "The blueprint"
    match Notice.Kind(notice.kind):
        case Notice.Kind.REVIEW:
            subject = f"Waits for your review: {change_set}"
            lines = [f"{who} submitted “{change_set}”.", change_set.note]
        case Notice.Kind.CHANGES:
            subject = f"Changes are requested: {change_set}"
            last = change_set.comments.filter(place="").order_by("-pk").first()
            lines = [f"{change_set.decided_by} asks for changes to “{change_set}”."]
            lines += [last.text] if last else []
        case Notice.Kind.PUBLISHED:
            subject = f"Approved and published: {change_set}"
            lines = [f"{change_set.decided_by} approved “{change_set}”. It is live."]
    link = f"{settings.SITE_URL}{change_set.get_absolute_url()}"
    mark = salted_hmac("messaging.notices", str(notice.pk)).hexdigest()[:16]
    sender = settings.DEFAULT_FROM_EMAIL
    written = Mail(
        subject=one_line(subject),
        body="\n\n".join([line for line in lines if line] + [link]) + "\n",
        from_email=sender,
        to=[recipient],
        headers={
            "Message-ID": f"<n{notice.pk}.{mark}@{sender.rpartition('@')[2].strip('>')}>",
            # RFC 3834: nobody's out-of-office should answer.
            "Auto-Submitted": "auto-generated",
        },
        metadata={"notice_id": str(notice.pk)},
    )
    written.envelope = (sender, recipient)
    return written


def _settle_as(notice: Notice, verdict: refusals.Verdict | None, now: datetime) -> None:
    if verdict is None:
        _settle(notice, mail=Notice.Mail.SENT, sent_at=now)
        return
    detail = f"{verdict.reason}: {verdict.words}"
    retry_at = now + sending.backoff(notice.pk, notice.attempts)
    if verdict.outcome == "uncertain":
        _settle(notice, mail=Notice.Mail.UNCERTAIN, detail=detail)
    elif verdict.outcome == "temporary" and retry_at < notice.at + GIVE_UP_AFTER:
        _settle(notice, mail=Notice.Mail.WAITING, next_attempt_at=retry_at, detail=detail)
    else:
        _settle(notice, mail=Notice.Mail.REFUSED, detail=detail)
        log.warning("the notice to %s was not sent: %s", notice.user, detail)


def _settle(notice: Notice, **values: object) -> None:
    mine = Notice.objects.filter(pk=notice.pk, attempts=notice.attempts, mail=Notice.Mail.SENDING)
    mine.update(**{"lease_until": None, "next_attempt_at": None, **values})


def reap(now: datetime) -> int:
    """Notices whose process went silent while it sent them become uncertain; how many."""
    silent = Notice.objects.filter(mail=Notice.Mail.SENDING, lease_until__lt=now)
    return silent.update(
        mail=Notice.Mail.UNCERTAIN,
        lease_until=None,
        next_attempt_at=None,
        detail="lease_expired: The process that was sending it went silent.",
    )
