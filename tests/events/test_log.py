"""Our own events in the log."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import Account
from events.log import OwnEvent, append
from events.models import Event
from tests.factories import AccountFactory, PersonFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def unblocked(account, /, message_id="unblock:1", **values):
    return OwnEvent(
        source="staff",
        message_id=message_id,
        name="unblocked",
        account_id=account.pk,
        occurred_at=NOW,
        **values,
    )


def test_what_staff_did_is_an_event_and_asks_for_a_look():
    account, person = AccountFactory(), PersonFactory()
    added = append(
        [unblocked(account, person_id=person.pk, properties={"by": "kim"}, actor="user")], now=NOW
    )
    event = Event.objects.get()
    assert added == 1
    assert (event.source, event.name, event.actor) == ("staff", "unblocked", "user")
    assert (event.account, event.person, event.properties) == (account, person, {"by": "kim"})
    assert (event.occurred_at, event.received_at) == (NOW, NOW)
    assert Account.objects.get().next_look_at == NOW


def test_saying_it_again_changes_nothing():
    account = AccountFactory()
    append([unblocked(account)], now=NOW)
    Account.objects.update(next_look_at=None)
    assert append([unblocked(account)], now=NOW + timedelta(minutes=1)) == 0
    assert Event.objects.count() == 1
    assert Account.objects.get().next_look_at is None


def test_several_sources_and_accounts_go_in_together():
    first, second = AccountFactory(), AccountFactory(environment="test")
    other = OwnEvent("lifecycle", "hold:1", "held", second.pk, NOW)
    assert append([unblocked(first), other], now=NOW) == 2
    assert set(Event.objects.values_list("source", "environment")) == {
        ("staff", "production"),
        ("lifecycle", "test"),
    }


def test_a_source_of_a_customer_is_refused():
    with pytest.raises(ValueError, match="not a source of our own: key:1"):
        append([OwnEvent("key:1", "x", "x", AccountFactory().pk, NOW)], now=NOW)


def test_nothing_to_append_is_nothing():
    assert append([], now=NOW) == 0
