"""The event endpoint: one request in, a batch into the log, and a JSON answer in every case."""

import base64
import binascii
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from pydantic_core import to_json

from events import catalogue, ingest, keys, quarantine
from events.api import body, routes
from events.api.routes import Route
from events.models import IngestKey

logger = logging.getLogger("events.endpoint")
# Long enough for a database to fail over, short enough that clients keep what they hold.
AWAY_RETRY_SECONDS = 5
HTTPS_REQUIRED = (
    "Send events over https. If they were and a proxy ended TLS, it must send X-Forwarded-Proto: https, "
    "and this installation needs BEHIND_PROXY=True in its environment."
)
# What PostgreSQL's lock_timeout is: workers may wait longer for SQLite's one writer, clients give up.
BUSY_MILLISECONDS = 8_000


def answer(status: int, content: Mapping[str, Any], **headers: str) -> HttpResponse:
    """A JSON answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(
        to_json(content), status=status, content_type="application/json", headers=named
    )


def refuse(status: int, code: str, message: str, **headers: str) -> HttpResponse:
    """An error that clients can read: without `code` and `message` some retry for ever."""
    return answer(status, {"success": False, "code": code, "message": message}, **headers)


def receive(request: HttpRequest, route: Route) -> HttpResponse:
    """Answer one request of a client; never a redirect, never HTML."""
    if request.method != "POST":
        return refuse(405, "method_not_allowed", "Send events with POST.", Allow="POST")
    try:
        raw = body.received(request)
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return refuse(403, "https_required", HTTPS_REQUIRED)
        return _receive(request, route, raw)
    except body.Unreadable as error:
        return refuse(error.status, error.code, error.message)
    except (OperationalError, InterfaceError):
        logger.warning("The database is away; the client was asked to come back.", exc_info=True)
        return refuse(
            503,
            "unavailable",
            "Events cannot be stored at the moment; nothing of this request was.",
            Retry_After=str(AWAY_RETRY_SECONDS),
        )
    except Exception:
        # Nothing was stored, so nothing is lost: the client still holds the batch and sends it again.
        logger.exception("A request to the event endpoint failed")
        return refuse(500, "internal_error", "Something went wrong here; nothing was stored.")


def _receive(request: HttpRequest, route: Route, raw: bytes) -> HttpResponse:
    now = timezone.now()
    _wait_no_longer_than_a_client()
    presented = _header_key(request.META.get("HTTP_AUTHORIZATION", ""))
    key = keys.verify(presented) if presented else None
    if presented and key is None:
        quarantine.note_wrong_key(presented, path=route.path, now=now)
        return _unknown_key()
    text = None
    try:
        text = body.unpacked(raw, request.META.get("HTTP_CONTENT_ENCODING", ""))
        content = body.understood(text)
    except body.Unreadable as error:
        if key is None:
            return (
                _unknown_key()
                if error.status == 400
                else refuse(error.status, error.code, error.message)
            )
        quarantine.keep_body(
            raw[: quarantine.PACKED_KEPT] if text is None else text,
            error.code,
            error.message,
            key=key,
            presented=presented,
            path=route.path,
            now=now,
        )
        raise
    if key is None:
        key = _body_key(content)
    if key is None:
        return _unknown_key()
    return _store(content, route, key, now)


def _wait_no_longer_than_a_client() -> None:
    """For this request alone: on SQLite a connection ends with its request."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")


def _store(content: Any, route: Route, key: IngestKey, now: datetime) -> HttpResponse:
    sent = routes.read(content, route)
    if seconds := keys.wait_for(key, max(len(sent.messages), 1), now=now):
        return refuse(
            429,
            "rate_limited",
            f"More events than this key's {key.rate_per_second} per second; try again in {seconds} s.",
            Retry_After=str(seconds),
        )
    report = ingest.ingest(
        sent.messages,
        key=key,
        now=now,
        sent_at=sent.sent_at,
        historical=sent.historical,
        path=route.path,
    )
    keys.note_use(key, now=now)
    catalogue.note_seen({entry.name for entry in report.entries}, now=now)
    return answer(
        200,
        {
            "success": True,
            "stored": report.stored,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
            "events": ingest.tell(report),
        },
    )


def _unknown_key() -> HttpResponse:
    return refuse(
        401,
        "invalid_write_key",
        "The write key is missing, unknown or revoked.",
        WWW_Authenticate='Basic realm="events"',
    )


def _header_key(header: str) -> str:
    """The key in an Authorization header; empty where there is none."""
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if not value:
        # Dittofeed's client sends the bare key.
        return scheme
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return value
    return value


def _body_key(content: Any) -> IngestKey | None:
    if not isinstance(content, dict):
        return None
    for name in routes.CREDENTIALS:
        if isinstance(given := content.get(name), str) and given:
            return keys.verify(given)
    return None
