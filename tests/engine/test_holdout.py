"""The control group: chance by account and journey, and the same answer for ever."""

import pytest

from lifecycle.engine.holdout import in_holdout

ACCOUNTS = [f"acct_{number}" for number in range(4000)]


def share(salt, percent):
    return sum(in_holdout(salt, account, percent) for account in ACCOUNTS) / len(ACCOUNTS)


def test_the_same_account_and_journey_always_get_the_same_arm():
    held = [number for number in range(12) if in_holdout("s", f"acct_{number}", 50)]
    assert held == [0, 1, 2, 3, 5, 6, 8, 9]


def test_nobody_is_held_out_of_nothing_and_everybody_of_everything():
    assert share("s", 0) == 0
    assert share("s", 100) == 1


@pytest.mark.parametrize("percent", [1, 10, 33.3, 50])
def test_about_as_many_are_held_out_as_the_journey_says(percent):
    spread = 4 * (percent / 100 * (1 - percent / 100) / len(ACCOUNTS)) ** 0.5
    assert share("salt", percent) == pytest.approx(percent / 100, abs=spread)


def test_a_larger_control_group_keeps_those_who_were_in_the_smaller():
    small = {account for account in ACCOUNTS if in_holdout("s", account, 5)}
    large = {account for account in ACCOUNTS if in_holdout("s", account, 20)}
    assert small < large


def test_another_journey_draws_anew():
    one = {account for account in ACCOUNTS if in_holdout("one", account, 50)}
    other = {account for account in ACCOUNTS if in_holdout("other", account, 50)}
    assert 0.4 < len(one & other) / len(one) < 0.6
