"""The links of a mail as its reader gets it, and which registered screen each of them is."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Literal
from urllib.parse import urlsplit

from messaging.content import RenderError
from messaging.language import destination_url
from messaging.rendering import Rendered, without_empty
from messaging.slots import TIME_LIMIT_SECONDS, Run

Kind = Literal["button", "text", "plain"]
BARE = re.compile(r"https?://[^\s<>\"]+")


@dataclass(frozen=True, slots=True)
class Link:
    """One link: where it leads, its words, and whether it is a button, a link in the text, or a bare
    address that mail programs make a link of."""

    href: str
    label: str
    kind: Kind


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Link] = []
        self.open: tuple[str, Kind, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            told = dict(attrs)
            # Our layout's only anchors with a background of their own are MJML's buttons.
            kind: Kind = "button" if "background" in (told.get("style") or "") else "text"
            self.open = (told.get("href") or "", kind, [])

    def handle_data(self, data: str) -> None:
        if self.open is not None:
            self.open[2].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.open is not None:
            href, kind, words = self.open
            self.found.append(Link(href, " ".join("".join(words).split()), kind))
            self.open = None


def links_of(rendered: Rendered) -> list[Link]:
    """Every link of both parts, in the order of the HTML; the text part adds what only it has."""
    anchors = _Anchors()
    anchors.feed(rendered.html)
    anchors.close()
    found = list(dict.fromkeys(anchors.found))
    known = {link.href for link in found}
    for bare in BARE.findall(rendered.text):
        href = bare.rstrip(".,;:!?'")
        # `(https://…)` stands around an address; an address may itself end with a bracket.
        while href.endswith(")") and href.count(")") > href.count("("):
            href = href[:-1]
        if href not in known:
            known.add(href)
            found.append(Link(href, href, "plain"))
    return found


def destination_of(
    href: str, destinations: Mapping[str, Mapping[str, str]], context: Mapping[str, Any]
) -> str:
    """The key of the screen that this address is, for this reader; empty where it is none.

    The query may differ: a screen is its host and path. One that fits entirely comes first.
    """
    return Screens(destinations, context).key_of(href)


class Screens:
    """The registered screens' addresses, as they are for one reader."""

    def __init__(
        self, destinations: Mapping[str, Mapping[str, str]], context: Mapping[str, Any]
    ) -> None:
        run = Run({}, destinations, deadline=time.thread_time() + TIME_LIMIT_SECONDS)
        facts = without_empty(context)
        self.whole: dict[str, str] = {}
        self.bare: dict[str, str] = {}
        for key in destinations:
            try:
                url = destination_url(key, run, facts)
            except RenderError:
                continue  # this reader never gets a link to it
            self.whole.setdefault(url, key)
            self.bare.setdefault(screen_of(url), key)

    def key_of(self, href: str) -> str:
        return self.whole.get(href) or self.bare.get(screen_of(href), "")


def screen_of(url: str) -> str:
    """The address without query, fragment and final slash: what names a screen."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme.lower()}://{host}{parts.path.rstrip('/')}"
