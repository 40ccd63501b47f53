"""What a backend must send: one page per live journey, and a list of them."""

from collections.abc import Sequence

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from lifecycle.engine.journey import Journey
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.needed import plans
from lifecycle.pages.screen import screen
from lifecycle.pages.snippets import snippets
from lifecycle.runner import definition


def live_documents() -> Sequence[Journey]:
    """The documents of the live journeys, by name."""
    journeys = definition.current(fresh=True).journeys.values()
    return sorted((live.document for live in journeys), key=lambda document: document.name)


@require_GET
@staff("events.view_eventtype")
def show_what_to_send(request: StaffRequest) -> HttpResponse:
    context = {"plans": plans(live_documents(), now=timezone.now())}
    return screen(request, "what_to_send", context, title="What to send")


@require_GET
@staff("events.view_eventtype")
def show_needed(request: StaffRequest, key: str) -> HttpResponse:
    document = next((each for each in live_documents() if each.key == key), None)
    if document is None:
        raise Http404("No journey of this name is live.")
    (plan,) = plans([document], now=timezone.now())
    context = {"plan": plan, "snippets": snippets(plan, site=settings.SITE_URL)}
    return screen(request, "needed", context, title=f"What to send: {document.name}")
