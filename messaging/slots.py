"""Slots: the marks that stand for values while Markdown and MJML are worked out around them.

A value never takes part in the mark-up: it is escaped and put into its slot at the very end.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from liquid import RenderContext

from messaging.content import TooSlow

# One mail's Liquid is far below a millisecond; a template that needs this long means harm.
TIME_LIMIT_SECONDS = 0.3
# Asking for the time costs more than most of what is printed between two askings.
ASK_EVERY = 16

# Private-use characters: they cannot stand in a template (see `compile_source`), so marks cannot be forged.
SLOT, SLOT_END, BLOCK, BLOCK_NAME_END, BLOCK_END, PART = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004", "\ue005"  # fmt: skip
RESERVED = re.compile("[\ue000-\ue00f]")
SLOT_MARK = re.compile(f"{SLOT}([a-z])([0-9]+){SLOT_END}")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Blank:
    """A `{{ … }}` that printed nothing: which, and the line and text it stands in."""

    printed: str
    line: int
    place: str


@dataclass(frozen=True, slots=True)
class Way:
    """A destination that a mail leads to, by a `button` or a `link`; a button has a label."""

    kind: str
    destination: str
    label: str
    line: int
    place: str


@dataclass
class Run:
    """One rendering: the slots filled so far, what tags may look up, and when to give up.

    `blanks` and `ways` note what the checks want to know; nothing that is rendered depends on them.
    """

    snippets: Mapping[str, str]
    destinations: Mapping[str, Mapping[str, str]]
    deadline: float
    slots: list[str] = field(default_factory=list)
    depth: int = 0
    place: str = "body"
    blanks: list[Blank] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    asked: int = 0

    def slot(self, value: str, kind: str = "t") -> str:
        """A mark that stands for this value; kind `t` is text, `u` a URL of our own making."""
        self.slots.append(CONTROL.sub("", value))
        return f"{SLOT}{kind}{len(self.slots) - 1}{SLOT_END}"

    def expand(self, marked: str) -> str:
        """The text with every mark replaced by its plain value."""
        return SLOT_MARK.sub(lambda mark: self.slots[int(mark[2])], marked)

    def check_time(self) -> None:
        self.asked += 1
        # Processor time of this thread, so that a busy machine does not make a good template fail.
        if self.asked % ASK_EVERY == 0 and time.thread_time() > self.deadline:
            raise TooSlow("The template takes too long to render.")


def run_of(context: RenderContext) -> Run:
    run: Run = context.tag_namespace["run"]
    return run
