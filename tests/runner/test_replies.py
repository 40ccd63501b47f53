"""A customer who answers a mail gets no more reminders about that setup until somebody has dealt with it."""

from email.message import EmailMessage

import pytest
from anymail.inbound import AnymailInboundMessage

from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.runner import why
from lifecycle.runner.tick import sweep
from messaging import replies, reply_address
from messaging.models import Message, Reply, Sender
from tests.runner.scenes import DAY, HOUR, account, at, enrolment, staff, turn, until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def domain(settings):
    settings.REPLY_DOMAIN = "replies.company.example"


@pytest.fixture
def greeted(tell, provider) -> Message:
    """Dev started, and got the first mail."""
    Sender.objects.update(support_mailbox="help@company.example")
    tell.starts(0)
    turn(10)
    return Message.objects.get()


def replies_to(message: Message, minutes: float, text: str = "It says 403.", **headers) -> None:
    mail = EmailMessage()
    fields = {
        "From": "Dev <dev@customer.example>", "To": reply_address.of(message), "Subject": "Re: hello",
        "Message-ID": f"<{minutes}@customer.example>",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }  # fmt: skip
    for name, value in fields.items():
        mail[name] = value
    mail.set_content(text)
    inbound = AnymailInboundMessage.parse_raw_mime_bytes(mail.as_bytes())
    replies.take_in(inbound, provider="Test", now=at(minutes))


def story() -> list[str]:
    entries = why.story(account(), why.present(account(), at(DAY)))
    return [f"{entry.title} {entry.detail}" for entry in entries]


def test_a_reply_opens_an_alert_for_the_setup_and_holds_its_reminders(greeted, provider):
    replies_to(greeted, 20)
    sweep(at(21))
    alert = Alert.objects.get()
    assert (alert.kind, alert.enrolment, alert.account) == ("reply", enrolment(), account())
    assert alert.title == "Dev replied: acme"
    assert "It says 403." in alert.detail
    until(2 * DAY, start=21, every=HOUR)
    assert provider.to("dev") == ["hello"]


def test_resolving_it_lets_reminders_go_on(greeted, provider):
    replies_to(greeted, 20)
    sweep(at(21))
    desk.resolve(Alert.objects.get().pk, resolution="Told them about scopes.", now=at(30))
    until(2 * DAY, start=31, every=HOUR)
    assert "start_stalled" in provider.to("dev")


def test_taking_it_and_giving_it_back_keeps_reminders_held(greeted, provider):
    replies_to(greeted, 20)
    sweep(at(21))
    alert = Alert.objects.get()
    sam = staff("sam")
    assert desk.take(alert.pk, by=sam, now=at(22))
    assert desk.release(alert.pk, by=sam, held_by=sam.pk, now=at(23))
    until(2 * DAY, start=24, every=HOUR)
    assert provider.to("dev") == ["hello"]


def test_what_another_alert_held_stays_held_when_its_own_is_resolved(greeted, provider):
    other = desk.open_alert(
        kind="step", dedupe_key="x", title="x", account=account(), enrolment=enrolment(), now=at(15)
    )
    desk.take(other.pk, by=staff("sam"), now=at(15))
    replies_to(greeted, 20)
    sweep(at(21))
    desk.resolve(other.pk, resolution="Done.", now=at(22))
    until(2 * DAY, start=23, every=HOUR)
    assert provider.to("dev") == ["hello"]


def test_a_second_reply_joins_the_alert_and_brings_it_back_when_it_was_put_off(greeted):
    replies_to(greeted, 20)
    sweep(at(21))
    alert = Alert.objects.get()
    desk.snooze(alert.pk, until=at(DAY), by=staff("sam"), now=at(22))
    replies_to(greeted, 30, "Hello? Anybody there?")
    sweep(at(31))
    sweep(at(32))
    alert = Alert.objects.get()
    assert (alert.status, alert.snoozed_until) == ("open", None)
    assert alert.detail.index("It says 403.") < alert.detail.index("Anybody there?")
    assert alert.detail.count("Anybody there?") == 1


def test_a_reply_after_the_alert_was_resolved_is_a_new_one(greeted):
    for minutes in (20, 40):
        replies_to(greeted, minutes)
        sweep(at(minutes + 1))
        desk.resolve(Alert.objects.last().pk, resolution="Answered.", now=at(minutes + 2))
    assert Alert.objects.filter(kind="reply").count() == 2


def test_a_machines_answer_opens_nothing_and_holds_nothing(greeted, provider):
    replies_to(greeted, 20, Auto_Submitted="auto-replied")
    sweep(at(21))
    assert not Alert.objects.exists()
    until(2 * DAY, start=22, every=HOUR)
    assert "start_stalled" in provider.to("dev")


def test_the_reply_reaches_the_support_mailbox_once(greeted, provider):
    replies_to(greeted, 20)
    for minutes in (21, 22, 30):
        sweep(at(minutes))
        turn(minutes)
    assert provider.to("help") == ["Re: hello"]
    assert Reply.objects.get().status == "forwarded"


def test_while_the_provider_is_down_the_reply_waits_and_is_forwarded_once_afterwards(
    greeted, provider
):
    replies_to(greeted, 20)
    provider.is_down = True
    for minutes in (21, 25):
        sweep(at(minutes))
        turn(minutes)
    assert Reply.objects.get().status == "waiting"
    provider.is_down = False
    for minutes in (60, 61):
        sweep(at(minutes))
        turn(minutes)
    assert provider.to("help") == ["Re: hello"]


def test_a_reply_to_a_mail_that_no_step_sent_is_about_the_account(tell, greeted):
    greeted.step_run.delete()
    replies_to(greeted, 20)
    sweep(at(21))
    alert = Alert.objects.get()
    assert (alert.enrolment, alert.account) == (None, account())


def test_the_accounts_story_says_why_reminders_wait(greeted):
    replies_to(greeted, 20)
    sweep(at(21))
    assert any("A customer replied: reminders about" in text for text in story())
