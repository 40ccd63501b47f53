"""Who may open a page: declared on the view, so that one test can walk over all of them."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

from accounts.models import User

View = Callable[..., HttpResponseBase]
ANY_STAFF = ""


class StaffRequest(HttpRequest):
    """A request that `staff` has let through, for the type checker: somebody is logged in."""

    user: User
    htmx: HtmxDetails


def staff(permission: str) -> Callable[[View], View]:
    """Only staff with `permission` (`ANY_STAFF`: every staff user). Others log in, or get a 403."""

    def declare(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not (request.user.is_authenticated and request.user.is_staff):
                return _asked_to_log_in(request)
            if permission and not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return declare


def _asked_to_log_in(request: HttpRequest) -> HttpResponseBase:
    # What asks in the background, even for the banner, must not take the page away: words may stand there unsaved.
    if "HX-Request" in request.headers:
        return HttpResponse("You have been logged out.", status=401, content_type="text/plain")
    return redirect_to_login(_way_back(request))


def _way_back(request: HttpRequest) -> str:
    """The path to go on from after the login: the page asked for; for a click, the page it was made on."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    page = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(page, {request.get_host()}):
        return reverse("home")
    return urlsplit(page)._replace(scheme="", netloc="").geturl()
