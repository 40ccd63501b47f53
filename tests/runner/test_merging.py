"""Two accounts, or two people, made one: nothing is sent again, nothing is lost, nothing happens unseen."""

import pytest
from django.db import transaction

from accounts.models import Account, AnonymousId, Consent, Environment, Membership
from events.models import Event
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.engine.state import AccountState
from lifecycle.journeys.models import Enrolment, Setup
from lifecycle.runner import history, why
from lifecycle.runner.definition import current
from lifecycle.runner.merging import accounts, people
from lifecycle.runner.models import Decision, FoldCheckpoint, StepRun
from messaging import outbox
from messaging.models import Message
from tests.factories import IngestKeyFactory, PersonFactory
from tests.runner.scenes import (
    API,
    DAY,
    HOUR,
    Backend,
    Cap,
    account,
    at,
    enrolment,
    gated,
    lean,
    look,
    mails,
    person,
    publish,
    runs,
    send,
    setup,
    staff,
    turn,
    until,
)
from tests.runner.test_races import Meanwhile, at_once

pytestmark = pytest.mark.django_db


def merge(minutes: float, loser: str = "old", winner: str = "acme") -> accounts.Refusal | None:
    """Merge two accounts as somebody does who has just seen the preview."""
    one, other = account(loser), account(winner)
    seen = accounts.preview(one, other).token if accounts.refusal(one, other) is None else ""
    return accounts.merge(one.pk, other.pk, seen=seen, by=staff("sue"), now=at(minutes))


def merge_people(minutes: float, loser: str, winner: str) -> people.Refusal | None:
    one, other = person(loser), person(winner)
    seen = people.preview(one, other).token if people.refusal(one, other) is None else ""
    return people.merge(one.pk, other.pk, seen=seen, by=staff("sue"), now=at(minutes))


def state(name: str = "acme") -> AccountState:
    return history.read(current(), [account(name)])[account(name).pk].state


def in_short(found: AccountState) -> list[tuple[object, ...]]:
    return [
        (each.keys, each.started.at, each.starter, each.reached, each.usable, each.attempt)
        for each in found.setups
    ]


def of_both(*names: str) -> AccountState:
    """What the logs of these accounts say as one."""
    return history.folded(current(), Event.objects.filter(account__external_id__in=names))


@pytest.fixture
def two(tell: Backend) -> Backend:
    """The account acme, where Dev is, is known as old too, where Eve is."""
    tell.joins("eve", account="old")
    return tell


def old(tell: Backend, event: str, minutes: float, **more) -> None:
    tell.tells(event, minutes, by="eve", account="old", **more)


def hello_from_old(tell: Backend, **more) -> None:
    """Eve started, and was written to after ten minutes."""
    tell.starts(0, by="eve", account="old", **more)
    send(look(10, "old"), 10)


# --- nothing is sent again ------------------------------------------------------------------------


def test_what_one_account_got_the_other_does_not_get_again(two, provider):
    hello_from_old(two, provider="stripe")
    two.starts(5, provider="stripe")
    look(6)
    assert merge(12) is None
    send(look(20), 20)
    assert provider.to() == ["hello"]
    ours = enrolment("acme")
    assert list(ours.step_runs.values_list("step_key", "status")) == [("hello", "done")]
    assert enrolment("old").left_reason == "merged"


def test_after_days_each_step_went_once(two, provider):
    hello_from_old(two, provider="stripe")
    two.starts(5, provider="stripe")
    send(look(15), 15)
    assert provider.to() == ["hello", "hello"]
    merge(16)
    until(4 * DAY, every=HOUR, start=17)
    assert provider.to() == ["hello", "hello", "start_stalled"]
    alerts = Alert.objects.filter(account=account())
    assert list(alerts.values_list("title", flat=True)) == ["still_nothing: acme"]


