"""Replies come back to signed addresses, once each; machines' answers lead to nothing; support gets the rest."""

import email.policy
import json
from base64 import b64encode
from datetime import timedelta
from email.message import EmailMessage

import pytest
from anymail.inbound import AnymailInboundMessage

from messaging import findings, forwarding, outgoing, replies, reply_address, sending
from messaging.auto_replies import why_automatic
from messaging.models import Finding, Message, Reply
from tests.messaging.scenes import NOW, a_sender, claimed, queued
from tests.messaging.test_sending import hand_over, parsed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def domain(settings):
    settings.REPLY_DOMAIN = "replies.acme.example"


def sent(**sender) -> Message:
    (message,) = queued(
        emails=["ann@customer.example"],
        sender=a_sender(**{"support_mailbox": "help@acme.example", **sender}),
    )
    Message.objects.filter(pk=message.pk).update(subject="Create your Stripe key")
    message.refresh_from_db()
    return message


def written(
    message: Message, *, headers: dict[str, str] | None = None, text: str = "It says 403."
) -> AnymailInboundMessage:
    """Ann's answer as the provider's raw mail."""
    mail = EmailMessage()
    fields = {
        "From": "Ann Ä. <Ann@Customer.example>", "To": f"Acme <{reply_address.of(message)}>",
        "Subject": "Re: Create your Stripe key", "Message-ID": "<1@customer.example>",
        **(headers or {}),
    }  # fmt: skip
    for name, value in fields.items():
        mail[name] = value
    mail.set_content(text)
    return AnymailInboundMessage.parse_raw_mime_bytes(mail.as_bytes())


def take(inbound: AnymailInboundMessage, now=NOW) -> bool:
    return replies.take_in(inbound, provider="Test", now=now)


def received(now=NOW, **values) -> Reply:
    message = values.pop("message", None) or sent()
    assert take(written(message, **values), now)
    return Reply.objects.order_by("-pk")[0]


def again(reply: Reply) -> Reply:
    return Reply.objects.get(pk=reply.pk)


# --- the address ----------------------------------------------------------------------------------
def test_mails_ask_for_answers_to_a_signed_address_where_that_is_set_up(smtp, settings):
    messages = [sent(), sent()]
    hand_over(messages)
    asked = [parsed(raw)["Reply-To"] for _, raw in smtp.got]
    assert asked == [reply_address.of(message) for message in messages]
    assert reply_address.message_id(asked[0].upper()) == messages[0].pk
    assert len(asked[0].partition("@")[0]) <= 64
    settings.REPLY_DOMAIN = ""
    hand_over([sent(reply_to="us@acme.example")])
    assert parsed(smtp.got[-1][1])["Reply-To"] == "us@acme.example"


def test_an_address_outlives_a_change_of_the_secret_key(settings):
    message = sent()
    address = reply_address.of(message)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "a new one"
    assert reply_address.message_id(address) == message.pk


def test_an_address_cannot_be_made_up_or_turned_into_anothers():
    message, other = sent(), sent()
    local, _, domain = reply_address.of(message).partition("@")
    for forged in (
        local.replace(f"+{message.pk}.", f"+{other.pk}.") + f"@{domain}",
        f"{local[:-1]}x@{domain}",
        f"{local}@elsewhere.example",
        f"reply@{domain}",
        f"reply+{'9' * 30}.{'0' * 20}@{domain}",
        "",
    ):
        assert reply_address.message_id(forged) is None
        assert not take(written(message, headers={"To": forged or "x@y.example"}))
    assert not Reply.objects.exists()


# --- coming in ------------------------------------------------------------------------------------
def test_a_reply_is_kept_with_what_it_says():
    reply = received()
    assert (reply.from_email, reply.from_name) == ("ann@customer.example", "Ann Ä.")
    assert (reply.subject, reply.text) == ("Re: Create your Stripe key", "It says 403.")
    assert (reply.status, reply.automatic) == ("waiting", "")
    assert bytes(reply.original) == b""


