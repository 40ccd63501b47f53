"""What a journey can do in small worlds: every mail, the promises it breaks, and what can never be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lifecycle.engine import decide as deciding
from lifecycle.engine.decide import decide
from lifecycle.engine.explore import Limits, explore
from lifecycle.engine.fold import fold
from lifecycle.engine.journey import (
    Activation,
    AllOf,
    Always,
    Blocked,
    Entry,
    Intent,
    Journey,
    Match,
    Milestone,
    Not,
    Path,
    ProviderIn,
    Purpose,
    Reached,
    Stage,
    StarterLacks,
    Test,
    To,
    Trait,
    Usable,
)
from lifecycle.engine.moves import Moves, lasting
from lifecycle.engine.routing import Router
from lifecycle.engine.situations import Exploration, as_provider, as_role
from lifecycle.engine.worlds import SOME_PROVIDER, Cast, traits_for, worlds
from tests.engine.world import ALWAYS_OPEN, API, CAN, DAY, DOMAIN, HOUR, alert, mail, with_step

CAST = Cast.of(CAN)
PATH = Path(
    start=(Match("integration_started", (Test("integration_type", "eq", "small"),)),),
    milestones=(
        Milestone(
            key="on",
            name="Switched on",
            events=(Match("switched_on"),),
            expected_minutes=2 * HOUR,
            action="Switch it on",
            capability="billing",
        ),
    ),
    usable=("on",),
    errors=(),
    target_minutes=HOUR,
    activation=Activation("used", "use it"),
)
SMALL = Journey(
    key="small",
    name="Small",
    integration_type="small",
    integration_name="a small thing",
    path=PATH,
    stages=(
        Stage("working", "Working", Usable(), (mail("well", Purpose.CONFIRMATION, To.STARTER),)),
        Stage("waiting", "Waiting", StarterLacks(), (alert("stuck", Purpose.ASK, HOUR),)),
        Stage(
            "begun",
            "Begun",
            Always(),
            (
                mail("hello", Purpose.NUDGE, To.ABLE, after_minutes=30),
                alert("late", Purpose.NUDGE, DAY),
            ),
        ),
    ),
    hours=ALWAYS_OPEN,
)


def _tidy(stage: Stage) -> Stage:
    long = alert(f"{stage.key}_long", Purpose.RESOLUTION, 5 * DAY)
    if stage.key == "waiting":
        return replace(
            stage, steps=(*(replace(step, purpose=Purpose.ASK) for step in stage.steps), long)
        )
    return replace(stage, steps=(*stage.steps, long)) if stage.key == "blocked" else stage


# As the tests' API journey, but that whoever cannot do it is asked, not reminded, and a person hears of it.
TIDY = replace(API, stages=tuple(_tidy(stage) for stage in API.stages))


def found(journey: Journey, cast: Cast = CAST, **limits: int) -> Exploration:
    return explore(journey, cast, limits=Limits(**limits))


def mails(seen: Exploration) -> set[tuple[str, str]]:
    return {(one.step.key, one.person.name.split()[0]) for one in seen.situations}


def test_a_little_journey_does_exactly_what_it_can():
    seen = found(SMALL)
    assert mails(seen) == {
        ("hello", "Dana"),  # she started, and may switch it on
        ("hello", "Ada"),  # Dana cannot be written to, or nobody knows who started
        ("well", "Dana"),
        ("well", "Ada"),  # who finished what somebody unknown, or unreachable, had started
    }
    assert (seen.never_held, seen.never_done, seen.violations, seen.bound) == ((), (), (), ())


def test_every_story_is_the_shortest_and_tells_how_it_came_to_the_mail():
    first = {}
    for one in found(SMALL).situations:
        first.setdefault((one.step.key, one.person.name), one.story)
    assert first["hello", "Dana Example"] == (
        "Dana (owner) started with some provider",
        "In the account too: Ada (owner), Otto (owner), Vera (admin)",
        "30 min passed",
    )
    assert first["well", "Ada Example"][2:] == ("Switched on, by Ada (owner)",)


def test_what_was_found_is_what_the_engine_says():
    for journey in (API, DOMAIN, SMALL):
        for one in found(journey).situations:
            verdict = decide(journey, one.facts, one.now).verdict(one.step.key)
            assert verdict is not None
            assert (verdict.outcome, verdict.person) == ("due", one.person.id)


def test_the_same_comes_out_twice():
    explore.cache_clear()
    one = found(API)
    explore.cache_clear()
    assert found(API) == one


def test_the_journey_of_the_tests_is_seen_to_its_end_and_keeps_its_promises():
    seen = found(TIDY)
    assert seen.bound == ()
    assert seen.violations == ()
    # A reminder under the blocked stage is never sent: the engine keeps it silent.
    assert seen.never_done == ("blocked_nudge",)


@pytest.mark.parametrize(
    ("step", "stage", "promise", "ends_with"),
    [
        (mail("task", Purpose.NUDGE, To.STARTER), "waiting", "task_without_capability", "10 min passed"),
        (mail("hurray", Purpose.CONFIRMATION, To.STARTER), "blocked", "confirmation_too_early",
         "3 × Refused credentials within 1 h"),
        (mail("hurray", Purpose.CONFIRMATION, To.STARTER), "started", "confirmation_too_early",
         "In the account too: Ada (admin), Otto (owner), Vera (marketer)"),
    ],
)  # fmt: skip
def test_a_step_that_breaks_a_promise_is_reported_with_its_story(step, stage, promise, ends_with):
    broken = {one.promise: one for one in found(with_step(step, stage=stage)).violations}
    assert broken[promise].step == step.key
    assert broken[promise].story[-1] == ends_with


def test_a_setup_that_nobody_hears_of_is_reported():
    silent = with_step(mail("hello", Purpose.NUDGE, To.ABLE))
    [violation] = [one for one in found(silent).violations if one.promise == "left_alone"]
    assert violation.story[-1] == "API key created"  # in that stage nothing is ever said


def unguarded(monkeypatch, *reasons: str) -> None:
    """An engine that no longer falls silent for these reasons."""
    sound = deciding.silence

    def careless(*arguments):
        said = sound(*arguments)
        return None if said in reasons else said

    monkeypatch.setattr(deciding, "silence", careless)
    explore.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_kept_of_a_planted_fault():
    yield
    explore.cache_clear()


def test_an_engine_that_reminds_while_blocked_is_found_out(monkeypatch):
    unguarded(monkeypatch, "blocked")
    broken = {(one.promise, one.step): one.story for one in found(TIDY).violations}
    assert broken["nudge_while_blocked", "blocked_nudge"] == (
        "Dana (developer) started with some provider",
        "In the account too: Ada (admin), Otto (owner), Vera (marketer)",
        "3 × Refused credentials within 1 h",
        "7 min passed",  # ten after she was last at work
    )


def test_an_engine_that_reminds_after_it_works_is_found_out(monkeypatch):
    unguarded(monkeypatch, "usable")
    nagging = with_step(mail("nag", Purpose.NUDGE, To.STARTER), stage="usable")
    broken = {one.promise: one.story for one in found(nagging).violations if one.step == "nag"}
    assert set(broken["reminder_after_usable"][2:4]) == {"API key created", "First successful call"}


def test_an_engine_that_forgets_what_it_sent_is_found_out(monkeypatch):
    monkeypatch.setattr(deciding, "_confirming", lambda *_: True)
    sound = deciding.decide
    monkeypatch.setattr(
        "lifecycle.engine.explore.decide",
        lambda journey, facts, now: sound(journey, replace(facts, runs=()), now),
    )
    explore.cache_clear()
    assert ("twice", "well") in {(one.promise, one.step) for one in found(SMALL).violations}


def test_the_limits_are_kept_and_said():
    seen = found(API, events=1)
    assert seen.bound == ("events",)
    assert "confirm" in seen.never_done  # it takes two
    seen = found(API, states=3)
    assert seen.bound == ("states",)
    assert seen.states <= 3 * len(worlds(API, CAST))


def test_a_stage_that_no_state_lets_hold_is_named():
    never = Stage("ghost", "Ghost", AllOf((Reached("call"), Reached("key"), Not(Usable()))))
    assert found(replace(API, stages=(never, *API.stages))).never_held == ("ghost",)


@pytest.mark.parametrize(
    "condition",
    [
        AllOf((StarterLacks(), Trait(Test("plan", "ne", "free")), ProviderIn(("stripe",)))),
        AllOf((Trait(Test("seats", "gte", 5)), Not(Trait(Test("seats", "gte", 9))))),
        AllOf((Blocked("scope"), Intent(), Not(ProviderIn(("stripe",))))),
        AllOf((Reached("call"), Not(Reached("key")))),
    ],
)
def test_a_stage_that_some_account_can_be_in_is_not(condition):
    stage = Stage("rare", "Rare", condition, (alert("rare", Purpose.ASK, 0),))
    seen = found(replace(API, stages=(stage, *API.stages)))
    assert seen.never_held == ()


def test_events_pass_the_tests_that_the_path_puts_to_them():
    made = Moves(API, Router({"api": API.path}), worlds(API, CAST)[0])
    assert made.start[0].properties["integration_type"] == "api"
    strict = replace(
        API.path.milestones[0],
        events=(
            Match(
                "api_key_created",
                (Test("scopes", "gte", 2), Test("scopes", "lte", 9), Test("env", "ne", "test")),
            ),
        ),
    )
    path = replace(API.path, milestones=(strict, *API.path.milestones[1:]))
    assert ("key_created_stalled", "Dana") in mails(found(replace(API, path=path)))


def test_a_milestone_that_no_event_can_reach_leaves_its_mails_undone():
    torn = (Test("env", "eq", "production"), Test("env", "ne", "production"))
    impossible = replace(API.path.milestones[1], events=(Match("first_api_call_success", torn),))
    path = replace(API.path, milestones=(API.path.milestones[0], impossible))
    seen = found(replace(API, path=path))
    assert {"confirm", "thank_asked", "hand_off"} <= set(seen.never_done)
    assert seen.never_held == ("usable",)


def test_an_error_counts_for_the_class_that_is_meant():
    seen = found(API)
    classes = {one.facts.setup.block.error_class for one in seen.of_template("checklist")}
    assert classes == {"auth", "scope"}


def test_a_provider_with_a_manual_path_gets_no_mail_before_it_works():
    manual = replace(API, entry=Entry(manual_providers=("on_premises",)))
    providers = {
        one.world.provider for one in found(manual).situations if one.step.do.template == "hello"
    }
    assert providers == {""} or providers == {SOME_PROVIDER}


def test_another_provider_that_nothing_tells_apart_leads_to_the_same_mail():
    named = replace(API, provider_names=(("stripe", "Stripe"), ("rest", "REST API")))
    for one in found(named).situations[::20]:
        other = as_provider(named, one, "rest")
        assert "started with Stripe" in one.story[0]
        assert other.story == (one.story[0].replace("Stripe", "REST API"), *one.story[1:])
        verdict = decide(named, other.facts, other.now).verdict(one.step.key)
        assert verdict is not None and (verdict.outcome, verdict.person) == ("due", one.person.id)


def test_another_role_that_grants_the_same_leads_to_the_same_mail():
    cast = Cast.of({**CAN, "viewer": frozenset()})
    lacking = [one for one in found(API, cast).situations if one.step.key == "ask"]
    other = as_role(API, cast, lacking[0], "viewer")
    assert other.story[0] == "Dana (viewer) started with some provider"
    assert other.facts.people[1].role == "viewer"
    verdict = decide(API, other.facts, other.now).verdict("ask")
    assert verdict is not None and verdict.outcome == "due"


def test_what_a_story_says_leads_to_the_very_state():
    """The log of a story, folded at once, gives the state that the search had reached step by step."""
    router = Router({"small": PATH})
    world = worlds(SMALL, CAST)[0]
    moves = Moves(SMALL, router, world)
    [start] = moves.start[0].events(min(one.now for one in found(SMALL).situations), 1)
    on, *_ = moves.after(fold(router, [start]).setups[0], left=False, asked=False)
    folded = fold(router, [start, *on.events(start.at, 2)]).setups[0]
    assert folded.usable is not None and on.told == "Switched on"


def test_traits_answer_the_tests_in_every_way_that_they_can():
    tests = (Test("value", "gte", 10), Test("value", "lte", 20), Test("plan", "eq", "free"))
    answers = {(traits.get("value"), traits.get("plan")) for traits in traits_for(tests)}
    assert (
        len(answers) == 8
    )  # no value; too little; between; too much: each with and without the plan
    assert traits_for(()) == [{}]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=2, hours=1, minutes=30), "2 days 1 h 30 min"),
        (timedelta(microseconds=1), "a moment"),
    ],
)
def test_lengths_of_time_in_plain_words(span, words):
    assert lasting(span) == words
