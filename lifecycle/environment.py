"""What a value from the environment must be like, for lifecycle.settings to refuse it at the start otherwise.

Every refusal is an ImproperlyConfigured of one sentence that names the setting and says what to set.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

PRINTS_RANDOM_TEXT = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
# As hexadecimal digits, of all usual alphabets the poorest, this is 128 bits.
SECRET_KEY_LENGTH = 32
# What Django's check security.W009 asks for besides a length.
SECRET_KEY_DIFFERENT = 5
DJANGOS_OWN_PREFIX = "django-insecure-"
ENGINES = ("django.db.backends.postgresql", "django.db.backends.sqlite3")
KINDS = {int: "a whole number", float: "a number", bool: "True or False"}
FALSE = {"false", "off", "no", "n", "0", ""}


class Reader(environ.Env):  # type: ignore[misc]
    """Reads variables strictly: without this, an odd number names no setting and an odd yes or no counts as no."""

    def get_value(self, var: str, cast: Any = None, default: Any = None, **options: Any) -> Any:
        try:
            return super().get_value(var, cast, default, **options)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{var} is {self.ENVIRON[var]!r}; set it to {KINDS[cast]}, such as {default}."
            ) from error

    @classmethod
    def parse_value(cls, value: Any, cast: Any) -> Any:
        if cast is bool and value.lower() not in FALSE.union(cls.BOOLEAN_TRUE_STRINGS):
            raise ValueError(value)
        return super().parse_value(value, cast)


def one_of(name: str, value: str, choices: Collection[str]) -> str:
    """The value. Raises ImproperlyConfigured where it is none of the choices."""
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; set it to one of {', '.join(choices)}.")
    return value


def database(name: str, url: str) -> dict[str, Any]:
    """Django's settings of the database. The message does not repeat the address, which holds a password."""
    found: dict[str, Any] = {}
    if environ.Env.DB_SCHEMES.get(url.partition(":")[0]) in ENGINES:
        with suppress(ValueError):
            found = environ.Env.db_url_config(url)
    if not found.get("NAME"):
        raise ImproperlyConfigured(
            f"{name} is no address of a PostgreSQL or SQLite database: set it to such as "
            "postgres://user:password@host:5432/name or sqlite:////path/to/file, "
            "with %-codes for special characters in the password."
        )
    return found


def web_address(name: str, value: str) -> str:
    """The value without a slash at the end. Raises ImproperlyConfigured without a scheme and a host."""
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; set it to an address such as https://lifecycle.example.com."
        )
    return value.rstrip("/")


def hard_to_guess(secret_key: str) -> None:
    """Raises ImproperlyConfigured for a key that somebody could guess. The message does not repeat it."""
    if (
        len(secret_key) < SECRET_KEY_LENGTH
        or len(set(secret_key)) < SECRET_KEY_DIFFERENT
        or secret_key.startswith(DJANGOS_OWN_PREFIX)
    ):
        raise ImproperlyConfigured(
            "SECRET_KEY can be guessed, and sessions, reply addresses and unsubscribe links hang on it: "
            f"set it to at least {SECRET_KEY_LENGTH} random characters, such as `{PRINTS_RANDOM_TEXT}` prints."
        )


def user_and_secret(name: str, value: str) -> None:
    """Raises ImproperlyConfigured where a webhook could never present the value. The message does not repeat it."""
    user, _, secret = value.partition(":")
    if not (user and secret):
        raise ImproperlyConfigured(
            f"{name} is no user and secret with a colon between, so every webhook would be refused: "
            "set it to such as provider:a-long-random-text."
        )


def at_least_one(name: str, value: int) -> int:
    """The value. Raises ImproperlyConfigured below 1."""
    if value < 1:
        raise ImproperlyConfigured(f"{name} is {value}; set it to a whole number from 1.")
    return value


def mailbox(name: str, value: str) -> str:
    """The value, an e-mail address or empty. Raises ImproperlyConfigured for anything else."""
    if value and not _is_address(value):
        raise ImproperlyConfigured(
            f"{name} is {value!r}; set it to one e-mail address, such as staging@example.com."
        )
    return value


def mailboxes_and_domains(name: str, values: Iterable[str]) -> list[str]:
    """The values without spaces around, addresses and @domains. Raises ImproperlyConfigured for anything else."""
    entries = [value.strip() for value in values]
    for entry in entries:
        if not _is_address(f"anybody{entry}" if entry.startswith("@") else entry):
            raise ImproperlyConfigured(
                f"{name} names {entry!r}; set it to e-mail addresses and domains with an @, "
                "separated by commas, such as dana@example.com,@team.example.com."
            )
    return entries


def _is_address(value: str) -> bool:
    try:
        validate_email(value)
    except ValidationError:
        return False
    return True
