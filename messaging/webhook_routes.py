"""Where mail providers report to.

Anymail brings views for every provider. Whose settings are missing is not there, and what a provider would
never send is answered 400, each in one line of the log: anybody can call these addresses.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from anymail import urls
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailImproperlyInstalled,
    AnymailWebhookValidationFailure,
)
from anymail.webhooks.base import AnymailCoreWebhookView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import URLPattern
from django.views.decorators.csrf import csrf_exempt

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


def routes() -> list[URLPattern]:
    """Anymail's routes, each with its view made careful."""
    return [
        URLPattern(route.pattern, _shielded(route.callback.view_class), name=route.name)
        for route in urls.urlpatterns
    ]


def _shielded(view: type[AnymailCoreWebhookView]) -> Callable[..., HttpResponse]:
    careful: Any = type(view.__name__, (Careful, view), {})
    read = careful.as_view()

    @csrf_exempt
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answered: HttpResponse = read(request, *args, **kwargs)
        except (AnymailConfigurationError, AnymailImproperlyInstalled) as error:
            logger.warning("Nobody is expected to report to %s: %s", request.path, error)
            raise Http404("No mail provider reports to this address.") from None
        return answered

    return answer
