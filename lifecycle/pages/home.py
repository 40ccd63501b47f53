"""The front page: each role lands on its own list."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from lifecycle.pages.access import ANY_STAFF, StaffRequest, staff
from lifecycle.pages.navigation import LISTS, may_open

# The list that a role's day begins with. Somebody with several roles gets the first.
FIRST_LIST = {
    "marketer": "journeys",
    "reviewer": "reviews",
    "support": "alerts",
    "analyst": "numbers",
    "engineer": "event_health",
    "administrator": "journeys",
}


@require_GET
@staff(ANY_STAFF)
def home(request: StaffRequest) -> HttpResponse:
    roles = set(request.user.groups.values_list("name", flat=True))
    wanted = [route for role, route in FIRST_LIST.items() if role in roles]
    allowed = [page.route for page in LISTS if may_open(request, page)]
    return redirect(next((route for route in [*wanted, *allowed] if route in allowed), "status"))
