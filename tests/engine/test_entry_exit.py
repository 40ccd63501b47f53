"""Who enters a journey, what ends it, and coming back."""

from dataclasses import replace

import pytest

from lifecycle.engine.decide import enter
from lifecycle.engine.facts import Account
from lifecycle.engine.journey import Entry, Exit, Reached, Trait
from lifecycle.engine.journey import Test as Where
from tests.engine.world import (
    API,
    DAY,
    HOUR,
    at,
    call,
    control,
    ev,
    facts,
    key,
    look,
    only,
    ran,
    refused,
    revoked,
    said,
    start,
)

WORKING = [start(), key(1), call(2)]
ACTIVATED = ev("first_workflow_launched", 3)


def entering(*log, journey=API, published=None, **more):
    setup = only(*log)
    when = None if published is None else at(published)
    return str(enter(journey, facts(setup, **more), published_at=when))


# --- entry --------------------------------------------------------------------------------------------


def test_a_setup_that_has_just_started_enters():
    assert entering(start()) == "entered"


def test_only_setups_that_start_from_the_publication_on_enter_unless_the_plan_says_otherwise():
    assert entering(start(), published=1) == "started_before_publish"
    assert entering(start(), published=0) == "entered"
    assert entering(start(), published=None) == "entered"


@pytest.mark.parametrize(
    ("log", "more", "reason"),
    [
        ([start()], {"account": Account(1, merged=True)}, "merged"),
        ([start()], {"account": Account(1, closed_at=at(1))}, "account_closed"),
        ([start(0, imported=DAY)], {}, "started_historically"),
        ([start(), control("staff_stopped", 1)], {}, "stopped_by_staff"),
        ([start(), ACTIVATED], {}, "later_stage"),
        ([start(), key(1), call(2, imported=DAY)], {}, "already_usable"),
    ],
)
def test_what_keeps_a_setup_out(log, more, reason):
    assert entering(*log, **more) == reason


def test_the_entry_rule_is_apart_from_the_exit_rule():
    journey = replace(API, entry=Entry(when=Trait(Where("plan", "ne", "free"))))
    free = Account(1, traits={"plan": "free"})
    assert entering(start(), journey=journey, account=free) == "entry_rule"
    assert entering(start(), journey=journey) == "entered"
    assert look(5, start(), journey=journey, account=free).leave is None


def test_a_provider_with_a_manual_path_goes_to_a_person():
    journey = replace(API, entry=Entry(manual_providers=("sap",)))
    assert entering(start(provider="SAP"), journey=journey) == "manual_provider"
    assert entering(start(provider="stripe"), journey=journey) == "entered"


def test_a_setup_that_turns_out_to_be_of_a_manual_provider_leaves_the_journey():
    journey = replace(API, entry=Entry(manual_providers=("sap",)))
    log = [key(0), start(5, provider="sap")]
    assert look(11, *log, journey=journey).leave == "manual_provider"
    done = look(11, *log, call(9), journey=journey)
    assert done.leave is None
    assert said(done.verdict("confirm")) == ("due", "due")


def test_a_setup_that_worked_at_once_enters_and_is_confirmed():
    assert entering(*WORKING) == "entered"


def test_a_live_start_after_imported_history_enters():
    assert entering(key(0, imported=DAY), start(2 * DAY)) == "entered"


# --- exit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "more", "reason"),
    [
        ([start()], {"account": Account(1, merged=True)}, "merged"),
        ([start()], {"account": Account(1, closed_at=at(1))}, "account_closed"),
        ([start(), control("staff_stopped", 1)], {}, "stopped_by_staff"),
        ([start(), ACTIVATED], {}, "later_stage"),
        ([*WORKING, revoked(60)], {"attempt": 1}, "reopened"),
    ],
)
def test_what_ends_a_journey_at_once_for_everybody(log, more, reason):
    decision = look(HOUR * 2, *log, **more)
    assert decision.leave == reason
    assert decision.next_look_at is None
    assert {(v.outcome, v.reason) for v in decision.verdicts} == {("no", reason)}