def test_a_setup_that_only_the_other_had_goes_on_where_it_was(two, provider):
    hello_from_old(two, provider="hubspot")
    two.starts(0, provider="stripe", by="dev")
    before = enrolment("old")
    look(11)
    merge(12)
    moved = Enrolment.objects.get(pk=before.pk)
    assert (moved.account, moved.setup.account, moved.left_at) == (account(), account(), None)
    send(look(13), 13)
    assert provider.to("eve") == ["hello"]
    turn(3 * HOUR)
    assert Enrolment.objects.filter(left_at=None).count() == 2


def test_what_waits_in_the_others_outbox_is_taken_back_and_looked_at_anew(two, provider):
    two.starts(0, by="eve", account="old", provider="stripe")
    queued = look(10, "old")
    merge(11)
    send(queued, 11)
    assert provider.got == []
    assert mails() == [("hello", "cancelled", "merged")]
    until(30, start=12)
    assert provider.to() == ["hello"]
    assert mails() == [("hello", "cancelled", "merged"), ("hello", "sent", "")]


def test_a_mail_that_waits_is_not_sent_when_the_other_account_has_had_it(two, provider):
    hello_from_old(two, provider="stripe")
    two.starts(0, provider="stripe")
    queued = look(10)
    merge(11)
    send(queued, 12)
    until(30, start=13)
    assert provider.to() == ["hello"]
    assert mails() == [("hello", "sent", ""), ("hello", "cancelled", "already_done")]


def test_a_mail_that_is_being_handed_over_meanwhile_goes_once(two, provider):
    two.starts(0, by="eve", account="old", provider="stripe")
    two.starts(0, provider="stripe")
    look(5)
    provider.before = lambda _: merge(10)
    send(look(10, "old"), 10)
    provider.before = None
    until(60, start=11)
    assert provider.to() == ["hello"]
    assert mails() == [("hello", "sent", "")]


def test_a_mail_that_the_provider_puts_off_meanwhile_is_asked_about_in_the_new_account(
    two, provider
):
    two.starts(0, by="eve", account="old", provider="stripe")
    two.starts(0, provider="stripe")
    queued = look(10, "old")
    assert gated(queued, owner="us", now=at(10)) == queued
    merge(10)
    later = outbox.Settlement(
        queued[0], "temporary", at(10), reason="busy", detail="later", retry_at=at(11)
    )
    outbox.settle([later], owner="us")
    until(60, start=11)
    assert provider.to() == ["hello"]
    assert Message.objects.get().account == account()


def test_a_success_that_was_confirmed_in_one_account_is_not_confirmed_in_the_other(two, provider):
    two.starts(0, by="eve", account="old", provider="stripe")
    two.works(1, by="eve", account="old", provider="stripe")
    until(5, every=1)
    assert provider.to() == ["confirm"]
    two.starts(3, provider="stripe")
    look(6)
    merge(7)
    until(DAY, every=HOUR, start=8)
    assert provider.to() == ["confirm"]
    assert setup("acme").usable_at == at(1)


def test_a_second_attempt_in_the_other_account_goes_on_without_a_second_hello(two, provider):
    two.starts(0, by="eve", account="old", provider="stripe")
    two.works(1, by="eve", account="old", provider="stripe")
    until(3, every=1)
    old(two, "api_key_revoked", 4, provider="stripe")
    until(20, start=5)
    two.starts(5, provider="stripe")
    look(20)
    before = provider.to()
    merge(21)
    until(40, start=22)
    now_open = enrolment("acme", left_at=None)
    assert (now_open.attempt, setup("acme").attempt) == (2, 2)
    assert provider.to() == before
    assert not Account.objects.filter(parkedaccount__isnull=False).exists()


def test_a_setup_is_the_same_where_only_one_account_knew_its_id(two, provider):
    hello_from_old(two, provider="stripe", integration_id="int_1")
    two.starts(5, provider="stripe")
    look(6)
    merge(12)
    until(60, start=13)
    assert provider.to() == ["hello"]
    assert setup("acme").key == "id:int_1"
    assert enrolment("acme").left_at is None


