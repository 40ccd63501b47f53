"""A mail from a template version and a reader's facts: subject, preheader, HTML and text."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from messaging.content import (
    BODY_LIMIT,
    Content,
    ContentError,
    NoSubject,
    RenderError,
    Variant,
    blaming,
    choose,
    read,
)
from messaging.language import render_source
from messaging.markup import Skeleton, compile_mail
from messaging.models import Destination, Host, SharedChange, Snippet
from messaging.slots import TIME_LIMIT_SECONDS, Run

SUBJECT_LIMIT = 250
LAYOUT_ONLY = frozenset({"subject", "preheader"})

__all__ = ["ContentError", "RenderError", "Rendered", "freeze", "render"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one reader gets, and the name of the variant it came from."""

    subject: str
    preheader: str
    html: str
    text: str
    variant: str


def freeze(shared: Iterable[SharedChange] = ()) -> dict[str, Any]:
    """Everything that templates refer to, as it stands now: snippets, destinations, layout.

    `shared` changes are laid over it, as if they had been published.
    """
    snippets = dict(Snippet.objects.values_list("key", "body"))
    screens = {
        screen.key: screen for screen in Destination.objects.select_related("host").order_by("key")
    }
    for change in shared:
        if change.snippet is not None:
            snippets[change.snippet.key] = change.after["body"]
        elif change.destination is not None:
            screens[change.destination.key] = screen_after(change.destination, change.after)
    return {
        "snippets": snippets,
        "destinations": {
            key: {
                "base_url": screen.host.base_url,
                "path": screen.path,
                "name": screen.name,
                "capability": screen.capability,
            }
            for key, screen in screens.items()
        },
        "layout": default_layout(),
    }


def screen_after(screen: Destination, after: Mapping[str, Any]) -> Destination:
    """The screen, unsaved, with these fields by name."""
    return Destination(
        pk=screen.pk,
        key=screen.key,
        name=after.get("name", screen.name),
        host=Host.objects.get(pk=after.get("host", screen.host_id)),
        path=after.get("path", screen.path),
        capability=after.get("capability", screen.capability),
    )


@lru_cache(maxsize=1)
def default_layout() -> dict[str, str]:
    """The brand layout that ships, as MJML and as text."""
    folder = Path(settings.BASE_DIR) / "templates" / "messaging"
    return {
        "mjml": (folder / "layout.mjml").read_text("utf-8"),
        "text": (folder / "layout.txt").read_text("utf-8"),
    }


def render(
    content: Content | Mapping[str, Any], frozen: Mapping[str, Any], context: Mapping[str, Any]
) -> Rendered:
    """The mail for this reader. Raises RenderError, saying what is wrong, and ContentError.

    An empty text counts as no value: `{% if helper.name %}` is then false and `default` applies.
    """
    content = content if isinstance(content, Content) else read(content)
    facts = without_empty(context)
    return compose(choose(content, facts), frozen, facts).rendered


@dataclass(frozen=True, slots=True)
class Composed:
    """A mail together with how it came about: its wording without the values, the text around the body,
    and what was noted on the way."""

    rendered: Rendered
    skeleton: Skeleton
    around_text: str
    run: Run


def compose(
    variant: Variant,
    frozen: Mapping[str, Any],
    facts: Mapping[str, Any],
    seconds: float = TIME_LIMIT_SECONDS,
) -> Composed:
    """The mail in this wording; `facts` are without empty texts. Raises RenderError with its place."""
    run = Run(
        snippets=frozen.get("snippets") or {},
        destinations=frozen.get("destinations") or {},
        deadline=time.thread_time() + seconds,
    )
    subject, preheader = lines_of(variant, run, facts)
    if len(variant.body) > BODY_LIMIT:
        raise RenderError(f"The body is longer than {BODY_LIMIT} characters.")
    layout = frozen.get("layout") or default_layout()
    body = render_at("body", "body", variant.body, run, facts)
    around = {**facts, "subject": subject, "preheader": preheader}
    around_html = render_at("layout.mjml", "body", layout["mjml"], run, around, LAYOUT_ONLY)
    around_text = render_at("layout.text", "body", layout["text"], run, around, LAYOUT_ONLY)
    with blaming("body"):
        skeleton = compile_mail(body, around_html, around_text)
        rendered = Rendered(
            subject=subject,
            preheader=preheader,
            html=skeleton.fill_html(run.slots),
            text=skeleton.fill_text(run.slots),
            variant=variant.name,
        )
    return Composed(rendered, skeleton, run.expand(around_text), run)


def render_at(
    place: str,
    kind: str,
    source: str,
    run: Run,
    facts: Mapping[str, Any],
    extra: frozenset[str] = frozenset(),
) -> str:
    """The text for these facts; an error names the place."""
    run.place = place
    with blaming(place):
        return render_source(kind, source, run, facts, extra)


def lines_of(variant: Variant, run: Run, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and preheader, each on one line. Raises RenderError for an empty subject."""
    with blaming("subject"):
        subject = one_line(render_at("subject", "line", variant.subject, run, facts))
        if not subject:
            raise NoSubject("The subject is empty.")
    return subject, one_line(render_at("preheader", "line", variant.preheader, run, facts))


def one_line(text: str) -> str:
    """The text without control characters or line breaks: safe in a header."""
    printable = "".join(" " if not char.isprintable() else char for char in text)
    line = " ".join(printable.split())
    return line if len(line) <= SUBJECT_LIMIT else line[: SUBJECT_LIMIT - 1].rstrip() + "…"


def without_empty(value: Any) -> Any:
    """The same facts with None for every empty text, since in Liquid an empty text counts as true."""
    if isinstance(value, Mapping):
        return {str(key): without_empty(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_empty(inner) for inner in value]
    return None if value == "" else value
