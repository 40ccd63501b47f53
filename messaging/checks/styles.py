"""Which colours the words of a mail have, and on what: as much of CSS as mails use.

Inline styles, style sheets with tags, classes, descendants and children, `!important`, and the rules
for dark mode. Anything else in a sheet is passed over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from lxml import html

Colour = tuple[int, int, int]

NAMED: dict[str, Colour] = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "navy": (0, 0, 128),
}
LINK: Colour = (0, 0, 238)  # as browsers show a link that nobody has coloured
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SIMPLE = re.compile(r"^(?:[\w*-]+)?(?:\.[\w-]+)*$")


@dataclass(frozen=True, slots=True)
class Painted:
    """Words with their colour and what is behind them."""

    words: str
    colour: Colour
    behind: Colour
    large: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One selector, as (combinator, tag, classes) from right to left, and what it sets."""

    selector: tuple[tuple[str, str, frozenset[str]], ...]
    weight: tuple[int, int]
    declared: Mapping[str, tuple[str, bool]]
    dark: bool


def colour(value: str) -> Colour | None:
    """The colour that a CSS value says, None where it says none that we know."""
    value = value.strip().lower()
    if found := re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", value):
        digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
        return (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16))
    if found := re.fullmatch(r"rgb\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)", value):
        return (int(found[1]), int(found[2]), int(found[3]))
    return NAMED.get(value)


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio, 1 to 21: WCAG 2.2, “contrast ratio” and “relative luminance”."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(of: Colour) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in of)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@lru_cache(maxsize=64)
def declarations(style: str) -> Mapping[str, tuple[str, bool]]:
    """What a `style` sets: property to value and whether it is important."""
    found = {}
    for part in style.split(";"):
        name, _, value = part.partition(":")
        bare = value.replace("!important", "").strip()
        if name.strip() and bare:
            found[name.strip().lower()] = (bare, "!important" in value)
    return found


@lru_cache(maxsize=64)
def rules(sheet: str, dark: bool = False) -> tuple[Rule, ...]:
    """The rules of a style sheet that hold on any screen, and those for dark mode."""
    found: list[Rule] = []
    sheet = COMMENT.sub("", sheet)
    at = 0
    while (opening := sheet.find("{", at)) >= 0:
        closing = _closing(sheet, opening)
        head, inside = sheet[at:opening].strip(), sheet[opening + 1 : closing]
        if "prefers-color-scheme" in head:
            found += rules(inside, dark="dark" in head) if "dark" in head else ()
        elif not head.startswith("@"):
            for selector in head.split(","):
                if read := _selector(selector):
                    classes = sum(len(part[2]) for part in read)
                    tags = sum(part[1] not in ("", "*") for part in read)
                    found.append(Rule(read, (classes, tags), declarations(inside), dark))
        at = closing + 1
    return tuple(found)


def _closing(sheet: str, opening: int) -> int:
    depth = 0
    for found in re.compile(r"[{}]").finditer(sheet, opening):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return len(sheet)


def _selector(text: str) -> tuple[tuple[str, str, frozenset[str]], ...]:
    """From right to left; empty for a selector that we do not know."""
    combinator, parts = "", []
    for word in reversed(text.replace(">", " > ").split()):
        if word == ">":
            combinator = ">"
            continue
        if not SIMPLE.match(word):
            return ()
        tag, *classes = word.split(".")
        parts.append((combinator or " ", tag.lower(), frozenset(classes)))
        combinator = ""
    return tuple(parts)


def _is(element: html.HtmlElement, tag: str, classes: frozenset[str]) -> bool:
    return (not tag or tag in ("*", element.tag)) and (
        not classes or classes <= set((element.get("class") or "").split())
    )


def _matches(rule: Rule, element: html.HtmlElement) -> bool:
    (_, tag, classes), *around = rule.selector
    if not _is(element, tag, classes):
        return False
    here = element.getparent()
    for combinator, tag, classes in around:
        while here is not None and not _is(here, tag, classes):
            if combinator == ">":
                return False
            here = here.getparent()
        if here is None:
            return False
        here = here.getparent()
    return True


def painted(tree: html.HtmlElement, *, dark: bool) -> Iterator[Painted]:
    """All words that are shown, with their colours, in light or in dark mode."""
    every = [rule for sheet in tree.iter("style") for rule in rules(sheet.text or "")]
    held = [rule for rule in every if dark or not rule.dark]
    body = tree.find("body")
    if body is None:
        return
    start = _Look((255, 255, 255) if dark else (0, 0, 0), (18, 18, 18) if dark else (255, 255, 255))
    waiting = [(body, start)]
    while waiting:
        element, around = waiting.pop()
        look = around.of(element, held)
        if look is None:
            continue
        words = " ".join((element.text or "").split())
        if words:
            yield look.with_words(words)
        for child in element:
            if isinstance(child.tag, str):
                waiting.append((child, look))
            if tail := " ".join((child.tail or "").split()):
                yield look.with_words(tail)


@dataclass(frozen=True, slots=True)
class _Look:
    """What an element hands on to what stands in it."""

    colour: Colour
    behind: Colour
    size: float = 16
    bold: bool = False

    def with_words(self, words: str) -> Painted:
        # WCAG 2.2, “large scale”: 18 point, or 14 point and bold.
        large = self.size >= 24 or (self.bold and self.size >= 18.66)
        return Painted(words, self.colour, self.behind, large)

    def of(self, element: html.HtmlElement, held: list[Rule]) -> "_Look | None":
        """The look of this element inside; None where it is not shown."""
        styled = _styled(element, held)
        if styled.get("display", "").startswith("none"):
            return None
        own = LINK if element.tag == "a" and element.get("href") else None
        size = re.fullmatch(r"([\d.]+)px", styled.get("font-size", ""))
        weight = styled.get("font-weight", "bold" if element.tag in ("strong", "b") else "")
        heavy = weight.startswith("bold") or (weight.isdecimal() and int(weight[:4]) >= 700)
        backgrounds = [
            found
            for name in ("background-color", "background")
            if (found := colour(styled.get(name, "")))
        ]
        return _Look(
            colour(styled.get("color", "")) or own or self.colour,
            backgrounds[0] if backgrounds else self.behind,
            float(size[1]) if size else self.size,
            heavy if weight else self.bold,
        )


def _styled(element: html.HtmlElement, held: list[Rule]) -> dict[str, str]:
    """What holds for the element: attribute, then sheets by weight, then inline, then the important ones."""
    layers: list[tuple[tuple[int, ...], str, str]] = []
    if behind := element.get("bgcolor"):
        layers.append(((0, 0, 0, 0), "background-color", behind))
    for order, rule in enumerate(held):
        if _matches(rule, element):
            for name, (value, important) in rule.declared.items():
                layers.append(((3 if important else 1, *rule.weight, order), name, value))
    for name, (value, important) in declarations(element.get("style") or "").items():
        layers.append(((4 if important else 2, 0, 0, 0), name, value))
    styled: dict[str, str] = {}
    for _, name, value in sorted(layers, key=lambda layer: layer[0]):
        styled[name] = value
        if name in ("background", "background-color"):
            # The later of the two covers the earlier.
            styled["background" if name == "background-color" else "background-color"] = value
    return styled
