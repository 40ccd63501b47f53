"""From events to state: any order, any repetition, late ones, undo, history."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.engine.fold import fold, sort_key
from lifecycle.engine.journey import Match
from lifecycle.engine.journey import Test as Where
from lifecycle.engine.routing import Router, passes
from tests.engine.world import (
    ADA,
    API_PATH,
    DAY,
    DEV,
    MIA,
    OLE,
    ROUTER,
    at,
    call,
    control,
    ev,
    folded,
    key,
    only,
    refused,
    revoked,
    start,
)

# --- any order, any repetition ----------------------------------------------------------------

PROVIDERS = st.sampled_from([{}, {"provider": "stripe"}, {"provider": "shopify"}])
IDS = st.sampled_from([{}, {}, {"integration_id": "int_1"}, {"integration_id": "int_2"}])
PEOPLE = st.sampled_from([None, DEV, MIA])
NAMES = st.sampled_from(
    [
        ("integration_started", {"integration_type": "api"}),
        ("integration_started", {"integration_type": "domain"}),
        ("api_key_created", {}),
        ("api_key_revoked", {}),
        ("first_api_call_success", {"environment": "production"}),
        ("first_api_call_success", {"environment": "sandbox"}),
        ("auth_failed", {}),
        ("auth_failed", {"error_class": "missing_scope"}),
        ("domain_verified", {}),
        ("domain_unverified", {}),
        ("sending_enabled", {}),
        ("pricing_viewed", {}),
        ("first_workflow_launched", {}),
        ("setup_page_viewed", {"integration_type": "api"}),
        ("staff_unblocked", {}),
        ("staff_hold_started", {}),
        ("staff_hold_ended", {}),
    ]
)


@st.composite
def events(draw):
    name, properties = draw(NAMES)
    extra = {**draw(PROVIDERS), **draw(IDS)} if not name.startswith("staff") else {}
    minutes = draw(st.integers(0, 12)) * 10
    imported = draw(st.sampled_from([None, None, None, DAY]))
    return ev(name, minutes, draw(PEOPLE), imported=imported, **properties, **extra)


LOGS = st.lists(events(), min_size=1, max_size=14, unique_by=lambda event: event.uid)


@settings(max_examples=120, deadline=None)
@given(LOGS, st.randoms(use_true_random=False))
def test_any_order_of_arrival_and_any_repetition_leads_to_the_same_setups(log, chance):
    expected = folded(log)
    again = [replace(event, id=event.id + 10_000) for event in log if chance.random() < 0.5]
    mixed = [*log, *again]
    chance.shuffle(mixed)
    found = folded(mixed)
    assert found.setups == expected.setups
    assert found.unplaced == expected.unplaced
    assert found.active == expected.active


@settings(max_examples=120, deadline=None)
@given(LOGS, st.integers(0, 14))
def test_going_on_from_a_stored_state_equals_folding_from_the_beginning(log, cut):
    ordered = sorted(log, key=lambda event: sort_key(ROUTER, event))
    halfway = fold(ROUTER, ordered[:cut])
    stored = deepcopy(halfway)
    assert fold(ROUTER, ordered[cut:], state=stored) == folded(log)


@settings(max_examples=120, deadline=None)
@given(LOGS)
def test_no_two_setups_of_one_type_ever_share_a_key(log):
    keys = [(setup.integration_type, one) for setup in folded(log).setups for one in setup.keys]
    assert len(keys) == len(set(keys))


@settings(max_examples=120, deadline=None)
@given(LOGS)
def test_a_setup_is_usable_exactly_while_every_needed_milestone_is_reached(log):
    for setup in folded(log).setups:
        needed = ROUTER.paths[setup.integration_type].usable
        assert (setup.usable is not None) == all(one in setup.reached for one in needed)
        assert not (setup.usable and setup.block)


def test_a_message_that_was_sent_twice_counts_as_one_error():
    once = refused(1, 2)
    assert only(start(), once, [replace(event, id=event.id + 500) for event in once]).block is None


def test_two_errors_of_one_moment_are_two_if_they_are_different_messages():
    assert only(start(), [ev("auth_failed", 1, uid=str(n)) for n in range(3)]).block is not None


def test_events_without_a_message_id_are_never_taken_for_the_same():
    assert only(start(), [ev("auth_failed", 1, uid="") for _ in range(3)]).block is not None


def test_a_repeated_milestone_keeps_its_first_time_and_its_first_person():
    setup = only(start(), key(5, DEV), key(30, ADA))
    assert setup.reached["key"].at == at(5)
    assert setup.reached_by["key"] == DEV.id


def test_two_messages_that_say_the_same_at_one_moment_change_nothing_twice():
    once = only(start(), key(5), call(6))
    twice = only(start(), start(uid="b"), key(5), key(5, uid="b"), call(6), call(6, uid="b"))
    assert once == twice


def test_the_highest_event_id_is_remembered_whatever_its_time():
    early, late = key(30), start(0)
    assert folded(early, late).last_event_id == max(early.id, late.id)


# --- late and implicit --------------------------------------------------------------------------


def test_a_late_start_takes_its_place_before_what_came_in_earlier():
    setup = only(key(20), start(0, MIA))
    assert (setup.started.at, setup.starter, setup.implicit) == (at(0), MIA.id, False)


def test_a_key_without_a_start_begins_a_setup_by_itself():
    setup = only(key(20, DEV, provider="stripe"))
    assert setup.implicit
    assert (setup.started.at, setup.starter, setup.provider) == (at(20), DEV.id, "stripe")
    assert "key" in setup.reached


def test_an_error_or_a_visit_alone_begins_nothing():
    assert folded(refused(1, 2, 3), ev("pricing_viewed", 4, DEV), revoked(5)).setups == []


def test_a_start_that_follows_an_implicit_one_makes_it_a_real_one_and_keeps_its_time():
    setup = only(key(5), start(30, DEV, provider="stripe", initiated_by_role="developer"))
    assert not setup.implicit
    assert (setup.started.at, setup.provider, setup.starter_role) == (at(5), "stripe", "developer")


def test_a_repeated_start_changes_nothing_and_opens_no_attempt():
    setup = only(start(0, DEV), start(90, ADA))
    assert (setup.started.at, setup.starter, setup.attempt) == (at(0), DEV.id, 1)


def test_whoever_reaches_the_first_milestone_is_the_starter_of_what_nobody_known_started():
    assert only(start(0, None), key(5, ADA)).starter == ADA.id


def test_an_event_of_nobody_known_makes_nobody_active():
    setup = only(start(0, None), key(5, None))
    assert (setup.starter, setup.actors, setup.active_at) == (None, {}, None)


def test_the_role_named_at_the_start_only_fills_a_blank():
    first = start(0, DEV, initiated_by_role="developer")
    assert only(first, start(9, DEV, initiated_by_role="owner")).starter_role == "developer"


def test_the_role_named_by_somebody_else_says_nothing_about_the_starter():
    assert only(start(0, DEV), start(9, ADA, initiated_by_role="admin")).starter_role == ""


# --- usable and undo ----------------------------------------------------------------------------


def test_usable_needs_every_milestone_that_the_path_names():
    assert only(start(), call(5)).usable is None
    setup = only(start(), call(5), key(9))
    assert setup.usable is not None
    assert setup.usable.at == at(9)


def test_a_sandbox_success_is_not_usable_and_not_progress():
    setup = only(start(), key(5), refused(6, 7, 8), call(9, environment="sandbox"))
    assert setup.usable is None
    assert setup.block is not None


def test_the_first_usable_moment_stays_when_success_is_reported_again():
    setup = only(start(), key(5), call(9), call(50), key(60))
    assert setup.usable is not None
    assert setup.usable.at == at(9)


def test_an_undo_before_usable_takes_the_milestone_back_and_opens_no_attempt():
    setup = only(start(), key(5), revoked(9))
    assert setup.reached == {}
    assert (setup.attempt, setup.started.at, setup.unreached_at) == (1, at(0), {"key": at(9)})


def test_an_undo_after_usable_reopens_as_the_next_attempt():
    setup = only(start(), key(5), call(6), refused(7), ev("pricing_viewed", 8), revoked(60))
    assert setup.is_open
    assert (setup.attempt, setup.started.at) == (2, at(60))
    assert (setup.intent, setup.errors, setup.blocks) == (None, {}, 0)


def test_an_undo_of_what_was_never_reached_does_nothing():
    assert only(start(), revoked(5)) == only(start())


def test_an_undo_of_a_milestone_that_usable_does_not_need_keeps_the_setup_usable():
    router = Router({"api": replace(API_PATH, usable=("call",))})
    [setup] = fold(router, [start(), key(5), call(6), revoked(60)]).setups
    assert setup.usable is not None
    assert "key" not in setup.reached


@pytest.mark.parametrize("same", [key, call], ids=["the key", "the call"])
def test_on_a_tie_usable_wins_over_the_undo(same):
    setup = only(start(), key(5), call(9 if same is call else 6), key(9), revoked(9))
    assert setup.usable is not None
    assert setup.attempt == 1


def test_on_a_tie_with_the_last_missing_milestone_usable_wins_over_an_undo_of_an_earlier_one():
    setup = only(start(), key(5), call(9), revoked(9))
    assert setup.usable is not None
    assert setup.usable.at == at(9)


def test_a_key_that_is_rotated_within_one_moment_is_a_key():
    assert "key" in only(start(), key(5), revoked(9), key(9)).reached


def test_an_undo_gives_way_only_to_reports_of_its_own_milestone_before_usable():
    assert "key" not in only(start(), key(5), revoked(9), start(9, ADA)).reached
    assert "key" not in only(start(), key(5), revoked(9), call(9, environment="sandbox")).reached


def test_before_usable_another_milestone_of_the_same_moment_does_not_save_the_undone_one():
    hook = replace(API_PATH.milestones[1], key="hook", events=(Match("hook_set"),))
    path = replace(
        API_PATH, milestones=(*API_PATH.milestones, hook), usable=("key", "call", "hook")
    )
    [setup] = fold(Router({"api": path}), [start(), key(5), ev("hook_set", 9), revoked(9)]).setups
    assert set(setup.reached) == {"hook"}


def test_an_undo_a_moment_later_wins():
    assert only(start(), key(5), call(9), revoked(9.001)).usable is None


def test_a_late_undo_takes_its_place_before_a_newer_key():
    setup = only(start(), key(5), key(20), call(30), revoked(10))
    assert setup.usable is not None
    assert setup.usable.at == at(30)
    assert setup.attempt == 1
    assert setup.reached["key"].at == at(20)


def test_success_does_not_make_up_for_a_milestone_that_is_undone():
    assert only(start(), key(5), revoked(10), call(30)).usable is None


def test_a_setup_can_be_reopened_again_and_again():
    log = [start(), key(5), call(6), revoked(10), key(20), revoked(30), key(40)]
    setup = only(log)
    assert setup.usable is not None
    assert (setup.attempt, setup.usable.at) == (3, at(40))


def test_another_definition_of_usable_gives_another_state_from_the_same_events():
    log = [start(), call(5)]
    router = Router({"api": replace(API_PATH, usable=("call",))})
    assert only(log).usable is None
    assert fold(router, log).setups[0].usable is not None


def test_one_name_can_reach_and_undo_and_reaching_wins_a_tie():
    milestone = replace(
        API_PATH.milestones[0],
        events=(Match("key_status", (Where("status", "eq", "on"),)),),
        undo=(Match("key_status", (Where("status", "eq", "off"),)),),
    )
    router = Router({"api": replace(API_PATH, milestones=(milestone, API_PATH.milestones[1]))})
    for on, off in (("a", "b"), ("b", "a")):
        log = [
            start(),
            ev("key_status", 5, status="on"),
            call(6),
            ev("key_status", 9, uid=off, status="off"),
            ev("key_status", 9, uid=on, status="on"),
        ]
        [setup] = fold(router, log).setups
        assert (setup.attempt, setup.is_open) == (1, False)


# --- history ------------------------------------------------------------------------------------


def test_what_history_says_carries_the_time_of_its_import():
    setup = only(start(0, imported=DAY), key(5, imported=DAY))
    assert setup.started.imported_at == at(DAY)
    assert setup.reached["key"].imported_at == at(DAY)


def test_a_live_event_after_history_is_live():
    setup = only(start(0, imported=DAY), key(5, imported=DAY), call(2 * DAY))
    assert setup.usable is not None
    assert setup.usable.imported_at is None


def test_a_live_start_on_an_imported_setup_makes_it_a_setup_of_today():
    for old in (key(0, imported=DAY), start(0, imported=DAY)):
        setup = only(old, start(2 * DAY))
        assert (setup.started.at, setup.started.imported_at) == (at(2 * DAY), None)


def test_a_live_visit_to_an_imported_setup_that_works_leaves_it_historical():
    setup = only(
        start(0, imported=DAY), key(1, imported=DAY), call(2, imported=DAY), start(2 * DAY)
    )
    assert setup.started.imported_at == at(DAY)


def test_an_imported_undo_and_an_imported_end_of_a_block_are_known_as_history():
    setup = only(start(), key(5), refused(6, 7, 8), revoked(9, imported=DAY))
    assert setup.unreached_imported == {"key": at(DAY)}
    setup = only(start(), refused(6, 7, 8), key(9, imported=DAY))
    assert setup.unblocked_imported_at == at(DAY)


# --- activity -----------------------------------------------------------------------------------


def test_an_event_of_the_system_is_not_activity():
    setup = only(start(0, DEV), ev("api_key_created", 30, DEV, active=False))
    assert setup.active_at == at(0)


def test_activity_is_kept_by_person_and_for_the_setup():
    setup = only(start(0, DEV), key(5, ADA))
    assert setup.actors == {DEV.id: at(0), ADA.id: at(5)}
    assert setup.active_at == at(5)


def test_plain_activity_belongs_to_the_setups_that_it_names_and_to_no_other():
    state = folded(
        start(0, DEV, provider="stripe"),
        start(1, DEV, provider="shopify"),
        ev("setup_page_viewed", 9, ADA, integration_type="api", provider="shopify"),
        ev("logged_in", 12, OLE),
    )
    stripe, shopify = state.setups
    assert ADA.id not in stripe.actors
    assert ADA.id in shopify.actors
    assert OLE.id not in {**stripe.actors, **shopify.actors}
    assert state.active == {DEV.id: at(1), ADA.id: at(9), OLE.id: at(12)}


def test_a_look_at_the_prices_is_intent_but_no_work_on_the_setup():
    setup = only(start(0, DEV), ev("pricing_viewed", 9, MIA))
    assert setup.intent is not None
    assert MIA.id not in setup.actors
    assert setup.active_at == at(0)


def test_intent_counts_for_the_setup_that_it_names_or_else_for_all():
    log = [start(0, provider="stripe"), start(1, provider="shopify")]
    named = folded(log, ev("docs_viewed", 9, DEV, provider="shopify")).setups
    assert [setup.intent is not None for setup in named] == [False, True]
    plain = folded(log, ev("pricing_viewed", 9, DEV)).setups
    assert [setup.intent is not None for setup in plain] == [True, True]


def test_intent_before_the_start_does_not_count():
    assert only(ev("pricing_viewed", -5, DEV), start(0)).intent is None


def test_activation_is_seen_once_and_keeps_its_first_time():
    setup = only(start(), ev("first_workflow_launched", 5), ev("first_workflow_launched", 9))
    assert setup.activated is not None
    assert setup.activated.at == at(5)


def test_an_event_that_is_a_milestone_here_and_activation_there_is_both():
    domain = replace(
        ROUTER.paths["domain"],
        activation=replace(ROUTER.paths["domain"].activation, event="api_key_created"),
    )
    router = Router({"api": API_PATH, "domain": domain})
    api, other = fold(router, [start(), start(1, kind="domain"), key(5)]).setups
    assert "key" in api.reached
    assert other.activated is not None


# --- what staff do ------------------------------------------------------------------------------


def test_a_hold_lasts_from_its_first_start_to_its_end():
    setup = only(start(), control("staff_hold_started", 5), control("staff_hold_started", 9))
    assert setup.held_since == at(5)
    setup = only(start(), control("staff_hold_started", 5), control("staff_hold_ended", 20))
    assert (setup.held_since, setup.hold_ended_at) == (None, at(20))


def test_the_end_of_a_hold_that_never_began_is_nothing():
    assert only(start(), control("staff_hold_ended", 20)).hold_ended_at is None


def test_a_stop_holds_until_it_is_taken_back():
    assert only(start(), control("staff_stopped", 5)).stopped_at == at(5)
    log = [start(), control("staff_stopped", 5), control("staff_restarted", 9)]
    assert only(log).stopped_at is None


def test_a_control_reaches_the_setup_that_it_names_and_without_a_name_every_one():
    log = [start(0, provider="stripe"), start(1, provider="shopify"), start(2, kind="domain")]

    def stopped(**names):
        state = folded(log, control("staff_stopped", 9, **names))
        return [setup.stopped_at is not None for setup in state.setups]

    assert stopped() == [True, True, True]
    assert stopped(integration_type="api") == [True, True, False]
    assert stopped(integration_type="api", setup_key="provider:shopify") == [False, True, False]


def test_a_control_still_finds_a_setup_by_a_key_that_it_had_before():
    log = [start(0, provider="stripe"), key(5, provider="stripe", integration_id="int_1")]
    event = control("staff_stopped", 9, integration_type="api", setup_key="provider:stripe")
    assert only(log, event).stopped_at == at(9)


# --- tests of properties ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "wanted", "value", "holds"),
    [
        ("eq", "production", "production", True),
        ("eq", "production", None, False),
        ("eq", 1, True, False),
        ("eq", True, True, True),
        ("eq", 1, 1.0, True),
        ("eq", "1", 1, False),
        ("ne", "production", "sandbox", True),
        ("ne", "production", "production", False),
        ("ne", 1, True, True),
        ("in", ("a", "b"), "b", True),
        ("in", ("a", "b"), "c", False),
        ("in", ("a", "b"), ["a"], False),
        ("in", (1, 2), True, False),
        ("in", "ab", "a", False),
        ("not_in", ("a", "b"), "c", True),
        ("not_in", ("a", "b"), "a", False),
        ("exists", None, "", True),
        ("exists", None, None, False),
        ("gte", 5, 5, True),
        ("gte", 5, 4.9, False),
        ("gte", 5, "7", False),
        ("gte", 0, True, False),
        ("gte", 5, None, False),
        ("lte", 5, 5, True),
        ("lte", 5, 6, False),
        ("lte", "5", 3, False),
    ],
)
def test_a_test_of_a_property_compares_like_with_like_and_never_raises(op, wanted, value, holds):
    assert passes((Where("p", op, wanted),), {"p": value}) is holds


def test_every_test_of_a_match_has_to_pass():
    both = (Where("a", "eq", 1), Where("b", "eq", 2))
    assert passes(both, {"a": 1, "b": 2})
    assert not passes(both, {"a": 1})


@pytest.mark.parametrize("odd", [["api"], {"a": 1}, 7, True, "", None, "x" * 500, "webhook"])
@pytest.mark.parametrize("name", ["integration_type", "provider", "integration_id", "message"])
def test_odd_values_in_the_known_properties_never_raise(name, odd):
    log = [start(), key(5, **{name: odd}), *refused(6, 7, 8, **{name: odd})]
    log.append(ev("setup_page_viewed", 9, DEV, **{name: odd}))
    log.append(ev("docs_viewed", 9, DEV, **{name: odd}))
    for setup in folded(log).setups:
        assert len(setup.provider) <= 120
        assert len(setup.integration_id) <= 255


def test_the_router_knows_what_names_mean():
    assert "auth_failed" in ROUTER.names
    assert "logged_in" not in ROUTER.names
    assert ROUTER.completing() == {
        "api_key_created",
        "first_api_call_success",
        "domain_verified",
        "sending_enabled",
        "authentication_check_passed",
    }
