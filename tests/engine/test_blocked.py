"""Blocked: thresholds in a sliding window, latched until progress, success or a person says so."""

from dataclasses import replace

import pytest

from lifecycle.engine.fold import fold
from lifecycle.engine.journey import Match
from lifecycle.engine.journey import Test as Where
from lifecycle.engine.routing import Router
from lifecycle.engine.state import Mark
from tests.engine.world import (
    API_PATH,
    DAY,
    HOUR,
    at,
    call,
    control,
    ev,
    key,
    look,
    only,
    ran,
    refused,
    revoked,
    said,
    start,
    verdict,
)

SECOND = 1 / 60


@pytest.mark.parametrize(
    ("minutes", "blocked"),
    [
        ((1, 2), False),
        ((1, 2, 3), True),
        ((1, 2, 1 + HOUR - SECOND), True),
        ((1, 2, 1 + HOUR), False),
        ((1, 2, 1 + HOUR, 2 + HOUR - SECOND), True),
        ((1, 2, 2 + HOUR, 3 + HOUR), False),
        ((1, 1 + HOUR, 1 + 2 * HOUR, 1 + 3 * HOUR), False),
    ],
)
def test_as_many_errors_as_the_threshold_inside_the_window_block(minutes, blocked):
    """The window is open at its far end: an error exactly as old as the window is out of it."""
    assert (only(start(), refused(*minutes)).block is not None) is blocked


def test_a_block_begins_with_the_error_that_crosses_the_threshold():
    setup = only(start(), refused(1, 5, 9))
    assert setup.block is not None
    assert (setup.block.error_class, setup.block.since, setup.blocks) == ("auth", Mark(at(9)), 1)


def test_errors_of_different_classes_do_not_add_up():
    log = [start(), refused(1, 2), refused(3, error_class="missing_scope")]
    assert only(log).block is None


def test_an_error_is_of_the_class_with_the_most_tests_and_of_that_alone():
    setup = only(start(), refused(1, 2, error_class="missing_scope"))
    assert setup.block is not None
    assert setup.block.error_class == "scope"
    assert "auth" not in setup.errors


def test_an_error_that_two_matches_of_one_class_catch_counts_once():
    by_code = Match("auth_failed", (Where("code", "eq", 401),))
    by_word = Match("auth_failed", (Where("word", "eq", "no"),))
    errors = (replace(API_PATH.errors[0], events=(by_code, by_word)),)
    router = Router({"api": replace(API_PATH, errors=errors)})
    log = [start(), *refused(1, 2, code=401, word="no")]
    assert fold(router, log).setups[0].block is None


def test_late_errors_are_counted_at_their_own_time():
    assert only(start(), refused(9), refused(1), refused(5)).block is not None


def test_time_alone_does_not_end_a_block():
    assert look(30 * DAY, start(), refused(1, 2, 3)).stage == "blocked"


@pytest.mark.parametrize(
    "way_out",
    [key(30), call(30), control("staff_unblocked", 30)],
    ids=["progress", "success", "a person"],
)
def test_progress_success_or_a_person_ends_a_block_and_restarts_the_clock(way_out):
    setup = only(start(), refused(1, 2, 3), way_out)
    assert setup.block is None
    assert setup.unblocked_at == at(30)
    assert setup.errors == {}


def test_creating_another_key_is_progress_too():
    assert only(start(), key(1), refused(2, 3, 4), key(30)).block is None


@pytest.mark.parametrize(
    "nothing", [call(30, environment="sandbox"), start(30), revoked(30), ev("pricing_viewed", 30)]
)
def test_nothing_else_ends_a_block(nothing):
    assert only(start(), key(0.5), refused(1, 2, 3), nothing).block is not None


def test_progress_forgets_the_errors_before_it():
    assert only(start(), refused(1, 2), key(3), refused(4, 5)).block is None


def test_a_person_who_unblocks_forgets_the_errors_even_before_a_block():
    assert only(start(), refused(1, 2), control("staff_unblocked", 3), refused(4)).block is None


