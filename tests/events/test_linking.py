"""Two ids of one person: whatever order the calls come in, and however they are batched, it ends alike."""

from datetime import UTC, datetime, timedelta
from itertools import permutations, product

import pytest

from accounts.models import Account, Membership, Person
from events.ingest import ingest
from events.models import Event
from tests.factories import IngestKeyFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def send():
    key = IngestKeyFactory()
    return lambda *messages, now=NOW: ingest(list(messages), key=key, now=now)


def identify(user, anonymous=None, **traits):
    return {"type": "identify", "userId": user, "anonymousId": anonymous, "traits": traits}


def group(user, account="g", **traits):
    return {"type": "group", "userId": user, "groupId": account, "traits": traits}


def track(user, name="sync_completed"):
    return {"type": "track", "event": name, "userId": user}


def alias(before, user):
    return {"type": "alias", "previousId": before, "userId": user}


def of(world, message):
    """The message with ids of its own, so that many stories fit into one database."""
    ids = {"userId", "previousId", "groupId", "anonymousId"} & message.keys()
    return {**message, **{key: f"{world}.{message[key]}" for key in ids if message[key]}}


def known_now(world):
    """What is known of a world: its people, where they belong, and whose the events are and where they are placed."""

    def plain(name):
        return name and name.removeprefix(f"{world}.")

    people = Person.objects.filter(external_id__startswith=f"{world}.", merged_into=None)
    memberships = Membership.objects.filter(person__in=people)
    events = Event.objects.filter(
        person__in=Person.objects.filter(external_id__startswith=f"{world}.")
    )
    return (
        sorted((plain(one.external_id), one.email, one.name) for one in people),
        sorted(
            (plain(one.account.external_id), plain(one.person.external_id), one.role, one.ended_at)
            for one in memberships.select_related("account", "person")
        ),
        sorted(
            (one.type, one.name, str(one.properties), plain(one.person.external_id), str(one.account_id and plain(one.account.external_id)))
            for one in events.select_related("account", "person")
        ),
    )  # fmt: skip


def assert_batched_as_one_by_one(send, messages):
    for number, order in enumerate(permutations(messages)):
        send(*(of(f"batch{number}", each) for each in order))
        for each in order:
            send(of(f"single{number}", each))
        assert known_now(f"batch{number}") == known_now(f"single{number}"), order


@pytest.mark.parametrize(("identified", "grouped", "acting"), [*product("ab", repeat=3)])
def test_an_alias_and_what_it_joins_may_come_in_one_batch_in_any_order(
    send, identified, grouped, acting
):
    messages = [identify(identified, email="a@x.example"), group(grouped), track(acting)]
    assert_batched_as_one_by_one(send, [*messages, alias("a", "b")])
    assert not Event.objects.filter(type="track", account=None).exists()


def test_the_two_ids_may_say_different_things_of_one_person(send):
    messages = [identify("a", name="A"), identify("b", name="B"), group("a", role="admin")]
    assert_batched_as_one_by_one(send, [*messages, group("b", role="member"), alias("a", "b")])


def test_an_alias_of_an_alias_may_come_in_any_order(send):
    messages = [group("a"), track("b"), track("c"), alias("a", "b"), alias("b", "c")]
    assert_batched_as_one_by_one(send, messages)
    assert not Event.objects.filter(type="track", account=None).exists()


def test_what_is_stored_of_both_ids_is_joined_with_what_the_batch_says(send):
    send(group("a", role="owner"), track("b", "earlier"))
    Account.objects.update(next_look_at=None)
    later = NOW + timedelta(hours=1)
    send(group("b"), track("b"), alias("a", "b"), now=later)
    account = Account.objects.get()
    (membership,) = Membership.objects.current()
    assert (membership.person.external_id, membership.role) == ("b", "owner")
    assert not Event.objects.filter(account=None).exclude(type="alias").exists()
    assert (account.history_version > 0, account.next_look_at) == (True, later)


def test_two_accounts_of_two_ids_place_nothing_by_themselves(send):
    send(group("a", "g"), group("b", "h"), track("b"), alias("a", "b"))
    assert Event.objects.get(type="track").account is None
    assert set(Account.objects.values_list("next_look_at", flat=True)) == {NOW}


def test_what_was_left_unplaced_is_placed_by_the_next_word_about_its_person(send):
    send(group("b"), track("b"))
    Event.objects.filter(type="track").update(account=None)
    send(identify("b", name="B"))
    assert Event.objects.get(type="track").account == Account.objects.get()


def told_apart():
    """The external ids of those who are people by themselves."""
    people = Person.objects.filter(merged_into=None)
    return set(people.values_list("external_id", flat=True))


class TestAVisitorWhoWasSentUnderAUserId:
    """As PostHog's clients do: every visitor has a distinct id, and `$identify` names the one from before."""

    def test_is_whoever_they_turn_out_to_be_from_the_first_visit_on(self, send):
        send(track("visitor", "docs_viewed"))
        send(identify("ada", anonymous="visitor"), group("ada"))
        send(track("visitor", "pricing_viewed"))
        assert told_apart() == {"ada"}
        seen = Event.objects.filter(type="track")
        assert set(seen.values_list("person__external_id", "account__external_id")) == {
            ("ada", "g")
        }

    def test_may_be_named_in_any_order_of_one_batch(self, send):
        calls = [track("visitor"), identify("ada", anonymous="visitor"), group("ada"), track("ada")]
        assert_batched_as_one_by_one(send, calls)
        assert {one.partition(".")[2] for one in told_apart()} == {"ada"}
        assert not Event.objects.filter(type="track", account=None).exists()

    @pytest.mark.parametrize(
        "introduction", [identify("bob", email="bob@x.example"), group("bob", "elsewhere")]
    )
    @pytest.mark.parametrize("at_once", [True, False])
    def test_is_somebody_else_where_a_call_introduced_them(self, send, introduction, at_once):
        calls = [introduction, identify("ada", anonymous="bob")]
        for batch in [calls] if at_once else [[each] for each in calls]:
            send(*batch)
        assert told_apart() == {"ada", "bob"}

    def test_belongs_to_the_first_who_named_them(self, send):
        send(identify("ada", anonymous="shared"), identify("bob", anonymous="shared"))
        send(track("shared"))
        assert told_apart() == {"ada", "bob"}
        assert Event.objects.get(type="track").person.external_id == "ada"
