"""The admin's list of refused events, to be mended and replayed."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_GET
from unfold.decorators import action, display

from accounts.actions import report
from accounts.readonly import ReadOnlyAdmin
from events import quarantine
from events.admin.log import CappedPaginator
from events.models import EXCERPT, RejectedEvent

# How many refused events one click replays.
MOST_REPLAYED = 500
# So many characters a browser edits with ease.
EDITED_HERE = 1_000_000


@admin.register(RejectedEvent)
class RejectedEventAdmin(ReadOnlyAdmin):
    """The quarantine: nothing in it goes away by itself."""

    list_display = ("code", "detail", "key", "received_at", "state", "mend", "excerpt")
    list_filter = ("status", "code", "key")
    list_select_related = ("key",)
    search_fields = ("detail", "raw")
    exclude = ("raw",)
    readonly_fields = ("sent",)
    ordering = ("-received_at", "-pk")
    paginator = CappedPaginator
    actions: ClassVar = ["replay", "replay_alike", "dismiss"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RejectedEvent]:
        rows: Any = super().get_queryset(request)
        return rows.in_short()

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.change_rejectedevent")

    @display(
        description="state",
        label={"Waiting": "warning", "Replayed": "success", "Dismissed": "info"},
    )
    def state(self, rejected: RejectedEvent) -> str:
        return rejected.get_status_display()

    @display(description="")
    def mend(self, rejected: RejectedEvent) -> str:
        if rejected.status != RejectedEvent.Status.OPEN:
            return ""
        if why := quarantine.why_not(rejected):
            return why
        url = reverse("admin:events_rejectedevent_mend", args=[rejected.pk])
        return format_html('<a href="{}">Edit and replay</a>', url)

    @display(description="what was sent")
    def excerpt(self, rejected: Any) -> str:
        return str(rejected.beginning[:80])

    @display(description="what was sent")
    def sent(self, rejected: Any) -> str:
        if rejected.length <= EXCERPT:
            return format_html('<pre class="whitespace-pre-wrap">{}</pre>', rejected.beginning)
        url = reverse("admin:events_rejectedevent_raw", args=[rejected.pk])
        said = (
            '<pre class="whitespace-pre-wrap">{}…</pre><a href="{}">Download all {} characters</a>'
        )
        return format_html(said, rejected.beginning, url, f"{rejected.length:,}")

    def get_urls(self) -> list[URLPattern]:
        mend = self.admin_site.admin_view(self.mend_view)
        raw = self.admin_site.admin_view(require_GET(self.raw_view))
        return [
            path("<int:pk>/raw/", raw, name="events_rejectedevent_raw"),
            path("<int:pk>/mend/", mend, name="events_rejectedevent_mend"),
            *super().get_urls(),
        ]

    def raw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All of what was sent, to keep or to mend with an editor."""
        if not self.has_view_permission(request):
            return HttpResponse("You may not see what was refused.", status=403)
        rejected = get_object_or_404(RejectedEvent, pk=pk)
        named = {"Content-Disposition": f'attachment; filename="refused-{pk}.json"'}
        return HttpResponse(rejected.raw, content_type="text/plain; charset=utf-8", headers=named)

    def mend_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Correct one refused event and send it in again."""
        rejected = get_object_or_404(RejectedEvent.objects.select_related("key"), pk=pk)
        if not self.has_replay_permission(request):
            return HttpResponse("You may not replay events.", status=403)
        raw = request.POST.get("raw", rejected.raw)
        if isinstance(chosen := request.FILES.get("file"), UploadedFile):
            raw = chosen.read().decode("utf-8", "replace")
        again = None
        if request.method == "POST":
            try:
                again = quarantine.replay(rejected, raw, by=request.user, now=timezone.now())  # type: ignore[arg-type]
            except ValueError as error:
                messages.error(request, str(error))
                return redirect("admin:events_rejectedevent_changelist")
            if again.stored:
                messages.success(request, "The event is stored now.")
                return redirect("admin:events_rejectedevent_changelist")
        context = self.admin_site.each_context(request) | {
            "title": "Edit and replay",
            "rejected": rejected,
            "why_not": quarantine.why_not(rejected),
            "raw": raw,
            "too_long": len(raw) > EDITED_HERE,
            "again": again,
            "opts": self.model._meta,
        }
        return render(request, "events/mend.html", context, status=422 if again else 200)

    @action(description="Replay these as they came", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[RejectedEvent]) -> None:
        self._replay(request, queryset)

    @action(description="Replay all like these (same key, same reason)", permissions=["replay"])
    def replay_alike(self, request: HttpRequest, queryset: QuerySet[RejectedEvent]) -> None:
        alike = Q(pk__in=[])
        for key, code in queryset.order_by().values_list("key", "code").distinct():
            alike |= Q(key=key, code=code)
        rows = self.get_queryset(request).filter(alike, status=RejectedEvent.Status.OPEN)
        self._replay(request, rows.order_by("pk"))

    def _replay(self, request: HttpRequest, rows: QuerySet[RejectedEvent]) -> None:
        now = timezone.now()
        stored, refused, why = 0, 0, ""
        for rejected in rows[:MOST_REPLAYED]:
            try:
                again = quarantine.replay(rejected, by=request.user, now=now)  # type: ignore[arg-type]
            except ValueError as error:
                refused, why = refused + 1, str(error).rstrip(".")
                continue
            stored += again.stored
            if not again.stored:
                refused, why = refused + 1, again.message.rstrip(".")
        report(request, stored, "replayed", refused, why)

    @action(description="Dismiss these: they will not be stored", permissions=["replay"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[RejectedEvent]) -> None:
        rows = list(queryset)
        done = quarantine.dismiss(rows, by=request.user, now=timezone.now())  # type: ignore[arg-type]
        report(request, done, "dismissed", len(rows) - done, "closed already")
