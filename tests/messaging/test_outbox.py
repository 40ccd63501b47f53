"""The outbox: no message twice, none lost, and every no with its reason."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.utils import IntegrityError

from accounts.models import Account, Membership, Person
from messaging import addresses, outbox, rates, suppression
from messaging.models import Address, Attempt, Message, MessageStatus, SendingDomain, Suppression
from tests.factories import UserFactory
from tests.messaging.scenes import LEASE, NOW, claimed, queued

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def settlement(message, outcome, **values):
    return outbox.Settlement(message.pk, outcome, at=NOW + MINUTE, **values)


def status_of(message):
    return Message.objects.get(pk=message.pk).status


# --- the moves ----------------------------------------------------------------------------
def test_every_state_has_its_moves_and_final_states_have_none():
    assert set(outbox.EDGES) == set(MessageStatus)
    for final in ("cancelled", "failed", "withheld", "complained"):
        assert not outbox.EDGES[MessageStatus(final)]


def test_no_machine_goes_from_uncertain_back_to_the_queue():
    assert MessageStatus.QUEUED not in outbox.EDGES[MessageStatus.UNCERTAIN]
    with pytest.raises(ValueError, match="no move from uncertain to queued"):
        outbox.move([], MessageStatus.QUEUED, start=[MessageStatus.UNCERTAIN])


def test_a_move_that_is_not_listed_is_refused():
    (message,) = queued()
    with pytest.raises(ValueError, match="no move from sent to cancelled"):
        outbox.move([{"id": message.pk}], MessageStatus.CANCELLED, start=[MessageStatus.SENT])


def test_the_database_refuses_a_message_in_sending_without_a_lease():
    (message,) = queued()
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.filter(pk=message.pk).update(status="sending")


def test_the_database_refuses_a_no_without_a_reason():
    (message,) = queued()
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.filter(pk=message.pk).update(status="cancelled")


# --- in -----------------------------------------------------------------------------------
def test_the_same_key_is_one_message_however_often_it_is_enqueued():
    (message,) = queued(emails=["Ann@Customer.Example"])
    again = outbox.NewMessage(
        message.dedupe_key, message.account_id, message.person_id, "ann@customer.example",
        message.template_version_id, message.sender_id, "setup_help", True, {}, NOW,
    )  # fmt: skip
    assert outbox.enqueue([again, again], now=NOW) == {message.dedupe_key: message.pk}
    assert Message.objects.count() == 1
    assert Message.objects.get().context == message.context
    assert Address.objects.get().value == "ann@customer.example"


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("  Ann@Customer.EXAMPLE ", "ann@customer.example"),
        ("ann@Bücher.example", "ann@xn--bcher-kva.example"),
        ("ann+setup@customer.example.", "ann+setup@customer.example"),
        ('"a b"@customer.example', '"a b"@customer.example'),
    ],
)
def test_an_address_has_one_spelling(spelling, value):
    assert addresses.normalise(spelling) == value


@pytest.mark.parametrize(
    "email", ["", "ann", "@x.example", "jörg@x.example", "a b@x.example", "a@b\r\nc@d"]
)
def test_what_no_mail_can_be_addressed_to_is_not_usable(email):
    assert not addresses.usable(email)


# --- who takes what -----------------------------------------------------------------------
def test_due_messages_are_handed_to_one_caller_at_a_time():
    messages = queued(5)
    first = outbox.lease_due(NOW, 3)
    second = outbox.lease_due(NOW, 3)
    assert first + second == [message.pk for message in messages]
    assert outbox.lease_due(NOW, 3) == []
    assert len(outbox.lease_due(NOW + timedelta(seconds=61), 9)) == 5


def test_a_claim_counts_the_attempt_before_any_work_and_only_one_owner_gets_it():
    messages = queued(2)
    assert claimed(messages, owner="one") == [message.pk for message in messages]
    assert claimed(messages, owner="two") == []
    message = Message.objects.get(pk=messages[0].pk)
    assert (message.attempts, message.lease_owner, message.lease_until) == (1, "one", NOW + LEASE)
    assert message.receipt == {"seen": "facts"}
    assert list(Attempt.objects.values_list("number", "owner", "outcome")) == [(1, "one", "")] * 2


def test_a_claim_costs_three_queries_however_many_messages(django_assert_num_queries):
    messages = queued(10)
    with django_assert_num_queries(3 + 2):  # the savepoint's two
        claimed(messages)


def test_the_test_environment_never_claims(settings):
    account = Account.objects.create(external_id="t", environment="test")
    messages = queued(1, account=account)
    assert claimed(messages) == []
    message = Message.objects.get()
    assert (message.status, message.reason) == ("cancelled", "test_environment")
    settings.EMAIL_REDIRECT_ALL_TO = "us@acme.example"
    assert len(claimed(queued(1, account=account))) == 1


def test_only_the_allow_list_is_written_to(settings):
    settings.EMAIL_ALLOW_LIST = ["one@staging.example", "@team.example"]
    messages = queued(emails=["one@staging.example", "two@staging.example", "x@team.example"])
    assert claimed(messages) == [messages[0].pk, messages[2].pk]
    assert Message.objects.get(pk=messages[1].pk).reason == "not_on_allow_list"


def test_cancelling_withholding_and_postponing_touch_queued_messages_only():
    messages = queued(4)
    sending, cancelled, withheld, later = messages
    claimed([sending])
    both = {sending.pk: ("usable", "It works now."), cancelled.pk: ("usable", "It works now.")}
    assert outbox.cancel(both, now=NOW) == [cancelled.pk]
    assert outbox.withhold({sending.pk: {}, withheld.pk: {"arm": "holdout"}}, now=NOW) == [
        withheld.pk
    ]
    assert outbox.postpone([sending.pk, later.pk], NOW + MINUTE) == 1
    assert [status_of(message) for message in messages] == [
        "sending",
        "cancelled",
        "withheld",
        "queued",
    ]
    row = Message.objects.get(pk=cancelled.pk)
    assert (row.reason, row.detail, row.settled_at) == ("usable", "It works now.", NOW)
    assert Message.objects.get(pk=withheld.pk).receipt == {"arm": "holdout"}


# --- how it ended -------------------------------------------------------------------------
def test_each_outcome_settles_its_messages_and_their_tries():
    messages = queued(4)
    claimed(messages)
    sent, failed, temporary, uncertain = messages
    moved = outbox.settle(
        [
            settlement(
                sent, "sent", provider="SMTP", provider_id="<1@x>", subject="Hi", variant="default"
            ),
            settlement(failed, "failed", reason="refused", detail="550 no such user"),
            settlement(
                temporary, "temporary", reason="busy", detail="421", retry_at=NOW + 5 * MINUTE
            ),
            settlement(uncertain, "uncertain", reason="dropped", detail="timed out"),
        ],
        owner="one",
    )
    assert sorted(moved) == [message.pk for message in messages]
    assert [status_of(message) for message in messages] == ["sent", "failed", "queued", "uncertain"]
    row = Message.objects.get(pk=sent.pk)
    assert (row.sent_at, row.provider_id, row.subject) == (NOW + MINUTE, "<1@x>", "Hi")
    row = Message.objects.get(pk=temporary.pk)
    assert (row.next_attempt_at, row.lease_owner, row.lease_until) == (NOW + 5 * MINUTE, "", None)
    assert list(Attempt.objects.order_by("message").values_list("outcome", "finished_at")) == [
        (outcome, NOW + MINUTE) for outcome in ("sent", "failed", "temporary", "uncertain")
    ]


def test_only_the_leases_owner_settles():
    (message,) = queued()
    claimed([message], owner="one")
    assert outbox.settle([settlement(message, "sent")], owner="two") == []
    assert status_of(message) == "sending"


def test_a_silent_sender_leaves_its_message_uncertain_and_never_queued():
    (message,) = queued()
    claimed([message])
    assert outbox.reap(NOW + LEASE) == []
    assert outbox.reap(NOW + LEASE + MINUTE) == [message.pk]
    row = Message.objects.get()
    assert (row.status, row.reason) == ("uncertain", "lease_expired")
    assert Attempt.objects.get().outcome == "lease_expired"
    assert outbox.lease_due(NOW + timedelta(days=9), 10) == []


def test_the_owner_still_settles_what_was_reaped_but_never_back_to_the_queue():
    messages = queued(2)
    claimed(messages)
    outbox.reap(NOW + LEASE + MINUTE)
    outbox.settle(
        [
            settlement(messages[0], "sent"),
            settlement(messages[1], "temporary", reason="busy", retry_at=NOW),
        ],
        owner="one",
    )
    assert [status_of(message) for message in messages] == ["sent", "failed"]


def test_a_person_settles_what_is_uncertain_once():
    messages = queued(2)
    claimed(messages)
    outbox.reap(NOW + LEASE + MINUTE)
    assert outbox.settle_by_hand(messages[0], "sent", by="eve", now=NOW)
    assert not outbox.settle_by_hand(messages[0], "failed", by="bob", now=NOW)
    assert outbox.settle_by_hand(messages[1], "failed", by="bob", now=NOW)
    assert [status_of(message) for message in messages] == ["sent", "failed"]
    assert Message.objects.get(pk=messages[1].pk).detail == "bob settled it as not sent."


def test_what_a_person_settles_as_sent_went_when_it_was_claimed():
    (message,) = queued(1)
    claimed([message])
    outbox.reap(NOW + LEASE + MINUTE)
    row = Message.objects.get()
    assert outbox.settle_by_hand(row, "sent", by="eve", now=NOW + timedelta(days=2))
    row.refresh_from_db()
    assert row.sent_at == row.claimed_at == NOW
    assert row.settled_at == NOW + timedelta(days=2)


# --- caps and suppression -----------------------------------------------------------------
def test_addresses_are_locked_and_made_where_they_are_new():
    with transaction.atomic():
        ids = addresses.lock(["B@x.example", "a@x.example", "b@X.example"])
    assert set(ids) == {"a@x.example", "b@x.example"}


def test_suppression_stands_once_until_it_is_lifted_and_keeps_its_history():
    assert suppression.suppress("A@x.example", Suppression.Reason.STAFF, source="admin", now=NOW)
    assert not suppression.suppress(
        "a@x.example", Suppression.Reason.STAFF, source="admin", now=NOW
    )
    suppression.unsubscribe("a@x.example", source="link", now=NOW)
    address_id = Address.objects.get().pk
    assert addresses.suppressions([address_id]) == {address_id: "unsubscribe"}
    user = UserFactory()
    for row in Suppression.objects.all():
        assert suppression.lift(row, by=user, now=NOW)
        assert not suppression.lift(row, by=user, now=NOW)
    assert addresses.suppressions([address_id]) == {}
    assert Suppression.objects.filter(lifted_by=user).count() == 2


def test_lifting_looks_again_at_the_accounts_of_whoever_has_the_address():
    here, elsewhere = (Account.objects.create(external_id=each) for each in ("here", "elsewhere"))
    ann = Person.objects.create(external_id="ann", email="Ann@x.example")
    Membership.objects.create(person=ann, account=here)
    suppression.suppress("ann@x.example", Suppression.Reason.STAFF, source="admin", now=NOW)
    suppression.lift(Suppression.objects.get(), by=UserFactory(), now=NOW)
    here.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (here.next_look_at, elsewhere.next_look_at) == (NOW, None)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_suppression_waits_for_whoever_is_claiming_a_mail_to_the_address():
    done = threading.Event()

    def bounce():
        try:
            suppression.suppress("a@x.example", Suppression.Reason.HARD_BOUNCE, source="", now=NOW)
        finally:
            done.set()
            connections.close_all()

    with transaction.atomic():
        addresses.known(["a@x.example"])
    with transaction.atomic():
        addresses.lock(["a@x.example"])
        thread = threading.Thread(target=bounce)
        thread.start()
        assert not done.wait(0.5)
        assert not Suppression.objects.exists()
    thread.join(10)
    assert Suppression.objects.exists()


# --- rates --------------------------------------------------------------------------------
def test_a_domain_sends_at_its_rate_whoever_asks():
    domain = SendingDomain.objects.create(
        name="x.example", rate_per_second=10, burst=20, tokens=0, tokens_at=NOW
    )
    granted, retry = rates.take(domain.pk, 5, NOW)
    assert (granted, retry) == (0, NOW + timedelta(seconds=0.1))
    assert rates.take(domain.pk, 5, NOW + timedelta(seconds=1)) == (5, None)
    granted, retry = rates.take(domain.pk, 50, NOW + timedelta(seconds=1))
    assert (granted, retry) == (5, NOW + timedelta(seconds=1.1))
    assert rates.take(domain.pk, 50, NOW + timedelta(hours=1))[0] == 20
    assert rates.take(domain.pk, 50, NOW)[0] == 0  # a clock that runs behind earns nothing


def test_a_paused_domain_sends_nothing():
    domain = SendingDomain.objects.create(name="x.example", paused_at=NOW, tokens=9, tokens_at=NOW)
    assert rates.take(domain.pk, 1, NOW) == (0, NOW + MINUTE)


# --- races --------------------------------------------------------------------------------
def together(count, work):
    barrier = threading.Barrier(count)

    def run(number):
        try:
            barrier.wait()
            work(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_ten_owners_at_once_claim_each_message_once():
    messages = queued(20)
    won: dict[int, list[int]] = {}
    together(10, lambda n: won.update({n: claimed(messages, owner=str(n))}))
    assert sorted(pk for ids in won.values() for pk in ids) == [message.pk for message in messages]
    assert Attempt.objects.count() == 20


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_callers_share_the_due_messages_and_the_tokens():
    messages = queued(50)
    domain = messages[0].sender.domain
    SendingDomain.objects.filter(pk=domain.pk).update(
        tokens=30, tokens_at=NOW, burst=30, rate_per_second=1
    )
    leased: list[int] = []
    tokens: list[int] = []

    def caller(_):
        leased.extend(outbox.lease_due(NOW, 3))
        tokens.append(rates.take(domain.pk, 2, NOW)[0])

    together(50, caller)
    assert sorted(leased) == [message.pk for message in messages]
    assert sum(tokens) == 30
