"""The mailbox of the local mail catcher, in development only: what arrived, in every form."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpResponse
from django.views.decorators.http import require_GET

from lifecycle.pages.access import ANY_STAFF, StaffRequest, staff
from lifecycle.pages.screen import screen

SHOWN = 200
TABS = (("html", "As it looks"), ("text", "Text"), ("headers", "Headers"), ("raw", "Raw"))
# A mail is a stranger's page: an opaque origin, no scripts, no forms, nothing fetched from anywhere;
# its links open in a tab of their own when somebody clicks them.
MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; "
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
LINKS_IN_NEW_TABS = '<base target="_blank">'


@dataclass(frozen=True)
class Mail:
    """A caught mail: its file, and what its headers say."""

    path: Path
    arrived_at: datetime
    message: EmailMessage

    @property
    def name(self) -> str:
        return self.path.stem

    def header(self, name: str) -> str:
        """One header as text, or "" where it is missing or cannot be read."""
        try:
            return str(self.message.get(name, ""))
        except (ValueError, IndexError, LookupError):
            return ""

    @property
    def sender(self) -> str:
        return self.header("From")

    @property
    def recipient(self) -> str:
        return self.header("To")

    @property
    def subject(self) -> str:
        return self.header("Subject")

    def part(self, kind: str) -> str:
        """The body of this kind (`html` or `plain`), or "" where there is none."""
        try:
            body = self.message.get_body((kind,))
            return str(body.get_content()) if body else ""
        except (KeyError, LookupError, ValueError, AttributeError):
            return ""

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, self.header(name)) for name in dict.fromkeys(self.message.keys())]

    @property
    def raw(self) -> str:
        return self.path.read_bytes().decode("utf-8", "replace")


def folder() -> Path:
    """Where the catcher keeps its files. Raises Http404 in production, which has no catcher."""
    if settings.MAILBOX_DIR is None:
        raise Http404("There is no mailbox in production.")
    return Path(settings.MAILBOX_DIR)


def newest() -> Sequence[Mail]:
    """The caught mails, the newest first."""
    files = [(path.stat().st_mtime, path) for path in folder().glob("*.eml")]
    return [read(path) for _, path in sorted(files, reverse=True)[:SHOWN]]


def read(path: Path) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    arrived = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    assert isinstance(message, EmailMessage)  # policy.default makes nothing else
    return Mail(path=path, arrived_at=arrived, message=message)


def find(name: str) -> Mail:
    """The mail of this name; only names that the folder lists are opened. Raises Http404."""
    for path in folder().glob("*.eml"):
        if path.stem == name:
            return read(path)
    raise Http404("This mail is not in the mailbox any more.")


@require_GET
@staff(ANY_STAFF)
def show_mailbox(request: StaffRequest) -> HttpResponse:
    return screen(request, "mailbox", {"mails": newest(), "folder": folder()}, title="Mailbox")


@require_GET
@staff(ANY_STAFF)
def show_mail(request: StaffRequest, name: str) -> HttpResponse:
    mail = find(name)
    tab = request.GET.get("tab", "html" if mail.part("html") else "text")
    context = {"mail": mail, "tab": tab, "tabs": TABS, "text": mail.part("plain")}
    return screen(request, "mail", context, title=mail.subject or "No subject")


@require_GET
@staff(ANY_STAFF)
def show_mail_html(_request: StaffRequest, name: str) -> HttpResponse:
    """The HTML part alone, for the frame: in a sandbox of its own, whoever opens it."""
    response = HttpResponse(LINKS_IN_NEW_TABS + find(name).part("html"))
    response["Content-Security-Policy"] = MAIL_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Referrer-Policy"] = "no-referrer"
    return response