def test_the_same_reply_is_kept_once_however_often_it_is_delivered():
    message = sent()
    assert take(written(message))
    assert not take(written(message))
    assert take(written(message, headers={"Message-ID": "<2@customer.example>"}))
    bare = {"Message-ID": ""}
    assert take(written(message, headers=bare))
    assert not take(written(message, headers=bare))
    assert Reply.objects.count() == 3


def test_the_address_may_stand_in_the_envelope_or_among_the_copies_only():
    message = sent()
    inbound = written(message, headers={"To": "team@acme.example"})
    assert not take(inbound)
    inbound.envelope_recipient = reply_address.of(message)
    assert take(inbound)
    copied = {
        "To": "team@acme.example", "Cc": reply_address.of(message), "Message-ID": "<2@c.example>",
    }  # fmt: skip
    assert take(written(message, headers=copied))


def test_what_a_reply_holds_besides_text_is_kept_until_it_was_forwarded():
    message = sent()
    mail = EmailMessage(policy=email.policy.default)
    mail["From"], mail["To"] = "ann@customer.example", reply_address.of(message)
    mail.set_content("See the picture.")
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="error.png")
    take(AnymailInboundMessage.parse_raw_mime_bytes(mail.as_bytes()))
    assert b"error.png" in bytes(Reply.objects.get().original)


def test_a_reply_in_html_alone_is_read_as_text():
    message = sent()
    mail = EmailMessage(policy=email.policy.default)
    mail["From"], mail["To"] = "ann@customer.example", reply_address.of(message)
    mail.set_content("<p>It says <b>403</b>.</p>", subtype="html")
    take(AnymailInboundMessage.parse_raw_mime_bytes(mail.as_bytes()))
    assert Reply.objects.get().text == "It says 403."


def test_a_reply_full_of_nonsense_is_kept_all_the_same():
    message = sent()
    raw = (
        b"From: \xff\xfe <not an address\r\nTo: " + reply_address.of(message).encode() + b"\r\n"
        b"Subject: =?utf-8?b?////?=\r\nContent-Type: text/plain; charset=no-such\r\n\r\nx\x00y\xff"
    )
    assert take(AnymailInboundMessage.parse_raw_mime_bytes(raw))
    assert "\x00" not in Reply.objects.get().text


# --- machines -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"Auto-Submitted": "auto-generated; owner-email=x"},
        {"Precedence": "bulk"},
        {"Precedence": "auto_reply"},
        {"X-Autoreply": "yes"},
        {"X-Autorespond": "1"},
        {"Return-Path": "<>"},
        {"From": "MAILER-DAEMON@mx.customer.example"},
        {"Subject": "Out of Office: Create your Stripe key"},
        {"Subject": "Out of the office until Monday"},
        {"Subject": "Automatic reply: Create your Stripe key"},
        {"Subject": "Automatische Antwort: Urlaub"},
        {"Subject": "Réponse automatique : absent"},
        {"Subject": "Respuesta automática: hola"},
        {"Subject": "自動応答: 不在"},
        {"Subject": "Undeliverable: Create your Stripe key"},
    ],
)
def test_a_machines_answer_is_recognised_and_leads_to_nothing(headers):
    reply = received(headers=headers)
    assert reply.automatic
    assert reply.status == "ignored"
    assert forwarding.lease_due(NOW + timedelta(days=1)) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "no"},
        {"Precedence": "list"},
        {"X-Autoreply": "no"},
        {"Return-Path": "<ann@customer.example>"},
        {"Subject": "Re: Out of office"},
        {"Subject": "I am out of ideas"},
        {"Subject": "Auto scaling question"},
        {"Subject": "Readme is wrong"},
        {"Subject": ""},
    ],
)
def test_a_persons_answer_is_not_mistaken_for_a_machines(headers):
    assert received(headers=headers).automatic == ""


def test_an_empty_sender_in_the_envelope_is_a_machine():
    inbound = written(sent())
    inbound.envelope_sender = ""
    assert why_automatic(inbound) == "empty return path"


