"""Where a setup is, and since when: position follows product state, never the clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lifecycle.engine.conditions import next_milestone, position, truth
from lifecycle.engine.facts import Account
from lifecycle.engine.journey import (
    Activated,
    Always,
    AnyOf,
    Blocked,
    BlockedAgain,
    HighValue,
    Intent,
    Not,
    ProviderIn,
    Reached,
    SomebodyAble,
    StarterLacks,
    Trait,
    Usable,
)
from lifecycle.engine.journey import Test as Where
from lifecycle.engine.state import Mark
from tests.engine.world import (
    ADA,
    API,
    DAY,
    DEV,
    DOMAIN,
    HOUR,
    MIA,
    OLE,
    T0,
    all_of,
    at,
    call,
    control,
    ev,
    facts,
    key,
    look,
    only,
    refused,
    revoked,
    said,
    start,
    verdict,
    with_step,
)


def where(*log, journey=API, people=()):
    found = position(journey, facts(only(*log), *people))
    assert found is not None
    stage, since = found
    return stage.key, (since.at - T0) / timedelta(minutes=1)


def holds(condition, *log, journey=API, people=(), **more):
    found = truth(condition, journey, facts(only(*log), *people, **more))
    return found.holds, (found.since.at - T0) / timedelta(minutes=1)


# --- the first stage whose condition holds ----------------------------------------------------


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([start()], ("started", 0)),
        ([start(), key(5)], ("key_created", 5)),
        ([start(), key(5), refused(6, 7, 8)], ("blocked", 8)),
        ([start(), key(5), call(9)], ("usable", 9)),
        ([start(), key(5), refused(6, 7, 8), call(9)], ("usable", 9)),
        ([start(0, MIA)], ("waiting", 0)),
        ([start(0, MIA), refused(6, 7, 8)], ("blocked", 8)),
        ([start(), key(5), revoked(9)], ("started", 9)),
        ([start(), key(5), call(9), revoked(60)], ("started", 60)),
        ([start(), key(5), refused(6, 7, 8), control("staff_unblocked", 20)], ("key_created", 20)),
        ([start(), refused(6, 7, 8), key(20)], ("key_created", 20)),
        ([start(), key(5), start(30), key(40)], ("key_created", 5)),
    ],
)
def test_the_stage_is_the_first_that_holds_and_since_when_it_is_the_first(log, expected):
    assert where(*log) == expected


def test_reaching_the_milestone_that_the_starter_could_not_ends_the_waiting():
    log = [start(0, DEV, kind="domain")]
    assert where(*log, journey=DOMAIN) == ("waiting", 0)
    assert where(*log, ev("domain_verified", 90, ADA), journey=DOMAIN) == ("verified", 90)


def test_where_no_stage_holds_there_is_no_position_and_still_an_end():
    blocked_only = replace(API, stages=API.stages[1:2])
    assert look(5, start(), journey=blocked_only).stage == ""
    done = look(9, start(), key(5), call(6), journey=blocked_only)
    assert done.leave == "finished"
    closed = look(9, start(), journey=blocked_only, account=Account(1, closed_at=at(8)))
    assert closed.leave == "account_closed"


def test_time_passing_never_moves_a_setup_to_another_stage():
    stages = {look(minutes, start(), key(5)).stage for minutes in (6, DAY, 30 * DAY, 400 * DAY)}
    assert stages == {"key_created"}


def test_the_decision_names_the_stage_and_since_when():
    decision = look(30, start(), key(5))
    assert (decision.stage, decision.since) == ("key_created", at(5))


def test_the_steps_of_other_stages_are_answered_too():
    decision = look(30, start(), key(5))
    assert len(decision.verdicts) == len(API.steps())
    assert said(decision.verdict("hello")) == ("no", "other_stage")
    assert decision.verdict("no_such_step") is None


# --- conditions -----------------------------------------------------------------------------------

BIG = Trait(Where("plan", "eq", "enterprise"))
ENTERPRISE = Account(id=1, traits={"plan": "enterprise"})


@pytest.mark.parametrize(
    ("condition", "log", "expected"),
    [
        (Always(), [start()], (True, 0)),
        (Reached("key"), [start()], (False, 0)),
        (Reached("key"), [start(), key(5)], (True, 5)),
        (Reached("key"), [start(), key(5), revoked(9)], (False, 9)),
        (Reached("key"), [start(), key(5), revoked(9), key(12)], (True, 12)),
        (Reached("call"), [start(), key(5), call(6), revoked(9)], (True, 9)),
        (Usable(), [start(), key(5)], (False, 0)),
        (Usable(), [start(), key(5), call(6)], (True, 6)),
        (Blocked(), [start(), refused(1, 2)], (False, 0)),
        (Blocked(), [start(), refused(1, 2, 3)], (True, 3)),
        (Blocked("auth"), [start(), refused(1, 2, 3)], (True, 3)),
        (Blocked("scope"), [start(), refused(1, 2, 3)], (False, 0)),
        (Blocked(), [start(), refused(1, 2, 3), key(9)], (False, 9)),
        (BlockedAgain(), [start(), refused(1, 2, 3)], (False, 0)),
        (BlockedAgain(), [start(), refused(1, 2, 3, 4, 5, 6)], (True, 6)),
        (BlockedAgain(), [start(), refused(1, 2, 3), key(9), refused(10, 11, 12)], (True, 12)),
        (
            BlockedAgain(),
            [start(), refused(1, 2, 3), key(9), refused(10, 11, 12, 13, 14, 15)],
            (True, 12),
        ),
        (ProviderIn(("stripe",)), [start(provider="Stripe")], (True, 0)),
        (ProviderIn(("stripe",)), [start()], (False, 0)),
        (Activated(), [start()], (False, 0)),
        (Activated(), [start(), ev("first_workflow_launched", 7)], (True, 7)),
        (Intent(), [start(), ev("pricing_viewed", 7)], (True, 7)),
        (Intent(), [start()], (False, 0)),
        (Not(Reached("key")), [start(), key(5)], (False, 5)),
        (Not(Reached("key")), [start(), key(5), revoked(9)], (True, 9)),
        (all_of(), [start()], (True, 0)),
        (all_of(Reached("key"), Blocked()), [start(), key(5), refused(6, 7, 8)], (True, 8)),
        (all_of(Reached("key"), Blocked()), [start(), key(5)], (False, 0)),
        (AnyOf(()), [start()], (False, 0)),
        (AnyOf((Reached("key"), Blocked())), [start(), key(5), refused(6, 7, 8)], (True, 5)),
        (AnyOf((Reached("key"), Blocked())), [start(), key(5), revoked(9)], (False, 9)),
    ],
)
def test_a_condition_holds_or_not_and_since(condition, log, expected):
    assert holds(condition, *log) == expected


def test_a_trait_and_the_named_condition_on_value_follow_the_account():
    assert holds(BIG, start(), account=ENTERPRISE)[0]
    assert not holds(BIG, start())[0]
    assert holds(HighValue(), start(), account=ENTERPRISE)[0]
    assert not holds(HighValue(), start())[0]
    assert not holds(
        HighValue(), start(), account=ENTERPRISE, journey=replace(API, high_value=None)
    )[0]


def test_the_starter_lacks_what_the_next_milestone_needs():
    assert holds(StarterLacks(), start(0, MIA)) == (True, 0)
    assert holds(StarterLacks(), start(0, DEV)) == (False, 0)
    assert holds(StarterLacks(), start(0, None)) == (False, 0)


def test_a_starter_whose_role_changes_lacks_or_gains_from_then_on():
    lately = {"role_since": at(45)}
    demoted = replace(DEV, capabilities=frozenset(), **lately)
    assert holds(StarterLacks(), start(0, DEV), people=[demoted]) == (True, 45)
    promoted = replace(MIA, capabilities=DEV.capabilities, **lately)
    assert holds(StarterLacks(), start(0, MIA), people=[promoted]) == (False, 45)


def test_a_starter_who_left_cannot_take_the_next_step():
    assert holds(StarterLacks(), start(0, DEV), people=[replace(DEV, member=False), ADA])[0]


def test_a_milestone_that_needs_no_capability_is_lacked_by_nobody():
    log = [start(0, DEV, kind="domain"), ev("domain_verified", 90, ADA)]
    assert holds(StarterLacks(), *log, journey=DOMAIN) == (False, 90)


def test_somebody_able_is_a_member_other_than_the_starter_who_has_the_capability():
    log = [start(0, MIA)]
    assert holds(SomebodyAble(), *log, people=[MIA, ADA]) == (True, 0)
    assert not holds(SomebodyAble(), *log, people=[MIA])[0]
    assert not holds(SomebodyAble(), *log, people=[MIA, replace(ADA, member=False)])[0]
    assert not holds(SomebodyAble(), start(0, DEV), people=[DEV, MIA])[0]


def test_somebody_is_able_since_the_first_of_them_joined_or_got_the_role():
    log = [start(0, MIA)]
    joined = replace(ADA, joined_at=at(30))
    promoted = replace(OLE, role_since=at(50))
    assert holds(SomebodyAble(), *log, people=[MIA, joined, promoted]) == (True, 30)
    assert holds(SomebodyAble(), *log, people=[MIA, promoted]) == (True, 50)
    unknown = replace(DEV, joined_at=None)
    assert holds(SomebodyAble(), *log, people=[MIA, joined, unknown]) == (True, 0)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([start()], "key"),
        ([start(), key(5)], "call"),
        ([start(), call(5)], "key"),
        ([start(), key(5), call(6)], "call"),
        ([start(), key(5), call(6), revoked(9)], "key"),
    ],
)
def test_the_next_milestone_is_the_first_of_the_path_that_is_missing(log, expected):
    assert next_milestone(API, facts(only(*log))).key == expected


# --- history makes no old step due ----------------------------------------------------------------


def test_an_old_milestone_that_is_imported_makes_no_step_due():
    log = [start(0), key(5, imported=2 * DAY)]
    assert said(verdict("key_created_stalled", 2 * DAY, log)) == ("no", "historical")


def test_a_step_that_is_due_only_after_the_import_is_a_step_of_today():
    log = [start(0), key(5, imported=HOUR)]
    assert said(verdict("key_created_stalled", 2 * HOUR, log)) == ("wait", "not_yet")
    assert said(verdict("key_created_stalled", 5 + DAY, log)) == ("due", "due")


@pytest.mark.parametrize(
    ("log", "stage"),
    [
        ([start(), refused(1, 2, 3, imported=2 * DAY)], "blocked"),
        ([start(), key(5), revoked(9, imported=2 * DAY)], "started"),
        ([start(), refused(1, 2, 3), key(9, imported=2 * DAY)], "key_created"),
        ([start(), key(1), refused(2, 3, 4), key(9, imported=2 * DAY)], "key_created"),
    ],
    ids=["errors", "an undo", "a milestone that ends a block", "a repeated one that does"],
)
def test_nothing_that_is_imported_makes_an_old_step_due(log, stage):
    decision = look(2 * DAY, *log)
    assert decision.stage == stage
    assert not [found for found in decision.verdicts if found.outcome == "due"]


def test_of_two_marks_of_one_moment_history_prevails():
    found = position(API, facts(only(start(9), key(9, imported=2 * DAY))))
    assert found is not None
    assert found[1] == Mark(at(9), at(2 * DAY))


def test_an_imported_success_is_not_celebrated():
    log = [start(), key(5), call(9, imported=DAY)]
    decision = look(DAY, log)
    assert said(decision.verdict("confirm")) == ("no", "historical")
    assert decision.leave == "finished"


def test_an_imported_success_is_not_celebrated_even_when_its_clock_starts_after_the_import():
    held = [control("staff_hold_started", 6), control("staff_hold_ended", DAY + 5)]
    log = [start(), key(5), call(9, imported=DAY), *held]
    assert said(verdict("confirm", DAY + 6, log)) == ("no", "historical")


# --- the same step, wherever it stands --------------------------------------------------------------


def test_a_step_with_no_time_of_its_own_takes_the_window_of_the_next_milestone():
    step = API.steps()["start_stalled"][1]
    journey = with_step(step)
    assert verdict("start_stalled", 1, start(), journey=journey).due_at == at(2 * HOUR)
    assert verdict("key_created_stalled", 6, start(), key(5)).due_at == at(5 + DAY)
