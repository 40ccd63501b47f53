"""Leaving: by the link, by the mail program's button, only for oneself, and this kind of mail or all of it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Consent, Person
from messaging import addresses, suppression, unsubscribe
from messaging.models import Address, Suppression
from tests.factories import UserFactory
from tests.messaging.scenes import queued

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(settings):
    (message,) = queued(emails=["ann@customer.example"])
    return path_of(message, settings)


def path_of(message, settings):
    link = unsubscribe.url(message.address_id, message.category)
    return link.removeprefix(settings.SITE_URL)


def gone():
    """What has been stopped: the category, or an empty text for everything."""
    rows = Suppression.objects.filter(reason="unsubscribe", lifted_at=None).order_by("pk")
    return list(rows.values_list("category", flat=True))


def test_looking_at_the_page_changes_nothing(client, path):
    for link in (path, f"{path}?stop=everything"):
        page = client.get(link)
        assert page.status_code == 200
        assert b"Stop these mails?" in page.content
    assert client.head(path).status_code == 200
    assert gone() == []
    assert not Consent.objects.exists()
    assert "no-store" in page.headers["Cache-Control"]


@pytest.mark.parametrize("form", ["urlencoded", "multipart", "empty", "broken"])
def test_posting_acts_in_every_encoding_without_login_or_csrf_token(path, form):

    client = Client(enforce_csrf_checks=True)
    body = {
        "urlencoded": {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"},
        "multipart": {"data": {"List-Unsubscribe": "One-Click"}},
        "empty": {},
        "broken": {"data": "--", "content_type": "multipart/form-data"},
    }[form]  # fmt: skip
    for _ in range(2):
        page = client.post(path, **body)
        assert page.status_code == 200
        assert b"no more of these mails" in page.content
    assert gone() == ["setup_help"]


def test_the_mail_programs_button_withdraws_consent_for_this_kind_of_mail_alone(client, path):
    client.post(path)
    said = Consent.objects.get()
    assert (said.person.email, said.category, said.given) == (
        "ann@customer.example", "setup_help", False,
    )  # fmt: skip
    assert said.source == "unsubscribe link"
    assert suppression.refused(["Ann@Customer.example"]) == {"ann@customer.example": {"setup_help"}}


def test_everybody_with_the_address_withdraws_however_it_is_spelt(client, path):
    again = Person.objects.create(external_id="again", email="ANN@customer.example")
    elsewhere = Person.objects.create(external_id="x", email="anna@customer.example")
    client.post(path)
    assert Consent.objects.filter(given=False).count() == 2
    assert again.consents.get().given is False
    assert not elsewhere.consents.exists()


def test_a_newer_word_replaces_an_older_one(client, path):
    person = Person.objects.get()
    long_ago = timezone.now() - timedelta(days=9)
    person.consents.create(category="setup_help", given=True, source="signup", at=long_ago)
    client.post(path)
    said = person.consents.get()
    assert (said.given, said.source) == (False, "unsubscribe link")
    assert said.at > long_ago


def test_the_page_stops_everything_on_request(client, path):
    page = client.post(f"{path}?stop=everything", {"anything": "at all"})
    assert b"no more mails from our product" in page.content
    assert gone() == [""]
    assert client.get(path).content == page.content


def test_everything_can_still_be_stopped_after_one_kind_was(client, path):
    assert b"Stop everything" in client.post(path).content
    client.post(f"{path}?stop=everything")
    assert gone() == ["setup_help", ""]


def test_lifting_what_an_address_refused_is_kept_as_history(client, path):
    client.post(path)
    by, now = UserFactory(), timezone.now()
    assert suppression.allow_again(["Ann@customer.example"], "setup_help", by=by, now=now) == 1
    assert gone() == []
    assert Suppression.objects.get().lifted_by == by
    assert suppression.refused(["ann@customer.example"]) == {}


def test_refusing_one_kind_does_not_suppress_the_address(client, path):
    client.post(path)
    assert addresses.suppressions([Address.objects.get().pk]) == {}


@pytest.mark.parametrize(
    "change", ["1:forged", "1-setup_help:forged", "no-signature", "999999:abc"]
)
def test_a_forged_link_is_refused(client, path, change):
    for answer in (client.get(f"/unsubscribe/{change}/"), client.post(f"/unsubscribe/{change}/")):
        assert answer.status_code == 404
    assert gone() == []


def test_a_link_cannot_be_turned_into_somebody_elses(client, path):
    other = queued(emails=["bob@customer.example"])[0].address_id
    _, _, signature = path.strip("/").partition(":")
    assert client.post(f"/unsubscribe/{other}-setup_help:{signature}/").status_code == 404


def test_a_link_outlives_a_change_of_the_secret_key(client, path, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert client.post(path).status_code == 200
    assert gone() == ["setup_help"]