def test_what_went_through_in_one_account_counts_though_it_bounced_in_the_other(tell, provider):
    publish(lean(API, caps=()))
    tell.joins("dev", account="old")
    tell.joins("ada", "admin")
    for name in ("old", "acme"):
        tell.starts(0, account=name, provider="stripe")
        send(look(10, name), 10)
    assert provider.to("dev") == ["hello", "hello"]
    Message.objects.filter(account=account()).update(status="bounced")
    StepRun.objects.filter(enrolment__account=account()).update(status="bounced")
    merge(12)
    until(60, start=13)
    assert provider.to("ada") == []
    assert runs("acme") == [("hello", "done")]
    assert runs("old") == [("hello", "bounced")]


def test_what_was_withheld_in_one_account_has_reached_nobody(two, provider):
    held_out = enrolled_in_control_group(two)
    two.starts(0, provider="stripe")
    look(5)
    merge(12)
    until(30, start=13)
    assert provider.to() == ["hello"]
    assert StepRun.objects.filter(enrolment=held_out).count() == 1


def enrolled_in_control_group(tell: Backend) -> Enrolment:
    tell.starts(0, by="eve", account="old", provider="stripe")
    look(5, "old")
    Enrolment.objects.update(arm="holdout")
    send(look(10, "old"), 10)
    assert mails("old") == [("hello", "withheld", "")]
    return enrolment("old")


# --- one history ----------------------------------------------------------------------------------


def test_the_state_is_the_fold_of_both_logs(two):
    two.starts(0, by="eve", account="old", provider="stripe")
    old(two, "api_key_created", 3, provider="stripe")
    two.starts(1, provider="stripe")
    two.starts(2, provider="hubspot")
    two.tells("first_api_call_success", 4, provider="stripe", environment="production")
    look(5, "acme", "old")
    expected = in_short(of_both("acme", "old"))
    merge(6)
    assert in_short(state()) == expected
    assert setup("acme", key="provider:stripe").usable_at is None
    look(7)
    assert setup("acme", key="provider:stripe").usable_at == at(4)


def test_a_checkpoint_of_before_is_not_gone_on_with(two, monkeypatch):
    monkeypatch.setattr(history, "WORTH_A_CHECKPOINT", 2)
    two.starts(0, by="eve", account="old", provider="stripe")
    old(two, "api_key_created", 3, provider="stripe")
    two.starts(1, provider="stripe")
    look(5, "acme", "old")
    assert FoldCheckpoint.objects.count() == 2
    merge(6)
    look(7)
    assert state().setups[0].reached.keys() == {"key"}
    assert FoldCheckpoint.objects.get().account == account()


def test_what_arrives_for_the_old_id_afterwards_goes_to_the_account(two):
    merge(1)
    old(two, "api_key_created", 2)
    two.joins("kim", "admin", account="old", minutes=3)
    assert Event.objects.get(name="api_key_created").account == account()
    assert person("kim").memberships.get().account == account()
    assert not Event.objects.filter(account=account("old")).exists()


def test_an_id_that_was_merged_twice_over_leads_to_the_account(two):
    two.joins("kim", account="older")
    assert merge(1, "older", "old") is None
    assert merge(2, "old", "acme") is None
    two.tells("docs_viewed", 3, by="kim", account="older")
    assert Event.objects.get(name="docs_viewed").account == account()


def test_limits_count_the_mails_of_both(tell, provider):
    tell.joins("eve", account="old")
    publish(lean(API, caps=(Cap("account", 1, DAY),)))
    hello_from_old(tell, provider="hubspot")
    tell.starts(0, provider="stripe")
    look(5)
    merge(12)
    until(DAY, start=13)
    assert provider.to() == ["hello"]
    reasons = Decision.objects.filter(account=account(), step_key="hello")
    assert "cap_account" in reasons.values_list("reason", flat=True)


def test_members_of_both_keep_the_role_they_have_here(two):
    two.joins("dev", "owner", account="old", minutes=-10)
    two.joins("ada", "", account="acme")
    two.joins("ada", "admin", account="old")
    merge(1)
    roles = {row.person.external_id: row.role for row in account().memberships.all()}
    assert roles == {"dev": "developer", "eve": "developer", "ada": "admin"}
    assert not account("old").memberships.exists()


