"""Only the provider in use has an address to report to, and only what it sends is read there."""

import json
from base64 import b64encode

import pytest
from anymail import urls
from django.conf import settings as live_settings
from django.urls import get_resolver, include, path

from messaging import webhook_routes

pytestmark = pytest.mark.django_db
PROVIDERS = ["postmark", "mailgun", "amazon_ses", "sendgrid", "resend"]
NO_BODIES = ["", "{", "[]", "null", "7", '{"RecordType": [], "type": [], "Type": []}', b"\xff"]


class Installation:
    """The routes of an installation with this provider."""

    def __init__(self, provider: str) -> None:
        self.urlpatterns = [
            path("anymail/", include((webhook_routes.of_provider(provider), "anymail")))
        ]


@pytest.fixture(params=PROVIDERS)
def provider(request, settings) -> str:
    settings.ROOT_URLCONF = Installation(request.param)
    # What lifecycle.settings asks for where this provider is set.
    _, names = settings.EMAIL_PROVIDERS[request.param]
    settings.ANYMAIL = {**settings.ANYMAIL, **dict.fromkeys(names, "set")}
    return request.param


def post(client, address: str, body: str | bytes, credentials: str = "development:only"):
    client.raise_request_exception = False
    return client.post(
        address,
        body,
        content_type="application/json",
        headers={"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"},
    )


def test_each_provider_that_can_be_set_reports_to_addresses_of_its_own():
    assert set(live_settings.EMAIL_PROVIDERS) == {"smtp", *PROVIDERS}
    for name in PROVIDERS:
        routes = {str(route.pattern) for route in webhook_routes.of_provider(name)}
        assert {f"{name}/tracking/"} < routes
        assert all(f"{name}/inbound" in route for route in routes - {f"{name}/tracking/"})
    assert webhook_routes.of_provider("smtp") == []


def test_the_addresses_of_providers_not_in_use_are_not_there(client):
    for route in urls.urlpatterns:
        address = "/anymail/" + str(route.pattern).strip("^$").replace("(_mime)?", "")
        assert post(client, address, "{}").status_code == 404, address
    assert "anymail" in get_resolver().namespace_dict


@pytest.mark.parametrize("body", NO_BODIES)
@pytest.mark.parametrize("route", ["tracking", "inbound"])
@pytest.mark.parametrize("credentials", ["development:only", "x:y"])
def test_a_body_that_the_provider_never_sends_is_refused_in_one_line(
    client, caplog, provider, route, body, credentials
):
    answer = post(client, f"/anymail/{provider}/{route}/", body, credentials)
    assert answer.status_code in (200, 400)
    refused = [record for record in caplog.records if record.name == "messaging.webhooks"]
    assert len(refused) == (1 if answer.status_code == 400 else 0)
    assert [record for record in caplog.records if record.exc_info] == []
    if credentials == "x:y":
        assert answer.status_code == 400


def test_the_line_says_where_it_came_and_what_is_wrong(client, caplog, settings):
    settings.ROOT_URLCONF = Installation("postmark")
    assert post(client, "/anymail/postmark/tracking/", "{").status_code == 400
    said = caplog.records[0].getMessage()
    assert said.startswith("Refused what came to /anymail/postmark/tracking/: it is not what")
    assert "JSONDecodeError" in said


@pytest.mark.parametrize("provider", ["resend"], indirect=True)
def test_resends_reports_are_believed_by_their_credentials(client, provider):
    told = {"type": "email.opened", "created_at": "2026-03-04T10:00:00Z", "data": {"email_id": "r"}}
    assert post(client, "/anymail/resend/tracking/", json.dumps(told)).status_code == 200
    assert post(client, "/anymail/resend/tracking/", json.dumps(told), "x:y").status_code == 400
