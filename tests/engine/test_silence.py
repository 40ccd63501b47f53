"""What keeps a purpose silent: usable, a human, doubt, a block, an incident; and what a pause does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lifecycle.engine.decide import silence
from lifecycle.engine.facts import Account
from lifecycle.engine.journey import Purpose
from tests.engine.world import (
    API,
    DAY,
    HOUR,
    at,
    call,
    control,
    facts,
    key,
    look,
    only,
    refused,
    said,
    start,
    verdict,
)

NUDGE, RESOLUTION, ASK, CONFIRMATION = (
    Purpose.NUDGE,
    Purpose.RESOLUTION,
    Purpose.ASK,
    Purpose.CONFIRMATION,
)
WORKING = [start(), key(1), call(2)]
HELD = [start(), control("staff_hold_started", 5)]
STUCK = [start(), refused(1, 2, 3)]


def silent(purpose, *log, **more):
    setup = only(*log)
    reason = silence(setup, facts(setup, **more), purpose)
    return str(reason) if reason else None


@pytest.mark.parametrize(
    ("log", "more", "expected"),
    [
        ([start()], {}, [None, None, None]),
        (WORKING, {}, ["usable", "usable", "usable"]),
        (HELD, {}, ["held_by_a_person"] * 3),
        ([start()], {"unplaced": True}, ["ambiguous_completion"] * 3),
        (STUCK, {}, ["blocked", None, "blocked"]),
        ([start()], {"incident": True}, ["incident", "incident", None]),
        ([*STUCK, control("staff_hold_started", 5)], {}, ["held_by_a_person"] * 3),
        (STUCK, {"incident": True}, ["blocked", "incident", "blocked"]),
        (WORKING, {"incident": True, "unplaced": True}, ["usable"] * 3),
    ],
    ids=["nothing", "usable", "held", "in doubt", "blocked", "incident", "blocked and held",
         "blocked in an incident", "usable comes first"],
)  # fmt: skip
def test_each_silence_covers_its_purposes(log, more, expected):
    assert [silent(one, *log, **more) for one in (NUDGE, RESOLUTION, ASK)] == expected


@pytest.mark.parametrize("log", [WORKING, HELD, STUCK])
def test_nothing_silences_a_confirmation(log):
    assert silent(CONFIRMATION, *log, incident=True, unplaced=True) is None


def test_the_end_of_a_hold_ends_the_silence():
    assert silent(NUDGE, *HELD, control("staff_hold_ended", 9)) is None


def test_what_is_silenced_waits_for_something_to_happen_and_what_works_needs_nothing():
    held = verdict("hello", HOUR, *HELD)
    assert (said(held), held.until) == (("wait", "held_by_a_person"), None)
    assert said(verdict("hello", HOUR, *WORKING)) == ("no", "usable")


def test_once_it_works_nobody_gets_anything_but_the_confirmation():
    decision = look(3, *WORKING, incident=True, unplaced=True)
    going = {found.step_key for found in decision.verdicts if found.outcome in ("due", "wait")}
    assert going == {"confirm", "hand_off"}


def test_a_success_that_has_to_be_placed_first_holds_what_was_due():
    assert said(verdict("hello", 11, start(), unplaced=True)) == ("wait", "ambiguous_completion")
    assert said(verdict("hello", 11, start())) == ("due", "due")


def test_in_an_incident_a_checklist_waits_and_an_ask_goes():
    assert said(verdict("checklist", 4, *STUCK, incident=True)) == ("wait", "incident")


# --- pause ------------------------------------------------------------------------------------------------

PAUSES = [
    ({"all_paused": True}, "paused_all"),
    ({"journey_paused": True}, "paused_journey"),
    ({"account": Account(1, paused=True)}, "paused_account"),
]


@pytest.mark.parametrize(("more", "reason"), PAUSES)
def test_a_pause_keeps_everybody_where_they_are(more, reason):
    decision = look(11, start(), **more)
    assert (decision.stage, decision.leave) == ("started", None)
    assert said(decision.verdict("hello")) == ("wait", reason)


@pytest.mark.parametrize(("more", "reason"), PAUSES)
def test_a_pause_stops_alerts_and_confirmations_too(more, reason):
    assert said(verdict("still_nothing", 3 * DAY, start(), **more)) == ("wait", reason)
    decision = look(3, *WORKING, **more)
    assert said(decision.verdict("confirm")) == ("wait", reason)
    assert said(decision.verdict("hand_off")) == ("wait", reason)
    assert decision.leave is None


def test_a_broken_link_holds_the_e_mail_that_leads_there_and_no_other_step():
    held = frozenset({"hello"})
    found = verdict("hello", 11, start(), broken=held)
    assert said(found) == ("wait", "link_broken")
    assert found.until == found.late_at + timedelta(microseconds=1)
    assert said(verdict("hello", 5, start(), broken=held)) == ("wait", "not_yet")
    assert said(verdict("hello", 9 * DAY, start(), broken=held)) == ("no", "too_late")
    assert said(verdict("hello", 11, start(), broken=frozenset({"other"}))) == ("due", "due")
    assert said(verdict("still_nothing", 3 * DAY, start(), broken=held)) == ("due", "due")


def test_a_broken_link_holds_a_confirmation_too():
    held = frozenset({"confirm"})
    decision = look(3, *WORKING, broken=held)
    assert said(decision.verdict("confirm")) == ("wait", "link_broken")
    assert decision.leave is None


def test_a_pause_does_not_hide_what_is_not_due_or_too_late():
    assert said(verdict("hello", 5, start(), all_paused=True)) == ("wait", "not_yet")
    assert said(verdict("hello", 9 * DAY, start(), all_paused=True)) == ("no", "too_late")


def test_after_a_pause_the_step_goes_if_it_is_still_worth_it():
    assert said(verdict("hello", 2 * DAY, start())) == ("due", "due")
    journey = replace(
        API,
        stages=tuple(
            replace(one, steps=tuple(replace(step, late_after_minutes=60) for step in one.steps))
            for one in API.stages
        ),
    )
    assert said(verdict("hello", 2 * DAY, start(), journey=journey)) == ("no", "too_late")


def test_the_widest_pause_is_named():
    account = Account(1, paused=True)
    found = verdict("hello", 11, start(), all_paused=True, journey_paused=True, account=account)
    assert found.reason == "paused_all"
    assert verdict("hello", 11, start(), journey_paused=True, account=account).due_at == at(10)
