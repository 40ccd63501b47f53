"""What providers tell us: any order, any number of times, and never trusted without the secret."""

import itertools
import json
from base64 import b64encode
from datetime import timedelta

import pytest
from anymail.signals import AnymailTrackingEvent

from messaging import outbox, webhooks
from messaging.models import Address, Attempt, Message, ProviderEvent, Suppression
from tests.messaging.scenes import NOW, claimed, queued

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def sent(count=1, **values):
    messages = queued(count, **values)
    claimed(messages)
    outbox.settle(
        [
            outbox.Settlement(m.pk, "sent", NOW, provider="Test", provider_id=f"id-{m.pk}")
            for m in messages
        ],
        owner="one",
    )
    return messages


def event(message, kind, *, at=NOW + HOUR, **values):
    return AnymailTrackingEvent(
        **{
            "event_type": kind, "timestamp": at, "message_id": f"id-{message.pk}",
            "metadata": {"message_id": str(message.pk)}, "recipient": message.address.value, **values,
        }
    )  # fmt: skip


def take(tracking_event, now=NOW + HOUR):
    return webhooks.take_in(webhooks.read(tracking_event, "Test", now), now=now)


def status_of(message):
    return Message.objects.get(pk=message.pk).status


def suppressed():
    return sorted(
        Suppression.objects.filter(lifted_at=None).values_list("address__value", "reason")
    )


def test_every_order_of_the_same_events_ends_in_the_same_state():
    kinds = {
        "sent": {}, "delivered": {}, "complained": {}, "bounced": {"reject_reason": "bounced"},
    }  # fmt: skip
    for order in itertools.permutations(kinds):
        (message,) = sent()
        for kind in order:
            take(event(message, kind, **kinds[kind]))
        assert status_of(message) == "complained", order


def test_delivered_after_a_bounce_stays_bounced_and_a_late_bounce_counts():
    early, late = sent(2)
    bounce = {"reject_reason": "bounced"}
    take(event(early, "bounced", **bounce))
    take(event(early, "delivered"))
    take(event(late, "delivered"))
    take(event(late, "bounced", at=NOW + 2 * HOUR, **bounce))
    assert [status_of(early), status_of(late)] == ["bounced", "bounced"]


def test_the_same_event_is_kept_once_although_its_id_changes():
    (message,) = sent()
    assert take(event(message, "delivered", event_id="a"))
    assert not take(event(message, "delivered", event_id="b"))
    assert ProviderEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "values", "status", "reason"),
    [
        ("bounced", {"reject_reason": "bounced"}, "bounced", "hard_bounce"),
        ("bounced", {"reject_reason": "invalid"}, "bounced", "hard_bounce"),
        ("rejected", {"reject_reason": "bounced"}, "bounced", "hard_bounce"),
        ("rejected", {"reject_reason": "spam"}, "complained", "complaint"),
        ("complained", {}, "complained", "complaint"),
        ("unsubscribed", {}, "sent", "unsubscribe"),
        ("bounced", {"reject_reason": "blocked"}, "bounced", None),
        ("bounced", {"reject_reason": "bounced", "esp_event": {"bounce": {"bounceType": "Transient"}}}, "bounced", None),
        ("deferred", {}, "sent", None),
        ("failed", {}, "bounced", None),
    ],
)  # fmt: skip
def test_what_is_final_suppresses_the_address_and_what_may_pass_does_not(
    kind, values, status, reason
):
    (message,) = sent()
    take(event(message, kind, description="words", **values))
    assert status_of(message) == status
    assert suppressed() == ([(message.address.value, reason)] if reason else [])


def test_three_days_of_soft_bounces_without_a_delivery_suppress_the_address():
    soft = {"reject_reason": "other"}
    messages = [sent(emails=["full@customer.example"])[0] for _ in range(6)]
    for day, message in enumerate(messages[:2]):
        take(
            event(message, "bounced", at=NOW + timedelta(days=day), **soft),
            NOW + timedelta(days=day),
        )
    take(event(messages[2], "delivered", at=NOW + timedelta(days=2)), NOW + timedelta(days=2))
    assert suppressed() == []
    for day, message in enumerate(messages[3:], start=3):
        assert suppressed() == []
        take(
            event(message, "bounced", at=NOW + timedelta(days=day), **soft),
            NOW + timedelta(days=day),
        )
    assert suppressed() == [("full@customer.example", "soft_bounces")]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("sent", "sent"),
        ("deferred", "sent"),
        ("delivered", "delivered"),
        ("complained", "complained"),
    ],
)
def test_a_webhook_settles_what_is_uncertain(kind, status):
    (message,) = queued()
    claimed([message])
    outbox.reap(NOW + HOUR)
    take(event(message, kind, message_id="esp-9"))
    saved = Message.objects.get()
    assert (saved.status, saved.provider_id) == (status, "esp-9")
    assert saved.sent_at is not None


