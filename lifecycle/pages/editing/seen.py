"""An e-mail as its readers would see it, from words that may be unfinished."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lifecycle.pages.editing import typed
from messaging.checks.remark import Sample
from messaging.content import EXAMPLES, Content, ContentError, RenderError, Variant, choose
from messaging.preview import example_facts
from messaging.rendering import Rendered, compose, without_empty

# What a page full of readers may cost in processor time, however hostile the words.
TIME_LIMIT_SECONDS = 1.0
OWN_TEXTS = ("subject", "preheader", "body")
# What of FRAME_POLICY a page can say of itself; the frame's `sandbox` says the rest.
SEAL = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src https: data:\">"
)
DARK = re.compile(r"\(\s*prefers-color-scheme:\s*dark\s*\)")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one reader gets: variant `at`, or None where none fits; with an error, why and where."""

    sample: Sample
    at: int | None
    variant: str = ""
    rendered: Rendered | None = None
    error: str = ""
    place: str = ""
    line: int | None = None


def see(words: Mapping[str, Any], frozen: Mapping[str, Any], sample: Sample) -> Seen:
    """The mail that this reader would get from these words."""
    return _see(Content(typed.variants(words)), frozen, sample)


def see_variant(
    words: Mapping[str, Any],
    frozen: Mapping[str, Any],
    samples: Sequence[Sample],
    sample: Sample,
    at: int,
) -> Seen:
    """Variant `at` as this reader gets it, else as the first who does; for one nobody gets, as made up."""
    content = Content(typed.variants(words))
    for one in (sample, *samples):
        try:
            if _position(content, choose(content, without_empty(one.context))) == at:
                return _see(content, frozen, one)
        except RenderError:
            continue
    if at >= len(content.variants):
        return _see(content, frozen, sample)
    variant = content.variants[at]
    # Among the others it might lose even its own example.
    alone = Content((variant,))
    made_up = Sample("", "a made-up reader", example_facts(variant))
    return replace(_see(alone, frozen, made_up), at=at)


def see_all(
    words: Mapping[str, Any], frozen: Mapping[str, Any], samples: Sequence[Sample]
) -> Sequence[Seen]:
    """Every reader's mail; those for whom the time did not suffice say so."""
    content = Content(typed.variants(words))
    deadline = time.thread_time() + TIME_LIMIT_SECONDS
    found = []
    for sample in samples:
        if time.thread_time() < deadline:
            found.append(_see(content, frozen, sample))
        else:
            late = "Not tried: the readers before took too long."
            found.append(Seen(sample, None, error=late, place="variants"))
    return found


def _see(content: Content, frozen: Mapping[str, Any], sample: Sample) -> Seen:
    # Everybody can leave, but the address to do so is made when the mail is.
    facts = without_empty({"unsubscribe_url": EXAMPLES["unsubscribe_url"], **sample.context})
    try:
        variant = choose(content, facts)
    except RenderError as error:
        return Seen(sample, None, error=str(error), place="variants")
    at = _position(content, variant)
    try:
        rendered = compose(variant, frozen, facts).rendered
    except (RenderError, ContentError) as error:
        place = getattr(error, "place", "") or "body"
        place = f"variants.{at}.{place}" if place in OWN_TEXTS else place
        line = getattr(error, "line", None)
        return Seen(sample, at, variant.name, error=str(error), place=place, line=line)
    return Seen(sample, at, variant.name, rendered)


def _position(content: Content, variant: Variant) -> int:
    return next(at for at, one in enumerate(content.variants) if one is variant)


def in_scheme(html: str, scheme: str) -> str:
    """The HTML as a mail program in `dark` or `light` shows it, whatever the browser around it prefers."""
    return DARK.sub("all" if scheme == "dark" else "not all", html)


def sealed(html: str) -> str:
    """The HTML with its own policy, for a frame that is filled by script and so has no headers."""
    return html.replace("<head>", f"<head>{SEAL}", 1)
