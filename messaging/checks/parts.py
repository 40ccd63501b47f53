"""The two parts as they go out: the text part says something, nothing is left over, and neither is too large."""

import re
from collections.abc import Iterator

from messaging.checks.remark import Remark
from messaging.checks.trial import Trials
from messaging.slots import RESERVED

# Gmail shows no more than about 102 KB of a message's HTML and hides the rest, the unsubscribe link
# with it, behind “View entire message”: shkspr.mobi/blog/2019/05/102kb-ought-to-be-enough-for-any-email
CLIPPED_BYTES = 102_000
NEARLY_CLIPPED_BYTES = 80_000
LETTERS_AT_LEAST = 20

# What a template language of this or another product leaves behind when it is misspelt.
MARKS = re.compile(r"\{\{|\}\}|\{%|%\}|\[\[|\]\]|\*\|\w+\|\*|" + RESERVED.pattern)
MARKDOWN = re.compile(r"\*\*|\]\(|^#{1,6}\w", re.MULTILINE)


def text_part(trials: Trials) -> Iterator[Remark]:
    """A text part that holds nothing but what stands around every mail."""
    for trial in trials.mails:
        assert trial.composed is not None
        if letters(trial.mail.text) - letters(trial.composed.around_text) < LETTERS_AT_LEAST:
            yield Remark(
                "text_part",
                trial.place("body"),
                "The text part says next to nothing.",
                "Write in words what the mail is about.",
                True,
                sample=trial.sample.name,
            )


def letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def leftovers(trials: Trials) -> Iterator[Remark]:
    """Marks of the template language or of Markdown that the reader would see."""
    for trial in trials.mails:
        mail = trial.mail
        for text, said in (("subject", mail.subject), ("preheader", mail.preheader)):
            yield from _left(trials, trial.place(text), said, MARKS, True, trial.sample.name)
        for pattern, blocking in ((MARKS, True), (MARKDOWN, False)):
            place = trial.place("body")
            yield from _left(trials, place, mail.text, pattern, blocking, trial.sample.name)


def _left(
    trials: Trials, place: str, said: str, pattern: re.Pattern[str], blocking: bool, sample: str
) -> Iterator[Remark]:
    if found := pattern.search(said):
        around = " ".join(said[max(found.start() - 20, 0) : found.end() + 20].split())
        yield Remark(
            "leftovers",
            place,
            f"The reader would see “{found[0]}”: “…{around}…”.",
            "Write a variable as {{ name }} and bold words as **words**, without a brace or star too many.",
            blocking,
            _line(trials, place, found[0]),
            sample,
        )


def _line(trials: Trials, place: str, mark: str) -> int | None:
    """The line of the text that alone has this mark in it."""
    _, position, text = place.split(".")
    source: str = getattr(trials.content.variants[int(position)], text)
    if source.count(mark) != 1:
        return None
    return source.count("\n", 0, source.index(mark)) + 1


def size(trials: Trials) -> Iterator[Remark]:
    """HTML so large that Gmail hides its end."""
    for trial in trials.mails:
        weight = len(trial.mail.html.encode())
        if weight > NEARLY_CLIPPED_BYTES:
            yield Remark(
                "size",
                trial.place("body"),
                f"The HTML has {weight // 1000} kB; Gmail hides what comes after "
                f"{CLIPPED_BYTES // 1000} kB, the link to stop these mails with it.",
                "Shorten the text; leave the details to the screen that the button leads to.",
                weight > CLIPPED_BYTES,
                sample=trial.sample.name,
            )
