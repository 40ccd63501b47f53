"""A mail to look at, as its reader got it or as an example reader would, in a frame that can do nothing."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse

from messaging import unsubscribe
from messaging.content import EXAMPLES, ContentError, RenderError, Variant, read
from messaging.models import Message, TemplateVersion
from messaging.rendering import Rendered, render
from messaging.review import frozen_of

# The frame runs nothing, loads nothing but pictures, and belongs to no origin.
FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; sandbox; frame-ancestors 'self'"


def of_message(message: Message) -> Rendered:
    """The mail of this message, from the version it is bound to and the facts it was claimed with."""
    version = message.template_version
    stop = unsubscribe.url(message.address_id, message.category)
    context = {**message.context, "unsubscribe_url": stop}
    return render(version.content, version.frozen, context)


def of_version(version: TemplateVersion, position: int) -> Rendered:
    """One variant of a version as an example reader gets it. Raises RenderError where there is none."""
    content = read(version.content)
    try:
        variant = content.variants[position]
    except IndexError:
        raise RenderError(f"There is no variant {position}.") from None
    return render(content, frozen_of(version), example_facts(variant))


def example_facts(variant: Variant) -> dict[str, Any]:
    """Made-up facts of a reader whom this variant is for."""
    facts: dict[str, Any] = {}
    for path, example in EXAMPLES.items():
        *groups, name = path.split(".")
        inner = facts
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = example
    facts["product"]["name"] = settings.PRODUCT_NAME
    if variant.provider:
        facts["provider"] = {
            "key": variant.provider,
            "name": variant.provider.replace("_", " ").title(),
        }
    if variant.error_class:
        facts["error"] |= {
            "class": variant.error_class,
            "name": variant.error_class.replace("_", " "),
        }
    if variant.role:
        facts["person"]["role"] = variant.role
    return facts


def frame(rendered: Rendered | RenderError | ContentError, *, part: str) -> HttpResponse:
    """The part as a page of its own for a frame; for an error, what it says."""
    if not isinstance(rendered, Rendered):
        answer = HttpResponse(
            f"This mail cannot be rendered: {rendered}", content_type="text/plain; charset=utf-8"
        )
    elif part == "text":
        answer = HttpResponse(rendered.text, content_type="text/plain; charset=utf-8")
    else:
        answer = HttpResponse(rendered.html, content_type="text/html; charset=utf-8")
    answer["Content-Security-Policy"] = FRAME_POLICY
    answer["Cache-Control"] = "private, no-store"
    return answer