def test_whoever_left_here_and_is_still_there_has_the_role_they_have_there(two):
    two.joins("dev", "owner", account="old")
    two.leaves("dev", 1)
    merge(2)
    row = Membership.objects.get(person=person("dev"))
    assert (row.role, row.ended_at) == ("owner", None)


def test_a_success_that_fitted_both_accounts_is_placed_by_the_merge(two, provider):
    two.joins("dev", account="old")
    two.starts(0, provider="stripe")
    two.tells("api_key_created", 1, account=None)
    assert Event.objects.get(name="api_key_created").account is None
    merge(2)
    look(3)
    assert enrolment("acme").stage == "key_created"


def test_blanks_are_filled_and_silence_is_kept(two):
    Account.objects.filter(external_id="old").update(plan="pro", paused_at=at(0), name="Old")
    Account.objects.filter(external_id="acme").update(name="Acme")
    merge(1)
    row = account()
    assert (row.name, row.plan, row.paused_at) == ("Acme", "pro", at(0))


def test_an_alert_that_somebody_holds_moves_and_keeps_reminders_silent(two, provider):
    two.starts(0, by="eve", account="old", provider="stripe")
    two.starts(0, provider="stripe")
    look(1, "acme", "old")
    alert = desk.open_alert(
        kind="step", dedupe_key="a", title="Help", account=account("old"),
        enrolment=enrolment("old"), now=at(2),
    )  # fmt: skip
    ada = staff("ada")
    desk.take(alert.pk, by=ada, now=at(3))
    merge(4)
    until(HOUR, start=5)
    assert provider.got == []
    alert.refresh_from_db()
    assert (alert.account, alert.enrolment) == (account(), enrolment("acme"))
    desk.release(alert.pk, by=ada, held_by=ada.pk, now=at(HOUR))
    until(2 * HOUR, start=HOUR)
    assert provider.to() == ["hello"]


def test_the_merge_stands_in_the_story_with_what_was_decided_before(two):
    hello_from_old(two, provider="stripe")
    merge(12)
    row = account()
    entries = why.story(row, why.present(row, at(13)))
    titles = [entry.title for entry in entries]
    assert titles[0] == "sue merged the account “old” into this one."
    assert "hello" in titles
    assert not Decision.objects.filter(account=account("old")).exists()
    event = Event.objects.get(name="staff_merged")
    assert (event.source, event.account) == ("staff", row)


# --- what is refused ------------------------------------------------------------------------------


def test_merging_twice_or_in_a_circle_changes_nothing(two):
    merge(1)
    events = Event.objects.count()
    assert merge(2) == accounts.Refusal.MERGED_ALREADY
    assert merge(2, "acme", "old") == accounts.Refusal.OTHER_IS_MERGED
    assert merge(2, "acme", "acme") == accounts.Refusal.SAME
    assert Event.objects.count() == events


def test_a_test_account_never_becomes_part_of_a_production_one(two):
    test = Backend(IngestKeyFactory(environment=Environment.TEST, rate_per_second=10_000))
    test.starts(0, by="eve", account="trial")
    assert merge(1, "trial", "acme") == accounts.Refusal.OTHER_WORLD
    assert merge(1, "acme", "trial") == accounts.Refusal.OTHER_WORLD
    assert account("trial").merged_into is None


def test_what_changed_since_the_preview_is_shown_before_it_happens(two):
    seen = accounts.preview(account("old"), account()).token
    two.joins("kim", "admin", account="old", minutes=1)
    before = Event.objects.count()
    refused = accounts.merge(account("old").pk, account().pk, seen=seen, by=staff("sue"), now=at(2))
    assert refused == accounts.Refusal.CHANGED
    assert account("old").merged_into is None
    assert Event.objects.count() == before


def test_an_account_in_use_can_be_merged_though_events_keep_coming(two):
    two.starts(0, by="eve", account="old", provider="stripe")
    seen = accounts.preview(account("old"), account()).token
    old(two, "docs_viewed", 1)
    assert (
        accounts.merge(account("old").pk, account().pk, seen=seen, by=staff("sue"), now=at(2))
        is None
    )