def test_an_error_of_the_moment_of_progress_came_before_it():
    setup = only(start(), refused(1, 2), refused(3), key(3))
    assert setup.block is None
    assert setup.unblocked_at == at(3)
    setup = only(start(), refused(1, 2, 3), key(3), refused(9))
    assert setup.last_error is not None
    assert setup.last_error.count == 1


def test_a_further_burst_while_blocked_is_marked_and_is_no_second_block():
    setup = only(start(), refused(1, 2, 3), refused(10, 11, 12), refused(20, 21, 22))
    assert setup.block is not None
    assert (setup.block.since.at, setup.block.burst, setup.blocks) == (at(3), Mark(at(12)), 1)


def test_a_few_more_errors_while_blocked_are_no_burst():
    setup = only(start(), refused(1, 2, 3), refused(10, 11))
    assert setup.block is not None
    assert setup.block.burst is None


def test_a_burst_of_another_class_while_blocked_is_a_burst_and_keeps_the_first_class():
    setup = only(start(), refused(1, 2, 3), refused(10, 11, error_class="missing_scope"))
    assert setup.block is not None
    assert (setup.block.error_class, setup.block.burst) == ("auth", Mark(at(11)))


def test_a_second_episode_is_counted():
    setup = only(start(), refused(1, 2, 3), key(10), refused(20, 21, 22))
    assert setup.blocks == 2
    assert setup.block is not None
    assert setup.block.since.at == at(22)


def test_a_threshold_of_one_blocks_at_the_first_error():
    errors = (replace(API_PATH.errors[0], threshold=1),)
    router = Router({"api": replace(API_PATH, errors=errors)})
    assert fold(router, [start(), *refused(5)]).setups[0].block is not None


def test_no_more_error_times_are_kept_than_the_threshold_needs():
    spread = [2 * HOUR * n for n in range(50)]
    assert len(only(start(), refused(*spread)).errors["auth"]) == 3


def test_the_newest_error_is_remembered_with_its_words_and_how_many_came_in_a_row():
    setup = only(start(), refused(1, 70, 140), refused(210, message="Invalid key"))
    assert setup.last_error is not None
    assert (setup.last_error.message, setup.last_error.count) == ("Invalid key", 4)
    setup = only(start(), refused(1, 70), key(75), refused(140))
    assert setup.last_error is not None
    assert setup.last_error.count == 1


# --- what is sent ---------------------------------------------------------------------------------


def test_nudges_stop_at_once_and_the_checklist_goes_instead():
    log = [start(), refused(11, 12, 13)]
    decision = look(14, log)
    assert decision.stage == "blocked"
    assert said(decision.verdict("hello")) == ("no", "other_stage")
    assert said(decision.verdict("blocked_nudge")) == ("wait", "blocked")
    assert said(decision.verdict("checklist")) == ("due", "due")


def test_a_burst_leads_to_the_alert_and_not_to_a_second_checklist():
    log = [start(), refused(1, 2, 3)]
    sent = [ran("checklist", minutes=3)]
    assert said(verdict("blocked_again", 9, log, runs=sent)) == ("no", "condition_not_met")
    log.append(refused(10, 11, 12))
    decision = look(13, log, runs=sent)
    assert said(decision.verdict("checklist")) == ("done", "already_done")
    assert said(decision.verdict("blocked_again")) == ("due", "due")


def test_a_second_episode_leads_to_the_alert_and_not_to_a_second_checklist():
    log = [start(), refused(1, 2, 3), key(10), refused(20, 21, 22)]
    decision = look(23, log, runs=[ran("checklist", minutes=3)])
    assert said(decision.verdict("checklist")) == ("done", "already_done")
    assert said(decision.verdict("blocked_again")) == ("due", "due")


def test_the_alert_for_a_valuable_account_opens_for_no_other():
    from lifecycle.engine.facts import Account

    log = [start(), refused(1, 2, 3)]
    big = Account(id=1, traits={"plan": "enterprise"})
    assert said(verdict("big_blocked", 4, log, account=big)) == ("due", "due")
    assert said(verdict("big_blocked", 4, log)) == ("no", "condition_not_met")


def test_after_a_block_the_clock_of_the_next_step_starts_at_its_end():
    log = [start(), refused(1, 2, 3), control("staff_unblocked", 200)]
    assert verdict("hello", 205, log).due_at == at(210)
