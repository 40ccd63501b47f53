"""What a value from the environment must be like, for lifecycle.settings to refuse it at the start otherwise."""

from django.core.exceptions import ImproperlyConfigured

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