# --- over HTTP ------------------------------------------------------------------------------------
def postmark(client, message, credentials="development:only"):
    payload = {
        "From": "ann@customer.example", "FromFull": {"Email": "ann@customer.example", "Name": "Ann"},
        "ToFull": [{"Email": reply_address.of(message), "Name": ""}], "Subject": "Re: key",
        "OriginalRecipient": reply_address.of(message), "TextBody": "It says 403.", "HtmlBody": "",
        "Headers": [{"Name": "Message-ID", "Value": "<7@customer.example>"}], "Attachments": [],
    }  # fmt: skip
    return client.post(
        "/anymail/postmark/inbound/",
        json.dumps(payload),
        content_type="application/json",
        headers={"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"},
    )


def test_a_real_postmark_webhook_brings_a_reply_in_once(client):
    message = sent()
    for _ in range(2):
        assert postmark(client, message).status_code == 200
    reply = Reply.objects.get()
    assert (reply.message, reply.text, reply.provider) == (message, "It says 403.", "Postmark")


def test_without_the_secret_no_reply_is_believed(client):
    assert postmark(client, sent(), credentials="x:y").status_code in (400, 401, 403)
    assert not Reply.objects.exists()


# --- on to support --------------------------------------------------------------------------------
def test_support_gets_the_reply_and_answers_the_customer(smtp, settings):
    reply = received(text="It says 403.\n\n.dot")
    assert forwarding.forward(reply.pk, clock=lambda: NOW)
    ((recipient, raw),) = smtp.got
    got = parsed(raw)
    assert recipient == "help@acme.example"
    assert "ann@customer.example" in got["Reply-To"]
    assert "setup@acme.example" in got["From"]
    assert got["Subject"] == "Re: Create your Stripe key"
    assert got["Auto-Submitted"] == "auto-generated"
    text = got.get_content() if not got.is_multipart() else got.get_body().get_content()
    assert "It says 403." in text
    assert f"{settings.SITE_URL}/accounts/{reply.message.account_id}/" in text
    done = again(reply)
    assert (done.status, done.forwarded_at, done.attempts) == ("forwarded", NOW, 1)


def test_a_reply_is_forwarded_once_however_often_that_is_asked(smtp):
    reply = received()
    for _ in range(3):
        forwarding.forward(reply.pk, clock=lambda: NOW)
    assert len(smtp.got) == 1


def test_attachments_reach_support_and_are_then_forgotten(smtp):
    message = sent()
    mail = EmailMessage(policy=email.policy.default)
    mail["From"], mail["To"] = "ann@customer.example", reply_address.of(message)
    mail.set_content("See the picture.")
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="error.png")
    take(AnymailInboundMessage.parse_raw_mime_bytes(mail.as_bytes()))
    reply = Reply.objects.get()
    forwarding.forward(reply.pk, clock=lambda: NOW)
    (attached,) = parsed(smtp.got[0][1]).iter_attachments()
    assert attached.get_filename() == "reply.eml"
    assert b"error.png" in attached.get_content()
    assert bytes(again(reply).original) == b""


def test_a_sender_without_a_support_mailbox_gets_replies_at_its_reply_address(smtp):
    reply = received(message=sent(support_mailbox="", reply_to="us@acme.example"))
    forwarding.forward(reply.pk, clock=lambda: NOW)
    assert [recipient for recipient, _ in smtp.got] == ["us@acme.example"]


def test_where_there_is_no_mailbox_at_all_a_finding_says_so(smtp):
    reply = received(message=sent(support_mailbox="", reply_to=""))
    assert not forwarding.forward(reply.pk, clock=lambda: NOW)
    assert again(reply).status == "refused"
    assert "no_mailbox" in Finding.objects.get().detail


def test_staging_redirects_forwards_too(smtp, settings):
    settings.EMAIL_REDIRECT_ALL_TO = "staging@acme.example"
    forwarding.forward(received().pk, clock=lambda: NOW)
    assert [recipient for recipient, _ in smtp.got] == ["staging@acme.example"]


