"""The admin's view of the log."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from unfold.decorators import display

from accounts.models import Account, Person
from accounts.readonly import ReadOnlyAdmin
from events import placing
from events.log import OWN_SOURCES
from events.models import Event, EventType, IngestKey

# Counting all of a log that only grows would take longer each day; nobody pages further than this.
MOST_COUNTED = 5_000


class CappedPaginator(Paginator):
    """Counts no further than anybody pages."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_COUNTED].count())


class PlacedFilter(admin.SimpleListFilter):
    title = "account"
    parameter_name = "placed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Without account"), ("yes", "With account")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        if self.value() is None:
            return queryset
        return queryset.filter(account__isnull=self.value() == "no")


class ProblemsFilter(admin.SimpleListFilter):
    title = "problems"
    parameter_name = "problems"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "With problems"), ("no", "Without problems")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        if self.value() is None:
            return queryset
        return queryset.filter(problems__isnull=self.value() == "no")


class NameFilter(admin.SimpleListFilter):
    """From the catalogue: asking the log itself for its names would read all of it."""

    title = "name"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in EventType.objects.values_list("name", flat=True)[:200]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class SourceFilter(admin.SimpleListFilter):
    title = "source"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key.source, str(key)) for key in IngestKey.objects.all()[:100]] + [
            (source, source) for source in sorted(OWN_SOURCES)
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(source=self.value()) if self.value() else queryset


class ReceivedFilter(admin.SimpleListFilter):
    title = "received"
    parameter_name = "received"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "In the last hour"), ("24", "In the last day"), ("168", "In the last week")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        value = self.value()
        if value not in ("1", "24", "168"):
            return queryset
        return queryset.filter(received_at__gt=timezone.now() - timedelta(hours=int(value)))


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The log: to look at, newest first."""

    list_display = (
        "what",
        "account",
        "person",
        "actor",
        "occurred_at",
        "received_at",
        "source",
        "flaws",
        "put",
    )
    list_filter = (SourceFilter, NameFilter, PlacedFilter, ProblemsFilter, ReceivedFilter)
    list_select_related = ("account", "person")
    search_fields = ("message_id",)
    search_help_text = "A message id, an event's name, or the id of an account or a person, exactly"
    ordering = ("-pk",)
    paginator = CappedPaginator

    def has_place_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.change_eventtype")

    def get_urls(self) -> list[URLPattern]:
        place = self.admin_site.admin_view(self.place_view)
        return [path("<int:pk>/place/", place, name="events_event_place"), *super().get_urls()]

    def place_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say which account an unplaced event belongs to."""
        event = get_object_or_404(Event.objects.select_related("person"), pk=pk)
        if not self.has_place_permission(request):
            return HttpResponse("You may not place events.", status=403)
        told = request.POST.get("account", "").strip()
        candidates = Account.objects.filter(
            memberships__person=event.person_id, memberships__ended_at=None
        )
        wrong = ""
        if request.method == "POST":
            worlds = Account.objects.filter(environment=event.environment, merged_into=None)
            account = worlds.filter(external_id=told).first()
            if account is None:
                wrong = f"There is no account {told!r}."
            elif placing.place(event, account, by=request.user, now=timezone.now()):  # type: ignore[arg-type]
                messages.success(request, f"The event belongs to {account} now.")
                return redirect("admin:events_event_changelist")
            else:
                wrong = "The event has an account already."
        context = self.admin_site.each_context(request) | {
            "title": "Place an event",
            "event": event,
            "candidates": candidates,
            "told": told,
            "wrong": wrong,
            "opts": self.model._meta,
        }
        return render(request, "events/place.html", context, status=422 if wrong else 200)

    @display(description="")
    def put(self, event: Event) -> str:
        if event.account_id is not None:
            return ""
        url = reverse("admin:events_event_place", args=[event.pk])
        return format_html('<a href="{}">Place it</a>', url)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        accounts = list(Account.objects.filter(external_id=term).values_list("pk", flat=True))
        people = Person.objects.filter(Q(external_id=term) | Q(email=term))
        persons = list(people.values_list("pk", flat=True))
        # Only what an index finds is asked, unless nothing else is left.
        found = Q(message_id=term) | Q(account_id__in=accounts) | Q(person_id__in=persons)
        return queryset.filter(found if accounts or persons else found | Q(name=term)), False

    @display(description="event", ordering="name")
    def what(self, event: Event) -> str:
        return str(event)

    @display(description="problems")
    def flaws(self, event: Event) -> str:
        return " ".join(each.get("message", "") for each in event.problems or ()) or "-"
