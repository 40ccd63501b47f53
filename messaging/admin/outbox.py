"""The admin's lists of mails: what became of each, what the provider told, and what was answered."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import FieldTextFilter
from unfold.decorators import action, display

from accounts.actions import report_each
from accounts.readonly import ReadOnlyAdmin, ReadOnlyInline
from messaging import outbox, preview
from messaging.admin.frames import frames
from messaging.content import ContentError, RenderError
from messaging.models import (
    Attempt,
    Message,
    MessageStatus,
    ProviderEvent,
    Reply,
)

STATUS_LABELS = {
    MessageStatus.QUEUED.label: "info",
    MessageStatus.SENDING.label: "info",
    MessageStatus.SENT.label: "success",
    MessageStatus.DELIVERED.label: "success",
    MessageStatus.BOUNCED.label: "danger",
    MessageStatus.COMPLAINED.label: "danger",
    MessageStatus.CANCELLED.label: "default",
    MessageStatus.FAILED.label: "danger",
    MessageStatus.UNCERTAIN.label: "warning",
    MessageStatus.WITHHELD.label: "default",
}


REPLY_LABELS = {
    Reply.Status.IGNORED.label: "default",
    Reply.Status.WAITING.label: "info",
    Reply.Status.FORWARDING.label: "info",
    Reply.Status.FORWARDED.label: "success",
    Reply.Status.UNCERTAIN.label: "warning",
    Reply.Status.REFUSED.label: "danger",
}


class AttemptInline(ReadOnlyInline):
    model = Attempt
    fields = ("number", "started_at", "finished_at", "outcome", "detail", "owner")
    readonly_fields = fields
    ordering = ("number",)
    show_change_link = False


class ProviderEventInline(ReadOnlyInline):
    model = ProviderEvent
    fields = ("at", "provider", "type", "recipient", "detail")
    readonly_fields = fields
    ordering = ("at",)
    show_change_link = False


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """Every mail and what became of it. A person can only say how an uncertain one ended."""

    list_display = (
        "titled",
        "address",
        "account",
        "shown_status",
        "reason",
        "queued_at",
        "sent_at",
    )
    list_select_related = ("address", "account", "template_version__template")
    list_filter = (
        "status",
        ("reason", FieldTextFilter),
        "category",
        "sender",
        "template_version__template",
    )
    list_filter_submit = True
    search_fields = (
        "address__value",
        "subject",
        "account__name",
        "account__external_id",
        "provider_id",
    )
    search_help_text = "Address, subject, account, or the provider's id"
    date_hierarchy = "queued_at"
    inlines: ClassVar = [AttemptInline, ProviderEventInline]
    actions: ClassVar = ["settle_as_sent", "settle_as_not_sent"]
    fieldsets = (
        (None, {"fields": ("titled", "shown_status", "reason", "detail", "address", "person", "account")}),
        ("When", {"fields": ("queued_at", "not_after", "next_attempt_at", "claimed_at", "sent_at", "settled_at", "attempts")}),
        ("What", {"fields": ("template_version", "variant", "sender", "category", "counts_toward_cap", "looks")}),
        ("Why", {"fields": ("receipt", "context")}),
        ("Provider", {"fields": ("provider", "provider_id", "lease_owner", "lease_until", "dedupe_key")}),
    )  # fmt: skip
    readonly_fields = ("titled", "shown_status", "looks")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows = super().get_queryset(request)
        # Large documents that the list does not show.
        return rows.defer("template_version__content", "template_version__frozen")

    @display(description="mail", ordering="subject")
    def titled(self, message: Message) -> str:
        return message.subject or str(message.template_version.template)

    @display(description="status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, message: Message) -> str:
        return message.get_status_display()

    @display(description="the mail")
    def looks(self, message: Message) -> SafeString:
        return frames(reverse("admin:messaging_message_preview", args=[message.pk]))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview)
        return [
            path("<int:pk>/preview/", view, name="messaging_message_preview"),
            *super().get_urls(),
        ]

    def preview(self, request: HttpRequest, pk: int) -> HttpResponse:
        message = get_object_or_404(Message.objects.select_related("template_version"), pk=pk)
        if not self.has_view_permission(request, message):
            return HttpResponse(status=403)
        try:
            shown: Any = preview.of_message(message)
        except (RenderError, ContentError) as error:
            shown = error
        return preview.frame(shown, part=request.GET.get("part", "html"))

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.change_message")

    @action(description="Settle as sent (it did arrive)", permissions=["settle"])
    def settle_as_sent(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        self._settle(request, queryset, "sent")

    @action(description="Settle as not sent (it did not arrive)", permissions=["settle"])
    def settle_as_not_sent(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        self._settle(request, queryset, "failed")

    def _settle(self, request: HttpRequest, queryset: QuerySet[Message], outcome: Any) -> None:
        now = timezone.now()
        by = request.user.get_username()
        done = [outbox.settle_by_hand(message, outcome, by=by, now=now) for message in queryset]
        report_each(request, done, did="settled", skipped="the outcome is not unknown")


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    """What customers answered, and whether it reached the support mailbox."""

    list_display = ("from_email", "subject", "shown_status", "received_at", "forwarded_at")
    list_filter = ("status",)
    search_fields = ("from_email", "subject", "text")
    date_hierarchy = "received_at"
    fields = (
        "from_email", "from_name", "subject", "text", "message", "shown_status", "automatic",
        "received_at", "forwarded_at", "attempts", "next_attempt_at", "detail",
    )  # fmt: skip
    readonly_fields = ("shown_status",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reply]:
        return super().get_queryset(request).defer("original")

    @display(description="status", ordering="status", label=REPLY_LABELS)
    def shown_status(self, reply: Reply) -> str:
        return reply.get_status_display()


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "provider", "type", "recipient", "message")
    list_select_related = ("message",)
    list_filter = ("provider", "type")
    search_fields = ("recipient",)
