"""The way through the application: the sidebar, in the product's words, as each role may see it."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from accounts.models import User
from messaging.review import notices


@dataclass(frozen=True)
class Page:
    """A page of our own: its route, and the permission that opens it."""

    title: str
    icon: str
    route: str
    permission: str = ""


@dataclass(frozen=True)
class Rows:
    """The admin's list of one model; whoever may view the rows sees the link."""

    title: str
    icon: str
    model: str


LISTS: tuple[Page, ...] = (
    Page("Journeys", "route", "journeys", "pages.see_journeys"),
    Page("Review queue", "rate_review", "reviews", "pages.see_review_queue"),
    Page("Alerts", "notifications_active", "alerts", "pages.see_alerts"),
    Page("Numbers", "monitoring", "numbers", "pages.see_numbers"),
    Page("Event health", "ecg_heart", "event_health", "pages.see_event_health"),
)
EMAILS = Page("E-mails", "mail", "emails", "messaging.view_templateversion")
SIDEBAR: tuple[tuple[str, tuple[Page | Rows, ...]], ...] = (
    ("Work", (LISTS[0], EMAILS, *LISTS[1:])),
    (
        "Journeys & e-mails",
        (
            Rows("All journeys", "conversion_path", "journeys.Journey"),
            Rows("Journey versions", "history", "journeys.JourneyVersion"),
            Rows("E-mail versions", "drafts", "messaging.TemplateVersion"),
            Rows("Shared texts", "extension", "messaging.Snippet"),
            Rows("Setup screens", "open_in_browser", "messaging.Destination"),
            Rows("Links in e-mails", "link", "messaging.LinkHealth"),
            Rows("Your hosts", "dns", "messaging.Host"),
        ),
    ),
    (
        "Customers",
        (
            Rows("Accounts", "domain", "accounts.Account"),
            Rows("People", "group", "accounts.Person"),
            Rows("Memberships", "badge", "accounts.Membership"),
            Rows("Setups", "cable", "journeys.Setup"),
            Rows("On a journey", "directions_walk", "journeys.Enrolment"),
            Rows("Roles", "verified_user", "accounts.Role"),
            Rows("Capabilities", "key", "accounts.Capability"),
            Rows("Consent", "handshake", "accounts.Consent"),
        ),
    ),
    (
        "Events",
        (
            Page("Live events", "sensors", "live_events", "pages.see_event_health"),
            Page(
                "What to send", "integration_instructions", "what_to_send", "events.view_eventtype"
            ),
            Page("Traits", "contacts", "traits", "pages.see_event_health"),
            Rows("Event log", "list_alt", "events.Event"),
            Rows("Rejected events", "report", "events.RejectedEvent"),
            Rows("Event catalogue", "menu_book", "events.EventType"),
            Rows("Incoming names", "translate", "events.EventName"),
            Rows("Trait names", "label", "events.TraitName"),
            Rows("Voided events", "backspace", "events.Void"),
            Page("Export", "download", "export_events", "pages.export_events"),
            Rows("Ingest keys", "vpn_key", "events.IngestKey"),
        ),
    ),
    (
        "Sending",
        (
            Page("Background work", "vital_signs", "status"),
            Rows("Messages", "outgoing_mail", "messaging.Message"),
            Rows("Why and why not", "balance", "runner.Decision"),
            Rows("Steps carried out", "task_alt", "runner.StepRun"),
            Rows("Replies", "reply", "messaging.Reply"),
            Rows("Suppressed addresses", "block", "messaging.Suppression"),
            Rows("Senders", "alternate_email", "messaging.Sender"),
            Rows("Sending domains", "public", "messaging.SendingDomain"),
            Rows("Trouble found", "troubleshoot", "messaging.Finding"),
            Rows("Hand-offs", "webhook", "runner.HandOff"),
            Rows("Accounts set aside", "car_crash", "runner.ParkedAccount"),
            Rows("Pauses", "pause_circle", "runner.Pause"),
        ),
    ),
    (
        "Staff",
        (
            Rows("Staff users", "manage_accounts", "accounts.User"),
            Rows("What roles may do", "admin_panel_settings", "auth.Group"),
        ),
    ),
)
MAILBOX = Page("Mailbox", "inbox", "mailbox")


def may_open(request: HttpRequest, page: Page) -> bool:
    """Whether the user's role opens this page."""
    return not page.permission or request.user.has_perm(page.permission)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation for this user: only what they may open, and no empty group."""
    groups = []
    for title, entries in SIDEBAR:
        shown = [*entries, MAILBOX] if title == "Sending" and settings.MAILBOX_DIR else entries
        items = [item for entry in shown if (item := _item(request, entry))]
        if items:
            groups.append({"title": title, "items": items, "collapsible": title != "Work"})
    return groups


def _item(request: HttpRequest, entry: Page | Rows) -> dict[str, Any] | None:
    if isinstance(entry, Page):
        if not may_open(request, entry):
            return None
        link = reverse(entry.route)
        badge = _waiting(request) if entry.route == "reviews" else 0
    else:
        badge = 0
        model = apps.get_model(entry.model)
        listed = admin.site._registry.get(model)
        if listed is None or not listed.has_view_permission(request):
            return None
        link = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return {
        "title": entry.title,
        "icon": entry.icon,
        "link": link,
        # Unfold looks for the link anywhere in the path; `/alerts/` is also in `/admin/alerts/`.
        "active": request.path.startswith(link),
        **({"badge": str(badge), "badge_variant": "warning"} if badge else {}),
    }


def _waiting(request: HttpRequest) -> int:
    """How many change sets wait for this user."""
    return notices.waiting_on(request.user) if isinstance(request.user, User) else 0


def row_link(request: HttpRequest, row: Model) -> str:
    """Where the row's own page is, or "" when there is none that this user may open."""
    listed = admin.site._registry.get(type(row))
    if listed is None or not listed.has_view_permission(request, row):
        return ""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def environment_badge(_request: HttpRequest) -> list[str] | None:
    """A label on every page that is not production's."""
    return None if settings.PRODUCTION else [settings.LIFECYCLE_ENV.capitalize(), "info"]


def stylesheet(_request: HttpRequest) -> str:
    return static("lifecycle/pages.css")


def script(_request: HttpRequest) -> str:
    return static("lifecycle/not_done.js")


def icon(_request: HttpRequest) -> str:
    return static("lifecycle/icon.svg")
