"""The endpoint's routes skip everything that could redirect or ask for a cookie.

Clients follow a redirect as GET, get a 200 and report success while nothing is stored. So these
routes are answered here, before any other middleware sees them.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from events.api import routes
from events.api.endpoint import receive, refuse


class EndpointDoor:
    """Outermost middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        route = routes.at(request.path_info)
        if route is not None:
            return receive(request, route)
        if request.path_info.startswith("/v1/"):
            return refuse(
                404,
                "unknown_route",
                f"There is no such route; known are: {', '.join(routes.ROUTES)}.",
            )
        return self.get_response(request)