def test_a_mailbox_that_is_not_on_the_allow_list_gets_nothing(smtp, settings):
    settings.EMAIL_ALLOW_LIST = ["@else.example"]
    reply = received()
    forwarding.forward(reply.pk, clock=lambda: NOW)
    assert smtp.got == []
    assert again(reply).detail.startswith("not_on_allow_list")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("451", "waiting"),
        ("421", "waiting"),
        ("data451", "waiting"),
        ("550", "refused"),
        ("dropafter", "uncertain"),
        ("garbage", "uncertain"),
    ],
)
def test_each_failure_leaves_the_right_state_and_nothing_is_sent_twice(smtp, name, status):
    reply = received(message=sent(support_mailbox=f"{name}-x@acme.example"))
    forwarding.forward(reply.pk, clock=lambda: NOW)
    found = again(reply)
    assert found.status == status
    assert found.detail
    if status == "waiting":
        assert found.next_attempt_at > NOW
        assert not Finding.objects.exists()
    else:
        assert forwarding.lease_due(NOW + timedelta(days=9)) == []
        assert Finding.objects.get().kind == findings.REPLY_NOT_FORWARDED
    assert len(smtp.got) <= 1


def test_a_mailbox_that_stays_away_is_given_up_after_three_days(smtp):
    reply = received(message=sent(support_mailbox="451-x@acme.example"))
    later = NOW + timedelta(days=3)
    forwarding.forward(reply.pk, clock=lambda: later)
    assert again(reply).status == "refused"


def test_a_process_that_dies_while_forwarding_leaves_it_uncertain():
    reply = received()
    Reply.objects.update(status="forwarding", attempts=1, lease_until=NOW)
    assert forwarding.reap(NOW) == 0
    assert forwarding.reap(NOW + timedelta(seconds=1)) == 1
    assert again(reply).status == "uncertain"
    assert not forwarding.forward(reply.pk, clock=lambda: NOW)


def test_what_is_due_is_leased_to_one_caller_at_a_time():
    reply = received()
    assert forwarding.lease_due(NOW) == [reply.pk]
    assert forwarding.lease_due(NOW) == []
    assert forwarding.lease_due(NOW + timedelta(minutes=2)) == [reply.pk]


def test_the_finding_closes_once_a_later_forward_arrives(smtp):
    broken = received(message=sent(support_mailbox="550-x@acme.example"))
    forwarding.forward(broken.pk, clock=lambda: NOW)
    findings.follow(NOW)
    assert Finding.objects.get().closed_at is None
    later = NOW + timedelta(hours=1)
    forwarding.forward(received(later).pk, clock=lambda: later)
    findings.follow(later)
    assert Finding.objects.get().closed_at == later


def test_a_fault_of_ours_is_over_once_the_provider_takes_mail_again(smtp):
    findings.report(findings.MAIL_CONFIGURATION, "smtp", "535 no", now=NOW)
    later = NOW + timedelta(hours=1)
    messages = queued(1)
    findings.follow(later)
    assert Finding.objects.get().closed_at is None
    claimed(messages, now=later)
    sending.hand_over([messages[0].pk], owner="one", clock=lambda: later)
    findings.follow(later)
    assert Finding.objects.get().closed_at == later


def test_a_customers_words_cannot_add_a_header_to_the_forward(smtp):
    reply = received()
    Reply.objects.update(from_name="x\r\nBcc: all@bad.example", subject="y\r\nBcc: z@bad.example")
    forwarding.forward(reply.pk, clock=lambda: NOW)
    assert [recipient for recipient, _ in smtp.got] in ([], ["help@acme.example"])
    assert all(parsed(raw)["Bcc"] is None for _, raw in smtp.got)


def test_forwards_of_one_reply_carry_the_same_id_at_every_try():
    reply = Reply.objects.select_related("message__sender__domain", "message__account").get(
        pk=received().pk
    )
    mails = [forwarding.build(reply, "help@acme.example") for _ in range(2)]
    assert len({mail.extra_headers["Message-ID"] for mail in mails}) == 1
    assert mails[0].extra_headers["Message-ID"] != outgoing.message_id(reply.message)
