"""What cannot be read or rendered: faults of the language, names that do not exist, texts that take too long."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from messaging.checks.remark import Remark
from messaging.checks.trial import Trials
from messaging.content import (
    VARIABLES,
    BadLayout,
    NoSubject,
    NoValue,
    RenderError,
    TooSlow,
    UnknownKey,
    UnknownVariable,
)
from messaging.language import compile_source, keys_of, unknown_variables

# Each of these has a rule of its own.
ELSEWHERE = (UnknownVariable, UnknownKey, NoValue, NoSubject, TooSlow, BadLayout)


def texts(trials: Trials) -> Iterator[tuple[str, str, str]]:
    """Every text of the document: its place, the kind of language it is in, and the text."""
    for position, variant in enumerate(trials.content.variants):
        if trials.late:
            return
        yield f"variants.{position}.subject", "line", variant.subject
        yield f"variants.{position}.preheader", "line", variant.preheader
        yield f"variants.{position}.body", "body", variant.body


def _readable(trials: Trials) -> Iterator[tuple[str, str, str]]:
    for place, kind, source in texts(trials):
        try:
            compile_source(kind, source)
        except RenderError:
            continue
        yield place, kind, source


def syntax(trials: Trials) -> Iterator[Remark]:
    """A text that does not parse, or cannot be made into a mail for some reader."""
    unreadable = set()
    for place, kind, source in texts(trials):
        try:
            compile_source(kind, source)
        except RenderError as error:
            unreadable.add(place)
            error.line = error.line or unclosed(source)
            yield _fault(place, error)
    for trial in trials.done:
        fault = trial.error
        if fault is None or trial.position is None or isinstance(fault, ELSEWHERE):
            continue
        if (place := trial.place(fault.place)) not in unreadable:
            yield _fault(place, fault, sample=trial.sample.name)


def _fault(place: str, error: RenderError, sample: str = "") -> Remark:
    return Remark(
        "syntax", place, str(error), mend_of(str(error)), True, line=error.line, sample=sample
    )


TAG = re.compile(r"\{%-?\s*(\w+)")
CLOSED = ["if", "unless", "case", "for", "capture", "comment", "button", "note", "checklist"]


def unclosed(source: str) -> int | None:
    """The line of the last tag that is opened and never closed: the parser only says that the text ends."""
    opened: list[tuple[str, int]] = []
    for tag in TAG.finditer(source):
        if tag[1] in CLOSED:
            opened.append((tag[1], tag.start()))
        elif opened and tag[1] == f"end{opened[-1][0]}":
            opened.pop()
    return source.count("\n", 0, opened[-1][1]) + 1 if opened else None


MENDS = (
    ("unknown filter", "Use one of the filters that the editor lists."),
    ("cannot stand inside", "Close the outer one first, or put them one after the other."),
    ("unexpected tag", "Check that every tag is spelt right and opened before it is closed."),
    ("needs a label", "Write the words of the button between its two tags."),
    ("checklist", "Write the list’s items as lines that begin with “- ”, and nothing else."),
    ("https://", "Write the whole address, beginning with https://."),
    ("body is empty", "Write what the mail says."),
    ("end", "Close what was opened: each {% if %} needs its {% endif %}, each tag its end."),
)


def mend_of(message: str) -> str:
    return next((mend for words, mend in MENDS if words in message), "Mend the text at this line.")


def unknown_variable(trials: Trials) -> Iterator[Remark]:
    """A variable that does not exist; in a condition it would silently be false."""
    for place, kind, source in _readable(trials):
        for name, line in unknown_variables(kind, source):
            yield _unknown_variable(place, name, line)
    for trial in trials.done:
        error = trial.error
        if isinstance(error, UnknownVariable) and not trial.place(error.place).startswith("var"):
            name = str(error).removeprefix("There is no variable ").rstrip(".")
            yield _unknown_variable(error.place, name, error.line, trial.sample.name)


def _unknown_variable(place: str, name: str, line: int | None, sample: str = "") -> Remark:
    near = get_close_matches(name, VARIABLES, n=1)
    mend = f"Did you mean {near[0]}?" if near else "Choose one of the variables that are listed."
    return Remark(
        "unknown_variable", place, f"There is no variable {name}.", mend, True, line, sample
    )


def unknown_key(trials: Trials) -> Iterator[Remark]:
    """A snippet or a screen that does not exist."""
    known = {
        "snippet": list(trials.frozen.get("snippets") or {}),
        "button": list(trials.frozen.get("destinations") or {}),
        "link": list(trials.frozen.get("destinations") or {}),
    }
    named = set()
    for place, kind, source in _readable(trials):
        if kind != "body":
            continue
        for component, key, line in keys_of(source):
            if key not in known[component]:
                named.add((place, line))
                thing = "snippet" if component == "snippet" else "screen to link to"
                near = get_close_matches(key, known[component], n=1)
                yield Remark(
                    "unknown_key",
                    place,
                    f"There is no {thing} “{key}”.",
                    f"Did you mean “{near[0]}”?" if near else f"Choose a {thing}, or add it first.",
                    True,
                    line,
                )
    for trial in trials.done:
        error = trial.error
        if isinstance(error, UnknownKey) and (trial.place(error.place), error.line) not in named:
            yield Remark(
                "unknown_key",
                trial.place(error.place),
                str(error),
                "Add what is missing, or name one that exists for every reader.",
                True,
                error.line,
                trial.sample.name,
            )


def too_slow(trials: Trials) -> Iterator[Remark]:
    """A text that takes longer than any mail needs, such as a loop in a loop."""
    mend = "Take out loops in loops, and whatever repeats itself very often."
    for trial in trials.done:
        if isinstance(trial.error, TooSlow):
            place = trial.place(trial.error.place)
            yield Remark(
                "too_slow", place, str(trial.error), mend, True, trial.error.line, trial.sample.name
            )
    if trials.unfinished or trials.late:
        yield Remark(
            "too_slow",
            "variants",
            f"Trying it out took too long; {trials.unfinished} of "
            f"{len(trials.done) + trials.unfinished} example readers were left out, "
            "and more may be wrong than is said here.",
            mend,
            True,
        )


def blank_variable(trials: Trials) -> Iterator[Remark]:
    """A variable that is printed although it has no value for some reader."""
    for trial in trials.done:
        error = trial.error
        if isinstance(error, NoValue):
            yield _blank(trial.place(error.place), str(error), "…", error.line, trial.sample.name)
    for trial in trials.mails:
        for blank in trial.run.blanks:
            # With a default the author has thought of it, even if the default is empty.
            # An empty preheader is its own rule's.
            if "default" not in blank.printed and blank.printed != "{{ preheader }}":
                what = f"{blank.printed} is empty for this reader, and nothing stands in its place."
                name = blank.printed.strip("{} ")
                yield _blank(trial.place(blank.place), what, name, blank.line, trial.sample.name)


def _blank(place: str, what: str, name: str, line: int | None, sample: str) -> Remark:
    return Remark(
        "blank_variable",
        place,
        what,
        f'Write {{{{ {name} | default: "…" }}}}, or put it into {{% if … %}}…{{% endif %}}.',
        True,
        line,
        sample,
    )
