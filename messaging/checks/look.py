"""How a mail looks: words that can be read, and nothing that major mail programs do not show."""

import re
from collections.abc import Iterator
from functools import lru_cache

from lxml import html

from messaging.checks.layout import PLACE
from messaging.checks.remark import Remark
from messaging.checks.styles import Colour, Painted, painted
from messaging.checks.styles import contrast as ratio
from messaging.checks.trial import Trials

# WCAG 2.2, success criterion 1.4.3; below the ratio for large words nobody reads any with ease.
NORMAL, LARGE = 4.5, 3.0
SHAPE_LIMIT = 300_000

# Data of https://www.caniemail.com: each is unknown to, or taken out by, at least one of Gmail,
# Outlook for Windows, Apple Mail and Yahoo. What is taken out whole, or makes a mail look like a
# trap, is blocking.
TAGS = {
    "script": ("every mail program takes scripts out", True),
    "iframe": ("mail programs take frames out", True),
    "object": ("mail programs take embedded objects out", True),
    "embed": ("mail programs take embedded objects out", True),
    "form": ("Gmail warns of forms and Outlook shows none", True),
    "input": ("Gmail warns of forms and Outlook shows none", True),
    "link": ("Gmail takes external style sheets out", True),
    "base": ("webmail takes it out, and links then lead nowhere", True),
    "video": ("Gmail and Outlook show no video", False),
    "audio": ("Gmail and Outlook play no audio", False),
    "svg": ("Gmail and Outlook show no inline SVG", False),
    "canvas": ("nothing is drawn without scripts", False),
}
STYLES = (
    (r"position\s*:\s*(absolute|fixed|sticky|relative)", "position", "Gmail and Outlook ignore it"),
    (r"display\s*:\s*(inline-)?flex", "display: flex", "Outlook for Windows ignores it"),
    (r"display\s*:\s*(inline-)?grid", "display: grid", "Outlook for Windows ignores it"),
    (r"@import", "@import", "Gmail and Outlook ignore it, and each reader is told to its host"),
    (r"@font-face", "@font-face", "Gmail and Outlook ignore web fonts"),
    (r"var\(\s*--", "CSS variables", "Gmail and Outlook do not know them"),
    (r"background(-image)?\s*:[^;}]*url\(", "a background image", "Outlook for Windows shows none"),
    (r"(?<!-)animation\s*:|@keyframes", "an animation", "Gmail and Outlook show none"),
)


@lru_cache(maxsize=128)
def _tree(shape: str) -> html.HtmlElement:
    return html.document_fromstring(shape)


def _shapes(trials: Trials) -> Iterator[str]:
    """Each HTML without its values, once; those beyond all measure are left to the rule on size."""
    shapes = {trial.shape for trial in trials.mails}
    return (shape for shape in sorted(shapes) if len(shape) <= SHAPE_LIMIT)


def _line(trials: Trials, pattern: str) -> int | None:
    found = re.search(pattern, trials.layout, re.IGNORECASE)
    return trials.layout.count("\n", 0, found.start()) + 1 if found else None


def contrast(trials: Trials) -> Iterator[Remark]:
    """Words whose colour is too close to what is behind them, in light or in dark mode."""
    seen = set()
    for shape in _shapes(trials):
        for dark, one in faint(shape):
            if (key := (dark, one.colour, one.behind)) in seen:
                continue
            seen.add(key)
            found = ratio(one.colour, one.behind)
            mode = " in dark mode" if dark else ""
            yield Remark(
                "contrast",
                PLACE,
                f"{_hex(one.colour)} on {_hex(one.behind)} has a contrast of {found:.1f} to 1{mode}; "
                f"{LARGE if one.large else NORMAL:g} to 1 is needed. It concerns “{one.words[:40]}”.",
                "Make the words darker or what is behind them lighter, or the other way round.",
                found < LARGE,
                _line(trials, _hex(one.colour)) or _line(trials, _hex(one.behind)),
            )


@lru_cache(maxsize=128)
def faint(shape: str) -> tuple[tuple[bool, Painted], ...]:
    """What is hard to read in this HTML, and whether that is so in dark mode only."""
    return tuple(
        (dark, one)
        for dark in (False, True)
        for one in painted(_tree(shape), dark=dark)
        if ratio(one.colour, one.behind) < (LARGE if one.large else NORMAL)
    )


def _hex(of: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*of)


def mail_clients(trials: Trials) -> Iterator[Remark]:
    """HTML and CSS that major mail programs do not show."""
    seen = set()
    for shape in _shapes(trials):
        for tag, why, blocking in foreign(shape):
            if tag in seen:
                continue
            seen.add(tag)
            pattern = f"<{tag}\\b" if tag in TAGS else next(p for p, n, _ in STYLES if n == tag)
            yield Remark(
                "mail_clients",
                PLACE,
                f"{f'<{tag}>' if tag in TAGS else tag}: {why}.",
                "Do without it: what a mail needs can be had with MJML’s own tags.",
                blocking,
                _line(trials, pattern),
            )


@lru_cache(maxsize=128)
def foreign(shape: str) -> tuple[tuple[str, str, bool], ...]:
    """What in this HTML some programs do not show: its name, why, and whether it is blocking."""
    tree = _tree(shape)
    tags = [
        (element.tag, *TAGS[element.tag])
        for element in tree.iter(*TAGS)
        if element.tag != "link" or "stylesheet" in (element.get("rel") or "")
    ]
    sheets = [element.text or "" for element in tree.iter("style")]
    css = "\n".join([*sheets, *tree.xpath("//@style")])
    styles = [(name, why, False) for pattern, name, why in STYLES if re.search(pattern, css, re.I)]
    return (*tags, *styles)
