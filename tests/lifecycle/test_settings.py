"""An installation that is configured wrongly does not start, and one sentence says what to set."""

import runpy
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from lifecycle import settings as settings_file

ROOT = Path(settings_file.__file__).resolve().parent.parent
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
    ("name", "value", "advice"),
    [
        ("ANYMAIL_WEBHOOK_SECRET", "long-and-random", "provider:a-long-random-text"),
        ("ANYMAIL_WEBHOOK_SECRET", "provider:", "provider:a-long-random-text"),
        ("ANYMAIL_WEBHOOK_SECRET", ":long-and-random", "provider:a-long-random-text"),
        ("SENDERS", "0", "a whole number from 1"),
        ("WORKERS", "-1", "a whole number from 1"),
        ("EMAIL_REDIRECT_ALL_TO", "yes", "one e-mail address"),
        ("EMAIL_REDIRECT_ALL_TO", "a@acme.com,b@acme.com", "one e-mail address"),
        ("EMAIL_ALLOW_LIST", "dana@acme.com,acme.com", "domains with an @"),
        ("EMAIL_ALLOW_LIST", "@", "domains with an @"),
    ],
)
def test_a_value_that_would_break_things_quietly_is_refused(start, name, value, advice):
    with pytest.raises(ImproperlyConfigured, match=f"^{name} .*{advice}"):
        start(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("EMAIL_PORT", "abc", "a whole number, such as 587"),
        ("EMAIL_PORT", "", "a whole number, such as 587"),
        ("WORKERS", "abc", "a whole number, such as 2"),
        ("INCIDENT_TIMES_USUAL", "x", "a number, such as 4"),
        ("EVENTS_MAX_BODY_BYTES", "10MB", "a whole number, such as 10485760"),
        ("EMAIL_USE_TLS", "enabled", "True or False, such as True"),
        ("DATABASE_URL", "nonsense", "such as postgres://user:password@host"),
        ("DATABASE_URL", "mysql://u:secret@h/n", "such as postgres://user:password@host"),
        ("DATABASE_URL", "postgres://u:secret@h", "such as postgres://user:password@host"),
        ("DATABASE_URL", "postgres://u:a/secret@h/n", "%-codes for special characters"),
        ("LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING"),
        ("SITE_URL", "lifecycle.acme.com", "such as https://lifecycle.example.com"),
        ("SITE_URL", "https://[", "such as https://lifecycle.example.com"),
        ("LIFECYCLE_ENV", "prod", "one of production, development, test"),
        ("EMAIL_PROVIDER", "pigeon", "one of smtp, postmark"),
        ("ADMIN_OUTREACH", "always", "one of yes, same_domain, never"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_a_right_one(start, name, value, advice):
    with pytest.raises(ImproperlyConfigured, match=f"^{name} .*{advice}") as refusal:
        start(**{name: value})
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "means"), [("on", True), ("1", True), ("No", False), ("", False)]
)
def test_a_yes_or_no_may_be_said_in_the_usual_words(start, value, means):
    assert start(EMAIL_USE_TLS=value)["EMAIL_USE_TLS"] is means


def test_a_command_says_what_to_set_in_one_line():
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"],
        cwd=ROOT, env={**PRODUCTION, "PATH": "/usr/bin:/bin", "WORKERS": "abc"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "WORKERS is 'abc'; set it to a whole number, such as 2.\n"


def test_a_staging_installation_names_where_mail_may_go(start):
    staging = start(
        EMAIL_REDIRECT_ALL_TO="us@acme.com", EMAIL_ALLOW_LIST="dana@acme.com, @team.acme.com"
    )
    assert staging["EMAIL_REDIRECT_ALL_TO"] == "us@acme.com"
    assert staging["EMAIL_ALLOW_LIST"] == ["dana@acme.com", "@team.acme.com"]


@pytest.mark.parametrize(
    "values", [{"DEBUG": "True"}, {"SECRET_KEY": "abc"}, {"PROBE_ALLOW_LOOPBACK": "true"}]
)
def test_a_developers_machine_may_do_what_production_may_not(start, values):
    assert start(LIFECYCLE_ENV="development", **values)["PRODUCTION"] is False


def test_a_proxys_word_on_https_counts_only_where_it_is_said_that_there_is_one(start):
    header = "SECURE_PROXY_SSL_HEADER"
    assert header not in start()
    assert start(BEHIND_PROXY="True")[header] == ("HTTP_X_FORWARDED_PROTO", "https")
