"""Header fields as they stand on the wire.

Python's older generator, which Django uses, leaves the first line of a long field empty and lets
encoded words grow past their limit; its newer one encodes long URLs, which breaks List-Unsubscribe.
"""

import re
from base64 import b64encode
from email.header import decode_header, make_header
from email.policy import Compat32
from typing import Any

# RFC 5322 asks for at most 78 characters; RFC 2047 for at most 76 where a line has an encoded word.
LINE = 76
# 36 octets make a word of 60 characters, which fits behind every field name that we use.
WORD_OCTETS = 36
ENCODED_RUN = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=(?:\s+=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=)*")


def encoded_words(text: str) -> str:
    """The text as encoded words (RFC 2047), none of them too long and none with half a character."""
    words: list[str] = []
    chunk = b""
    for char in text:
        octets = char.encode("utf-8", "replace")
        if len(chunk) + len(octets) > WORD_OCTETS:
            words.append(_word(chunk))
            chunk = b""
        chunk += octets
    return " ".join([*words, _word(chunk)])


def _word(octets: bytes) -> str:
    return f"=?utf-8?b?{b64encode(octets).decode('ascii')}?="


def fold(name: str, value: str, linesep: str) -> str:
    """The field with its line breaks. What has no space in it, such as a URL, stays in one piece."""
    value = re.sub(r"[\r\n]+[ \t]*", " ", value).strip()
    value = ENCODED_RUN.sub(
        lambda run: encoded_words(str(make_header(decode_header(run[0])))), value
    )
    if not value.isascii():
        value = encoded_words(value)
    lines = [f"{name}:"]
    for position, word in enumerate(value.split()):
        if position and len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}"
    return linesep.join(lines) + linesep


class WirePolicy(Compat32):
    """Django's policy for messages, with fields folded as above."""

    def fold(self, name: str, value: Any) -> str:
        return fold(name, str(value), self.linesep)

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii", "replace")


WIRE = WirePolicy(linesep="\n")
