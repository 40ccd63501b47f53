"""Handing over: what arrives, and what every way of failing leaves behind."""

import contextlib
import email
import email.policy
import re
import socket
import threading
import time
from datetime import timedelta
from email.header import decode_header, make_header

import pytest
from django.core import mail as django_mail

from accounts.models import Account
from messaging import outbox, outgoing, sending
from messaging.models import Attempt, Finding, Message, Suppression
from tests.messaging.scenes import CONTENT, FACTS, NOW, a_sender, a_version, claimed, queued
from tests.messaging.smtp_server import Server

pytestmark = pytest.mark.django_db


def hand_over(messages, *, now=NOW):
    claimed(messages)
    return sending.hand_over([message.pk for message in messages], owner="one", clock=lambda: now)


def row(message):
    return Message.objects.get(pk=message.pk)


def parsed(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


# --- what arrives -------------------------------------------------------------------------
def test_a_claimed_message_arrives_once_with_both_parts_and_every_header(smtp):
    messages = queued(3)
    outcomes = hand_over(messages)
    assert outcomes.sent == [message.pk for message in messages]
    assert set(smtp.counts().values()) == {1}
    got = parsed(smtp.got[0][1])
    assert got["Subject"] == "Create your Stripe key, Ann"
    assert got["From"] == "Acme Setup <setup@acme.example>"
    assert got["To"] == "p0@customer.example"
    assert got["Reply-To"] == "help@acme.example"
    assert got["List-ID"] == "Setup help <setup_help.acme.example>"
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(
        r"<http://localhost:8000/unsubscribe/\d+-setup_help:[\w-]+/>", got["List-Unsubscribe"]
    )
    assert got["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch(rf"<m{messages[0].pk}\.[0-9a-f]{{16}}@acme\.example>", got["Message-ID"])
    plain, html = got.iter_parts()
    assert got.get_content_type() == "multipart/alternative"
    assert "Note: Keys are shown once." in plain.get_content()
    assert got["List-Unsubscribe"].strip("<>") in plain.get_content()
    assert "<em>once</em>" in html.get_content()
    saved = row(messages[0])
    assert (saved.status, saved.subject, saved.variant) == ("sent", got["Subject"], "default")
    assert (saved.provider, saved.provider_id) == ("SMTP", got["Message-ID"])
    assert Attempt.objects.filter(outcome="sent").count() == 3


def test_lines_are_short_and_ascii_on_the_wire_and_nothing_is_lost_in_them(smtp):
    name = "Jörg Müßig-Łukasiewicz " * 8
    body = "Grüße {{ person.first_name }} " + "lang " * 400 + "\n\n.dot\n\nFrom here 日本 🙂"
    version = a_version({"variants": [{"subject": "Für {{ person.first_name }}", "body": body}]})
    sender = a_sender(name="Jörg von " + "Überlang " * 12)
    (message,) = queued(
        version=version, sender=sender, facts={**FACTS, "person": {"first_name": name}}
    )
    hand_over([message])
    raw = smtp.got[0][1]
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    head = raw.partition(b"\r\n\r\n")[0]
    assert max(len(line) for line in head.split(b"\r\n") if b"=?" in line) <= 76
    assert not re.search(rb"^[\w-]+:\s*\r\n", head, re.MULTILINE)
    assert all(len(word) <= 75 for word in re.findall(rb"=\?\S+\?=", head))
    assert b"List-Unsubscribe: <http://localhost:8000/unsubscribe/" in head
    got = parsed(raw)
    assert got["Subject"] == row(message).subject
    # Python 3.11's newer parser puts spaces between a phrase's encoded words; the older one is right.
    shown = str(make_header(decode_header(email.message_from_bytes(raw)["From"])))
    assert shown == f"{sender.name.strip()} <setup@acme.example>"
    plain, _ = got.iter_parts()
    text = plain.get_content().replace("\r\n", "\n")
    assert name.strip() in text
    assert "\n.dot\n" in text
    assert "From here 日本 🙂" in text


@pytest.mark.parametrize(
    "evil", ["x\r\nBcc: all@bad.example", "x\nSubject: y", "x\r\n\r\n<html>", "x\x00\u2028y"]
)
def test_no_value_can_add_a_header(smtp, evil):
    version = a_version({"variants": [{"subject": "{{ person.first_name }}", "body": "Hi"}]})
    facts = {**FACTS, "person": {"first_name": evil.replace("\x00", "\x01")}}
    (message,) = queued(
        version=version, sender=a_sender(name=evil.replace("\x00", "")), facts=facts
    )
    hand_over([message])
    got = parsed(smtp.got[0][1])
    assert got["Bcc"] is None
    assert len(got.get_all("Subject")) == 1
    assert [recipient for recipient, _ in smtp.got] == [message.address.value]


def test_a_malformed_sender_is_refused_before_anything_is_sent(smtp):
    (message,) = queued(sender=a_sender(address="a@b.example\nBcc: x@y.example"))
    assert hand_over([message]).failed == [message.pk]
    assert smtp.got == []


def test_the_same_message_has_the_same_id_at_every_try(smtp):
    (message,) = queued(emails=["421-x@customer.example"])
    hand_over([message])
    first = row(message)
    assert (first.status, first.attempts) == ("queued", 1)
    Message.objects.update(address=queued()[0].address)
    later = first.next_attempt_at
    claimed([message], owner="two", now=later)
    sending.hand_over([message.pk], owner="two", clock=lambda: later)
    assert row(message).status == "sent"
    assert parsed(smtp.got[0][1])["Message-ID"] == outgoing.message_id(message)
    assert list(Attempt.objects.values_list("number", "outcome")) == [(1, "temporary"), (2, "sent")]


# --- every way of failing -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "status", "reason", "words"),
    [
        ("550", "failed", "no_such_mailbox", "550 5.1.1 no such user"),
        ("421", "queued", "refused_for_now", "421 4.3.2 going down"),
        ("451", "queued", "refused_for_now", "451 4.7.1 greylisted"),
        ("data451", "queued", "refused_for_now", "451 4.3.0 try later"),
        ("data554", "failed", "refused", "554 5.6.0 we do not like it"),
        ("droprcpt", "queued", "connection_broke", ""),
        ("dropdata", "queued", "connection_broke", ""),
        ("dropmid", "uncertain", "connection_broke", ""),
        ("dropafter", "uncertain", "connection_broke", ""),
        ("slowrcpt", "queued", "connection_broke", "timed out"),
        ("slowdata", "uncertain", "connection_broke", "timed out"),
        ("garbage", "uncertain", "connection_broke", "ever"),
    ],
)
def test_each_failure_of_the_server_leaves_the_right_state_and_spares_the_others(
    smtp, name, status, reason, words
):
    messages = queued(
        emails=["a@customer.example", f"{name}-x@customer.example", "b@customer.example"]
    )
    outcomes = hand_over(messages)
    bad = row(messages[1])
    assert (bad.status, bad.reason) == (status, reason)
    assert words in bad.detail
    assert outcomes.sent == [messages[0].pk, messages[2].pk]
    assert max(smtp.counts().values()) == 1
    if status == "queued":
        assert NOW + timedelta(seconds=20) < bad.next_attempt_at < NOW + timedelta(seconds=40)
    assert Attempt.objects.get(message=bad).outcome == (
        "temporary" if status == "queued" else status
    )


def test_a_server_that_is_down_costs_one_try_and_everything_waits(settings):
    server = Server()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 1
    settings.EMAIL_USE_TLS = False
    server.stop()
    messages = queued(12)
    assert hand_over(messages).temporary == [message.pk for message in messages]
    assert {row(message).reason for message in messages} == {"no_connection"}
    assert "refused" in row(messages[0]).detail
    assert len({row(message).next_attempt_at for message in messages}) > 6  # jitter


def test_a_server_that_answers_a_letter_at_a_time_gets_no_more_time_than_one_that_hangs(settings):
    """Each letter comes well within the timeout; all of them together do not."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = False, 0.5
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.EMAIL_HOST, settings.EMAIL_PORT = listening.getsockname()

        def dribble() -> None:
            talk, _ = listening.accept()
            with talk, contextlib.suppress(OSError):
                for letter in b"220 slowly but surely we greet you":
                    talk.send(bytes([letter]))
                    time.sleep(0.1)

        threading.Thread(target=dribble, daemon=True).start()
        began = time.monotonic()
        assert len(hand_over(queued(1)).temporary) == 1
        assert time.monotonic() - began < 1.5


def test_waiting_doubles_up_to_half_an_hour_and_ends_at_not_after(smtp):
    waits = [sending.backoff(7, attempt).total_seconds() for attempt in range(1, 12)]
    assert all(22 <= waits[n] / 2**n <= 38 for n in range(6))
    assert all(1350 <= wait <= 2250 for wait in waits[6:])
    (message,) = queued(emails=["451-x@customer.example"], not_after=NOW + timedelta(seconds=10))
    hand_over([message])
    assert (row(message).status, row(message).reason) == ("failed", "too_late")
    assert "greylisted" in row(message).detail


def test_a_mailbox_that_does_not_exist_is_suppressed_and_other_refusals_are_not(smtp):
    messages = queued(emails=["550-x@customer.example", "data554-x@customer.example"])
    hand_over(messages)
    assert [(s.address_id, s.reason) for s in Suppression.objects.all()] == [
        (messages[0].address_id, "hard_bounce")
    ]


def test_a_template_that_fails_to_render_sends_nothing_and_opens_one_finding(smtp):
    version = a_version({"variants": [{"subject": "Hi", "body": "{{ helper.name }}"}]})
    messages = queued(2, version=version)
    assert hand_over(messages).failed == [message.pk for message in messages]
    assert {row(message).reason for message in messages} == {"render_error"}
    assert "helper" in row(messages[0]).detail
    assert Finding.objects.get().kind == "render_error"
    assert smtp.got == []


def test_a_message_without_a_variant_for_its_reader_is_failed_with_the_reason(smtp):
    content = {"variants": [{**CONTENT["variants"][0], "provider": "paypal"}]}
    (message,) = queued(version=a_version(content))
    hand_over([message])
    assert "No variant fits provider 'stripe'" in row(message).detail


# --- who may send -------------------------------------------------------------------------
def test_what_the_owner_does_not_hold_is_left_alone(smtp):
    mine, others, waiting = queued(3)
    claimed([mine], owner="one")
    claimed([others], owner="two")
    ids = [mine.pk, others.pk, waiting.pk]
    assert sending.hand_over(ids, owner="one", clock=lambda: NOW).sent == [mine.pk]
    assert [row(message).status for message in (mine, others, waiting)] == [
        "sent",
        "sending",
        "queued",
    ]


def test_a_lease_that_has_run_short_is_not_used(smtp):
    messages = queued(2)
    claimed(messages)
    late = NOW + timedelta(seconds=110)
    outcomes = sending.hand_over([m.pk for m in messages], owner="one", clock=lambda: late)
    assert outcomes.temporary == [message.pk for message in messages]
    assert smtp.got == []


def test_what_was_reaped_while_waiting_is_not_sent(smtp):
    (message,) = queued()
    claimed([message])
    outbox.reap(NOW + timedelta(hours=1))
    assert sending.hand_over([message.pk], owner="one", clock=lambda: NOW).sent == []
    assert smtp.got == []


def test_groups_are_settled_as_they_go(smtp, django_assert_max_num_queries):
    messages = queued(25)
    claimed(messages)
    with django_assert_max_num_queries(3 + 3 * 4):
        sending.hand_over([m.pk for m in messages], owner="one", clock=lambda: NOW)


# --- staging ------------------------------------------------------------------------------
def test_everything_can_be_redirected_to_one_mailbox(smtp, settings):
    settings.EMAIL_REDIRECT_ALL_TO = "us@acme.example"
    account = Account.objects.create(external_id="t", environment="test")
    messages = queued(1) + queued(1, account=account)
    hand_over(messages)
    assert [recipient for recipient, _ in smtp.got] == ["us@acme.example"] * 2
    assert parsed(smtp.got[0][1])["X-Redirected-From"] == messages[0].address.value


def test_a_setting_that_changes_after_the_claim_still_holds(smtp, settings):
    (message,) = queued()
    claimed([message])
    settings.EMAIL_ALLOW_LIST = ["@team.example"]
    outcomes = sending.hand_over([message.pk], owner="one", clock=lambda: NOW)
    assert outcomes.failed == [message.pk]
    assert row(message).reason == "not_on_allow_list"
    assert smtp.got == []


def test_any_backend_will_do():
    (message,) = queued()
    assert hand_over([message]).sent == [message.pk]
    (got,) = django_mail.outbox
    assert got.metadata == {"message_id": str(message.pk)}
    assert getattr(got, "track_opens", None) is not True
