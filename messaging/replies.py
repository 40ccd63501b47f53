"""Replies that come back: kept once, told apart from machines' answers, and waiting to be acted upon.

Nothing is decided here. Whoever cares for customers takes the rows up; messaging.forwarding passes
each on to the sender's support mailbox.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime

from anymail.inbound import AnymailInboundMessage
from django.utils.html import strip_tags

from messaging import addresses, reply_address
from messaging.auto_replies import entries, why_automatic
from messaging.models import Message, Reply
from messaging.rendering import one_line

TEXT_LIMIT = 20_000
# What providers deliver at most is larger; more than this is not kept for forwarding.
ORIGINAL_LIMIT = 10 * 1024 * 1024


def take_in(inbound: AnymailInboundMessage, *, provider: str, now: datetime) -> bool:
    """Keep the reply, if it answers a message of ours. False where it does not or was known already."""
    message = answered(inbound)
    if message is None:
        return False
    sender = next(iter(entries(inbound, "From")), None)
    email = addresses.normalise(one_line(sender.addr_spec)) if sender else ""
    automatic = why_automatic(inbound)
    text = text_of(inbound)
    reply = Reply(
        message=message,
        provider=provider[:40],
        fingerprint=fingerprint(inbound, message, email, text),
        from_email=email[:254],
        from_name=one_line(sender.display_name if sender else "")[:120],
        subject=one_line(str(inbound.subject or "")),
        text=text[:TEXT_LIMIT],
        automatic=automatic,
        status=Reply.Status.IGNORED if automatic else Reply.Status.WAITING,
        next_attempt_at=None if automatic else now,
        received_at=now,
        original=b"" if automatic else original_of(inbound, text),
    )
    known = Reply.objects.filter(fingerprint=reply.fingerprint)
    if known.exists():
        return False
    # The constraint, not the look above, keeps a webhook that comes twice at once from becoming two rows.
    Reply.objects.bulk_create([reply], ignore_conflicts=True)
    return True


def answered(inbound: AnymailInboundMessage) -> Message | None:
    """The message that the reply answers: the one that an address it was sent to names."""
    for recipient in _recipients(inbound):
        pk = reply_address.message_id(recipient)
        if pk is not None and (message := Message.objects.filter(pk=pk).first()):
            return message
    return None


def _recipients(inbound: AnymailInboundMessage) -> Iterator[str]:
    if inbound.envelope_recipient:
        yield str(inbound.envelope_recipient)
    for header in ("Delivered-To", "X-Original-To"):
        yield from map(str, inbound.get_all(header) or ())
    for entry in [*entries(inbound, "To"), *entries(inbound, "Cc")]:
        yield str(entry.addr_spec)


def fingerprint(inbound: AnymailInboundMessage, message: Message, email: str, text: str) -> str:
    """The same for every delivery of the same reply: its own Message-ID or, where it has none, what it says."""
    told = str(inbound.get("Message-ID") or "").strip() or "\x1f".join(
        [email, str(inbound.subject or ""), str(inbound.get("Date") or ""), text]
    )
    return hashlib.sha256(f"{message.pk}\x1f{told}".encode("utf-8", "replace")).hexdigest()


def text_of(inbound: AnymailInboundMessage) -> str:
    """What the reply says, as plain text."""
    try:
        text = inbound.stripped_text or inbound.text or strip_tags(inbound.html or "")
    except LookupError:
        # It names a character set that nobody knows; most of it can be read all the same.
        payload = inbound.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return printable(text).strip()


def original_of(inbound: AnymailInboundMessage, text: str) -> bytes:
    """The mail as it came, where its text alone would lose something: attachments, pictures, length."""
    if len(text) <= TEXT_LIMIT and not inbound.attachments and not inbound.inlines:
        return b""
    try:
        octets = inbound.as_bytes()
    except (UnicodeError, LookupError, ValueError, TypeError, AttributeError):
        # The mail names a character set or has a part that nobody can write out again.
        return b""
    return octets if len(octets) <= ORIGINAL_LIMIT else b""


def printable(text: object) -> str:
    """The text without what PostgreSQL cannot keep and nobody can read."""
    return "".join(char for char in str(text) if char.isprintable() or char == "\n")
