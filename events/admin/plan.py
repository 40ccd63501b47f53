"""The admin's tracking plan: event types, and what customers' backends call them and their traits."""

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from accounts.actions import report
from events import catalogue, naming, properties, traffic, traits
from events.admin.storable_json import StorableJSONField
from events.models import EventName, EventType, TraitName


class EventTypeForm(forms.ModelForm):
    class Meta:
        model = EventType
        field_classes: ClassVar = {"schema": StorableJSONField, "example": StorableJSONField}
        fields: ClassVar = [
            "name",
            "kind",
            "description",
            "schema",
            "counts_as_activity",
            "system_counts_as_activity",
            "example",
            "planned",
        ]

    def clean_schema(self) -> Any:
        written = self.cleaned_data["schema"]
        if written is None:
            return {}
        if faults := properties.read(written).faults:
            raise forms.ValidationError(list(faults))
        return written

    def clean_example(self) -> Any:
        written = self.cleaned_data["example"]
        return {} if written is None else written


@admin.register(EventType)
class EventTypeAdmin(ModelAdmin):
    """The tracking plan. Which journey an event feeds is said by the journey."""

    form = EventTypeForm
    list_fullwidth = True
    list_display: tuple[str, ...] = (
        "name",
        "kind",
        "plan",
        "plan_it",
        "last_seen",
        "week",
        "broken",
        "understood",
    )
    list_filter = ("planned", "kind", "counts_as_activity")
    search_fields = ("name", "description")
    readonly_fields: tuple[str, ...] = ("last_seen", "week", "broken", "left_out")
    actions: ClassVar = ["plan_these"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        week = traffic.of_week((each.name for each in changes.result_list), now=timezone.now())
        for each in changes.result_list:
            each.traffic = week.by_name[each.name]
            each.listed_at = request.get_full_path()
        return changes

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        kind = super().get_object(request, object_id, from_field)
        if kind is not None:
            kind.traffic = traffic.of_week([kind.name], now=timezone.now()).by_name[kind.name]
        return kind

    def save_model(self, request: HttpRequest, obj: EventType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        catalogue.forget()

    def get_urls(self) -> list[URLPattern]:
        plan = self.admin_site.admin_view(require_POST(self.plan_view))
        return [path("<int:pk>/plan/", plan, name="events_eventtype_plan"), *super().get_urls()]

    def plan_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Put one name into the plan, and go back to the list as it was."""
        if not self.has_change_permission(request):
            return HttpResponse("You may not plan events.", status=403)
        self.plan_these(request, EventType.objects.filter(pk=pk))
        back = request.GET.get("next", "")
        if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
            back = reverse("admin:events_eventtype_changelist")
        return redirect(back)

    @display(
        description="in the plan",
        ordering="planned",
        label={"planned": "success", "unplanned": "warning"},
    )
    def plan(self, kind: EventType) -> str:
        return "planned" if kind.planned else "unplanned"

    @display(description="last seen", ordering="last_seen_at")
    def last_seen(self, kind: Any) -> Any:
        return self._traffic(kind).last_seen_at or "never"

    @display(description="last 7 days")
    def week(self, kind: Any) -> str:
        seen = self._traffic(kind)
        return f"{seen.total} ({' '.join(map(str, seen.days))})" if seen.total else "0"

    @display(description="with problems")
    def broken(self, kind: Any) -> str:
        seen = self._traffic(kind)
        return f"{100 * seen.share_broken:.0f} %" if seen.broken else "-"

    @display(description="schema", label={"not all of it": "danger"})
    def understood(self, kind: EventType) -> str:
        """Says something only where something is wrong."""
        return "not all of it" if properties.read(kind.schema).faults else ""

    @display(description="left out of the schema's check")
    def left_out(self, kind: EventType) -> str:
        return " ".join(properties.read(kind.schema).faults) or "-"

    def _traffic(self, kind: Any) -> traffic.Traffic:
        # A row that is only being added has none.
        return getattr(kind, "traffic", None) or traffic.Traffic()

    @display(description="")
    def plan_it(self, kind: Any) -> str:
        if kind.planned:
            return ""
        # The list is a form already; this button sends it elsewhere.
        button = '<button type="submit" formaction="{}" class="{}">Plan it</button>'
        look = "cursor-pointer font-medium whitespace-nowrap text-primary-600 dark:text-primary-400"
        back = urlencode({"next": kind.listed_at})
        url = reverse("admin:events_eventtype_plan", args=[kind.pk])
        return format_html(button, f"{url}?{back}", look)

    @action(description="Put these into the plan", permissions=["change"])
    def plan_these(self, request: HttpRequest, queryset: QuerySet[EventType]) -> None:
        already = queryset.filter(planned=True).count()
        done = queryset.filter(planned=False).update(planned=True)
        catalogue.forget()
        report(request, done, "planned", already, "in the plan already")


# The button that shows what a name would do, and saves nothing.
PREVIEW = "_preview"


class EventNameForm(forms.ModelForm):
    class Meta:
        model = EventName
        field_classes: ClassVar = {"fields": StorableJSONField}
        fields: ClassVar = ["name", "event_type", "fields"]

    def clean_fields(self) -> Any:
        written = self.cleaned_data["fields"]
        try:
            naming.rules(written)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return written

    def clean(self) -> Any:
        cleaned = super().clean()
        kind = self.cleaned_data.get("event_type")
        if kind is not None and self.cleaned_data.get("name") == kind.name:
            self.add_error("name", f"{kind.name} is its own type already: plan it instead.")
        return cleaned

    def is_valid(self) -> bool:
        """May it be saved? What was asked for as a preview is shown again instead."""
        return super().is_valid() and PREVIEW not in self.data


@admin.register(EventName)
class EventNameAdmin(ModelAdmin):
    """What the customer's product calls our events. A change folds the accounts concerned again."""

    form = EventNameForm
    list_fullwidth = True
    list_display = ("name", "event_type")
    list_select_related = ("event_type",)
    list_filter = ("event_type",)
    search_fields = ("name", "event_type__name")
    readonly_fields = ("recent",)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **how: Any) -> Any:
        if PREVIEW in request.POST and not context["errors"]:
            messages.info(
                request, "Below is how the latest events would be read. Nothing is saved."
            )
        return super().render_change_form(request, context, *args, **how)

    @display(description="the latest events, as they would be read")
    def recent(self, row: EventName) -> str:
        if not row.name or row.event_type_id is None:
            return "Press Preview to see how the latest events of this name would be read."
        try:
            shown = naming.preview(row)
        except ValueError as error:
            return str(error)
        if not shown:
            return "No event of this name has arrived yet."
        line = "<li>{}: {} <code>{}</code></li>"
        lines = ((each.event.received_at, each.name, json.dumps(each.properties)) for each in shown)
        return format_html("<ul>{}</ul>", format_html_join("", line, lines))

    def save_model(self, request: HttpRequest, obj: EventName, form: Any, change: bool) -> None:
        before = form.initial.get("name")
        super().save_model(request, obj, form, change)
        self._read_anew(request, {obj.name, before or obj.name})

    def delete_model(self, request: HttpRequest, obj: EventName) -> None:
        super().delete_model(request, obj)
        self._read_anew(request, {obj.name})

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[EventName]) -> None:
        names = set(queryset.values_list("name", flat=True))
        super().delete_queryset(request, queryset)
        self._read_anew(request, names)

    def _read_anew(self, request: HttpRequest, names: set[str]) -> None:
        catalogue.forget()
        # It is in the plan as what it means now, unless other names mean it.
        EventType.objects.filter(name__in=names, planned=False, names=None).delete()
        now = timezone.now()
        count = sum(naming.fold_again(name, now=now) for name in sorted(names))
        messages.info(request, f"{count} accounts are looked at again.")


@admin.register(TraitName)
class TraitNameAdmin(ModelAdmin):
    """What the customer's product calls the traits that fill our columns."""

    list_fullwidth = True
    list_display = ("name", "fills")
    list_filter = ("fills",)
    search_fields = ("name",)

    def save_model(self, request: HttpRequest, obj: TraitName, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._told(request)

    def delete_model(self, request: HttpRequest, obj: TraitName) -> None:
        super().delete_model(request, obj)
        self._told(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TraitName]) -> None:
        super().delete_queryset(request, queryset)
        self._told(request)

    def _told(self, request: HttpRequest) -> None:
        traits.forget()
        messages.info(
            request,
            "New identify and group calls are read this way within seconds. What is known already "
            "stays as it is until such a call names the account or person again.",
        )
