"""What goes on the wire: one mail with its headers."""

import secrets
from binascii import b2a_qp
from email.charset import QP, Charset
from email.utils import formataddr
from typing import Any

from anymail.message import AnymailMessage
from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import ConsentCategory
from messaging import reply_address
from messaging.headers import WIRE
from messaging.models import Message
from messaging.rendering import Rendered, one_line


# Lines stay short and ASCII on the wire whatever a marketer or a customer wrote (RFC 5321 allows 998 octets).
class Utf8(Charset):
    """Quoted-printable by the standard library's C code; its own `email` does the same in Python, many times slower."""

    def __init__(self) -> None:
        super().__init__("utf-8")
        self.body_encoding = QP

    def body_encode(self, string: Any) -> Any:
        octets = string.encode("utf-8", "surrogateescape") if isinstance(string, str) else string
        return b2a_qp(octets, istext=True).decode("ascii")


UTF8 = Utf8()


class Mail(AnymailMessage):  # type: ignore[misc]
    """A mail for any of Anymail's providers or SMTP, correct on the wire in the latter case too."""

    encoding = UTF8
    # Plain addresses for SMTP's envelope, so that nobody need parse them out of the fields again.
    envelope: tuple[str, str] | None = None

    def message(self) -> Any:
        written = super().message()
        written.policy = WIRE
        # "=_" cannot stand in quoted-printable text, so no search for a free boundary is needed (RFC 2045, 6.7).
        written.set_boundary(f"=_{secrets.token_hex(12)}")
        return written


def message_id(message: Message) -> str:
    """The same for every try at this message, so that a receiver can drop a repetition and replies find it."""
    mark = salted_hmac("messaging.message-id", str(message.pk)).hexdigest()[:16]
    return f"<m{message.pk}.{mark}@{message.sender.domain.name}>"


def build(message: Message, rendered: Rendered, *, stop: str) -> Mail:
    """The mail as it will be sent; `stop` is where its reader unsubscribes."""
    recipient = message.address.value
    domain = message.sender.domain.name
    headers = {
        "Message-ID": message_id(message),
        "List-ID": f"{ConsentCategory(message.category).label} <{message.category}.{domain}>",
        # RFC 2369 and RFC 8058: the mail program's own button, which acts by POST.
        "List-Unsubscribe": f"<{stop}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        # RFC 3834: nobody's out-of-office should answer.
        "Auto-Submitted": "auto-generated",
    }
    if settings.EMAIL_REDIRECT_ALL_TO:
        headers["X-Redirected-From"] = recipient
        recipient = settings.EMAIL_REDIRECT_ALL_TO
    mail = Mail(
        subject=rendered.subject,
        body=rendered.text,
        from_email=formataddr((one_line(message.sender.name), message.sender.address)),
        to=[recipient],
        reply_to=[answers] if (answers := reply_address.of(message)) else None,
        headers=headers,
        metadata={"message_id": str(message.pk)},
    )
    mail.attach_alternative(rendered.html, "text/html")
    mail.envelope = (message.sender.address, recipient)
    return mail


def turn_tracking_off(mail: Mail, esp_name: str) -> None:
    """No opens are counted and no links are rewritten, where that is said per mail."""
    if esp_name in ("Mailgun", "Postmark", "SendGrid"):
        mail.track_opens = False
        mail.track_clicks = False
