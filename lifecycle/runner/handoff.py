"""The hand-off at a journey's end: an event in our own log and a signed outgoing webhook.

The webhook follows Standard Webhooks (https://www.standardwebhooks.com): the headers webhook-id,
webhook-timestamp and webhook-signature, the signature being HMAC-SHA256 over "id.timestamp.body".
"""

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import Account
from events.log import OwnEvent, append
from lifecycle.journeys.models import Enrolment
from lifecycle.runner.gather import Case
from lifecycle.runner.models import HandOff
from messaging import fetching

EVENT_NAME = "integration_usable"
# Standard Webhooks suggests spreading retries over about a day.
RETRY_AFTER = [timedelta(seconds=5)] + [
    timedelta(minutes=minutes) for minutes in (5, 30, 120, 300, 600)
]
LEASE = timedelta(seconds=60)
TIMEOUT_SECONDS = 10
SHOWN_OF_ANSWER = 300  # bytes


def begin(enrolment: Enrolment, case: Case, account: Account, *, now: datetime) -> None:
    """Record that the enrolment ended well and, where a receiver is set, queue the webhook.

    Runs in both arms, inside the look's transaction; the network is left to `deliver_due`.
    """
    state = case.state
    usable_at = state.usable.at if state.usable else now
    data = {
        "account_id": account.external_id,
        "integration_type": state.integration_type,
        "provider": state.provider,
        "integration_id": state.integration_id,
        "attempt": state.attempt,
        "started_at": state.started.at.isoformat(),
        "usable_at": usable_at.isoformat(),
        "next": case.live.document.path.activation.event,
    }
    append(
        [
            OwnEvent(
                source="lifecycle",
                message_id=f"usable:{enrolment.pk}",
                name=EVENT_NAME,
                account_id=account.pk,
                occurred_at=usable_at,
                properties=data,
            )
        ],
        now=now,
    )
    if settings.HANDOFF_WEBHOOK_URL:
        payload = {"type": "integration.usable", "timestamp": now.isoformat(), "data": data}
        HandOff.objects.create(enrolment=enrolment, payload=payload, next_attempt_at=now)


def lease_due(now: datetime, limit: int = 20) -> list[int]:
    """Hand-offs whose time has come, leased so that nobody else takes them for a while."""
    due = HandOff.objects.filter(status=HandOff.Status.WAITING, next_attempt_at__lte=now)
    if not due.exists():
        return []
    with transaction.atomic():
        rows = due.order_by("next_attempt_at").select_for_update(skip_locked=True)
        ids = list(rows.values_list("pk", flat=True)[:limit])
        HandOff.objects.filter(pk__in=ids).update(next_attempt_at=now + LEASE)
    return ids


def signature(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """The value of webhook-signature. The secret is base64, with or without the prefix `whsec_`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()


def deliver(hand_off_id: int, *, now: datetime) -> None:
    """Try the webhook once and write down what came of it; may run twice, receivers dedupe by webhook-id."""
    row = HandOff.objects.get(pk=hand_off_id)
    if row.status != HandOff.Status.WAITING:
        return
    number = row.attempts + 1
    mine = HandOff.objects.filter(pk=row.pk, attempts=row.attempts, status=HandOff.Status.WAITING)
    if not mine.update(attempts=number):
        return
    entry: dict[str, Any] = {"at": now.isoformat(), "try": number}
    entry |= _post(f"handoff_{row.pk}", json.dumps(row.payload, sort_keys=True), now)
    done = 200 <= entry.get("status", 0) < 300
    given_up = not done and number > len(RETRY_AFTER)
    HandOff.objects.filter(pk=row.pk, attempts=number).update(
        log=[*row.log, entry],
        status=HandOff.Status.DONE
        if done
        else HandOff.Status.FAILED
        if given_up
        else HandOff.Status.WAITING,
        next_attempt_at=None if done or given_up else now + RETRY_AFTER[number - 1],
    )


def _post(message_id: str, body: str, now: datetime) -> dict[str, Any]:
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    try:
        headers["webhook-signature"] = signature(
            settings.HANDOFF_WEBHOOK_SECRET, message_id, timestamp, body
        )
    except ValueError as error:
        # A secret that is not base64. It counts as a try and stands in the log like any other.
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    # The operator set the address, which may well be inside their own network.
    answer = fetching.fetch(
        settings.HANDOFF_WEBHOOK_URL,
        method="POST",
        content=body.encode(),
        headers=headers,
        follow=False,
        inside=True,
        seconds=TIMEOUT_SECONDS,
    )
    # Receivers act on the status; one that breaks off its answer afterwards has got the hand-off.
    if answer.status is None:
        return {"error": f"{answer.problem}: {answer.detail}"[:300]}
    said = answer.body[:SHOWN_OF_ANSWER].decode("utf-8", "replace").replace("\x00", "")
    return {"status": answer.status, "answer": said}
