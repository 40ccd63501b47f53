"""Events to take away as CSV or XLSX: which ones, how many, and the file."""

from datetime import date, timedelta

from django.http import FileResponse, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_GET

from events import export
from events.models import EventType
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.screen import screen

MOST_NAMES = 200
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def chosen(asked: QueryDict, today: date) -> export.Choice:
    """What the form says; the last seven days where it says nothing. Raises ValueError with words."""
    try:
        last = date.fromisoformat(asked.get("last") or today.isoformat())
        first = date.fromisoformat(asked.get("first") or (last - timedelta(days=6)).isoformat())
    except ValueError as error:
        raise ValueError("A day is written like 2026-03-31.") from error
    account, name = asked.get("account", "").strip(), asked.get("name", "").strip()
    return export.Choice(first, last, account[:255], name[:200])


@require_GET
@staff("pages.export_events")
def show_export(request: StaffRequest, wrong: str = "") -> HttpResponse:
    try:
        choice = chosen(request.GET, timezone.now().date())
    except ValueError as error:
        choice, wrong = chosen(QueryDict(), timezone.now().date()), wrong or str(error)
    context = {
        "choice": choice,
        "wrong": wrong,
        "count": choice.events().order_by()[: export.MOST_ROWS + 1].count(),
        "most": export.MOST_ROWS,
        "most_xlsx": export.MOST_ROWS_XLSX,
        "names": EventType.objects.values_list("name", flat=True)[:MOST_NAMES],
    }
    status = 422 if wrong else 200
    return screen(request, "export", context, title="Export events", status=status)


@require_GET
@staff("pages.export_events")
def download_events(request: StaffRequest) -> HttpResponseBase:
    try:
        choice = chosen(request.GET, timezone.now().date())
    except ValueError as error:
        return show_export(request, str(error))
    name = f"events-{choice.first}-{choice.last}"
    if request.GET.get("format") == "xlsx":
        file = export.as_xlsx(choice)
        return FileResponse(
            file, as_attachment=True, filename=f"{name}.xlsx", headers={"Content-Type": XLSX}
        )
    answer = StreamingHttpResponse(export.as_csv(choice), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer
