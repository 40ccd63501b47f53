"""The address that a mail's reply comes back to: it names the message, and cannot be made up."""

import re

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from messaging.models import Message

SALT = "messaging.reply"
# Lower case and digits only: some mail programs change the case of what they answer to.
WRITTEN = re.compile(r"reply\+([0-9]{1,18})\.([0-9a-f]{20})@(.+)")


def of(message: Message) -> str:
    """Where answers to the message go: a signed address of ours, else the sender's own reply address."""
    if not settings.REPLY_DOMAIN:
        return message.sender.reply_to
    return f"reply+{message.pk}.{_mark(message.pk, settings.SECRET_KEY)}@{settings.REPLY_DOMAIN}"


def message_id(recipient: str) -> int | None:
    """The id of the message that such an address names; None where it is none of ours or made up."""
    found = WRITTEN.fullmatch(recipient.strip().lower())
    if found is None or found[3] != settings.REPLY_DOMAIN.lower():
        return None
    pk = int(found[1])
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    genuine = any(constant_time_compare(found[2], _mark(pk, key)) for key in keys)
    return pk if genuine else None


def _mark(pk: int, key: str | bytes) -> str:
    return salted_hmac(SALT, str(pk), secret=key, algorithm="sha256").hexdigest()[:20]
