"""A template tried on its readers: each one's mail, or why there is none."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from messaging.checks.remark import Sample
from messaging.content import Content, RenderError, choose
from messaging.rendering import Composed, Rendered, compose, default_layout, without_empty
from messaging.slots import TIME_LIMIT_SECONDS, Run

# A hostile text is refused within a second, however many readers it is tried on; an ordinary one with
# two dozen readers takes a tenth of this. Processor time, as for one mail: a busy machine does not
# make a good text fail.
TRIAL_SECONDS = 0.4
SECONDS = 0.7


@dataclass(frozen=True)
class Trial:
    """One sample's mail. `position` is the variant that it gets, None where none fits."""

    sample: Sample
    position: int | None
    composed: Composed | None = None
    error: RenderError | None = None

    @property
    def mail(self) -> Rendered:
        assert self.composed is not None
        return self.composed.rendered

    @property
    def run(self) -> Run:
        assert self.composed is not None
        return self.composed.run

    @cached_property
    def shape(self) -> str:
        """The HTML without the values: what many readers share."""
        assert self.composed is not None
        return "".join(
            part if isinstance(part, str) else "x" for part in self.composed.skeleton.html
        )

    def place(self, text: str) -> str:
        """The path of one of the mail's texts in the document; shared texts have their own."""
        if text in ("subject", "preheader", "body"):
            return "variants" if self.position is None else f"variants.{self.position}.{text}"
        return text

    def fact(self, path: str) -> Any:
        """The value of a variable, None where it has none."""
        found: Any = self.sample.context
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


@dataclass(frozen=True)
class Trials:
    """A template's content with what it refers to, and every sample's mail.

    `unfinished` counts the samples for which the time did not suffice.
    """

    content: Content
    frozen: Mapping[str, Any]
    done: tuple[Trial, ...]
    unfinished: int = 0
    # Processor time of this thread by which all rules have to be through.
    deadline: float = math.inf

    @property
    def late(self) -> bool:
        return time.thread_time() > self.deadline

    @property
    def mails(self) -> Iterator[Trial]:
        """Those that became a mail."""
        return (trial for trial in self.done if trial.composed is not None)

    @property
    def layout(self) -> str:
        """The layout's MJML."""
        layout: Mapping[str, str] = self.frozen.get("layout") or default_layout()
        return layout["mjml"]


def try_all(content: Content, frozen: Mapping[str, Any], samples: Sequence[Sample]) -> Trials:
    """Each sample's mail, until the time is used up."""
    began = time.thread_time()
    done: list[Trial] = []
    for sample in samples:
        left = began + TRIAL_SECONDS - time.thread_time()
        if left <= 0:
            break
        done.append(_try(content, frozen, sample, min(left, TIME_LIMIT_SECONDS)))
    unfinished = len(samples) - len(done)
    return Trials(content, frozen, tuple(done), unfinished, began + SECONDS)


def _try(content: Content, frozen: Mapping[str, Any], sample: Sample, seconds: float) -> Trial:
    facts = without_empty(sample.context)
    try:
        variant = choose(content, facts)
    except RenderError as error:
        return Trial(sample, None, error=error)
    position = next(at for at, one in enumerate(content.variants) if one is variant)
    try:
        return Trial(sample, position, compose(variant, frozen, facts, seconds))
    except RenderError as error:
        return Trial(sample, position, error=error)
