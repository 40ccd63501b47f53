"""From Markdown with components to the two parts of a mail: MJML made HTML, and text.

Works on marked text (see messaging.language): no value is in it yet, so results are cached per
wording and reused for every reader of it.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

import mrml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from messaging.content import BadLayout, RenderError
from messaging.slots import BLOCK, BLOCK_END, BLOCK_NAME_END, PART, SLOT, SLOT_END, SLOT_MARK

BODY_PLACE = "<!-- body -->"
# mrml would have every mail fetch the fonts it knows (Roboto) from Google, which tells them who reads.
NO_WEB_FONTS = mrml.RenderOptions(fonts={})
# mrml writes private-use characters in attributes as \u{e000}, so for it marks are spelt in ASCII.
ASCII_MARK = re.compile(r"slot-q7x-([a-z])([0-9]+)-")
ALLOWED_SCHEMES = ("https://", "http://", "mailto:")
STYLES = {
    "p": "margin:0 0 12px",
    "h1": "margin:8px 0 12px;font-size:24px;line-height:1.25",
    "h2": "margin:8px 0 12px;font-size:20px;line-height:1.3",
    "h3": "margin:8px 0 8px;font-size:17px;line-height:1.4",
    "ul": "margin:0 0 12px;padding-left:24px",
    "ol": "margin:0 0 12px;padding-left:24px",
    "li": "margin:0 0 4px",
    "blockquote": "margin:0 0 12px;padding-left:12px;border-left:3px solid #cbd2d9",
    "code": "font-family:Menlo,Consolas,monospace;font-size:14px;background-color:#eef1f4;padding:1px 4px",
}
PRE = (
    "margin:0 0 12px;padding:12px;background-color:#eef1f4;font-family:Menlo,Consolas,monospace;"
    "font-size:14px;line-height:1.45;white-space:pre-wrap;word-break:break-word"
)
NOTE_COLUMN = (
    'css-class="note" inner-background-color="#eef3ff" padding="4px 20px" inner-border-radius="6px"'
)


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Both parts with their slots: literal, (kind, slot number), literal, …"""

    html: tuple[str | tuple[str, int], ...]
    text: tuple[str | tuple[str, int], ...]

    def fill_html(self, slots: Sequence[str]) -> str:
        return "".join(
            part if isinstance(part, str) else for_html(part[0], slots[part[1]])
            for part in self.html
        )

    def fill_text(self, slots: Sequence[str]) -> str:
        return "".join(
            part if isinstance(part, str) else for_text(part[0], slots[part[1]])
            for part in self.text
        )


def for_html(kind: str, value: str) -> str:
    return html.escape(for_text(kind, value))


def for_text(kind: str, value: str) -> str:
    """The value as its place needs it: `h` begins a link's address, `q` stands inside one."""
    match kind:
        case "h":
            value = value.strip()
            if not value.lower().startswith(ALLOWED_SCHEMES):
                raise RenderError(f"A link must begin with https://, not {value[:80]!r}.")
            return re.sub(r"\s", "", value)
        case "q":
            return quote(value, safe="@")
        case _:
            return value


@dataclass
class Block:
    """A stretch of the body: `words` is Markdown, `button` an address and a label, the rest hold blocks."""

    name: str
    source: str = ""
    inside: list["Block"] = field(default_factory=list)


BLOCK_MARKS = re.compile(f"({BLOCK}[a-z]+{BLOCK_NAME_END}|{BLOCK_END})")


def blocks(marked: str) -> list[Block]:
    """The body's blocks, nested as its components are."""
    top = Block("top")
    open_blocks = [top]
    for piece in BLOCK_MARKS.split(marked):
        if piece == BLOCK_END:
            open_blocks.pop()
        elif piece.startswith(BLOCK):
            block = Block(piece[1:-1])
            if len(open_blocks) > 1 and block.name in ("note", "tip", open_blocks[-1].name):
                raise RenderError(f"A {block.name} cannot stand inside a {open_blocks[-1].name}.")
            if open_blocks[-1].name in ("button", "checklist"):
                raise RenderError(f"A {block.name} cannot stand inside a {open_blocks[-1].name}.")
            open_blocks[-1].inside.append(block)
            open_blocks.append(block)
        elif open_blocks[-1].name in ("button", "checklist"):
            open_blocks[-1].source += piece
        elif piece.strip():
            open_blocks[-1].inside.append(Block("words", piece))
    return top.inside