def test_what_was_done_before_the_end_stays_said():
    log = [start(), control("staff_stopped", 15)]
    decision = look(20, *log, runs=[ran("hello", minutes=10)])
    assert said(decision.verdict("hello")) == ("done", "already_done")


def test_a_stop_that_is_taken_back_lets_it_go_on():
    log = [start(), control("staff_stopped", 1), control("staff_restarted", 5)]
    assert look(11, *log).leave is None


def test_the_journeys_own_exit_rule_ends_it():
    journey = replace(API, exit=Exit(when=Reached("key")))
    assert look(11, start(), journey=journey).leave is None
    assert look(11, start(), key(5), journey=journey).leave == "later_stage"


def test_usable_ends_it_when_everything_of_the_end_is_done():
    decision = look(3, *WORKING)
    assert decision.leave is None
    assert said(decision.verdict("hand_off")) == ("due", "due")
    runs = [ran("confirm", minutes=3)]
    assert look(4, *WORKING, runs=runs).leave is None
    runs.append(ran("hand_off", minutes=3))
    assert look(4, *WORKING, runs=runs).leave == "finished"


def test_a_confirmation_that_nobody_can_get_does_not_keep_the_journey_open():
    gone = [replace(one, suppressed="bounced") for one in facts(only(*WORKING)).people.values()]
    decision = look(3, *WORKING, people=gone, runs=[ran("hand_off", minutes=3)])
    assert said(decision.verdict("confirm")) == ("no", "nobody_eligible")
    assert decision.leave == "finished"


def test_a_confirmation_that_is_too_late_does_not_either():
    assert look(9 * DAY, *WORKING).leave == "finished"


def test_whoever_is_in_a_later_stage_needs_no_confirmation_but_the_hand_off_still_happens():
    decision = look(4, *WORKING, ACTIVATED)
    assert said(decision.verdict("confirm")) == ("no", "later_stage")
    assert said(decision.verdict("hand_off")) == ("due", "due")
    assert decision.leave is None
    done = look(4, *WORKING, ACTIVATED, runs=[ran("hand_off", minutes=4)])
    assert done.leave == "later_stage"


def test_a_hand_off_is_no_comfort_to_a_closed_account():
    decision = look(4, *WORKING, account=Account(1, closed_at=at(3)))
    assert said(decision.verdict("hand_off")) == ("no", "account_closed")


def test_without_a_usable_stage_usable_still_ends_the_journey():
    journey = replace(API, stages=API.stages[1:])
    assert look(3, *WORKING, journey=journey).leave == "finished"


# --- coming back --------------------------------------------------------------------------------------


def test_a_reopened_setup_enters_again_with_a_clean_slate():
    log = [*WORKING, revoked(DAY)]
    assert entering(*log) == "entered"
    decision = look(DAY + 11, *log)
    assert (decision.stage, decision.since) == ("started", at(DAY))
    assert said(decision.verdict("hello")) == ("due", "due")


def test_a_journey_can_refuse_to_take_a_setup_twice():
    journey = replace(API, entry=Entry(reenter=False))
    assert entering(*WORKING, revoked(DAY), journey=journey) == "no_reentry"
    assert entering(start(), key(1), revoked(2), journey=journey) == "entered"


def test_reopening_lifts_a_manual_stop_of_the_attempt_before():
    log = [start(), control("staff_stopped", 1), key(2), call(3), revoked(DAY)]
    assert entering(*log) == "entered"


def test_a_setup_that_was_reopened_by_imported_history_does_not_enter():
    assert entering(*WORKING, revoked(60, imported=DAY)) == "started_historically"


def test_an_enrolment_of_the_first_attempt_sends_nothing_about_the_second():
    decision = look(DAY + 11, *WORKING, revoked(DAY), refused(DAY + 1, DAY + 2, DAY + 3), attempt=1)
    assert not [v for v in decision.verdicts if v.outcome in ("due", "wait")]