def test_the_preview_says_what_then_happens(two):
    two.joins("dev", "owner", account="old")
    hello_from_old(two, provider="stripe")
    two.starts(0, by="eve", account="old", provider="hubspot")
    look(11, "old")
    two.starts(5, provider="stripe")
    look(6)
    before = accounts.preview(account("old"), account())
    ids = set(Event.objects.filter(account=account("old")).values_list("pk", flat=True))
    assert [tuple(line)[:2] for line in before.people] == [
        ("eve@customer.example", "moves, as developer"),
        ("dev@customer.example", "is in both, as developer (in the account that goes: as owner)"),
    ]
    assert [line.what for line in before.setups] == ["Stripe", "Hubspot"]
    assert before.setups[0].detail == ("Counts as done: hello, to eve@customer.example",)
    assert "moves" in before.setups[1].becomes
    merge(12)
    assert before.events == len(ids)
    assert set(Event.objects.filter(pk__in=ids).values_list("account", flat=True)) == {account().pk}
    assert before.mails == Message.objects.filter(account=account()).count()
    assert set(before.queued) == set(
        Message.objects.filter(reason="merged").values_list("pk", flat=True)
    )
    carried = {run.pk for run, _ in before.fates.carried}
    assert carried == set(
        enrolment(setup__key="provider:stripe").step_runs.values_list("pk", flat=True)
    )
    moved = {row.pk for row in before.fates.moving}
    assert moved == set(
        Setup.objects.filter(account=account(), key="provider:hubspot").values_list("pk", flat=True)
    )
    assert {run.message_id for run in before.fates.overtaken} == set()


def test_a_look_at_the_preview_writes_nothing(two, django_assert_max_num_queries):
    hello_from_old(two, provider="stripe")
    with django_assert_max_num_queries(40):
        accounts.preview(account("old"), account())
    assert account("old").merged_into is None
    assert mails("old") == [("hello", "sent", "")]


# --- people ---------------------------------------------------------------------------------------


def become_one(how: str, tell: Backend, minutes: float, loser: str, winner: str) -> None:
    if how == "alias":
        call = {"type": "alias", "previousId": loser, "userId": winner}
        tell.send({**call, "timestamp": at(minutes).isoformat()}, received=minutes)
    else:
        assert merge_people(minutes, loser, winner) is None


@pytest.mark.parametrize("how", ["alias", "by staff"])
def test_a_person_who_was_asked_under_one_id_is_not_asked_under_the_other(how, tell, provider):
    """Mia lacks the capability; Ada is asked, and turns out to be Ann, who would be asked next."""
    tell.joins("mia", "marketer")
    tell.joins("ada", "admin", minutes=-6 * DAY)
    tell.joins("ann", "admin", minutes=-5 * DAY)
    tell.leaves("dev", -DAY)
    tell.starts(0, by="mia")
    until(2 * HOUR)
    assert provider.to("ada") == ["ask"]
    become_one(how, tell, 3 * HOUR, "ada", "ann")
    until(4 * DAY, every=HOUR, start=4 * HOUR)
    assert provider.to("ada", "ann") == ["ask"]


@pytest.mark.parametrize("how", ["alias", "by staff"])
def test_what_was_addressed_to_the_old_id_is_told_of_the_person(how, tell, provider):
    tell.joins("eve", minutes=-8 * DAY)
    tell.starts(0, by="eve")
    until(15)
    tell.joins("ada", minutes=16)
    become_one(how, tell, 17, "eve", "ada")
    until(60, start=18)
    assert provider.to() == ["hello"]
    row = account()
    said = why.answer(why.present(row, at(61)), person("ada"), "hello", at(61))
    assert "got it on" in said
    assert Message.objects.get().person == person("eve")


def test_a_mail_that_waits_for_the_old_id_goes_once_to_the_person(tell, provider):
    tell.joins("eve", minutes=-8 * DAY)
    tell.joins("ada", "admin")
    tell.starts(0, by="eve")
    queued = look(10)
    merge_people(11, "eve", "ada")
    send(queued, 12)
    until(60, start=13)
    assert [mail.to for mail in provider.got] == [["ada@customer.example"]]


