"""Caps: who goes first, who waits until exactly when, and who is dropped."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.engine.decide import Sent, Want, arbitrate
from lifecycle.engine.journey import Cap
from tests.engine.world import DAY, HOUR, MOMENT, T0, at

DEV, ADA = "dev@acme.example", "ada@acme.example"
PERSON, ACCOUNT = Cap("person", 1, DAY), Cap("account", 3, 7 * DAY)
HERE, THERE = 1, 2


def want(ref="a", address=DEV, priority=50, caps=(PERSON,), **more):
    values = {
        "ignores_cap": False,
        "counts_toward_cap": True,
        "due_at": T0,
        "late_at": at(30 * DAY),
        **more,
    }
    return Want(ref=ref, address=address, priority=priority, caps=caps, **values)


def sent(minutes, address=DEV, account=HERE):
    return Sent(at(minutes), address, account)


def rule(*wants, before=(), now=T0):
    rulings = arbitrate(list(wants), list(before), account=HERE, now=now)
    return {
        ref: (ruling.outcome, str(ruling.reason), ruling.until) for ref, ruling in rulings.items()
    }


GO = ("due", "due", None)


def test_with_nothing_sent_a_want_goes():
    assert rule(want()) == {"a": GO}


def test_nothing_wanted_is_nothing_ruled():
    assert rule() == {}


# --- the exact time -----------------------------------------------------------------------------------


def test_a_want_over_the_cap_waits_until_the_oldest_counted_mail_leaves_the_window():
    assert rule(want(), before=[sent(-HOUR)]) == {"a": ("wait", "cap_person", at(DAY - HOUR))}


def test_at_that_very_instant_it_goes_and_not_a_microsecond_before():
    free = at(DAY - HOUR)
    assert rule(want(), before=[sent(-HOUR)], now=free) == {"a": GO}
    assert rule(want(), before=[sent(-HOUR)], now=free - MOMENT)["a"][0] == "wait"


def test_of_several_counted_mails_the_one_that_makes_room_decides():
    cap = Cap("person", 2, DAY)
    before = [sent(-HOUR), sent(-3 * HOUR), sent(-2 * HOUR)]
    assert rule(want(caps=(cap,)), before=before)["a"] == ("wait", "cap_person", at(DAY - 2 * HOUR))


def test_room_under_the_cap_is_used():
    assert rule(want(caps=(Cap("person", 2, DAY),)), before=[sent(-HOUR)]) == {"a": GO}


def test_of_several_caps_the_last_to_make_room_decides_and_is_the_reason():
    account = Cap("account", 1, 2 * DAY)
    for caps in ((PERSON, account), (account, PERSON)):
        found = rule(want(caps=caps), before=[sent(-HOUR)])
        assert found["a"] == ("wait", "cap_account", at(2 * DAY - HOUR))


# --- whose mails count ----------------------------------------------------------------------------------


def test_a_person_in_two_accounts_shares_one_cap_by_their_address():
    assert rule(want(), before=[sent(-HOUR, account=THERE)])["a"][:2] == ("wait", "cap_person")


def test_another_person_has_a_cap_of_their_own():
    assert rule(want(), before=[sent(-HOUR, ADA)]) == {"a": GO}


def test_the_accounts_cap_counts_mails_to_anybody_in_it_and_none_outside():
    cap = Cap("account", 1, DAY)
    assert rule(want(caps=(cap,)), before=[sent(-HOUR, ADA)])["a"][:2] == ("wait", "cap_account")
    assert rule(want(caps=(cap,)), before=[sent(-HOUR, account=THERE)]) == {"a": GO}


def test_a_withheld_mail_uses_up_the_accounts_cap_and_nobodys_own():
    withheld = [sent(-HOUR, address="")]
    assert rule(want(), before=withheld) == {"a": GO}
    assert rule(want(caps=(Cap("account", 1, DAY),)), before=withheld)["a"][0] == "wait"


# --- several at once --------------------------------------------------------------------------------------


def test_the_smallest_priority_number_goes_and_the_loser_waits_a_whole_window():
    found = rule(want("low", priority=50), want("high", priority=10))
    assert found == {"high": GO, "low": ("wait", "cap_person", at(DAY))}


def test_of_one_priority_the_longest_due_goes_and_then_the_ref_decides():
    assert rule(want("a"), want("b", due_at=at(-5)))["b"] == GO
    assert rule(want("b"), want("a"))["a"] == GO


def test_two_people_do_not_compete_for_a_cap_per_person():
    assert rule(want("a"), want("b", ADA)) == {"a": GO, "b": GO}


def test_two_people_of_one_account_compete_for_its_cap():
    caps = (Cap("account", 1, DAY),)
    found = rule(want("a", caps=caps, priority=1), want("b", ADA, caps=caps))
    assert found == {"a": GO, "b": ("wait", "cap_account", at(DAY))}


def test_without_caps_all_of_them_go():
    assert rule(want("a", caps=()), want("b", caps=())) == {"a": GO, "b": GO}


# --- limits and exceptions ----------------------------------------------------------------------------------


def test_a_cap_of_nothing_lets_nothing_go():
    assert rule(want(caps=(Cap("person", 0, DAY),))) == {"a": ("no", "cap_zero", None)}
    assert rule(want(caps=(PERSON, Cap("account", 0, DAY))), before=[sent(-HOUR)])["a"][0] == "no"


def test_what_ignores_the_cap_goes_even_over_it_and_still_counts():
    found = rule(
        want("urgent", ignores_cap=True, priority=1), want("nudge"), before=[sent(-HOUR, ADA)]
    )
    assert found == {"urgent": GO, "nudge": ("wait", "cap_person", at(DAY))}
    assert rule(want(ignores_cap=True), before=[sent(-HOUR)]) == {"a": GO}


def test_what_does_not_count_goes_under_the_cap_and_takes_no_room():
    found = rule(want("quiet", counts_toward_cap=False, priority=1), want("nudge"))
    assert found == {"quiet": GO, "nudge": GO}
    assert rule(want(counts_toward_cap=False), before=[sent(-HOUR)])["a"][0] == "wait"


def test_a_loser_that_would_be_free_only_when_it_is_too_late_is_dropped():
    free = at(DAY - HOUR)
    assert rule(want(late_at=free), before=[sent(-HOUR)])["a"] == ("wait", "cap_person", free)
    dropped = rule(want(late_at=free - MOMENT), before=[sent(-HOUR)])
    assert dropped == {"a": ("no", "cap_until_too_late", None)}


# --- for all of them ------------------------------------------------------------------------------------------

WANTS = st.lists(
    st.builds(
        want,
        ref=st.sampled_from("abcdef"),
        address=st.sampled_from([DEV, ADA]),
        priority=st.sampled_from([10, 50]),
        caps=st.lists(
            st.builds(
                Cap,
                st.sampled_from(["person", "account"]),
                st.integers(1, 3),
                st.sampled_from([HOUR, DAY]),
            ),
            max_size=2,
        ).map(tuple),
        due_at=st.integers(-50, 0).map(at),
    ),
    max_size=5,
    unique_by=lambda one: one.ref,
)
BEFORE = st.lists(
    st.builds(
        sent, st.integers(-2 * DAY, 0), st.sampled_from([DEV, ADA]), st.sampled_from([HERE, THERE])
    ),
    max_size=6,
)


def crowded(cap, one, mails, now):
    """Whether the cap has no room for this want."""
    counted = [
        entry
        for entry in mails
        if entry.at > now - cap.window
        and (entry.account == HERE if cap.scope == "account" else entry.address == one.address)
    ]
    return len(counted) >= cap.limit


@settings(max_examples=150, deadline=None)
@given(WANTS, BEFORE, st.randoms(use_true_random=False))
def test_what_goes_never_breaks_a_cap_and_what_waits_has_room_exactly_when_it_says(
    wants, before, chance
):
    found = arbitrate(wants, before, account=HERE, now=T0)
    shuffled = list(wants)
    chance.shuffle(shuffled)
    assert arbitrate(shuffled, before, account=HERE, now=T0) == found
    mails = list(before)
    for one in sorted(wants, key=lambda w: (w.priority, w.due_at, w.ref)):
        ruling = found[one.ref]
        if ruling.outcome == "due":
            assert not any(crowded(cap, one, mails, T0) for cap in one.caps)
            mails.append(Sent(T0, one.address, HERE))
        else:
            assert ruling.until is not None
            assert not any(crowded(cap, one, mails, ruling.until) for cap in one.caps)
            just_before = ruling.until - timedelta(microseconds=1)
            assert any(crowded(cap, one, mails, just_before) for cap in one.caps)
