"""Everything that the content checks say about one template: the rules, and how their remarks are put together."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from messaging.checks import action, layout, look, parts, subject, syntax, variants
from messaging.checks.remark import Remark, Sample
from messaging.checks.trial import Trials, try_all
from messaging.content import SAME_READERS, ContentError, read

Rule = Callable[[Trials], Iterator[Remark]]

# The name of each function is the key of its remarks.
RULES: tuple[Rule, ...] = (
    syntax.syntax,
    syntax.unknown_variable,
    syntax.unknown_key,
    syntax.blank_variable,
    syntax.too_slow,
    variants.no_variant_fits,
    variants.variant_never_used,
    variants.same_words_twice,
    subject.subject_length,
    subject.preheader,
    subject.shouting,
    action.one_main_action,
    action.next_action,
    action.provider_named,
    action.capability,
    parts.text_part,
    parts.leftovers,
    parts.size,
    layout.layout,
    layout.image_alt,
    look.contrast,
    look.mail_clients,
)


def check(
    document: Mapping[str, Any], frozen: Mapping[str, Any], samples: Sequence[Sample]
) -> list[Remark]:
    """The remarks on a template's content, tried on these readers: blocking ones first, by place."""
    try:
        content = read(document)
    except ContentError as error:
        return [Remark("form", place, what, _mend(what), True) for place, what in error.faults]
    found: list[Remark] = []
    trials = try_all(content, frozen, samples)
    for rule in RULES:
        # Only a hostile text gets late; what was found by then is enough to refuse it.
        if trials.late:
            found += syntax.too_slow(trials)
            break
        found += rule(trials)
    return together(found)


def _mend(fault: str) -> str:
    if fault == SAME_READERS:
        return "Give it another provider, error class or role, or remove it."
    return "Fill in, shorten or remove what stands at this place."


def together(remarks: Iterable[Remark]) -> list[Remark]:
    """What was seen with several readers said once: with the first, and with how many more."""
    groups: dict[Remark, list[str]] = {}
    for remark in remarks:
        groups.setdefault(replace(remark, sample=""), []).append(remark.sample)
    said = []
    for remark, names in groups.items():
        more = len(set(names)) - 1
        said.append(replace(remark, sample=f"{names[0]} and {more} more" if more else names[0]))
    return sorted(said, key=lambda one: (not one.blocking, one.place, one.line or 0))
