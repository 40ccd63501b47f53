"""Whatever comes to the addresses that mail providers report to, nothing fails, and only what they send is read."""

import json
from base64 import b64encode

import pytest
from anymail import urls
from django.conf import settings as live_settings

from messaging import webhook_routes

pytestmark = pytest.mark.django_db
PROVIDERS = ["postmark", "mailgun", "amazon_ses", "sendgrid", "resend"]
NO_BODIES = ["", "{", "[]", "null", "7", '{"RecordType": [], "type": [], "Type": []}', b"\xff"]


@pytest.fixture(params=PROVIDERS)
def provider(request, settings) -> str:
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


def test_every_provider_that_can_be_set_has_its_addresses():
    assert set(live_settings.EMAIL_PROVIDERS) == {"smtp", *PROVIDERS}
    known = {str(route.pattern) for route in webhook_routes.routes()}
    assert {f"{name}/tracking/" for name in PROVIDERS} < known


def test_no_address_fails_for_a_stranger_whatever_is_set(client, caplog):
    for route in urls.urlpatterns:
        address = "/anymail/" + str(route.pattern).strip("^$").replace("(_mime)?", "")
        for credentials in ("x:y", "development:only"):
            answer = post(client, address, "{}", credentials)
            assert answer.status_code in (200, 400, 404), address
    assert [record for record in caplog.records if record.exc_info] == []


def test_an_address_whose_provider_has_no_settings_here_is_not_there(client, caplog):
    assert post(client, "/anymail/mailgun/tracking/", "{}").status_code == 404
    said = [each.getMessage() for each in caplog.records if each.name == "messaging.webhooks"]
    assert len(said) == 1
    assert said[0].startswith("Nobody is expected to report to /anymail/mailgun/tracking/")


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


def test_the_line_says_where_it_came_and_what_is_wrong(client, caplog):
    assert post(client, "/anymail/postmark/tracking/", "{").status_code == 400
    said = caplog.records[0].getMessage()
    assert said.startswith("Refused what came to /anymail/postmark/tracking/: it is not what")
    assert "JSONDecodeError" in said


@pytest.mark.parametrize("provider", ["resend"], indirect=True)
def test_resends_reports_are_believed_by_their_credentials(client, provider):
    told = {"type": "email.opened", "created_at": "2026-03-04T10:00:00Z", "data": {"email_id": "r"}}
    assert post(client, "/anymail/resend/tracking/", json.dumps(told)).status_code == 200
    assert post(client, "/anymail/resend/tracking/", json.dumps(told), "x:y").status_code == 400
