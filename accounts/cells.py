"""What a cell of a spreadsheet may say; what is wrong with it is a ValueError in plain words."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from import_export import fields, widgets


class Moment(widgets.Widget):  # type: ignore[misc]
    """A time as ISO 8601, to the microsecond; without a zone it is UTC."""

    def clean(self, value: Any, _row: Any = None, **_: Any) -> datetime | None:
        if not value:
            return None
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError as error:
            raise ValueError(f"{value!r} is no time; write it like 2026-03-02T12:00Z.") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def render(self, value: Any, _instance: Any = None, **_: Any) -> str:
        return value.isoformat() if value else ""


class Amount(widgets.Widget):  # type: ignore[misc]
    """A sum of money, not below zero."""

    def clean(self, value: Any, _row: Any = None, **_: Any) -> Decimal | None:
        if value in (None, ""):
            return None
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite():
            raise ValueError(f"{value!r} is no amount; write it like 1200.50.")
        if amount < 0:
            raise ValueError(f"{value!r} is below zero.")
        return amount

    def render(self, value: Any, _instance: Any = None, **_: Any) -> str:
        return "" if value is None else str(value)


class Words(widgets.Widget):  # type: ignore[misc]
    """Text."""

    def clean(self, value: Any, _row: Any = None, **_: Any) -> str:
        return "" if value is None else str(value)

    def render(self, value: Any, _instance: Any = None, **_: Any) -> str:
        return value or ""


@cache
def zones() -> frozenset[str]:
    """Every time zone's name; finding them reads hundreds of files."""
    return frozenset(available_timezones())


class Zone(Words):
    """A time zone by its name in the IANA database."""

    def clean(self, value: Any, _row: Any = None, **_: Any) -> str:
        zone = super().clean(value)
        if zone and zone not in zones():
            raise ValueError(f"{zone!r} is no time zone; write it like Europe/Vienna.")
        return zone


class Address(Words):
    """Where mail can go."""

    def clean(self, value: Any, _row: Any = None, **_: Any) -> str:
        address = super().clean(value)
        if address:
            try:
                validate_email(address)
            except ValidationError as error:
                raise ValueError(f"{address!r} is no e-mail address.") from error
        return address


def field(name: str, widget: widgets.Widget, *, may_clear: bool = True) -> fields.Field:
    """The column of this name; one that may not be cleared is left alone by an empty cell."""
    return fields.Field(
        attribute=name, column_name=name, widget=widget, saves_null_values=may_clear
    )
