"""A provider over HTTP, end to end: what it is told, and what each of its answers means."""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta

import pytest

from messaging import outgoing, sending
from messaging.models import Finding, Message
from tests.messaging.http_provider import Provider
from tests.messaging.scenes import NOW, claimed, queued

pytestmark = pytest.mark.django_db


@pytest.fixture
def postmark(settings) -> Iterator[Provider]:
    provider = Provider()
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    settings.ANYMAIL = {
        **settings.ANYMAIL, "POSTMARK_SERVER_TOKEN": "token", "POSTMARK_API_URL": provider.url,
        "REQUESTS_TIMEOUT": (0.5, 0.6),
    }  # fmt: skip
    yield provider
    provider.shutdown()
    provider.server_close()


def hand_over(messages):
    claimed(messages)
    return sending.hand_over([m.pk for m in messages], owner="one", clock=lambda: NOW)


def row(message):
    return Message.objects.get(pk=message.pk)


def test_a_provider_is_told_everything_that_a_mail_needs(postmark):
    (message,) = queued()
    assert hand_over([message]).sent == [message.pk]
    path, headers, told = postmark.seen[0]
    assert path == "/email"
    assert headers["X-Postmark-Server-Token"] == "token"
    assert told["Metadata"] == {"message_id": str(message.pk)}
    assert told["TrackOpens"] is False
    assert told["TrackLinks"] == "None"
    sent = {header["Name"]: header["Value"] for header in told["Headers"]}
    assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert "Keys are shown once." in told["TextBody"]
    assert "<em>once</em>" in told["HtmlBody"]
    saved = row(message)
    assert (saved.provider, saved.provider_id) == ("Postmark", "pm-1")


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("limited", "queued", "refused_for_now"),
        ("down", "queued", "refused_for_now"),
        ("broken", "uncertain", "unclear_answer"),
        ("invalid", "failed", "refused"),
        ("inactive", "failed", "refused"),
        ("odd", "uncertain", "unclear_answer"),
        ("garbage", "uncertain", "unclear_answer"),
        ("hang", "uncertain", "connection_broke"),
        ("drop", "uncertain", "connection_broke"),
    ],
)
def test_each_answer_leaves_the_right_state_and_spares_the_others(postmark, name, status, reason):
    messages = queued(emails=["a@x.example", f"{name}-x@x.example", "b@x.example"])
    outcomes = hand_over(messages)
    bad = row(messages[1])
    assert (bad.status, bad.reason) == (status, reason), bad.detail
    assert outcomes.sent == [messages[0].pk, messages[2].pk]
    assert len(postmark.seen) == 3  # nothing is tried twice
    if name == "limited":
        assert bad.next_attempt_at == NOW + timedelta(seconds=120)


def test_a_wrong_key_keeps_everything_waiting_and_opens_one_finding(postmark):
    messages = queued(emails=[f"key-{n}@x.example" for n in range(5)])
    assert hand_over(messages).temporary == [message.pk for message in messages]
    assert len(postmark.seen) == 1
    assert Finding.objects.get().kind == "mail_configuration"
    assert "Bad or missing API token" in Finding.objects.get().detail


def test_a_provider_that_is_not_there_keeps_everything_waiting(postmark, settings):
    settings.ANYMAIL = {**settings.ANYMAIL, "POSTMARK_API_URL": "http://127.0.0.1:9/"}
    messages = queued(2)
    assert hand_over(messages).temporary == [message.pk for message in messages]
    assert {row(message).reason for message in messages} == {"no_connection"}


def test_what_hung_is_settled_by_the_providers_webhook(postmark, client):
    (message,) = queued(emails=["hang-x@x.example"])
    assert hand_over([message]).uncertain == [message.pk]
    told = {
        "RecordType": "Delivery", "MessageID": "pm-1", "Recipient": "hang-x@x.example",
        "DeliveredAt": "2026-03-04T09:01:00Z", "Metadata": postmark.seen[0][2]["Metadata"],
    }  # fmt: skip
    answer = client.post(
        "/anymail/postmark/tracking/",
        json.dumps(told),
        content_type="application/json",
        headers={"Authorization": f"Basic {b64encode(b'development:only').decode()}"},
    )
    assert answer.status_code == 200
    assert (row(message).status, row(message).provider_id) == ("delivered", "pm-1")


@pytest.mark.parametrize("backend", ["postmark", "mailgun", "sendgrid", "resend", "amazon_ses"])
def test_every_provider_accepts_our_mails_features(settings, backend):
    """Builds the request of each without sending it: none may call a feature unsupported."""
    settings.ANYMAIL = {
        **settings.ANYMAIL, "POSTMARK_SERVER_TOKEN": "x", "MAILGUN_API_KEY": "x",
        "MAILGUN_SENDER_DOMAIN": "acme.example", "SENDGRID_API_KEY": "x", "RESEND_API_KEY": "x",
        "AMAZON_SES_CLIENT_PARAMS": {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"},
    }  # fmt: skip
    settings.EMAIL_BACKEND = f"anymail.backends.{backend}.EmailBackend"
    (message,) = queued()
    claimed([message])
    (held,) = sending.held([message.pk], "one")
    prepared = sending.prepare(held, NOW)
    assert isinstance(prepared, tuple)
    connection = sending.connect()
    outgoing.turn_tracking_off(prepared[1], connection.esp_name)
    connection.open()
    payload = connection.build_message_payload(prepared[1], connection.send_defaults)
    if hasattr(payload, "get_request_params"):
        payload.get_request_params(connection.api_url)
    else:
        payload.finalize_payload()
    connection.close()