def test_a_webhook_may_be_quicker_than_our_own_settling():
    (message,) = queued()
    claimed([message])
    take(event(message, "delivered"))
    outbox.settle([outbox.Settlement(message.pk, "sent", NOW, subject="Hi")], owner="one")
    assert status_of(message) == "delivered"
    assert Attempt.objects.get().finished_at is not None


def test_a_queued_or_cancelled_message_is_not_moved_by_a_webhook():
    waiting, cancelled = queued(2)
    outbox.cancel({cancelled.pk: ("usable", "")}, now=NOW)
    take(event(waiting, "delivered"))
    take(event(cancelled, "delivered"))
    assert [status_of(waiting), status_of(cancelled)] == ["queued", "cancelled"]


def test_another_installations_message_with_the_same_number_is_not_ours():
    (message,) = sent()
    take(event(message, "delivered", recipient="other@else.example", message_id="theirs"))
    assert status_of(message) == "sent"
    assert ProviderEvent.objects.get().message is None


def test_an_event_without_our_number_is_found_by_the_providers():
    (message,) = sent()
    take(event(message, "delivered", metadata={}, message_id=f"<id-{message.pk}>"))
    assert status_of(message) == "delivered"


def test_a_complaint_about_a_mail_that_we_do_not_know_still_counts():
    take(AnymailTrackingEvent(
        event_type="complained", timestamp=NOW, message_id="x", recipient="Who@customer.example",
    ))  # fmt: skip
    assert suppressed() == [("who@customer.example", "complaint")]


def test_opens_and_clicks_are_not_kept():
    (message,) = sent()
    assert not take(event(message, "opened"))
    assert ProviderEvent.objects.count() == 0


# --- over HTTP ----------------------------------------------------------------------------
def postmark(client, payload, credentials="development:only"):
    return client.post(
        "/anymail/postmark/tracking/",
        json.dumps(payload),
        content_type="application/json",
        headers={"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"},
    )


def bounce_of(message):
    return {
        "RecordType": "Bounce", "Type": "HardBounce", "ID": 1, "MessageID": f"id-{message.pk}",
        "Email": message.address.value, "BouncedAt": "2026-03-04T10:00:00Z",
        "Metadata": {"message_id": str(message.pk)}, "Description": "gone", "Details": "550 5.1.1",
    }  # fmt: skip


def test_a_real_postmark_webhook_bounces_the_message(client):
    (message,) = sent()
    assert postmark(client, bounce_of(message)).status_code == 200
    assert status_of(message) == "bounced"
    assert "550 5.1.1" in Message.objects.get().detail
    assert suppressed() == [(message.address.value, "hard_bounce")]


def test_postmarks_soft_bounce_is_soft(client):
    (message,) = sent()
    postmark(client, {**bounce_of(message), "Type": "SoftBounce"})
    postmark(
        client, {**bounce_of(message), "Type": "Transient", "BouncedAt": "2026-03-04T11:00:00Z"}
    )
    assert suppressed() == []


def test_without_the_secret_nothing_is_believed(client):
    (message,) = sent()
    assert postmark(client, bounce_of(message), credentials="x:y").status_code in (400, 401, 403)
    assert client.post("/anymail/postmark/tracking/", "{}", content_type="application/json").status_code in (400, 401, 403)  # fmt: skip
    assert status_of(message) == "sent"


def test_what_fails_in_us_is_not_laid_on_the_provider_which_tries_again(client, monkeypatch):
    def fail(report, *, now):
        raise KeyError("ours")

    monkeypatch.setattr(webhooks, "take_in", fail)
    client.raise_request_exception = False
    assert postmark(client, bounce_of(*sent())).status_code == 500


def test_a_webhook_never_makes_an_address_from_nonsense():
    take(
        AnymailTrackingEvent(
            event_type="complained", timestamp=NOW, message_id="x", recipient="no\x00se"
        )
    )
    assert not Address.objects.exists()
