"""Admin lists that only show: what was recorded is not edited by hand."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from django.contrib.admin.utils import label_for_field
from django.contrib.auth import get_permission_codename
from django.db.models import ForeignKey, Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator


def may_open(request: HttpRequest, model: type[Model]) -> bool:
    """Whether the admin lets this user look at rows of the model."""
    asked = (get_permission_codename(act, model._meta) for act in ("view", "change"))
    return any(request.user.has_perm(f"{model._meta.app_label}.{name}") for name in asked)


@cache
def as_text(field: "ForeignKey[Any, Any]") -> Callable[[Model], str]:
    """A column of the admin that says what the field's row is called. The same for the same field."""

    def shown(row: Model) -> str:
        named = getattr(row, field.name)
        return "-" if named is None else str(named)

    shown.short_description = label_for_field(field.name, field.model)  # type: ignore[attr-defined]
    return shown


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at. Whoever may view them sees every field; nobody adds, changes or deletes one."""

    list_fullwidth = True
    list_per_page = 50

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every column that is not excluded, also those no form would offer, then what is computed.

        What another row is called is shown as text to whoever may not open that row.
        """
        return self._for(request, self._columns())

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (title, {**options, "fields": self._for(request, options["fields"])})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def _for(self, request: HttpRequest, names: Iterable[Any]) -> list[Any]:
        closed = {
            field.name: field
            for field in self.opts.fields
            if isinstance(field, ForeignKey) and not may_open(request, field.related_model)
        }
        return [as_text(closed[name]) if name in closed else name for name in names]

    def _columns(self) -> list[str]:
        if self.fields:
            return list(self.fields)
        hidden = {*(self.exclude or ()), self.opts.pk.name if self.opts.pk.auto_created else ""}
        columns = [field.name for field in self.opts.fields if field.name not in hidden]
        return [*columns, *(name for name in self.readonly_fields if name not in columns)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LogAdmin(ReadOnlyAdmin):
    """Rows to look at where there may be millions: never counted, the newest first."""

    paginator = InfinitePaginator
    show_full_result_count = False
    ordering = ("-pk",)


class ReadOnlyInline(TabularInline):
    """Rows that belong to the one on the page, to look at."""

    extra = 0
    can_delete = False
    hide_title = True
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
