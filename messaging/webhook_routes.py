"""Where the mail provider in use reports to; the addresses of all others are not there.

Anymail brings views for every provider. Each needs settings that only the provider in use has, so anybody
could make the others fail. What a provider would never send is answered 400, in one line of the log.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anymail import urls
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailWebhookValidationFailure,
)
from anymail.webhooks.base import AnymailCoreWebhookView
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import URLPattern

logger = logging.getLogger("messaging.webhooks")


class Unreadable(Exception):
    """The body is not what the provider sends."""


class Careful(AnymailCoreWebhookView):  # type: ignore[misc]
    """In front of a view of Anymail, which takes every body for its provider's."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answered: HttpResponse = super().post(request, *args, **kwargs)
        except (Unreadable, AnymailWebhookValidationFailure) as error:
            logger.warning("Refused what came to %s: %s", request.path, error)
            return HttpResponseBadRequest()
        return answered

    def run_validators(self, request: HttpRequest) -> None:
        with _reading(self.esp_name):
            super().run_validators(request)

    def parse_events(self, request: HttpRequest) -> list[Any]:
        with _reading(self.esp_name):
            events: list[Any] = super().parse_events(request)
        return events


@contextmanager
def _reading(provider: str) -> Iterator[None]:
    """Turns what a body of another shape raises into Unreadable. What the network raises stays: a 500 is tried again."""
    try:
        yield
    except Exception as error:
        if not _about_the_body(error):
            raise
        kind = type(error).__name__
        raise Unreadable(
            f"it is not what {provider} sends ({kind}: {str(error)[:200]!r})"
        ) from error


def _about_the_body(error: Exception) -> bool:
    """Subclasses of Anymail's two say that a service or an installation failed; only themselves, that the body did."""
    return isinstance(error, (ValueError, LookupError, TypeError, AttributeError)) or (
        type(error) in (AnymailAPIError, AnymailConfigurationError)
    )


def of_provider(name: str) -> list[URLPattern]:
    """The routes of Anymail's views for this provider, each with its view made careful; for smtp none."""
    return [
        URLPattern(route.pattern, _careful(route.callback.view_class).as_view(), name=route.name)
        for route in urls.urlpatterns
        if str(route.pattern).removeprefix("^").startswith(f"{name}/")
    ]


def _careful(view: type[AnymailCoreWebhookView]) -> type[AnymailCoreWebhookView]:
    return type(view.__name__, (Careful, view), {})
