"""A test mail goes to one's own mailbox, at once, and counts as nobody's message."""

from datetime import timedelta

import pytest
from django.core import mail

from messaging import proof
from messaging.models import AuditEntry, Message
from messaging.rendering import Rendered
from tests.factories import UserFactory
from tests.messaging.scenes import NOW, a_sender, a_version

pytestmark = pytest.mark.django_db
RENDERED = Rendered("Your key", "One step", "<p>Hello</p>", "Hello\n", "default")


@pytest.fixture
def ann():
    return UserFactory(username="ann", email="Ann@Company.example")


def send(by, now=NOW, sender=None) -> str:
    return proof.send(RENDERED, version=a_version(), sender=sender, by=by, now=now)


def test_it_goes_to_the_users_own_address_marked_as_a_test(ann):
    assert send(ann, sender=a_sender()) == ""
    (got,) = mail.outbox
    assert (got.to, got.subject) == (["ann@company.example"], "[Test] Your key")
    assert got.from_email == "Acme Setup <setup@acme.example>"
    assert got.alternatives[0][0] == "<p>Hello</p>"
    assert not Message.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.by, entry.note) == ("proofed", ann, "ann@company.example")


@pytest.mark.parametrize("email", ["", "not an address"])
def test_without_an_address_it_says_so(email):
    assert "address" in send(UserFactory(email=email))
    assert mail.outbox == []


def test_staging_sends_it_where_all_mail_goes(ann, settings):
    settings.EMAIL_REDIRECT_ALL_TO = "catch@company.example"
    assert send(ann) == ""
    assert mail.outbox[0].to == ["catch@company.example"]


def test_an_address_that_staging_does_not_name_gets_nothing(ann, settings):
    settings.EMAIL_ALLOW_LIST = ["@elsewhere.example"]
    assert "must not write to ann@company.example" in send(ann)
    assert mail.outbox == []


def test_twenty_an_hour_are_enough(ann):
    for _ in range(proof.MOST_AN_HOUR):
        assert send(ann) == ""
    assert "wait a little" in send(ann)
    assert send(UserFactory()) == ""
    assert send(ann, now=NOW + timedelta(hours=1, minutes=1)) == ""


def test_a_provider_that_refuses_is_quoted(ann, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert send(ann).startswith("The mail provider did not take it")
