"""A real mail server for the tests that send."""

from collections.abc import Iterator

import pytest

from tests.messaging.smtp_server import Server


@pytest.fixture
def smtp(settings) -> Iterator[Server]:
    server = Server()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_TIMEOUT = 0.6
    settings.EMAIL_USE_TLS = False
    yield server
    server.stop(no_assert=True)