@pytest.mark.parametrize("how", ["alias", "by staff"])
def test_work_under_an_old_id_counts_in_accounts_that_no_call_named(how, tell, provider):
    """Eve was never said to be a member of acme, so the merge does not rewrite what she did there."""
    tell.joins("ada", "admin", account="elsewhere")
    tell.tells("docs_viewed", -DAY, by="eve", account="other")
    tell.starts(0, by="eve")
    become_one(how, tell, 1, "eve", "ada")
    assert Event.objects.get(name="integration_started").person == person("eve")
    (case,) = why.present(account(), at(2)).dossier.cases
    assert case.facts.setup.starter == person("ada").pk
    look(2)
    members = account().memberships.values_list("person__external_id", flat=True)
    assert set(members) == {"dev", "ada"}


def test_the_preview_of_two_people_says_what_then_happens(tell):
    tell.joins("eve", account="beta")
    tell.joins("eve", "admin")
    tell.starts(0, by="eve")
    send(look(10), 10)
    Consent.objects.create(
        person=person("eve"), category="setup_help", given=False, source="mail", at=at(11)
    )
    AnonymousId.objects.create(value="cookie", person=person("eve"))
    before = people.preview(person("eve"), person("dev"))
    assert [tuple(line)[:2] for line in before.memberships] == [
        ("beta", "they are in it, as developer"),
        ("acme", "knows both ids; they stay, as developer (under the id that goes: as admin)"),
    ]
    assert [line.becomes for line in before.consents] == ["is refused, as said on 03 Mar 2026"]
    assert before.steps == ("hello, about acme: api",)
    assert before.anonymous_ids == ("cookie",)
    ids = set(Event.objects.filter(person=person("eve")).values_list("pk", flat=True))
    assert before.events == len(ids)
    assert merge_people(12, "eve", "dev") is None
    dev = person("dev")
    assert set(Event.objects.filter(pk__in=ids).values_list("person", flat=True)) == {dev.pk}
    assert dict(dev.memberships.current().values_list("account__external_id", "role")) == {
        "acme": "developer",
        "beta": "developer",
    }
    assert dev.consents.get().given is False
    assert dev.anonymous_ids.get().value == "cookie"
    stories = Event.objects.filter(name="staff_people_merged")
    assert set(stories.values_list("account__external_id", flat=True)) == {"acme", "beta"}


def test_merging_people_twice_in_a_circle_or_across_worlds_changes_nothing(tell):
    tell.joins("eve")
    PersonFactory(external_id="trial", environment=Environment.TEST)
    assert merge_people(1, "trial", "dev") == people.Refusal.OTHER_WORLD
    assert merge_people(1, "eve", "dev") is None
    events = Event.objects.count()
    assert merge_people(2, "eve", "dev") == people.Refusal.MERGED_ALREADY
    assert merge_people(2, "dev", "eve") == people.Refusal.OTHER_IS_MERGED
    assert merge_people(2, "dev", "dev") == people.Refusal.SAME
    assert Event.objects.count() == events


def test_people_who_changed_since_the_preview_are_shown_again(tell):
    tell.joins("eve")
    seen = people.preview(person("eve"), person("dev")).token
    tell.joins("eve", account="beta", minutes=1)
    refused = people.merge(
        person("eve").pk, person("dev").pk, seen=seen, by=staff("sue"), now=at(2)
    )
    assert refused == people.Refusal.CHANGED
    assert person("eve").merged_into is None


def test_a_success_that_fitted_several_accounts_is_placed_when_the_person_is_in_one(tell):
    tell.joins("eve")
    tell.tells("api_key_created", 1, by="lost", account=None)
    assert Event.objects.get(name="api_key_created").account is None
    merge_people(2, "lost", "eve")
    assert Event.objects.get(name="api_key_created").account == account()


