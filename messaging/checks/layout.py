"""The layout around every mail: its MJML, and its pictures.

The compiler passes over a tag that it does not know, or one in the wrong place, without a word;
what stood inside is then missing from every mail.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from lxml import etree

from messaging.checks.remark import Remark
from messaging.checks.trial import Trials
from messaging.content import BadLayout
from messaging.markup import BODY_PLACE

PLACE = "layout.mjml"
LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)

# What may stand in what: https://documentation.mjml.io, “Components”. None: text and HTML.
SHOWN = frozenset(
    [
        "mj-accordion",
        "mj-button",
        "mj-carousel",
        "mj-divider",
        "mj-image",
        "mj-navbar",
        "mj-raw",
        "mj-social",
        "mj-spacer",
        "mj-table",
        "mj-text",
    ]
)
INSIDE: dict[str, frozenset[str] | None] = {
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": frozenset(
        [
            "mj-attributes",
            "mj-breakpoint",
            "mj-font",
            "mj-html-attributes",
            "mj-preview",
            "mj-raw",
            "mj-style",
            "mj-title",
        ]
    ),
    "mj-body": frozenset({"mj-section", "mj-wrapper", "mj-hero", "mj-raw"}),
    "mj-wrapper": frozenset({"mj-section", "mj-hero", "mj-raw"}),
    "mj-section": frozenset({"mj-column", "mj-group", "mj-raw"}),
    "mj-group": frozenset({"mj-column", "mj-raw"}),
    "mj-column": SHOWN,
    "mj-hero": SHOWN,
    "mj-accordion": frozenset({"mj-accordion-element", "mj-raw"}),
    "mj-accordion-element": frozenset({"mj-accordion-title", "mj-accordion-text", "mj-raw"}),
    "mj-carousel": frozenset({"mj-carousel-image"}),
    "mj-navbar": frozenset({"mj-navbar-link", "mj-raw"}),
    "mj-social": frozenset({"mj-social-element", "mj-raw"}),
    **dict.fromkeys(
        [
            "mj-accordion-text",
            "mj-accordion-title",
            "mj-breakpoint",
            "mj-button",
            "mj-carousel-image",
            "mj-divider",
            "mj-font",
            "mj-image",
            "mj-navbar-link",
            "mj-preview",
            "mj-raw",
            "mj-social-element",
            "mj-spacer",
            "mj-style",
            "mj-table",
            "mj-text",
            "mj-title",
        ]
    ),
}
UNDECLARED_ENTITY = 26  # libxml2's number for `&nbsp;`, which HTML knows and XML does not


@lru_cache(maxsize=32)
def parsed(mjml: str) -> tuple[etree._Element | None, tuple[tuple[int, str], ...]]:
    """The layout as a tree, as far as it can be read, and its faults with their lines."""
    masked = LIQUID.sub(lambda found: re.sub(r"[^\n]", "x", found[0]), mjml)
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
    tree = etree.fromstring(masked.encode(), parser)
    faults = tuple(
        (entry.line, entry.message) for entry in parser.error_log if entry.type != UNDECLARED_ENTITY
    )
    return tree, faults


def layout(trials: Trials) -> Iterator[Remark]:
    """MJML that does not parse, that nobody knows, or that stands where it has no effect."""
    tree, faults = parsed(trials.layout)
    for line, message in faults[:1]:
        yield _fault(
            f"The layout is not well-formed: {message}.", "Close and quote it properly.", line
        )
    if tree is not None and not faults:
        yield from _nesting(tree)
        yield from _body_place(tree)
    if not faults:
        for trial in trials.done:
            if isinstance(trial.error, BadLayout):
                yield _fault(str(trial.error), "Mend the layout.", None)


def _fault(what: str, mend: str, line: int | None) -> Remark:
    return Remark("layout", PLACE, what, mend, True, line)


def _nesting(tree: etree._Element) -> Iterator[Remark]:
    for element in tree.iter(etree.Element):
        parent = element.getparent()
        if element.tag.startswith("mj-") and element.tag not in (*INSIDE, *ATTRIBUTES):
            yield _fault(
                f"There is no MJML tag <{element.tag}>.",
                "Look up how it is spelt, or write HTML inside <mj-raw>.",
                element.sourceline,
            )
        elif parent is None:
            if element.tag != "mjml":
                yield _fault(
                    "The layout does not begin with <mjml>.",
                    "Put it into <mjml>.",
                    element.sourceline,
                )
        elif not _may_stand(element.tag, parent):
            yield _fault(
                f"<{element.tag}> has no effect inside <{parent.tag}>.",
                _where(element.tag),
                element.sourceline,
            )


ATTRIBUTES = ("mj-attributes", "mj-html-attributes", "mj-all", "mj-class", "mj-selector", "mj-html-attribute")  # fmt: skip


def _may_stand(tag: str, parent: etree._Element) -> bool:
    # Defaults for any component may be set, by tags of their names.
    if parent.tag in ATTRIBUTES or any(one.tag in ATTRIBUTES for one in parent.iterancestors()):
        return True
    if parent.tag not in INSIDE:
        return not tag.startswith("mj-")
    allowed = INSIDE[parent.tag]
    return not tag.startswith("mj-") if allowed is None else tag in allowed


def _where(tag: str) -> str:
    parents = [f"<{parent}>" for parent, inside in INSIDE.items() if inside and tag in inside]
    return f"Put it into {' or '.join(parents)}." if parents else "Put it into <mj-raw>."


def _body_place(tree: etree._Element) -> Iterator[Remark]:
    words = BODY_PLACE.removeprefix("<!--").removesuffix("-->")
    for comment in tree.iter(etree.Comment):
        parent = comment.getparent()
        if comment.text == words and parent is not None and parent.tag != "mj-body":
            yield _fault(
                f"{BODY_PLACE} stands inside <{parent.tag}>; what a mail says is then lost.",
                "Put it directly into <mj-body>.",
                comment.sourceline,
            )


def image_alt(trials: Trials) -> Iterator[Remark]:
    """A picture without words for whoever does not see it; many programs show none at first."""
    tree, _ = parsed(trials.layout)
    if tree is None:
        return
    for element in tree.iter("mj-image", "mj-carousel-image", "img"):
        if element.get("alt") is None:
            yield Remark(
                "image_alt",
                PLACE,
                "A picture has no alternative text.",
                'Add alt="…" with what it shows, or alt="" if it is only decoration.',
                True,
                element.sourceline,
            )
