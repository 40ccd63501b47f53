"""What a value from the environment must be like, for lifecycle.settings to refuse it at the start otherwise."""

from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

PRINTS_RANDOM_TEXT = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
# As hexadecimal digits, of all usual alphabets the poorest, this is 128 bits.
SECRET_KEY_LENGTH = 32
# What Django's check security.W009 asks for besides a length.
SECRET_KEY_DIFFERENT = 5
DJANGOS_OWN_PREFIX = "django-insecure-"


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
