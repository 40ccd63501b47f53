"""A proof: an e-mail that its writer sends to their own mailbox, at once, as nobody's message."""

import secrets
from datetime import datetime, timedelta
from email.utils import formataddr

from django.conf import settings
from django.db import transaction

from accounts.models import Environment, User
from messaging import addresses, outbox, sending
from messaging.models import AuditEntry, Sender, TemplateVersion
from messaging.outgoing import Mail
from messaging.refusals import Verdict, judge_opening
from messaging.rendering import Rendered, one_line
from messaging.review import record

# More than anybody looks at, and too few to make a mailing list of one's own mailbox.
MOST_AN_HOUR = 20


def send(
    rendered: Rendered, *, version: TemplateVersion, sender: Sender | None, by: User, now: datetime
) -> str:
    """Send it to `by`'s own address, marked as a test; why it was not sent, "" when it was.

    It is no `Message`: it counts towards no cap and shows in no customer's story, only in the record.
    """
    if not by.email:
        return "Your user has no e-mail address; an administrator can add it."
    own = addresses.normalise(by.email)
    if not addresses.usable(own):
        return f"No mail can be addressed to “{by.email}”, your user's address."
    if refused := outbox.forbidden(Environment.PRODUCTION, own):
        return f"This installation must not write to {own}: {refused[1]}"
    with transaction.atomic():
        # One at a time for each user, so that the count is exact.
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        lately = AuditEntry.objects.filter(by=by, act="proofed", at__gt=now - timedelta(hours=1))
        if lately.count() >= MOST_AN_HOUR:
            return f"You sent yourself {MOST_AN_HOUR} test mails within an hour; wait a little."
        record.note("proofed", version, change_set=version.change_set, by=by, now=now, words=own)
    verdict = _hand_over(build(rendered, own, sender))
    if verdict is None:
        return ""
    if verdict.outcome == "uncertain":
        return f"It may or may not have been sent: {verdict.words}"
    return f"The mail provider did not take it: {verdict.words}"


def build(rendered: Rendered, own: str, sender: Sender | None) -> Mail:
    """The mail as a reader would get it, with [Test] before its subject and no way to leave."""
    recipient = settings.EMAIL_REDIRECT_ALL_TO or own
    address = sender.address if sender else settings.DEFAULT_FROM_EMAIL
    domain = address.rpartition("@")[2].strip(">")
    mail = Mail(
        subject=f"[Test] {rendered.subject}",
        body=rendered.text,
        from_email=formataddr((one_line(sender.name), address)) if sender else address,
        to=[recipient],
        headers={
            "Message-ID": f"<t{secrets.token_hex(12)}@{domain}>",
            # RFC 3834: nobody's out-of-office should answer.
            "Auto-Submitted": "auto-generated",
        },
    )
    mail.attach_alternative(rendered.html, "text/html")
    mail.envelope = (address, recipient)
    return mail


def _hand_over(mail: Mail) -> Verdict | None:
    with sending.line() as line:
        try:
            line.open()
        except Exception as error:
            # Any error at all: without a connection nothing was sent, whatever the backend calls it.
            return judge_opening(error)
        return sending.send(mail, line)
