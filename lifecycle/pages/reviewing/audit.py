"""The audit record: every move in review, searchable; nobody can change an entry."""

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.reviewing.rights import RECORD
from lifecycle.pages.screen import screen
from messaging.models import AuditEntry
from messaging.review.record import ACTS

PER_PAGE = 50


@require_GET
@staff(RECORD)
def show_record(request: StaffRequest) -> HttpResponse:
    asked, act = request.GET.get("q", "").strip()[:200], request.GET.get("act", "")
    rows = AuditEntry.objects.select_related("by", "change_set").order_by("-pk")
    if asked:
        rows = rows.filter(
            Q(subject__icontains=asked)
            | Q(note__icontains=asked)
            | Q(by__username__icontains=asked)
            | Q(change_set__title__icontains=asked)
            | Q(content_hash__startswith=asked.lower())
        )
    if act in ACTS:
        rows = rows.filter(act=act)
    context = {
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "acts": ACTS,
        "asked": asked,
        "act": act,
    }
    return screen(request, "record", context, title="Audit record")
