"""One view, two answers: the whole page, or only its fragment when HTMX asks."""

from typing import Any

from django.contrib import admin
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from lifecycle.pages.access import StaffRequest


def screen(
    request: StaffRequest, page: str, context: dict[str, Any], *, title: str, status: int = 200
) -> HttpResponse:
    """Render `pages/<page>.html`, or its fragment `pages/_<page>.html` for HTMX.

    Caches keep the two apart by `Vary: HX-Request`. Going back in history asks for the whole page.
    """
    htmx = request.htmx
    fragment = bool(htmx) and not htmx.boosted and not htmx.history_restore_request
    template = f"pages/{'_' if fragment else ''}{page}.html"
    shell = {} if fragment else admin.site.each_context(request)
    response = render(request, template, {**shell, "title": title, **context}, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
