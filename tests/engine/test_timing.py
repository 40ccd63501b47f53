"""When: delays, people at work, hours in the recipient's zone, lateness, and the exact next look."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lifecycle.engine.decide import decide
from lifecycle.engine.facts import Account
from lifecycle.engine.hours import clock, is_open, known, next_open, zone
from lifecycle.engine.journey import Hours, Purpose, To
from tests.engine.world import (
    ADA,
    ALWAYS_OPEN,
    API,
    DAY,
    DEV,
    DOMAIN,
    HOUR,
    MIA,
    MOMENT,
    T0,
    alert,
    at,
    call,
    control,
    ev,
    facts,
    key,
    look,
    mail,
    only,
    ran,
    refused,
    said,
    start,
    verdict,
    with_step,
)

OFFICE = Hours()
OFFICE_API = replace(API, hours=OFFICE)
SECOND = 1 / 60


def stepped(minutes=0, journey=API, **step):
    """A journey whose only step is a nudge to whoever is able, so many minutes after the start."""
    step = {"waits_while_active": False, "after_minutes": minutes, **step}
    return with_step(mail("step", Purpose.NUDGE, To.ABLE, **step), journey)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- delay ------------------------------------------------------------------------------------------


def test_a_step_waits_until_exactly_its_time_in_the_stage():
    early = verdict("hello", 10 - SECOND, start())
    assert (said(early), early.due_at, early.until) == (("wait", "not_yet"), at(10), at(10))
    assert said(verdict("hello", 10, start())) == ("due", "due")


@pytest.mark.parametrize(
    ("log", "more", "expected"),
    [
        ([start()], {}, 10),
        ([start()], {"entered": 30}, 40),
        ([start(), refused(1, 2, 3), control("staff_unblocked", 50)], {}, 60),
        ([start(), control("staff_hold_started", 5), control("staff_hold_ended", 70)], {}, 80),
        (
            [start(), control("staff_hold_started", 5), control("staff_hold_ended", 70)],
            {"entered": 90},
            100,
        ),
        ([start(), control("staff_stopped", 5), control("staff_restarted", 70)], {}, 80),
        ([start(), control("staff_restarted", 70)], {}, 10),
        ([start()], {"all_paused": True}, 10),
    ],
    ids=[
        "stage",
        "entered",
        "unblocked",
        "hold ended",
        "the latest of them",
        "started again",
        "started again though never stopped",
        "a pause shifts nothing",
    ],
)
def test_a_steps_clock_starts_at_the_latest_of_what_starts_it(log, more, expected):
    assert verdict("hello", 9, log, **more).due_at == at(expected)


def test_a_step_that_was_carried_out_stays_done():
    found = verdict("hello", 400, start(), runs=[ran("hello", DEV, 12)])
    assert (said(found), found.person, found.due_at) == (("done", "already_done"), DEV.id, at(12))


# --- somebody at work ---------------------------------------------------------------------------------


def test_a_nudge_waits_for_ten_minutes_of_quiet_on_the_setup():
    log = [start(), ev("setup_page_viewed", 8, MIA, integration_type="api")]
    found = verdict("hello", 10, log)
    assert (said(found), found.until) == (("wait", "active_in_session"), at(18))
    assert said(verdict("hello", 18 - SECOND, log))[0] == "wait"
    assert said(verdict("hello", 18, log)) == ("due", "due")


def test_recurring_activity_pushes_it_for_an_hour_at_most():
    log = [
        start(),
        *(ev("setup_page_viewed", m, DEV, integration_type="api") for m in range(3, 120, 5)),
    ]
    assert verdict("hello", 68, log).until == at(70)
    assert said(verdict("hello", 70, log)) == ("due", "due")


def test_a_recipient_who_is_at_work_anywhere_is_left_alone():
    busy = (replace(DEV, active_at=at(35)), ADA)
    found = verdict("hello", 40, start(), people=busy)
    assert (said(found), found.until) == (("wait", "active_in_session"), at(45))


def test_another_persons_work_elsewhere_holds_nothing():
    assert said(verdict("hello", 40, start(), people=(DEV, replace(ADA, active_at=at(39))))) == (
        "due",
        "due",
    )


def test_a_check_by_the_system_holds_nothing():
    log = [start(), ev("setup_page_viewed", 9, DEV, active=False, integration_type="api")]
    assert said(verdict("hello", 10, log)) == ("due", "due")


def test_the_session_and_the_longest_hold_are_the_journeys_own():
    journey = replace(API, session_minutes=30, session_hold_minutes=25)
    log = [start(), ev("setup_page_viewed", 9, DEV, integration_type="api")]
    assert verdict("hello", 10, log, journey=journey).until == at(35)


def test_a_confirmation_and_a_step_that_says_so_do_not_wait_for_quiet():
    assert said(verdict("confirm", 6, start(), key(5), call(6))) == ("due", "due")
    assert said(verdict("step", 1, start(), journey=stepped())) == ("due", "due")
    assert said(verdict("step", 1, start(), journey=stepped(waits_while_active=True)))[0] == "wait"


def test_a_hold_that_lasts_past_the_end_of_its_worth_ends_there():
    journey = stepped(10, late_after_minutes=5, waits_while_active=True)
    log = [start(), ev("setup_page_viewed", 9, DEV, integration_type="api")]
    found = verdict("step", 12, log, journey=journey)
    assert (said(found), found.until) == (("wait", "active_in_session"), at(15) + MOMENT)
    assert said(verdict("step", 16, log, journey=journey)) == ("no", "too_late")


# --- hours in the recipient's zone ----------------------------------------------------------------------


def test_a_mail_waits_for_the_hours_of_the_recipients_own_zone():
    """T0 is ten in the morning in UTC, and two at night in Los Angeles."""
    there = (replace(DEV, time_zone="America/Los_Angeles"),)
    found = verdict("step", 60, start(), journey=stepped(0, OFFICE_API), people=there)
    assert said(found) == ("wait", "outside_hours")
    assert found.until == utc("2026-03-03 16:00")
    assert found.detail["zone"] == "America/Los_Angeles"


def test_without_a_zone_of_their_own_the_accounts_is_taken_and_else_utc():
    journey = stepped(0, OFFICE_API)
    account = Account(1, time_zone="America/Los_Angeles")
    assert verdict("step", 60, start(), journey=journey, account=account).until == utc(
        "2026-03-03 16:00"
    )
    assert said(verdict("step", 60, start(), journey=journey)) == ("due", "due")


@pytest.mark.parametrize(
    "name",
    ["Mars/Base", "Pacific Time (US)", "../../etc/passwd", "\0", "Europe", "x" * 500, "é\udcff"],
)
def test_a_zone_that_nobody_knows_is_as_good_as_none(name):
    assert not known(name)
    assert zone(name) is UTC
    journey = stepped(0, OFFICE_API)
    odd = (replace(DEV, time_zone=name),)
    assert said(verdict("step", 60, start(), journey=journey, people=odd)) == ("due", "due")
    account = Account(1, time_zone="America/Los_Angeles")
    found = verdict("step", 60, start(), journey=journey, people=odd, account=account)
    assert found.until == utc("2026-03-03 16:00")


@pytest.mark.parametrize(
    ("moment", "hours", "open_"),
    [
        ("2026-03-03 08:00", OFFICE, True),
        ("2026-03-03 07:59:59", OFFICE, False),
        ("2026-03-03 18:59:59", OFFICE, True),
        ("2026-03-03 19:00", OFFICE, False),
        ("2026-03-07 12:00", OFFICE, False),
        ("2026-03-07 12:00", Hours(days=(5,)), True),
        (
            "2026-03-03 23:59:59",
            Hours(start="00:00", end="24:00", quiet_start="00:00", quiet_end="00:00"),
            True,
        ),
        ("2026-03-03 21:30", Hours(start="06:00", end="23:00"), False),
        ("2026-03-03 06:30", Hours(start="06:00", end="23:00"), False),
        ("2026-03-03 07:00", Hours(start="06:00", end="23:00"), True),
        ("2026-03-03 20:59", Hours(start="06:00", end="23:00"), True),
        ("2026-03-03 12:30", Hours(quiet_start="12:00", quiet_end="13:00"), False),
        ("2026-03-03 13:00", Hours(quiet_start="12:00", quiet_end="13:00"), True),
    ],
)
def test_mails_go_on_the_days_inside_the_window_and_never_in_quiet_hours(moment, hours, open_):
    assert is_open(utc(moment), "", hours) is open_


@pytest.mark.parametrize(
    ("moment", "hours", "expected"),
    [
        ("2026-03-03 12:00", OFFICE, "2026-03-03 12:00"),
        ("2026-03-03 05:00", OFFICE, "2026-03-03 08:00"),
        ("2026-03-03 19:00", OFFICE, "2026-03-04 08:00"),
        ("2026-03-06 19:00", OFFICE, "2026-03-09 08:00"),
        ("2026-03-03 05:00", Hours(start="06:00", end="23:00"), "2026-03-03 07:00"),
        ("2026-03-03 12:10", Hours(quiet_start="12:00", quiet_end="13:00"), "2026-03-03 13:00"),
        ("2026-03-04 19:00", Hours(days=(2,)), "2026-03-11 08:00"),
    ],
)
def test_the_next_opening_is_exact(moment, hours, expected):
    assert next_open(utc(moment), "", hours) == utc(expected)


@pytest.mark.parametrize(
    "hours",
    [Hours(days=()), Hours(start="20:00", end="08:00"), Hours(start="22:00", end="23:00")],
    ids=["no days", "upside down", "inside quiet hours"],
)
def test_hours_that_never_open_are_a_year_away_instead_of_a_loop(hours):
    assert next_open(T0, "", hours) == T0 + timedelta(days=365)


def test_clock_times_are_read_and_bad_ones_refused():
    assert clock("24:00") > clock("23:59")
    with pytest.raises(ValueError, match="hour"):
        clock("25:00")


# The clock goes forward in Berlin on 29 March and back on 25 October 2026, at one in the morning UTC;
# in New York on 8 March (07:00 UTC) and 1 November (06:00 UTC).
EVERY_DAY = Hours(days=(0, 1, 2, 3, 4, 5, 6))


@pytest.mark.parametrize(
    ("moment", "place", "hours", "expected"),
    [
        ("2026-03-28 20:00", "Europe/Berlin", EVERY_DAY, "2026-03-29 06:00"),
        ("2026-03-27 20:00", "Europe/Berlin", EVERY_DAY, "2026-03-28 07:00"),
        ("2026-10-24 20:00", "Europe/Berlin", EVERY_DAY, "2026-10-25 07:00"),
        ("2026-10-23 20:00", "Europe/Berlin", EVERY_DAY, "2026-10-24 06:00"),
        ("2026-03-08 03:00", "America/New_York", EVERY_DAY, "2026-03-08 12:00"),
        ("2026-03-07 03:00", "America/New_York", EVERY_DAY, "2026-03-07 13:00"),
        ("2026-11-01 03:00", "America/New_York", EVERY_DAY, "2026-11-01 13:00"),
        ("2026-10-31 03:00", "America/New_York", EVERY_DAY, "2026-10-31 12:00"),
    ],
)
def test_eight_in_the_morning_is_eight_on_the_clock_on_both_sides_of_a_change(
    moment, place, hours, expected
):
    assert next_open(utc(moment), place, hours) == utc(expected)


def night(begin, end="05:00"):
    return replace(EVERY_DAY, start=begin, end=end, quiet_start="00:00", quiet_end="00:00")


@pytest.mark.parametrize(
    ("moment", "place", "begin", "expected"),
    [
        ("2026-03-28 20:00", "Europe/Berlin", "02:30", "2026-03-29 01:00"),
        ("2026-03-08 05:30", "America/New_York", "02:30", "2026-03-08 07:00"),
        ("2026-10-25 00:59", "Europe/Berlin", "02:30", "2026-10-25 00:59"),
        ("2026-10-25 01:10", "Europe/Berlin", "02:30", "2026-10-25 01:30"),
        ("2026-11-01 05:10", "America/New_York", "01:30", "2026-11-01 05:30"),
        ("2026-11-01 06:10", "America/New_York", "01:30", "2026-11-01 06:30"),
        ("2026-09-05 20:00", "America/Santiago", "00:30", "2026-09-06 04:00"),
        ("2026-04-03 20:00", "Australia/Lord_Howe", "01:00", "2026-04-04 14:00"),
    ],
    ids=[
        "skipped in Berlin",
        "skipped in New York",
        "open at the first half past two",
        "closed again, opens at the second half past two",
        "the first half past one in New York",
        "the second half past one in New York",
        "skipped at midnight in Santiago",
        "before the clock of Lord Howe goes back by half an hour",
    ],
)
def test_an_opening_that_the_clock_skips_or_repeats_is_found(moment, place, begin, expected):
    assert next_open(utc(moment), place, night(begin)) == utc(expected)


PLACES = st.sampled_from(
    [
        "Europe/Berlin",
        "America/New_York",
        "America/Santiago",
        "America/Havana",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Asia/Beirut",
        "",
    ]
)
HALF_HOURS = st.integers(0, 47).map(lambda n: f"{n // 2:02}:{n % 2 * 30:02}")


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["2026-03-06", "2026-03-26", "2026-04-03", "2026-04-23", "2026-09-04", "2026-10-23",
                     "2026-10-29", "2026-07-01"]),
    st.integers(0, 3 * DAY),
    PLACES, HALF_HOURS, HALF_HOURS, HALF_HOURS, HALF_HOURS,
    st.sets(st.integers(0, 6), min_size=1),
)  # fmt: skip
def test_nothing_is_open_before_the_next_opening_which_is_open(
    day, minutes, place, begin, end, quiet, loud, days
):
    hours = Hours(tuple(sorted(days)), begin, end, quiet, loud)
    moment = utc(day) + timedelta(minutes=minutes)
    opens = next_open(moment, place, hours)
    assume(opens - moment < timedelta(days=360))
    assert opens >= moment
    assert is_open(opens, place, hours)
    if opens > moment:
        assert not is_open(opens - MOMENT, place, hours)
    probe = moment
    while probe < opens:
        assert not is_open(probe, place, hours)
        probe += timedelta(minutes=15)


def test_a_window_that_the_clock_skips_altogether_opens_a_week_later():
    hours = replace(night("02:00", "03:00"), days=(6,))
    opens = next_open(utc("2026-03-28 12:00"), "Europe/Berlin", hours)
    assert opens == utc("2026-04-05 00:00")


# --- one's own action -----------------------------------------------------------------------------------

NIGHT = 12 * HOUR  # ten in the evening


def test_a_mail_about_ones_own_action_an_hour_ago_does_not_wait_for_office_hours():
    log = [start(NIGHT)]
    assert said(verdict("hello", NIGHT + 10, log, journey=OFFICE_API)) == ("due", "due")
    assert said(verdict("hello", NIGHT + HOUR, log, journey=OFFICE_API)) == ("due", "due")
    late = verdict("hello", NIGHT + HOUR + SECOND, log, journey=OFFICE_API)
    assert (said(late), late.until) == (("wait", "outside_hours"), utc("2026-03-04 08:00"))


def test_the_own_action_is_the_recipients_and_may_be_anywhere():
    log = [start(0, DEV), key(NIGHT, ADA), call(NIGHT, ADA)]
    found = verdict("confirm", NIGHT + 1, log, journey=OFFICE_API)
    assert (found.person, said(found)) == (DEV.id, ("wait", "outside_hours"))
    busy = (replace(DEV, active_at=at(NIGHT - 5)), ADA)
    assert said(verdict("confirm", NIGHT + 1, log, journey=OFFICE_API, people=busy)) == (
        "due",
        "due",
    )


def test_other_mails_wait_for_the_hours_even_right_after_an_action():
    found = verdict("step", NIGHT + 20, start(NIGHT), journey=stepped(10, OFFICE_API))
    assert said(found) == ("wait", "outside_hours")


# --- too late -------------------------------------------------------------------------------------------


def test_a_step_is_worth_doing_until_exactly_its_last_moment():
    journey = stepped(10, late_after_minutes=30)
    assert said(verdict("step", 40, start(), journey=journey)) == ("due", "due")
    decision = decide(journey, facts(only(start())), at(40) + MOMENT)
    assert said(decision.verdict("step")) == ("no", "too_late")


def test_an_alert_gets_too_late_as_well():
    journey = with_step(alert("call", Purpose.NUDGE, 10, late_after_minutes=30))
    assert said(verdict("call", 40, start(), journey=journey)) == ("due", "due")
    assert said(verdict("call", 41, start(), journey=journey)) == ("no", "too_late")


def test_a_due_time_in_closed_hours_counts_from_the_opening():
    journey = stepped(10, OFFICE_API, late_after_minutes=30)
    log = [start(9 * HOUR)]  # seven in the evening
    assert verdict("step", 9 * HOUR + 11, log, journey=journey).late_at == utc("2026-03-04 08:30")


def test_a_step_whose_worth_would_end_in_closed_hours_may_still_go_when_they_open():
    """Due at 18:50, worth an hour, but somebody was at work until after seven."""
    journey = stepped(0, OFFICE_API, late_after_minutes=HOUR, waits_while_active=True)
    log = [start(8 * HOUR + 50)]
    busy = {"people": (replace(DEV, active_at=at(9 * HOUR - 5)),)}
    held = verdict("step", 9 * HOUR - 1, log, journey=journey, **busy)
    assert said(held) == ("wait", "active_in_session")
    closed = verdict("step", 9 * HOUR + 5, log, journey=journey, **busy)
    assert (said(closed), closed.until) == (("wait", "outside_hours"), utc("2026-03-04 08:00"))
    assert said(verdict("step", 22 * HOUR, log, journey=journey, **busy)) == ("due", "due")
    assert said(verdict("step", 23 * HOUR, log, journey=journey, **busy)) == ("due", "due")
    assert said(verdict("step", 23 * HOUR + 1, log, journey=journey, **busy)) == ("no", "too_late")


def test_what_came_due_long_before_an_outage_ended_is_dropped():
    journey = stepped(10, OFFICE_API, late_after_minutes=HOUR)
    assert said(verdict("step", 5 * HOUR, start(), journey=journey)) == ("no", "too_late")


def test_nobody_to_write_to_stays_the_reason_even_when_it_would_be_late():
    found = verdict("step", 9 * DAY, start(0, MIA), journey=API_ONLY_STARTED, people=(MIA,))
    assert said(found) == ("no", "nobody_eligible")


API_ONLY_STARTED = replace(stepped(10), stages=stepped(10).stages[-1:])


# --- the exact next look ----------------------------------------------------------------------------------


def test_the_next_look_is_at_the_first_time_at_which_anything_can_change():
    decision = look(1, start())
    assert decision.next_look_at == at(10)
    assert look(10, start(), runs=[ran("hello", DEV, 10)]).next_look_at == at(2 * HOUR)


def test_when_only_something_new_can_change_things_there_is_no_next_look():
    assert look(5, start(), refused(1, 2, 3), control("staff_hold_started", 4)).next_look_at is None
    assert look(5, start(), control("staff_stopped", 4)).next_look_at is None


def test_a_paused_step_is_looked_at_again_when_it_gets_too_late():
    found = verdict("step", 10, start(), journey=stepped(5), all_paused=True)
    assert (said(found), found.until) == (("wait", "paused_all"), at(5 + 3 * DAY) + MOMENT)


STEPS = st.builds(
    lambda kind, after, late, own, waits, purpose: (
        alert("step", purpose, after, late_after_minutes=late)
        if kind == "alert"
        else mail("step", purpose, To.ABLE, after_minutes=after, late_after_minutes=late,
                  follows_own_action=own, waits_while_active=waits)
    ),
    st.sampled_from(["mail", "mail", "mail", "alert"]),
    st.sampled_from([0, 10, 2 * HOUR, 9 * HOUR, DAY]),
    st.sampled_from([0, 5, HOUR, DAY, 3 * DAY]),
    st.booleans(), st.booleans(),
    st.sampled_from([Purpose.NUDGE, Purpose.ASK, Purpose.RESOLUTION, Purpose.CONFIRMATION]),
)  # fmt: skip
HOURS = st.sampled_from(
    [OFFICE, ALWAYS_OPEN, Hours(days=(5,)), Hours(start="08:00", end="08:30"), EVERY_DAY]
)
CLOSING = st.sampled_from([OFFICE, Hours(days=(5,)), Hours(start="08:00", end="08:30")])
TALES = st.lists(
    st.sampled_from(
        [
            key(5),
            key(30, imported=DAY),
            call(40),
            *refused(50, 51, 52),
            control("staff_unblocked", 55),
            control("staff_hold_started", 60),
            control("staff_hold_ended", 61),
            ev("setup_page_viewed", 64, DEV, integration_type="api"),
            ev("setup_page_viewed", 9 * HOUR, ADA, integration_type="api"),
        ]
    ),
    unique_by=lambda event: event.uid,
)
WORLDS = st.builds(
    lambda zone_name, seen, paused, incident, starter: {
        "people": (
            replace(DEV, time_zone=zone_name, active_at=at(seen) if seen is not None else None),
            replace(ADA, time_zone="Asia/Kathmandu"),
        ),
        "all_paused": paused,
        "incident": incident,
        "starter": starter,
    },
    st.sampled_from(["", "Europe/Berlin", "America/New_York", "Mars/Base"]),
    st.sampled_from([None, 3, 70, 9 * HOUR, 2 * DAY]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
    st.sampled_from([DEV, MIA, None]),
)


@settings(max_examples=250, deadline=None)
@given(
    st.lists(STEPS, min_size=1, max_size=3), HOURS, TALES, WORLDS,
    st.integers(0, 5 * DAY), st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), max_size=4),
)  # fmt: skip
def test_nothing_changes_before_the_next_look_and_something_does_at_it(
    steps, hours, tale, world, now, moments
):
    steps = tuple(replace(step, key=f"step{n}") for n, step in enumerate(steps))
    stages = tuple(
        replace(one, steps=tuple(replace(s, key=f"{one.key}.{s.key}") for s in steps))
        for one in API.stages
    )
    journey = replace(API, stages=stages, hours=hours)
    starter, people = world["starter"], world["people"]
    more = {name: world[name] for name in ("all_paused", "incident")}
    known_facts = facts(only(start(0, starter), tale), *people, **more)

    def concluded(moment):
        decision = decide(journey, known_facts, moment)
        return decision, {
            v.step_key: (v.outcome, v.reason, v.person, v.due_at) for v in decision.verdicts
        }

    first, before = concluded(at(now))
    waiting = [step_key for step_key, found in before.items() if found[0] != "due"]
    end = first.next_look_at or at(now) + timedelta(days=40)
    assert end > at(now)
    for part in [*moments, None]:
        moment = end - MOMENT if part is None else at(now) + (end - at(now)) * part
        if not at(now) < moment < end:
            continue
        decision, after = concluded(moment)
        assert {step_key: after[step_key] for step_key in waiting} == {
            step_key: before[step_key] for step_key in waiting
        }
        if len(waiting) == len(before):
            assert decision.leave == first.leave
            assert decision.next_look_at == first.next_look_at
    if first.next_look_at:
        _, after = concluded(first.next_look_at)
        assert any(after[step_key] != before[step_key] for step_key in waiting)


@settings(max_examples=150, deadline=None)
@given(STEPS, CLOSING, WORLDS, st.integers(0, 5 * DAY))
def test_a_send_window_never_makes_a_step_too_late(step, hours, world, now):
    journey = replace(API, stages=(replace(API.stages[-1], steps=(step,)),), hours=hours)
    known_facts = facts(only(start(0, DEV)), *world["people"])
    found = decide(journey, known_facts, at(now)).verdict("step")
    assert found is not None
    if found.reason != "outside_hours":
        return
    assert found.until is not None
    assert said(decide(journey, known_facts, found.until).verdict("step")) == ("due", "due")


def test_the_domain_path_is_patient():
    assert verdict("start_stalled", 1, start(0, ADA, kind="domain"), journey=DOMAIN).due_at == at(
        DAY
    )
