"""Which setup an event belongs to: the path, then the id, then the provider, then the only open one."""

import pytest

from lifecycle.engine.state import AccountState
from tests.engine.world import (
    ADA,
    DAY,
    DEV,
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


def names(state: AccountState) -> list[str]:
    return [f"{setup.integration_type} {setup.key}".strip() for setup in state.setups]


def reached(state: AccountState) -> list[set[str]]:
    return [set(setup.reached) for setup in state.setups]


# --- the path -----------------------------------------------------------------------------------


def test_an_event_that_names_no_type_goes_to_the_path_that_knows_its_name():
    state = folded(start(0), start(1, kind="domain"), ev("domain_verified", 5))
    assert reached(state) == [set(), {"dns"}]


def test_a_start_of_a_type_that_no_live_journey_is_about_begins_nothing():
    assert folded(start(0, kind="webhook")).setups == []


def test_an_event_whose_type_is_another_paths_is_not_taken_for_ours():
    assert reached(folded(start(0), key(5, integration_type="domain"))) == [set()]


def test_a_type_that_nobody_knows_is_no_reason_to_lose_the_event():
    assert reached(folded(start(0), key(5, integration_type="rest"))) == [{"key"}]


# --- the id -------------------------------------------------------------------------------------


def test_the_id_decides_between_two_of_one_provider():
    log = [
        start(0, provider="stripe", integration_id="1"),
        start(1, provider="stripe", integration_id="2"),
    ]
    state = folded(log, key(5, provider="stripe", integration_id="2"))
    assert names(state) == ["api id:1", "api id:2"]
    assert reached(state) == [set(), {"key"}]


def test_an_id_is_the_same_as_number_and_as_text():
    assert reached(folded(start(0, integration_id=42), key(5, integration_id="42"))) == [{"key"}]


def test_an_unknown_id_is_learned_by_the_setup_of_the_same_provider():
    setup = only(start(0, provider="stripe"), key(5, provider="stripe", integration_id="1"))
    assert setup.keys == ("provider:stripe", "id:1")
    assert setup.key == "id:1"


def test_an_unknown_id_without_a_provider_is_learned_by_the_only_open_setup():
    assert only(start(0, provider="stripe"), key(5, integration_id="1")).key == "id:1"


def test_an_unknown_id_of_another_provider_begins_another_setup():
    log = [start(0, provider="stripe"), key(5, provider="shopify", integration_id="1")]
    assert names(folded(log)) == ["api provider:stripe", "api id:1"]


def test_an_id_is_never_learned_by_a_setup_that_has_one():
    log = [start(0, integration_id="1"), key(5, integration_id="2")]
    assert names(folded(log)) == ["api id:1", "api id:2"]


def test_a_provider_is_never_replaced():
    log = [
        start(0, provider="stripe", integration_id="1"),
        key(5, provider="x", integration_id="1"),
    ]
    assert only(log).provider == "stripe"


# --- the provider -------------------------------------------------------------------------------


def test_the_provider_decides_between_two_setups():
    log = [start(0, provider="stripe"), start(1, provider="shopify"), key(5, provider="Shopify ")]
    assert reached(folded(log)) == [set(), {"key"}]


def test_a_setup_without_a_provider_takes_the_one_that_is_named_next():
    assert only(key(0), start(9, provider="stripe")).provider == "stripe"
    assert only(start(0), key(9, provider="stripe")).provider == "stripe"


def test_a_setup_known_by_its_id_alone_takes_the_provider_that_is_named_next():
    setup = only(start(0, integration_id="1"), key(5, provider="stripe"))
    assert (setup.key, setup.provider) == ("id:1", "stripe")


def test_a_second_start_that_names_a_provider_is_not_the_one_known_by_its_id():
    log = [start(0, integration_id="1"), start(5, provider="stripe")]
    assert names(folded(log)) == ["api id:1", "api provider:stripe"]


def test_another_provider_is_another_setup():
    log = [start(0, provider="stripe"), start(1, provider="shopify")]
    assert names(folded(log)) == ["api provider:stripe", "api provider:shopify"]


def test_a_milestone_of_a_provider_that_nobody_started_begins_its_own_setup():
    state = folded(start(0, provider="stripe"), key(5, provider="shopify"))
    assert names(state) == ["api provider:stripe", "api provider:shopify"]
    assert reached(state) == [set(), {"key"}]


def test_an_error_of_a_provider_that_nobody_started_is_nobodys():
    state = folded(start(0, provider="stripe"), refused(1, 2, 3, provider="shopify"))
    assert state.setups[0].block is None
    assert len(state.setups) == 1


def test_an_open_setup_comes_before_a_finished_one_of_the_same_provider():
    log = [
        start(0, provider="stripe", integration_id="1"),
        key(1, provider="stripe", integration_id="1"),
        call(2, provider="stripe", integration_id="1"),
        start(9, provider="stripe", integration_id="2"),
        key(12, provider="stripe"),
    ]
    assert reached(folded(log)) == [{"key", "call"}, {"key"}]


def test_a_provider_that_two_open_setups_share_is_ambiguous():
    log = [
        start(0, provider="stripe", integration_id="1"),
        start(1, provider="stripe", integration_id="2"),
    ]
    [unplaced] = folded(log, key(5, provider="stripe")).unplaced
    assert unplaced.candidates == (("api", "id:1"), ("api", "id:2"))


# --- the only open one --------------------------------------------------------------------------


def test_an_event_that_names_nothing_goes_to_the_only_open_setup():
    log = [start(0, provider="stripe"), key(1), call(2), start(9, provider="shopify"), key(12)]
    assert reached(folded(log)) == [{"key", "call"}, {"key"}]


def test_a_milestone_that_fits_two_open_setups_is_placed_on_neither_and_remembered():
    event = key(5)
    state = folded(start(0, provider="stripe"), start(1, provider="shopify"), event)
    assert reached(state) == [set(), set()]
    [unplaced] = state.unplaced
    assert (unplaced.event_id, unplaced.name, unplaced.at) == (event.id, event.name, event.at)
    assert unplaced.candidates == (("api", "provider:stripe"), ("api", "provider:shopify"))


@pytest.mark.parametrize("event", [refused(5)[0], revoked(5), start(5)], ids=lambda e: e.name)
def test_only_a_milestone_in_doubt_is_remembered(event):
    state = folded(start(0, provider="stripe"), start(1, provider="shopify"), event)
    assert state.unplaced == []
    assert len(state.setups) == 2


def test_a_repeated_success_that_fits_several_working_setups_is_nobodys_question():
    log = []
    for minute, provider in ((0, "stripe"), (10, "shopify")):
        log += [
            start(minute, provider=provider),
            key(minute + 1, provider=provider),
            call(minute + 2, provider=provider),
        ]
    state = folded(log, call(60), call(90))
    assert state.unplaced == []
    assert len(state.setups) == 2


def test_a_revocation_that_names_nothing_is_about_the_setup_that_has_the_key():
    log = [
        start(0, provider="stripe"),
        key(1, provider="stripe"),
        call(2, provider="stripe"),
        start(9, provider="shopify"),
        revoked(30),
    ]
    stripe, shopify = folded(log).setups
    assert (stripe.attempt, stripe.is_open) == (2, True)
    assert shopify.attempt == 1


def test_a_revocation_by_provider_is_about_the_setup_that_has_the_key_even_if_another_is_open():
    log = [
        start(0, provider="stripe", integration_id="1"),
        key(1, integration_id="1"),
        call(2, integration_id="1"),
        start(9, provider="stripe", integration_id="2"),
        revoked(30, provider="stripe"),
    ]
    assert [setup.attempt for setup in folded(log).setups] == [2, 1]


def test_a_revocation_that_fits_two_setups_with_a_key_is_placed_on_neither():
    log = [start(0, provider="stripe"), key(1, provider="stripe")]
    log += [start(2, provider="shopify"), key(3, provider="shopify"), revoked(9)]
    assert reached(folded(log)) == [{"key"}, {"key"}]


# --- after usable -------------------------------------------------------------------------------

WORKING = [start(0, provider="stripe"), key(1, provider="stripe"), call(2, provider="stripe")]


def test_repeated_milestones_of_a_working_setup_never_open_a_second_one():
    repeats = [key(60, provider="stripe"), call(61), call(DAY, provider="stripe"), key(2 * DAY)]
    assert only(WORKING, repeats) == only(WORKING, repeats[-1:], repeats[:-1])
    assert only(WORKING, repeats).attempt == 1


def test_errors_of_a_working_setup_do_not_block_it():
    assert only(WORKING, refused(60, 61, 62)).block is None


def test_a_start_that_names_another_provider_after_usable_begins_a_second_setup():
    state = folded(WORKING, start(60, provider="shopify"))
    assert [setup.is_open for setup in state.setups] == [False, True]


def test_a_start_that_names_another_id_after_usable_begins_a_second_setup_of_the_same_provider():
    state = folded(WORKING, start(60, provider="stripe", integration_id="2"))
    assert names(state) == ["api provider:stripe", "api id:2"]
    assert [setup.is_open for setup in state.setups] == [False, True]


def test_a_start_that_names_the_working_setup_or_nothing_is_only_a_visit():
    for visit in (start(60, ADA, provider="stripe"), start(60, ADA)):
        setup = only(WORKING, visit)
        assert (setup.is_open, setup.attempt, setup.starter) == (False, 1, DEV.id)


def test_a_second_setup_does_not_take_away_from_the_first():
    state = folded(WORKING, start(60, provider="shopify"), key(70, provider="shopify"))
    assert reached(state) == [{"key", "call"}, {"key"}]


# --- placed by staff ----------------------------------------------------------------------------


def test_a_placed_milestone_is_reached_there_and_no_longer_in_doubt():
    event = key(5)
    log = [start(0, provider="stripe"), start(1, provider="shopify"), event]
    state = folded(log, placed={event.id: ("api", "provider:shopify")})
    assert reached(state) == [set(), {"key"}]
    assert state.unplaced == []


def test_an_event_can_be_placed_by_the_key_that_its_setup_has_learned_since():
    event = key(5)
    log = [start(0, provider="stripe"), start(1, provider="shopify"), event]
    log.append(ev("setup_page_viewed", 8, DEV, provider="shopify"))
    log.append(key(9, provider="shopify", integration_id="7"))
    state = folded(log, placed={event.id: ("api", "id:7")})
    assert state.unplaced == []
    assert state.setups[1].reached["key"].at == event.at


def test_an_event_that_is_placed_nowhere_stays_in_doubt():
    event = key(5)
    log = [start(0, provider="stripe"), start(1, provider="shopify"), event]
    assert len(folded(log, placed={event.id: ("api", "id:none")}).unplaced) == 1


def test_saying_where_an_event_belongs_is_itself_no_event_of_a_setup():
    log = [start(0), control("staff_placed", 5, integration_type="api", setup_key="", event_id=1)]
    assert only(log) == only(start(0))
