"""A request's body: read within limits, unpacked, and understood as JSON, or `Unreadable`."""

import json
import zlib
from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpRequest
from pydantic_core import from_json

CHUNK = 64 * 1024
# A client that sends too much hears our 413 only if we let it finish sending.
MOST_DRAINED = 64 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"


class Unreadable(Exception):
    """The body cannot be used: the status to answer with, a code and words for the client."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def received(request: HttpRequest) -> bytes:
    """The bytes on the wire. Raises Unreadable (413) beyond the limit."""
    limit = settings.EVENTS_MAX_BODY_BYTES
    # Django reads as much as Content-Length says; a chunked body has none and ends by itself.
    stream: Any = request
    if not request.META.get("CONTENT_LENGTH") and request.META.get("wsgi.input_terminated"):
        stream = request.META["wsgi.input"]
    parts: list[bytes] = []
    size = 0
    try:
        while part := stream.read(CHUNK):
            size += len(part)
            if size <= limit:
                parts.append(part)
            elif size > MOST_DRAINED:
                break
    except OSError as error:
        raise Unreadable(400, "body_interrupted", "The body ended before it was whole.") from error
    if size > limit:
        raise Unreadable(413, "body_too_large", f"The body is larger than {limit} bytes.")
    return b"".join(parts)


def unpacked(raw: bytes, encoding: str) -> bytes:
    """The body as the client wrote it. Raises Unreadable: 413 for too much, 400 for what is broken."""
    encoding = encoding.strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate") or raw[:2] == GZIP_MAGIC:
        return _inflated(raw) if raw else raw
    if encoding not in ("", "identity"):
        raise Unreadable(
            415,
            "unknown_encoding",
            f"Content-Encoding {encoding[:40]!r} is not supported; use gzip.",
        )
    return raw


def _inflated(raw: bytes) -> bytes:
    limit = settings.EVENTS_MAX_UNPACKED_BYTES
    parts: list[bytes] = []
    size = 0
    # 32 + 15: gzip or zlib, whichever the header says; a gzip body may have several members.
    stream = zlib.decompressobj(47)
    rest = raw
    try:
        while rest:
            part = stream.decompress(rest, limit + 1 - size)
            size += len(part)
            if size > limit:
                raise Unreadable(
                    413, "body_too_large", f"The unpacked body is larger than {limit} bytes."
                )
            parts.append(part)
            rest = stream.unconsumed_tail
            if stream.eof:
                rest = stream.unused_data
                if rest[:2] != GZIP_MAGIC:
                    break
                stream = zlib.decompressobj(47)
    except zlib.error as error:
        raise Unreadable(400, "bad_gzip", "The gzip body could not be unpacked.") from error
    if not stream.eof:
        raise Unreadable(400, "bad_gzip", "The gzip body ended too early.")
    return b"".join(parts)


def understood(text: bytes) -> Any:
    """The body as JSON. Raises Unreadable with what is wrong and where."""
    text = text.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        raise Unreadable(400, "empty_body", "The body is empty.")
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        said = str(error)
    if "recursion limit" in said:
        raise Unreadable(400, "too_deep", "The JSON is nested too deeply.")
    return _second_reading(text, said)


def _second_reading(text: bytes, said: str) -> Any:
    """What the strict reader refused: half characters, which Python clients send, are let through."""

    def refuse(constant: str) -> NoReturn:
        raise Unreadable(400, "not_a_number", f"{constant} is not JSON; send null or leave it out.")

    try:
        body = json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise Unreadable(400, "too_deep", "The JSON is nested too deeply.") from error
    except ValueError as error:
        raise Unreadable(400, "invalid_json", f"The body is not JSON: {said}") from error
    whole = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    try:
        return from_json(whole)
    except ValueError as error:
        raise Unreadable(400, "invalid_json", f"The body is not JSON: {said}") from error
