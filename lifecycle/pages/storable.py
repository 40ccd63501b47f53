"""What a page is asked with, without what no database can hold: NUL characters, and ids beyond its numbers."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import Http404, HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from lifecycle.pages.whole_number import whole_number


class Storable:
    """Innermost middleware, so that one place stands in front of every form, search and page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, _args: Any, named: Mapping[str, Any]
    ) -> None:
        if "\0" in request.path_info:
            raise Http404("No address of ours holds a NUL character.")
        if any(isinstance(one, int) and whole_number(str(one)) is None for one in named.values()):
            raise Http404("No row of ours has such an id.")
        # What machines post is signed, and read by its receiver as it came.
        if not getattr(view, "csrf_exempt", False):
            request.GET = without_nul(request.GET)  # type: ignore[assignment]
            request.POST = without_nul(request.POST)  # type: ignore[assignment]


def without_nul(said: QueryDict) -> QueryDict:
    """The same names and values without NUL characters; the very same where there are none."""
    if not any("\0" in text for name, values in said.lists() for text in (name, *values)):
        return said
    clean = QueryDict(mutable=True, encoding=said.encoding)
    for name, values in said.lists():
        clean.setlist(name.replace("\0", ""), [value.replace("\0", "") for value in values])
    clean._mutable = False
    return clean
