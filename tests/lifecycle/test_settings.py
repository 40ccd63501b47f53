"""An installation that is configured wrongly does not start, and one sentence says what to set."""

import runpy
import secrets
from typing import Any

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from lifecycle import settings as settings_file

PRODUCTION = {
    "LIFECYCLE_ENV": "production", "SECRET_KEY": secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": "lifecycle.acme.com", "SITE_URL": "https://lifecycle.acme.com",
    "ANYMAIL_WEBHOOK_SECRET": "provider:long-and-random",
}  # fmt: skip


@pytest.fixture
def start(monkeypatch):
    """Reads the settings in a world in which nothing is set but what is given."""

    def read(**values: str) -> dict[str, Any]:
        monkeypatch.setattr(environ.Env, "ENVIRON", {**PRODUCTION, **values})
        monkeypatch.setattr(environ.Env, "read_env", lambda *_: None)
        return runpy.run_path(settings_file.__file__)

    return read


def test_production_starts_with_what_the_readme_asks_for(start):
    assert start()["PRODUCTION"] is True


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"PROBE_ALLOW_LOOPBACK": "true"}, "PROBE_ALLOW_LOOPBACK is for tests"),
        ({"DEBUG": "True"}, "DEBUG is for a developer's machine"),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "abc"}, "SECRET_KEY can be guessed"),
        ({"SECRET_KEY": secrets.token_hex(15)}, "at least 32 random characters"),
        ({"SECRET_KEY": "abcd" * 20}, "SECRET_KEY can be guessed"),
        ({"SECRET_KEY": "django-insecure-" + "0123456789" * 5}, "SECRET_KEY can be guessed"),
    ],
)
def test_production_does_not_start_open_or_half_configured(start, values, said):
    with pytest.raises(ImproperlyConfigured, match=said):
        start(**values)


@pytest.mark.parametrize(
    "values", [{"DEBUG": "True"}, {"SECRET_KEY": "abc"}, {"PROBE_ALLOW_LOOPBACK": "true"}]
)
def test_a_developers_machine_may_do_what_production_may_not(start, values):
    assert start(LIFECYCLE_ENV="development", **values)["PRODUCTION"] is False


def test_a_proxys_word_on_https_counts_only_where_it_is_said_that_there_is_one(start):
    header = "SECURE_PROXY_SSL_HEADER"
    assert header not in start()
    assert start(BEHIND_PROXY="True")[header] == ("HTTP_X_FORWARDED_PROTO", "https")
