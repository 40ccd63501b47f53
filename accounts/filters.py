"""Filters of admin lists that speak in words instead of "empty" and "not empty"."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import AllValuesFieldListFilter, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest


def whether(field: str, *, title: str, yes: str, no: str) -> type[SimpleListFilter]:
    """A filter on whether a time or a text has been set: `yes` where it has, `no` where not."""

    class Whether(SimpleListFilter):
        parameter_name = f"{field}_set"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [("yes", yes), ("no", no)]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            unset = Q(**{f"{field}__isnull": True})
            if queryset.model._meta.get_field(field).empty_strings_allowed:
                unset |= Q(**{field: ""})
            match self.value():
                case "yes":
                    return queryset.exclude(unset)
                case "no":
                    return queryset.filter(unset)
            return queryset

    Whether.title = title
    return Whether


class ValueOrNone(AllValuesFieldListFilter):
    """A filter on a short text's values, which has a word for the empty one."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "none"}
