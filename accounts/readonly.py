"""Admin lists that only show: what was recorded is not edited by hand."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at. Whoever may view them sees every field; nobody adds, changes or deletes one."""

    list_fullwidth = True
    list_per_page = 50

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Every column that is not excluded, also those no form would offer, then what is computed."""
        if self.fields:
            return list(self.fields)
        hidden = {*(self.exclude or ()), self.opts.pk.name if self.opts.pk.auto_created else ""}
        columns = [field.name for field in self.opts.fields if field.name not in hidden]
        return [*columns, *(name for name in self.readonly_fields if name not in columns)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return self.get_fields(request, obj)

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
