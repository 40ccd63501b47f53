"""The admin's lists of who sends: from-identities, their domains, and what is wrong with our mail."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from accounts.actions import report_each
from accounts.filters import whether
from accounts.readonly import ReadOnlyAdmin
from messaging import breaker, deliverability, lookup
from messaging.models import (
    Finding,
    Sender,
    SendingDomain,
)


@admin.register(Sender)
class SenderAdmin(ModelAdmin):
    list_display = ("name", "address", "reply_to", "support_mailbox", "domain")
    list_select_related = ("domain",)
    search_fields = ("name", "address", "key")


@admin.register(SendingDomain)
class SendingDomainAdmin(ModelAdmin):
    list_display = ("name", "rate_per_second", "burst", "sending", "paused_reason", "health_link")
    search_fields = ("name",)
    fields = ("name", "rate_per_second", "burst", "dkim_selectors", "paused_at", "paused_reason")
    readonly_fields = ("paused_at", "paused_reason")
    actions: ClassVar = ["pause_sending", "resume_sending"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @action(description="Pause sending", permissions=["change"])
    def pause_sending(self, request: HttpRequest, queryset: QuerySet[SendingDomain]) -> None:
        now, reason = timezone.now(), f"Paused by {request.user.get_username()}."
        done = [breaker.pause(row.pk, reason, now=now) for row in queryset]
        report_each(request, done, did="paused", skipped="paused already")

    @action(description="Let sending go on", permissions=["change"])
    def resume_sending(self, request: HttpRequest, queryset: QuerySet[SendingDomain]) -> None:
        now = timezone.now()
        done = [breaker.resume(row, now=now) for row in queryset]
        report_each(request, done, did="resumed", skipped="not paused")

    @display(description="health")
    def health_link(self, domain: SendingDomain) -> SafeString:
        url = reverse("admin:messaging_domain_health", args=[domain.pk])
        return format_html('<a href="{}">Records and rates</a>', url)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.health)
        return [path("<int:pk>/health/", view, name="messaging_domain_health"), *super().get_urls()]

    def health(self, request: HttpRequest, pk: int) -> HttpResponse:
        domain = get_object_or_404(SendingDomain, pk=pk)
        if not self.has_view_permission(request, domain):
            return HttpResponse(status=403)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Mail from {domain.name}",
            "domain": domain,
            "checks": deliverability.check(domain, lookup=lookup.system()),
            "days": deliverability.days(domain, now=timezone.now()),
            "complaints": breaker.COMPLAINTS,
            "complaints_percent": f"{breaker.COMPLAINTS.rate:.1%}".rstrip("%"),
            "bounces": breaker.BOUNCES,
            "bounces_percent": f"{breaker.BOUNCES.rate:.0%}".rstrip("%"),
        }
        return render(request, "messaging/domain_health.html", context)

    @display(description="sending", label={"on": "success", "paused": "warning"})
    def sending(self, domain: SendingDomain) -> str:
        return "paused" if domain.paused_at else "on"


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ("kind", "subject", "short", "opened_at", "closed_at")
    list_filter = ("kind", whether("closed_at", title="finding", yes="closed", no="open"))
    search_fields = ("subject", "detail")

    @display(description="detail")
    def short(self, finding: Finding) -> str:
        return finding.detail[:120]
