"""What a template states as fact, checked against every state of the product that it is sent in.

A claim is `{"says": "An API key exists", "holds": {"kind": "reached", "milestone": "credentials"}}`: the
fact in plain words, and the condition, in the language of journeys, that makes it true.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lifecycle.engine.conditions import truth
from lifecycle.engine.decide import decide
from lifecycle.engine.explore import explore
from lifecycle.engine.facts import Facts
from lifecycle.engine.journey import HighValue, Intent, Journey, ProviderIn, Trait
from lifecycle.engine.situations import Situation, as_provider
from lifecycle.engine.state import Mark
from lifecycle.engine.worlds import Cast, called, kinds_of_provider, parts, traits_for
from lifecycle.journeys.documents import ByKind, adapter, condition_problems, form_problems
from messaging.checks.remark import Remark
from messaging.content import Content

MEND_FORM = "Give it its words in plain language, and choose when it is true; or empty both."
MEND_FALSE = (
    "Send the e-mail only where it is true (in the journey: another stage, or a condition on the step), "
    "or take the sentence and its claim out."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact that the e-mail states, in plain words, and when it is true."""

    says: str
    holds: ByKind


Claim.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
_ADAPTER: TypeAdapter[Claim] = adapter(Claim)


def check_claims(template_key: str, content: Content, journey: Journey, cast: Cast) -> list[Remark]:
    """What is wrong with the template's claims in this journey, each false one with its shortest story."""
    found = []
    situations = explore(journey, cast).of_template(template_key)
    for place, document in enumerate(content.claims):
        here = f"claims.{place}"
        claim, faults = read(document)
        if claim is None:
            found += [_malformed(here, fault) for fault in faults]
            continue
        problems = [problem.message for problem in condition_problems(journey, here, claim.holds)]
        if problems:
            found += [_malformed(here, problem) for problem in problems]
        elif false := counterexample(claim, journey, situations):
            found.append(_false(here, claim, journey, false))
    return found


def read(document: Any) -> tuple[Claim | None, Sequence[str]]:
    """The claim that a document describes, or None and what is wrong with it."""
    if missing := _missing(document):
        return None, missing
    try:
        return _ADAPTER.validate_python(document), ()
    except ValidationError as error:
        return None, [str(problem) for problem in form_problems(error, document)]


def _missing(document: Any) -> list[str]:
    """What somebody has yet to write or to choose, in the words of the form."""
    claim = document if isinstance(document, dict) else {"holds": document}
    found = []
    if not str(claim.get("says") or "").strip():
        found.append("Say what it claims.")
    # An earlier release kept a condition that had no words as the whole claim.
    holds = claim if "kind" in claim else claim.get("holds")
    if not holds:
        found.append("Choose when it is true.")
    elif not isinstance(holds, dict):
        found.append(f"Choose when it is true: “{str(holds)[:60]}” is no condition.")
    return found


def counterexample(
    claim: Claim, journey: Journey, situations: Sequence[Situation]
) -> Situation | None:
    """The plainest situation in which the claim is false; None where it always holds."""
    for situation in situations:
        for variant in _variants(claim, journey, situation):
            if not truth(claim.holds, journey, variant.facts).holds:
                return variant
    return None


def _variants(claim: Claim, journey: Journey, situation: Situation) -> Iterator[Situation]:
    """The situation, and the same with whatever the claim, but not the journey, tells apart."""
    yield situation
    named = list(parts(claim.holds))
    if any(isinstance(part, ProviderIn) for part in named):
        for provider, kind in kinds_of_provider(journey).items():
            if kind == situation.world.provider:
                yield as_provider(journey, situation, provider)
    if any(isinstance(part, Intent) for part in named) and situation.facts.setup.intent is None:
        setup = replace(situation.facts.setup, intent=Mark(situation.now))
        yield replace(situation, facts=replace(situation.facts, setup=setup))
    tests = [part.test for part in named if isinstance(part, Trait)]
    if any(isinstance(part, HighValue) for part in named) and journey.high_value:
        tests.append(journey.high_value.test)
    for traits in traits_for(tests) if tests else ():
        merged = {**situation.facts.account.traits, **traits}
        account = replace(situation.facts.account, traits=merged)
        facts = replace(situation.facts, account=account)
        # The journey may tell these apart: then the mail has to go out all the same.
        if _goes_out(journey, situation, facts):
            told = tuple(f"The account's {name} is {value}" for name, value in traits.items())
            yield replace(situation, facts=facts, story=(*situation.story, *told))


def _goes_out(journey: Journey, situation: Situation, facts: Facts) -> bool:
    verdict = decide(journey, facts, situation.now).verdict(situation.step.key)
    return verdict is not None and verdict.outcome == "due"


def _malformed(place: str, message: str) -> Remark:
    return Remark("claim", place, message, MEND_FORM, blocking=True)


def _false(place: str, claim: Claim, journey: Journey, situation: Situation) -> Remark:
    story = "; ".join(situation.story)
    reader = called(situation.person)
    return Remark(
        "claim",
        place,
        f"“{claim.says}” is not true of everybody it is sent to. In “{journey.name}”: {story}; then the "
        f"e-mail goes to {reader}.",
        MEND_FALSE,
        blocking=True,
        sample=reader,
    )
