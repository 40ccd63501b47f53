"""A journey reads as plain words, and two versions can be compared by them."""

import difflib
from dataclasses import replace

import pytest

from lifecycle.engine.journey import (
    AllOf,
    Always,
    AnyOf,
    Blocked,
    Not,
    ProviderIn,
    Reached,
    SomebodyAble,
    Test,
    Trait,
)
from lifecycle.journeys import blueprint, documents, phrases
from tests.engine.world import API


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, "0 minutes"),
        (1, "1 minute"),
        (90, "1 hour 30 minutes"),
        (1440, "1 day"),
        (2940, "2 days 1 hour"),
        (10080, "1 week"),
        (11520, "8 days"),
    ],
)
def test_durations_are_said_as_people_say_them(minutes, said):
    assert phrases.duration(minutes) == said


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Always(), "the setup has started"),
        (Reached("key"), "“Key” is reached"),
        (Blocked("auth"), "the setup is blocked by “Refused credentials”"),
        (ProviderIn(("stripe", "on_prem")), "the provider is Stripe or On Prem"),
        (Trait(Test("plan", "in", ("pro", "team"))), "the account's plan is pro or team"),
        (Not(SomebodyAble()), "no colleague of theirs may do the next step"),
        (Not(Reached("key")), "“Key” is not reached"),
        (Not(Blocked()), "the setup is not blocked by errors"),
        (Not(ProviderIn(("stripe",))), "the provider is not Stripe"),
        (Not(Trait(Test("plan", "eq", "pro"))), "not: the account's plan is pro"),
        (
            AllOf((Reached("key"), AnyOf((Blocked(), SomebodyAble())))),
            "“Key” is reached and either the setup is blocked by errors or a colleague of theirs "
            "may do the next step",
        ),
    ],
)
def test_a_condition_reads_as_half_a_sentence(condition, said):
    api = replace(
        API,
        path=replace(
            API.path,
            milestones=(replace(API.path.milestones[0], key="key", name="Key"),),
        ),
    )
    assert phrases.condition(api, condition) == said


@pytest.mark.parametrize("key", ["api", "data", "domain"])
def test_every_fact_of_a_blueprint_journey_is_said(key):
    """What is not said could be changed without the reviewer seeing it."""
    document = blueprint.read(f"journeys/{key}.toml")
    said = phrases.lines(documents.read(document), {})
    for place, value in leaves(document):
        changed = at_place(document, place, other(value))
        try:
            journey = documents.read(changed)
        except documents.BadDocument:
            continue
        assert phrases.lines(journey, {}) != said, place


def leaves(value, place=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*place, index))
    else:
        yield place, value


def other(value):
    if value == "setup_help":
        return "product_news"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x"


def at_place(document, place, value):
    if not place:
        return value
    if isinstance(document, dict):
        return {**document, place[0]: at_place(document[place[0]], place[1:], value)}
    return [
        at_place(inner, place[1:], value) if index == place[0] else inner
        for index, inner in enumerate(document)
    ]


def test_two_versions_differ_in_the_lines_that_changed():
    later = replace(API, holdout_percent=10)
    diff = [
        line
        for line in difflib.ndiff(phrases.lines(API, {}), phrases.lines(later, {}))
        if line[0] in "+-"
    ]
    assert diff == ["-   Control group: 0 %", "+   Control group: 10 %"]