# --- at the same moment, on PostgreSQL -------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_a_batch_that_is_being_stored_is_waited_for_and_moves_too(self, two):
        two.starts(0, by="eve", account="old", provider="stripe")
        with transaction.atomic():
            old(two, "api_key_created", 1)
            merging = Meanwhile(lambda: merge(2))
            assert merging.waits()
        merging.ends()
        assert account("old").merged_into == account()
        assert Event.objects.get(name="api_key_created").account == account()

    def test_a_batch_that_waits_for_the_merge_lands_in_the_account(self, two):
        two.starts(0, by="eve", account="old", provider="stripe")
        with transaction.atomic():
            assert merge(2) is None
            storing = Meanwhile(lambda: old(two, "api_key_created", 1))
            assert storing.waits()
            joining = Meanwhile(lambda: two.joins("kim", account="old", minutes=1))
            assert joining.waits()
        storing.ends()
        joining.ends()
        assert not Event.objects.filter(account=account("old")).exists()
        assert Event.objects.get(name="api_key_created").account == account()
        assert not account("old").memberships.exists()

    def test_whichever_comes_first_every_event_is_in_the_account_and_folded(self, two):
        for n in range(8):
            name = f"race{n}"
            two.joins("eve", account=name)
            at_once(
                lambda name=name: merge(2, name),
                *[
                    lambda name=name, k=k: two.tells(
                        "docs_viewed", k, by="eve", account=name, uid=f"{name}-{k}"
                    )
                    for k in range(4)
                ],
            )
        assert Event.objects.filter(name="docs_viewed", account=account()).count() == 32
        merged = Account.objects.filter(merged_into=account())
        assert merged.count() == 8
        assert not Event.objects.filter(account__in=merged).exists()

    def test_merges_towards_each_other_make_one_account(self, two):
        refusals = []
        at_once(
            lambda: refusals.append(merge(1, "old", "acme")),
            lambda: refusals.append(merge(1, "acme", "old")),
        )
        assert refusals.count(None) == 1
        assert Account.objects.exclude(merged_into=None).count() == 1

    def test_a_mail_is_sent_once_while_the_merge_and_the_hand_over_race(self, two, provider):
        for n in range(6):
            name, winner = f"old{n}", f"new{n}"
            two.joins(f"eve{n}", account=name)
            two.joins(f"dev{n}", account=winner)
            two.starts(0, by=f"eve{n}", account=name, provider="stripe")
            two.starts(0, by=f"dev{n}", account=winner, provider="stripe")
            queued = look(10, name, winner)
            mine = [pk for pk in queued if Message.objects.get(pk=pk).account == account(name)]
            at_once(
                lambda name=name, winner=winner: merge(10, name, winner),
                lambda mine=mine: send(mine, 10),
                lambda winner=winner: look(10, winner),
            )
            if account(name).merged_into is None:
                assert merge(11, name, winner) is None
        until(60, start=12)
        assert len(provider.got) == 6

    def test_an_alert_that_is_taken_during_the_merge_is_held_by_nobody_or_in_the_account(self, two):
        two.starts(0, by="eve", account="old", provider="stripe")
        look(1, "old")
        alert = desk.open_alert(
            kind="step", dedupe_key="a", title="Help", account=account("old"), now=at(2)
        )
        with transaction.atomic():
            assert merge(3) is None
            taking = Meanwhile(lambda: desk.take(alert.pk, by=staff("ada"), now=at(4)))
            assert taking.waits()
        taking.ends()
        alert.refresh_from_db()
        assert (alert.account, alert.taken_by) == (account(), None)
        assert not Event.objects.filter(account=account("old")).exists()

    def test_people_are_merged_while_one_of_them_is_at_work(self, two):
        two.joins("dev", account="beta")
        with transaction.atomic():
            assert merge_people(1, "eve", "dev") is None
            working = [
                Meanwhile(lambda: old(two, "docs_viewed", 2)),
                Meanwhile(lambda: two.joins("eve", account="gamma", minutes=2)),
            ]
            assert all(each.waits() for each in working)
        for each in working:
            each.ends()
        assert not Membership.objects.current().filter(person=person("eve")).exists()
        assert account("gamma").memberships.get().person == person("dev")
