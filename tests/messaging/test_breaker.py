"""The breaker: when a domain stops, and that only a person lets it go on."""

from datetime import timedelta

import pytest
from anymail.signals import AnymailTrackingEvent
from django.urls import reverse

from messaging import breaker, rates, sending, webhooks
from messaging.breaker import BOUNCES, COMPLAINTS, Volume
from messaging.models import Finding, Message, SendingDomain
from tests.factories import UserFactory
from tests.messaging.scenes import NOW, claimed, queued

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("threshold", "happened", "sent", "crossed"),
    [
        (COMPLAINTS, 2, 10, False),
        (COMPLAINTS, 3, 10, True),
        (COMPLAINTS, 3, 1_000, True),
        (COMPLAINTS, 29, 10_000, False),
        (COMPLAINTS, 30, 10_000, True),
        (BOUNCES, 9, 12, False),
        (BOUNCES, 10, 199, True),
        (BOUNCES, 9, 200, False),
        (BOUNCES, 499, 10_000, False),
        (BOUNCES, 500, 10_000, True),
    ],
)
def test_small_volumes_are_judged_by_count_and_large_ones_by_rate(
    threshold, happened, sent, crossed
):
    assert threshold.crossed(happened, sent) is crossed


def test_nothing_sent_trips_nothing():
    assert breaker.verdict(Volume(0, 0, 0)) == ""


def complain(message, at=NOW + HOUR):
    event = AnymailTrackingEvent(
        event_type="complained", timestamp=at, message_id=f"c-{message.pk}",
        metadata={"message_id": str(message.pk)}, recipient=message.address.value,
    )  # fmt: skip
    webhooks.take_in(webhooks.read(event, "Test", at), now=at)


@pytest.mark.django_db
def test_three_complaints_stop_the_domain_at_once_and_open_a_finding():
    messages = queued(5)
    claimed(messages)
    for message in messages[:2]:
        complain(message)
    assert SendingDomain.objects.get().paused_at is None
    complain(messages[2])
    domain = SendingDomain.objects.get()
    assert domain.paused_at == NOW + HOUR
    assert domain.paused_reason == "3 of 3 mails were marked as spam within a day."
    assert rates.take(domain.pk, 1, NOW + HOUR)[0] == 0
    assert Finding.objects.get(closed_at=None).subject == "acme.example"


@pytest.mark.django_db
def test_mailboxes_that_do_not_exist_stop_the_domain_while_it_is_sending(smtp):
    messages = queued(emails=[f"550-{n}@customer.example" for n in range(12)])
    claimed(messages)
    sending.hand_over([m.pk for m in messages], owner="one", clock=lambda: NOW)
    assert "12 of 12 mails were bounced for good" in SendingDomain.objects.get().paused_reason


@pytest.mark.django_db
def test_only_a_person_lets_it_go_on_and_then_the_past_does_not_count(client):
    messages = queued(4)
    claimed(messages)
    for message in messages[:3]:
        complain(message)
    domain = SendingDomain.objects.get()
    assert breaker.check(now=NOW + 30 * HOUR) == []
    assert SendingDomain.objects.get().paused_at is not None
    client.force_login(UserFactory(is_superuser=True))
    data = {"action": "resume_sending", "_selected_action": [domain.pk]}
    page = client.post(reverse("admin:messaging_sendingdomain_changelist"), data, follow=True)
    assert b"1 resumed." in page.content
    domain.refresh_from_db()
    assert domain.paused_at is None
    assert not Finding.objects.filter(closed_at=None).exists()
    assert breaker.check(now=domain.resumed_at) == []


@pytest.mark.django_db
def test_what_never_left_does_not_count_as_sent():
    queued(3)
    Message.objects.update(claimed_at=NOW)
    assert breaker.volume(SendingDomain.objects.get(), now=NOW) == Volume(0, 0, 0)
