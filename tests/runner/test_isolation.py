"""An account whose look ends its worker is looked at alone, and in the end put aside."""

from datetime import timedelta

import pytest

from accounts.models import Account
from lifecycle.runner import isolation
from lifecycle.runner.look import look_at
from lifecycle.runner.models import ParkedAccount
from tests.engine.world import T0
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def accounts():
    return [AccountFactory(next_look_at=T0).pk for _ in range(3)]


def test_accounts_are_looked_at_together_as_long_as_their_looks_end(accounts):
    for _ in range(5):
        (together,) = isolation.begin(accounts, now=T0)
        assert together == accounts
        look_at(together, now=T0)


def test_what_did_not_end_is_looked_at_alone_after_the_others(accounts):
    isolation.begin(accounts[1:2], now=T0)
    assert isolation.begin(accounts, now=T0) == [[accounts[0], accounts[2]], [accounts[1]]]


def test_what_never_ends_is_put_aside_and_shown_and_gets_another_try_later(accounts):
    for _ in range(isolation.GIVE_UP_AFTER):
        assert isolation.begin(accounts[:1], now=T0) == [accounts[:1]]
    assert isolation.begin(accounts[:1], now=T0) == []
    assert "never ended" in ParkedAccount.objects.get().error
    due = Account.objects.get(pk=accounts[0]).next_look_at
    assert due > T0
    (again,) = isolation.begin(accounts[:1], now=due + timedelta(seconds=1))
    look_at(again, now=due + timedelta(seconds=1))
    assert not ParkedAccount.objects.exists()
    assert Account.objects.get(pk=accounts[0]).looks_begun == 0
