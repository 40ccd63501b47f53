"""Faults that were planted on purpose are caught: checks that cannot fail prove nothing.

Each test replaces one piece of our own code by a wrong one and runs the check that guards it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from accounts.models import Account
from events import log
from lifecycle.engine.decide import Sent
from lifecycle.runner import deliver as delivering
from lifecycle.runner import gate as gating
from lifecycle.runner import gather as gathering
from lifecycle.runner import look as looking
from lifecycle.runner import plan as planning
from lifecycle.runner.models import ParkedAccount
from messaging import addresses, outbox, sending
from messaging.models import Message
from tests.runner import test_deliver, test_races, test_tick
from tests.runner.scenes import DAY, HOUR, until

pytestmark = pytest.mark.django_db
at_the_same_time = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def is_noticed(check: Callable[..., None], *arguments: Any) -> None:
    with pytest.raises(AssertionError):
        check(*arguments)


def nothing_is_said_twice(tell, provider) -> None:
    tell.starts(0)
    until(30)
    until(2 * DAY, start=HOUR, every=HOUR)
    assert provider.to() == ["hello", "start_stalled"]
    assert not ParkedAccount.objects.exists()


def test_sound_code_says_nothing_twice(tell, provider):
    nothing_is_said_twice(tell, provider)


def test_a_look_that_forgets_what_was_sent_is_noticed(tell, provider, monkeypatch):
    monkeypatch.setattr(gathering, "_runs", lambda *_: {})
    is_noticed(nothing_is_said_twice, tell, provider)
    # And even so the database let no second mail out.
    assert provider.to().count("hello") == 1


def test_a_gate_that_ignores_suppression_is_noticed(tell, provider, monkeypatch):
    def careless(*arguments: Any, **named: Any) -> list[gathering.Dossier]:
        dossiers = gathering.gather(*arguments, **named)
        for dossier in dossiers:
            for case in dossier.cases:
                people = {pk: replace(p, suppressed="") for pk, p in case.facts.people.items()}
                case.facts = replace(case.facts, people=people)
        return dossiers

    monkeypatch.setattr(gating, "gather", careless)
    check = test_deliver.test_whoever_may_not_be_written_to_any_more_gets_nothing
    is_noticed(check, tell, provider, test_deliver.unsubscribed)


def ungated(message_ids: Sequence[int], *, owner: str, now: datetime, **_: Any) -> list[Message]:
    """Claims whatever it is given."""
    queued = Message.objects.filter(pk__in=message_ids, status="queued")
    claims = [outbox.Claim(message.pk, {}, message.context) for message in queued]
    claimed = outbox.claim(claims, owner=owner, now=now, lease=gating.settings.MESSAGE_LEASE)
    return sending.held(claimed, owner)


@pytest.mark.parametrize(
    "check",
    [
        test_deliver.test_a_completion_between_look_and_hand_over_cancels_with_the_reason_usable,
        test_deliver.test_a_block_between_look_and_hand_over_silences_the_nudge,
        test_deliver.test_the_cap_counts_an_address_over_all_accounts_and_spellings,
        test_deliver.test_mail_follows_a_person_to_their_new_address,
    ],
)
def test_a_hand_over_without_the_gate_is_noticed(tell, provider, monkeypatch, check):
    monkeypatch.setattr(delivering, "gate", ungated)
    is_noticed(check, tell, provider)


def test_a_gate_that_counts_no_mails_is_noticed(tell, provider, monkeypatch):
    monkeypatch.setattr(gating, "sent_mails", lambda *_: [])
    monkeypatch.setattr(gating, "_granted", lambda *_: [])
    check = test_deliver.test_messages_of_one_person_claimed_in_one_group_share_the_cap
    is_noticed(check, tell, provider)


def test_a_control_group_that_is_treated_is_noticed(tell, provider, monkeypatch):
    monkeypatch.setattr(planning, "_arm", lambda *_: "treated")
    check = test_deliver.test_the_control_group_gets_nothing_but_the_receipt_and_counts_for_its_own_account
    is_noticed(check, tell, provider)


def test_an_ingestion_that_marks_nothing_is_noticed(tell, monkeypatch):
    monkeypatch.setattr(log, "mark", lambda *_, **__: None)
    is_noticed(test_tick.test_an_event_makes_its_account_due_at_once, tell)


def test_a_look_that_parks_nobody_is_noticed(tell, provider, monkeypatch):
    monkeypatch.setattr(gating, "park", lambda *_: None)
    monkeypatch.setattr(looking, "park", lambda *_: None)
    check = test_deliver.test_an_account_whose_facts_cannot_be_read_at_the_gate_stops_no_other
    with pytest.raises((AssertionError, Account.parkedaccount.RelatedObjectDoesNotExist)):
        check(tell, provider)


class TestOnTwoConnections:
    pytestmark = at_the_same_time

    def test_a_cap_that_is_read_before_the_lock_is_noticed(self, tell, provider, monkeypatch):
        locked, seen = gating._lock, []

        def late(message_ids: Sequence[int]) -> list[gating.Asked]:
            claims = Message.objects.filter(claimed_at__isnull=False)
            seen[:] = [
                Sent(at, address, account)
                for at, address, account in claims.values_list(
                    "claimed_at", "address__value", "account_id"
                )
            ]
            return locked(message_ids)

        monkeypatch.setattr(gating, "_lock", late)
        monkeypatch.setattr(gating, "sent_mails", lambda *_: list(seen))
        check = test_races.test_a_person_in_two_accounts_has_one_limit_while_both_are_being_claimed
        is_noticed(check, tell, provider)
        assert Message.objects.filter(status__in=["sending", "sent"]).count() == 2

    def test_a_cap_without_the_addresses_lock_is_noticed(self, tell, provider, monkeypatch):
        monkeypatch.setattr(addresses, "lock_rows", lambda _: None)
        check = test_races.test_a_person_in_two_accounts_has_one_limit_while_both_are_being_claimed
        is_noticed(check, tell, provider)

    def test_an_ingestion_that_takes_no_lock_is_noticed(self, tell, monkeypatch):
        def unlocked(condition: str, now: datetime, parameters: Sequence[Any]) -> list[log.Locked]:
            found = log.rows(log._LOCKED + condition, [now, *parameters])
            return [log.Locked(*row) for row in found]

        monkeypatch.setattr(log, "_for_update", unlocked)
        check = test_races.test_two_batches_for_an_account_that_is_due_wait_for_each_other_too
        is_noticed(check, tell)

    def test_a_gate_that_takes_no_lock_is_noticed(self, tell, provider, monkeypatch):
        def unlocked(_: Any, ids: list[int]) -> list[Account]:
            return list(Account.objects.filter(pk__in=ids).order_by("pk"))

        monkeypatch.setattr(type(Account.objects.all()), "locked", unlocked)
        monkeypatch.setattr(type(Account.objects), "locked", unlocked)
        check = test_races.test_a_completion_that_is_being_stored_is_waited_for_and_then_cancels
        is_noticed(check, tell, provider)
