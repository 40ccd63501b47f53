"""Whoever writes an e-mail is told about a dead link before anybody else sees it."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import staff
from lifecycle.journeys import blueprint
from messaging import drafts
from messaging.models import Host, Template
from tests.messaging.web_server import Web

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(settings):
    settings.PROBE_ALLOW_LOOPBACK = True
    server = Web()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def writer(client, web):
    staff.make_roles()
    blueprint.load()
    Host.objects.update(base_url=web.url())
    marketer = staff.put_user("ann", role="marketer", password=None)
    drafts.begin(Template.objects.get(key="api_started"), by=marketer, now=timezone.now())
    client.force_login(marketer)
    return client


def tried(writer, **headers):
    return writer.post(reverse("try_email_links", args=["api_started"]), headers=headers)


def test_a_dead_link_is_named_with_the_field_it_stands_in(writer, web):
    web.otherwise = 404
    page = tried(writer, HX_Request="true").content.decode()
    assert "does not work: It answers HTTP 404." in page
    assert 'data-go="v0-body"' in page
    assert "<html" not in page


def test_without_scripts_it_is_a_page_of_its_own(writer, web):
    web.otherwise = 404
    page = tried(writer).content.decode()
    assert "does not work: It answers HTTP 404." in page
    assert reverse("edit_email", args=["api_started"]) in page


def test_when_every_screen_answers_it_says_so(writer, web):
    tried(writer)
    for path in web.asked():
        if "no-such-page" not in path:
            web.says[path.partition("?")[0]] = 200
    web.otherwise = 404
    assert "Every link that can be followed works" in tried(writer).content.decode()


def test_links_that_nobody_is_asked_about_are_counted_with_the_reason(writer):
    Host.objects.update(base_url="https://app.example.com")
    page = tried(writer).content.decode()
    assert "Every link that can be followed works" not in page
    assert "0 of " in page
    assert "app.example.com is reserved for examples and tests" in page


def test_a_body_that_cannot_be_rendered_says_what_to_mend_first(writer, web):
    form = {"variants": "1", "v0-subject": "Hi", "v0-body": "[x](javascript:alert(1))"}
    where = reverse("try_email_links", args=["api_started"])
    page = writer.post(where, form).content.decode()
    assert "The links cannot be tried yet" in page
    assert "until this is mended" in page


def test_where_probing_is_off_it_says_that_instead(writer, settings):
    settings.PROBE_LINKS = False
    assert "Following links is switched off" in tried(writer).content.decode()
