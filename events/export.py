"""Events as a spreadsheet: streamed row by row, never more than a stated number."""

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import IO, Any

from django.db.models import QuerySet
from openpyxl import Workbook  # type: ignore[import-untyped]

from accounts.models import Account
from accounts.tables import FORMULA
from events.models import Event

# A spreadsheet program opens no more than about a million rows, and nobody reads a tenth of that.
MOST_ROWS = 100_000
# XLSX cannot be streamed: all of it is written to a file first, at some 5,000 rows a second.
MOST_ROWS_XLSX = 20_000
# Excel's own limit ("Excel specifications and limits", support.microsoft.com).
LONGEST_CELL = 32_767
LONGEST = timedelta(days=366)
CHUNK = 2_000
COLUMNS = (
    "received_at", "occurred_at", "source", "environment", "message_id", "type", "name", "account",
    "person", "anonymous_id", "actor", "historical", "properties", "problems", "voided_because",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events to export: received from the first day to the last, whole days in UTC."""

    first: date
    last: date
    account: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("The last day comes before the first.")
        if self.last - self.first >= LONGEST:
            raise ValueError("Choose at most a year.")

    def events(self) -> QuerySet[Event]:
        """The events, in the order in which they were stored."""
        rows = Event.objects.filter(
            received_at__gte=_midnight(self.first),
            received_at__lt=_midnight(self.last + timedelta(days=1)),
        )
        if self.account:
            rows = rows.filter(account__in=Account.objects.filter(external_id=self.account))
        if self.name:
            rows = rows.filter(name=self.name)
        return rows.order_by("pk")


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def as_csv(choice: Choice) -> Iterator[str]:
    """The lines of a CSV file, the heading first; `MOST_ROWS` events at most."""
    line = csv.writer(_Echo())
    yield line.writerow(COLUMNS)
    for row in _rows(choice, MOST_ROWS):
        yield line.writerow(row)


def as_xlsx(choice: Choice) -> IO[bytes]:
    """An open XLSX file; `MOST_ROWS_XLSX` events at most. It is gone when it is closed."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Events")
    sheet.append(COLUMNS)
    for row in _rows(choice, MOST_ROWS_XLSX):
        sheet.append([cell[:LONGEST_CELL] for cell in row])
    target = tempfile.TemporaryFile()  # noqa: SIM115 - whoever streams it closes it
    book.save(target)
    target.seek(0)
    return target


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _rows(choice: Choice, most: int) -> Iterator[list[str]]:
    events = choice.events().select_related("account", "person", "void")[:most]
    for event in events.iterator(CHUNK):
        yield [
            _safe(value)
            for value in (
                event.received_at.isoformat(),
                event.occurred_at.isoformat(),
                event.source,
                event.environment,
                event.message_id,
                event.type,
                event.name,
                event.account.external_id if event.account else "",
                event.person.external_id if event.person else "",
                event.anonymous_id,
                event.actor,
                "yes" if event.historical else "",
                _json(event.properties),
                _json(event.problems) if event.problems else "",
                event.void.reason if event.void else "",
            )
        ]


def _safe(text: str) -> str:
    """A cell that no spreadsheet program runs, without characters that XML cannot hold."""
    if text.startswith(FORMULA):
        text = "'" + text
    return "".join(each for each in text if each >= " " or each in "\t\n\r")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
