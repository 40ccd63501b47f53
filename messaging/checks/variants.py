"""Which wording a reader gets: whether there is one for everybody, and whether each is for somebody."""

from collections.abc import Iterator

from messaging.checks.remark import Remark
from messaging.checks.trial import Trials


def no_variant_fits(trials: Trials) -> Iterator[Remark]:
    """A reader whom none of the variants is for."""
    for trial in trials.done:
        if trial.position is None:
            yield Remark(
                "no_variant_fits",
                "variants",
                str(trial.error),
                "Add a variant without provider, error class and role; it is for everybody else.",
                True,
                sample=trial.sample.name,
            )


def variant_never_used(trials: Trials) -> Iterator[Remark]:
    """A variant that no reader gets in any state in which the template can be sent."""
    if trials.unfinished or not trials.done:
        return
    used = {trial.position for trial in trials.done}
    for position, variant in enumerate(trials.content.variants):
        # One for everybody else may wait for a provider or an error that nobody knows today.
        if position not in used and variant.name != "default":
            yield Remark(
                "variant_never_used",
                f"variants.{position}",
                f"None of the readers that it was tried on gets the variant “{variant.name}”.",
                "Check how its provider, error class and role are spelt; if they are right, leave it.",
                False,
            )


def same_words_twice(trials: Trials) -> Iterator[Remark]:
    """Two variants that say the same."""
    seen: dict[tuple[str, str, str], int] = {}
    for position, variant in enumerate(trials.content.variants):
        first = seen.setdefault((variant.subject, variant.preheader, variant.body), position)
        if first != position:
            other = trials.content.variants[first].name
            yield Remark(
                "same_words_twice",
                f"variants.{position}",
                f"This variant says the same as “{other}”.",
                "Remove one of them, or say what is different for its readers.",
                False,
            )