# --- Markdown -----------------------------------------------------------------------------
def allowed_link(url: str) -> bool:
    if url.startswith(SLOT) or url.lower().startswith(ALLOWED_SCHEMES):
        return True
    raise RenderError(f"A link must begin with https://, not {url[:80]!r}.")


def address_marks(url: str) -> str:
    """The same address with each mark saying where in it the value stands."""
    return SLOT_MARK.sub(
        lambda mark: f"{SLOT}{'q' if mark.start() else 'h'}{mark[2]}{SLOT_END}", url
    )


def markdown_parser() -> MarkdownIt:
    # No images, no raw HTML, no tables: what is left looks the same in every mail program.
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True, "maxNesting": 12})
    parser.disable(["image", "html_block", "html_inline", "reference"])
    parser.validateLink = allowed_link  # type: ignore[method-assign]
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    return parser


MARKDOWN = markdown_parser()


def parse(source: str) -> list[Token]:
    tokens = MARKDOWN.parse(source.strip("\n"))
    for token in tokens:
        decorate(token)
        for child in token.children or ():
            decorate(child)
    return tokens


def decorate(token: Token) -> None:
    if token.nesting == 1 or token.type == "code_inline":
        if style := STYLES.get(token.tag):
            token.attrSet("style", style)
        if href := token.attrGet("href"):
            token.attrSet("href", address_marks(str(href)))


def words_html(source: str) -> str:
    rendered: str = MARKDOWN.renderer.render(parse(source), MARKDOWN.options, {})
    return rendered.replace("<pre><code", f'<pre style="{PRE}"><code')


# --- MJML ---------------------------------------------------------------------------------
def body_mjml(found: Sequence[Block]) -> str:
    """The body's sections: notes and tips get one of their own, what is between them shares one."""
    out: list[str] = []
    run: list[str] = []

    def close() -> None:
        if run:
            out.append(section("", run))
            run.clear()

    for block in found:
        if block.name in ("note", "tip"):
            close()
            inside = [element(inner) for inner in block.inside]
            if block.name == "tip":
                inside.insert(0, mj_text("<strong>Tip</strong>"))
            out.append(section(NOTE_COLUMN, inside))
        else:
            run.append(element(block))
    close()
    return "".join(out)


def section(column: str, inside: Sequence[str]) -> str:
    return (
        f'<mj-section css-class="card"><mj-column {column}>{"".join(inside)}'
        "</mj-column></mj-section>"
    )


def mj_text(inside: str) -> str:
    return f'<mj-text css-class="words">{inside}</mj-text>'


def element(block: Block) -> str:
    match block.name:
        case "button":
            url, label = button_parts(block)
            return f'<mj-button href="{url}">{html.escape(label)}</mj-button>'
        case "checklist":
            items = "".join(
                f'<tr><td style="padding:0 10px 8px 0;vertical-align:top">&#9744;</td>'
                f'<td style="padding:0 0 8px">{item}</td></tr>'
                for item in checklist_html(block.source)
            )
            return mj_text(
                f'<table role="presentation" border="0" style="border:0">{items}</table>'
            )
        case _:
            return mj_text(words_html(block.source))


def button_parts(block: Block) -> tuple[str, str]:
    url, _, label = block.source.partition(PART)
    if not label.strip():
        raise RenderError("A button needs a label.")
    return address_marks(url), label.strip()


