"""Events to take away as CSV or XLSX: which ones, how many, and the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, timedelta

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


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it was typed, and what it means: a choice, or by field why there is none."""

    typed: Mapping[str, str]
    wrong: Mapping[str, str]
    choice: export.Choice | None


def read(form: QueryDict, today: date) -> Asked:
    """What the form says; the last seven days where it says nothing."""
    typed = {name: form.get(name, "").strip() for name in ("first", "last", "account", "name")}
    days, wrong = {}, {}
    for name in ("first", "last"):
        try:
            days[name] = _day(typed[name]) if typed[name] else None
        except ValueError:
            wrong[name] = "A day is written like 2026-03-31."
    last = days.get("last") or today
    first = days.get("first") or last - timedelta(days=6)
    choice = None
    if not wrong:
        try:
            choice = export.Choice(first, last, typed["account"][:255], typed["name"][:200])
        except ValueError as error:
            wrong["last"] = str(error)
    typed["first"] = typed["first"] or first.isoformat()
    typed["last"] = typed["last"] or last.isoformat()
    return Asked(typed, wrong, choice)


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if day.year in (MINYEAR, MAXYEAR):
        raise ValueError("Nothing can be counted from there.")
    return day


@require_GET
@staff("pages.export_events")
def show_export(request: StaffRequest) -> HttpResponse:
    return _show(request, read(request.GET, timezone.now().date()))


def _show(request: StaffRequest, asked: Asked) -> HttpResponse:
    choice = asked.choice
    context = {
        "typed": asked.typed,
        "wrong": asked.wrong,
        "count": choice and choice.events().order_by()[: export.MOST_ROWS + 1].count(),
        "most": export.MOST_ROWS,
        "most_xlsx": export.MOST_ROWS_XLSX,
        "names": EventType.objects.values_list("name", flat=True)[:MOST_NAMES],
    }
    status = 422 if asked.wrong else 200
    return screen(request, "export", context, title="Export events", status=status)


@require_GET
@staff("pages.export_events")
def download_events(request: StaffRequest) -> HttpResponseBase:
    asked = read(request.GET, timezone.now().date())
    choice = asked.choice
    if choice is None:
        return _show(request, asked)
    name = f"events-{choice.first}-{choice.last}"
    if request.GET.get("format") == "xlsx":
        file = export.as_xlsx(choice)
        return FileResponse(
            file, as_attachment=True, filename=f"{name}.xlsx", headers={"Content-Type": XLSX}
        )
    answer = StreamingHttpResponse(export.as_csv(choice), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer
