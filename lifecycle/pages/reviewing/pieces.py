"""Two tellings of one text as a reader compares them: the same, taken out, put in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

# Of a long stretch that stays the same, so many lines are shown at either end.
CONTEXT_LINES = 2
PIECE = re.compile(r"\s+|\w+|[^\w\s]")
Kind = Literal["same", "out", "in", "gap"]


@dataclass(frozen=True)
class Piece:
    """A stretch of text. A `gap` stands for lines that stay the same and are not shown."""

    kind: Kind
    text: str


def compare(before: str, after: str) -> tuple[Piece, ...]:
    """The text as it was and as it shall be, in one. Lines are matched first, then words within them."""
    if before == after:
        return (Piece("same", after),) if after else ()
    return tuple(_joined(_gapped(_by_line(before, after))))


def _by_line(before: str, after: str) -> Iterator[Piece]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        match tag:
            case "equal":
                yield Piece("same", "".join(new[c:d]))
            case "delete":
                yield Piece("out", "".join(old[a:b]))
            case "insert":
                yield Piece("in", "".join(new[c:d]))
            case _:
                yield from _by_word("".join(old[a:b]), "".join(new[c:d]))


def _by_word(before: str, after: str) -> Iterator[Piece]:
    old, new = PIECE.findall(before), PIECE.findall(after)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.quick_ratio() < 0.4:
        # So different that words which happen to be in both would only confuse.
        yield Piece("out", before)
        yield Piece("in", after)
        return
    out = new_words = ""
    for tag, a, b, c, d in matcher.get_opcodes():
        same = "".join(new[c:d]) if tag == "equal" else ""
        if same.strip():
            yield from _changed(out, new_words)
            yield Piece("same", same)
            out = new_words = ""
        else:
            # White space between two changed words is not worth a stop.
            out += "".join(old[a:b])
            new_words += "".join(new[c:d])
    yield from _changed(out, new_words)


def _changed(out: str, new: str) -> Iterator[Piece]:
    """What was taken out before what was put in; white space that both begin with is no change."""
    if out == new:
        yield Piece("same", new)
        return
    blank = out[: len(out) - len(out.lstrip())]
    lead = blank if new.startswith(blank) else ""
    yield Piece("same", lead)
    yield Piece("out", out[len(lead) :])
    yield Piece("in", new[len(lead) :])


def _gapped(pieces: Iterator[Piece]) -> Iterator[Piece]:
    found = list(pieces)
    for at, piece in enumerate(found):
        lines = piece.text.splitlines(keepends=True)
        first, last = at == 0, at == len(found) - 1
        shown = (0 if first else CONTEXT_LINES) + (0 if last else CONTEXT_LINES)
        if piece.kind != "same" or len(lines) <= shown + 2:
            yield piece
            continue
        head = [] if first else lines[:CONTEXT_LINES]
        tail = [] if last else lines[-CONTEXT_LINES:]
        hidden = len(lines) - len(head) - len(tail)
        yield Piece("same", "".join(head))
        yield Piece("gap", f"{hidden} lines stay the same")
        yield Piece("same", "".join(tail))


def _joined(pieces: Iterator[Piece]) -> Sequence[Piece]:
    """Neighbours of one kind made one."""
    found: list[Piece] = []
    for piece in pieces:
        if not piece.text:
            continue
        if found and found[-1].kind == piece.kind != "gap":
            found[-1] = Piece(piece.kind, found[-1].text + piece.text)
        else:
            found.append(piece)
    return found