def items(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens of each item of the checklist's one list."""
    found: list[list[Token]] = []
    for token in tokens:
        if token.type == "list_item_open" and token.level == 1:
            found.append([])
        elif token.level > 1 and found:
            found[-1].append(token)
        elif token.level == 0 and not token.type.endswith(("list_open", "list_close")):
            raise RenderError("A checklist holds one list and nothing else.")
    if not found:
        raise RenderError("A checklist needs at least one item, written as “- item”.")
    return found


def checklist_html(source: str) -> list[str]:
    return [
        MARKDOWN.renderer.render(inside, MARKDOWN.options, {}).strip()
        for inside in items(parse(source))
    ]


# --- text ---------------------------------------------------------------------------------
def body_text(found: Sequence[Block]) -> str:
    parts = []
    for block in found:
        match block.name:
            case "button":
                url, label = button_parts(block)
                parts.append(f"{label}:\n{url}")
            case "checklist":
                parts.append(
                    "\n".join(f"[ ] {tokens_text(inside)}" for inside in items(parse(block.source)))
                )
            case "note" | "tip":
                parts.append(f"{block.name.capitalize()}: {body_text(block.inside)}")
            case _:
                parts.append(tokens_text(parse(block.source)))
    return "\n\n".join(part for part in parts if part)


def tokens_text(tokens: Sequence[Token]) -> str:
    """Paragraphs apart by an empty line, lists with their markers, code indented."""
    out: list[str] = []
    lists: list[int | None] = []
    marker = ""
    for token in tokens:
        indent = "  " * max(len(lists) - 1, 0)
        match token.type:
            case "bullet_list_open":
                lists.append(None)
            case "ordered_list_open":
                lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
                if not lists:
                    out.append("")
            case "list_item_open":
                number = lists[-1] if lists else None
                marker = "- " if number is None else f"{number}. "
                if lists and number is not None:
                    lists[-1] = number + 1
            case "inline":
                lead = marker or ("  " if lists else "")
                text = inline_text(token.children or [])
                out.append(
                    f"{indent}{lead}" + text.replace("\n", f"\n{indent}  " if lists else "\n")
                )
                marker = ""
            case "paragraph_close" | "heading_close":
                if not token.hidden and not lists:
                    out.append("")
            case "fence" | "code_block":
                out += [f"    {line}" for line in token.content.rstrip("\n").split("\n")] + [""]
            case "hr":
                out += ["---", ""]
            case _:
                pass
    return "\n".join(out).strip("\n")


def inline_text(children: Sequence[Token]) -> str:
    out: list[str] = []
    addresses: list[tuple[str, int]] = []
    for child in children:
        match child.type:
            case "text" | "code_inline":
                out.append(child.content)
            case "softbreak" | "hardbreak":
                out.append("\n")
            case "link_open":
                addresses.append((str(child.attrGet("href") or ""), len(out)))
            case "link_close":
                address, since = addresses.pop()
                label = "".join(out[since:])
                address = address.removeprefix("mailto:")
                if label != address:
                    out.append(f" ({address})")
            case _:
                pass
    return "".join(out)


# --- both parts ---------------------------------------------------------------------------
@lru_cache(maxsize=1024)
def compile_mail(body: str, layout_mjml: str, layout_text: str) -> Skeleton:
    """Both parts of a mail, from the marked body inside the marked layouts."""
    for place in (layout_mjml, layout_text):
        if place.count(BODY_PLACE) != 1:
            raise BadLayout(f"The layout must have {BODY_PLACE} once.")
    try:
        found = blocks(body)
        if not found:
            raise RenderError("The body is empty.")
        return Skeleton(
            html=split_marks(page_html(layout_mjml, body_mjml(found)), ASCII_MARK),
            text=split_marks(page_text(layout_text, body_text(found)), SLOT_MARK),
        )
    except RecursionError:
        raise RenderError("The body is nested too deeply.") from None


def page_html(layout: str, body: str) -> str:
    if ASCII_MARK.search(layout) or ASCII_MARK.search(body):
        raise RenderError("The text may not contain slot-q7x-.")
    layout = re.sub(r'href="([^"]*)"', lambda m: f'href="{address_marks(m[1])}"', layout)
    marked = layout.replace(BODY_PLACE, body)
    ascii_marked = SLOT_MARK.sub(r"slot-q7x-\1\2-", marked)
    try:
        return str(mrml.to_html(ascii_marked, render_options=NO_WEB_FONTS).content)
    except Exception as error:
        # mrml raises a bare exception class; the layout or our own MJML is at fault, and nothing may be sent.
        raise BadLayout(f"The layout is not valid MJML: {error}") from error


def page_text(layout: str, body: str) -> str:
    text = layout.replace(BODY_PLACE, body)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def split_marks(marked: str, pattern: re.Pattern[str]) -> tuple[str | tuple[str, int], ...]:
    parts: list[str | tuple[str, int]] = []
    end = 0
    for mark in pattern.finditer(marked):
        parts += [marked[end : mark.start()], (mark[1], int(mark[2]))]
        end = mark.end()
    return (*parts, marked[end:])
