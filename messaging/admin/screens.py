"""The admin's lists of where e-mails lead: hosts, screens, and whether their links work."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action, display

from accounts.filters import whether
from accounts.readonly import ReadOnlyAdmin
from messaging import probing
from messaging.admin.shared import SharedAdmin
from messaging.models import (
    Destination,
    Host,
    LinkHealth,
)

LINK_LABELS = {
    LinkHealth.Verdict.UNKNOWN.label: "default",
    LinkHealth.Verdict.OK.label: "success",
    LinkHealth.Verdict.CONFIRMED.label: "success",
    LinkHealth.Verdict.CANNOT_TELL.label: "warning",
    LinkHealth.Verdict.FAILING.label: "warning",
    "Broken": "danger",
    "Being probed": "info",
}


# A screen shows the worst of its links.
WORST_FIRST = [
    LinkHealth.Verdict.BROKEN,
    LinkHealth.Verdict.FAILING,
    LinkHealth.Verdict.CANNOT_TELL,
    LinkHealth.Verdict.CONFIRMED,
    LinkHealth.Verdict.OK,
    LinkHealth.Verdict.UNKNOWN,
]


@admin.register(Host)
class HostAdmin(ModelAdmin):
    list_display = ("key", "base_url", "login_url")
    search_fields = ("key", "base_url", "login_url")


@admin.register(Destination)
class DestinationAdmin(SharedAdmin):
    list_display = ("name", "key", "host", "path", "capability", "health", "last_probed")
    list_select_related = ("host",)
    list_filter = ("host", "capability", "links__verdict")
    search_fields = ("name", "key", "path")
    actions: ClassVar = ["probe_now"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Destination]:
        return super().get_queryset(request).prefetch_related("links")

    @display(description="last probe", label=LINK_LABELS)
    def health(self, screen: Destination) -> str:
        found = list(screen.links.all())
        if any(link.is_being_probed for link in found):
            return "Being probed"
        verdicts = {link.verdict for link in found}
        worst = next((each for each in WORST_FIRST if each in verdicts), WORST_FIRST[-1])
        return short_verdict(worst)

    @display(description="last probed")
    def last_probed(self, screen: Destination) -> Any:
        times = [link.checked_at for link in screen.links.all() if link.checked_at]
        return max(times, default=None)

    @action(description="Probe now", permissions=["change"])
    def probe_now(self, request: HttpRequest, queryset: QuerySet[Destination]) -> None:
        ask_for_probe(request, probing.links_to(queryset.select_related("host")))


@admin.register(LinkHealth)
class LinkHealthAdmin(ReadOnlyAdmin):
    """Where mails lead to, and whether it works. Probing goes on by itself; asking only hurries it."""

    list_display = ("url", "destination", "shown_verdict", "detail", "checked_at")
    list_select_related = ("destination",)
    list_filter = (
        "verdict",
        "destination",
        ("versions__template", RelatedDropdownFilter),
        whether("next_check_at", title="e-mails", yes="a live e-mail leads there", no="none does"),
    )
    list_filter_submit = True
    search_fields = ("url", "detail", "destination__name", "destination__key")
    ordering = ("url",)
    actions: ClassVar = ["probe_now"]
    fields = (
        "url", "destination", "shown_verdict", "status", "detail", "way", "used_by", "checked_at",
        "next_check_at", "failing_since", "failures", "confirmed_at",
    )  # fmt: skip
    readonly_fields = ("shown_verdict", "way", "used_by")

    @display(description="verdict", ordering="verdict", label=LINK_LABELS)
    def shown_verdict(self, link: LinkHealth) -> str:
        return "Being probed" if link.is_being_probed else short_verdict(link.verdict)

    @display(description="way there")
    def way(self, link: LinkHealth) -> SafeString | str:
        steps = format_html_join("", "<li>{} → {}</li>", link.chain)
        return format_html("<ol>{}</ol>", steps) if link.chain else "–"

    @display(description="e-mails that lead there")
    def used_by(self, link: LinkHealth) -> str:
        versions = link.versions.select_related("template").defer("content", "frozen")
        return ", ".join(str(version) for version in versions.order_by("-pk")[:20]) or "none"

    def has_probe_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.change_destination")

    @action(description="Probe now", permissions=["probe"])
    def probe_now(self, request: HttpRequest, queryset: QuerySet[LinkHealth]) -> None:
        ask_for_probe(request, list(queryset))


def short_verdict(verdict: str) -> str:
    """The verdict as a label in a list, which has little room."""
    return LinkHealth.Verdict(verdict).label.partition(":")[0]


def ask_for_probe(request: HttpRequest, found: list[LinkHealth]) -> None:
    """Ask the queue, and say where the result will show."""
    if not settings.PROBE_LINKS:
        messages.warning(request, "Probing is switched off (PROBE_LINKS).")
        return
    count = probing.ask_for(found, now=timezone.now())
    links = "1 link is" if count == 1 else f"{count} links are"
    messages.info(request, f"{links} being probed; load this page again in some seconds.")
