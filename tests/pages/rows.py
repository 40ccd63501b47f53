"""Makes a row of any model, with a row of its own for everything it points to."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models

from accounts.models import User
from lifecycle.runner.models import Pause

NUMBERS = itertools.count(1)
# What the constraints ask for and a field alone does not tell.
PARTICULARS: dict[type[models.Model], dict[str, Any]] = {
    Pause: {"is_open": False},
    User: {"is_staff": True},
}


def make(model: type[models.Model]) -> Any:
    """A valid row. Foreign keys are filled even where they may be empty: lists show what they name."""
    values = {
        field.name: value(field)
        for field in model._meta.concrete_fields
        if is_wanted(field) and field.name not in PARTICULARS.get(model, {})
    }
    return model._default_manager.create(**values, **PARTICULARS.get(model, {}))


def is_wanted(field: models.Field) -> bool:
    if isinstance(field, models.ForeignKey):
        return field.related_model is not field.model
    generated = field.primary_key and isinstance(field, models.AutoField)
    return not (generated or field.null or field.has_default() or field.choices)


def value(field: models.Field) -> Any:
    number = next(NUMBERS)
    match field:
        case models.ForeignKey():
            return make(field.related_model)
        case models.DateTimeField():
            # Each later than the one before: what begins must not end earlier.
            return datetime(2026, 3, 10, 9, tzinfo=UTC) + timedelta(seconds=number)
        case models.BooleanField():
            return False
        case models.IntegerField() | models.FloatField():
            return number
        case models.JSONField():
            return {}
        case _:
            return f"x{number}"[: field.max_length]
