"""What staff do to a setup, to a success in doubt, and to what we know of people: written, and obeyed."""

import pytest

from accounts.models import Account, Consent, Environment, Membership
from events import log, placing
from events.models import Event
from lifecycle.alerts import desk
from lifecycle.journeys.models import JourneyVersion, Setup
from lifecycle.runner import doubts, pausing, staff_facts, steering, why
from lifecycle.runner.look import look_at
from lifecycle.runner.models import FoldCheckpoint
from lifecycle.runner.staff_facts import Refusal as FactRefusal
from lifecycle.runner.steering import Act, Refusal
from tests.factories import IngestKeyFactory
from tests.runner.scenes import (
    API,
    DAY,
    HOUR,
    Backend,
    account,
    at,
    enrolment,
    lean,
    look,
    mails,
    person,
    publish,
    runs,
    setup,
    staff,
    turn,
    until,
)

pytestmark = pytest.mark.django_db


def steer(verb, minutes: float, **which) -> Refusal | None:
    return verb(setup(**which).pk, by=staff("ada"), now=at(minutes))


def told(name: str = "acme") -> list[str]:
    """What staff did, in the account's story, oldest first."""
    row = account(name)
    entries = why.story(row, why.present(row, at(30 * DAY)))
    return [entry.title for entry in reversed(entries) if entry.kind == "staff"]


def acts(minutes: float = 0) -> list[tuple[Act, ...]]:
    return [outlook.acts for outlook in why.outlooks(why.present(account(), at(minutes)))]


# --- unblock, stop, start again -------------------------------------------------------------------


def test_unblocking_lets_reminders_go_on_from_then(tell):
    tell.starts(0)
    tell.fails(1, 2, 3)
    turn(4)
    assert setup().blocked_class == "auth"
    assert steer(steering.unblock, 20) is None
    turn(20)
    assert setup().blocked_class == ""
    assert enrolment().stage == "started"
    assert enrolment().next_look_at == at(30)
    assert told() == ["ada unblocked API: its reminders go on."]


def test_what_is_not_blocked_is_not_unblocked(tell):
    tell.starts(0)
    turn(0)
    assert steer(steering.unblock, 5) is Refusal.NOT_BLOCKED
    assert not Event.objects.filter(source="staff").exists()


def test_of_two_clicks_only_the_first_finds_something_to_do(tell):
    tell.starts(0)
    tell.fails(1, 2, 3)
    turn(4)
    assert steer(steering.unblock, 20) is None
    assert steer(steering.unblock, 20) is Refusal.NOT_BLOCKED
    assert Event.objects.filter(source="staff").count() == 1


def test_a_block_that_comes_back_after_an_unblock_can_be_unblocked_again(tell):
    tell.starts(0)
    for start in (1, 30):
        tell.fails(start, start + 1, start + 2)
        turn(start + 3)
        assert steer(steering.unblock, start + 4) is None
    turn(40)
    assert setup().blocked_class == ""


def test_a_stopped_setup_leaves_its_journey_and_gets_nothing_more(tell, provider):
    tell.starts(0)
    turn(0)
    assert steer(steering.stop, 5) is None
    until(3 * DAY, start=5, every=6 * HOUR)
    assert enrolment().left_reason == "stopped_by_staff"
    assert provider.got == []
    assert told()[0] == "ada stopped API: nothing more is sent about it."


def test_a_mail_that_waits_in_the_outbox_is_taken_back_by_a_stop(tell, provider):
    tell.starts(0)
    look(0)
    messages = look(10)
    assert messages
    assert steer(steering.stop, 10) is None
    turn(10)
    assert provider.got == []
    assert mails() == [("hello", "cancelled", "stopped_by_staff")]


def test_another_setup_of_the_account_goes_on_after_a_stop(tell, provider):
    tell.starts(0, provider="stripe")
    tell.starts(0, provider="hubspot")
    turn(0)
    assert steer(steering.stop, 5, provider="stripe") is None
    until(30, start=5)
    assert enrolment(setup__provider="stripe").left_reason == "stopped_by_staff"
    assert enrolment(setup__provider="hubspot").left_at is None
    assert provider.to() == ["hello"]


def test_starting_again_goes_on_in_the_same_enrolment_with_clocks_that_start_now(tell, provider):
    tell.starts(0)
    until(15)
    assert provider.to() == ["hello"]
    steer(steering.stop, 20)
    turn(20)
    first = enrolment().pk
    assert steer(steering.restart, 5 * DAY) is None
    until(5 * DAY + HOUR, start=5 * DAY)
    again = enrolment()
    assert (again.pk, again.left_at, again.left_reason) == (first, None, "")
    assert provider.to() == ["hello"]
    until(5 * DAY + 3 * HOUR, start=5 * DAY + HOUR)
    assert [key for key, _ in runs()] == ["hello", "start_stalled"]


def test_starting_again_goes_on_by_the_version_that_is_live_by_then(tell):
    tell.starts(0)
    turn(0)
    steer(steering.stop, 5)
    turn(5)
    live = publish(lean(API, name="API, better"), now=at(10))
    steer(steering.restart, 20)
    turn(20)
    assert JourneyVersion.objects.get(enrolment=enrolment()) == live
    assert enrolment().left_at is None


def test_a_stop_that_was_never_taken_back_does_not_keep_the_next_attempt_out(tell):
    tell.starts(0)
    turn(0)
    steer(steering.stop, 5)
    tell.works(10)
    tell.tells("api_key_revoked", 20)
    turn(20)
    assert enrolment(attempt=2).left_at is None


@pytest.mark.parametrize(
    ("verb", "happens", "refused"),
    [
        (steering.stop, ["stop"], Refusal.STOPPED_ALREADY),
        (steering.stop, ["works"], Refusal.WORKS),
        (steering.restart, [], Refusal.NOT_STOPPED),
        (steering.restart, ["stop", "works"], Refusal.ENDED),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(tell, verb, happens, refused):
    tell.starts(0)
    turn(0)
    for one in happens:
        steer(steering.stop, 1) if one == "stop" else tell.works(2)
    turn(3)
    before = Event.objects.count()
    assert steer(verb, 4) is refused
    assert Event.objects.count() == before


def test_a_setup_that_left_for_another_reason_is_not_stopped(tell):
    tell.starts(0)
    turn(0)
    tell.tells("first_workflow_launched", 5)
    turn(5)
    left = enrolment().left_reason
    assert left
    assert steer(steering.stop, 6) is Refusal.LEFT
    turn(7)
    assert enrolment().left_reason == left


def test_a_setup_without_events_is_gone(tell):
    row = Setup.objects.create(account=account(), integration_type="api", key="provider:none")
    assert steering.stop(row.pk, by=staff("ada"), now=at(0)) is Refusal.GONE


def test_the_page_offers_what_can_be_done(tell):
    tell.starts(0)
    look(0)
    assert acts() == [(Act.STOP,)]
    tell.fails(1, 2, 3)
    assert acts() == [(Act.UNBLOCK, Act.STOP)]
    steer(steering.stop, 5)
    assert acts() == [(Act.UNBLOCK, Act.RESTART)]
    tell.works(6)
    assert acts() == [()]


# --- successes in doubt ---------------------------------------------------------------------------


@pytest.fixture
def doubtful(tell) -> Event:
    """A key that either of two open setups may have got."""
    tell.starts(0, provider="stripe")
    tell.starts(1, provider="hubspot")
    tell.tells("api_key_created", 2)
    look(2)
    return Event.objects.get(name="api_key_created")


def waiting(name: str = "acme", minutes: float = 2) -> list[tuple[int, list[str]]]:
    row = account(name)
    found = doubts.in_doubt(row, why.present(row, at(minutes)))
    return [(one.event_id, [place.label for place in one.places]) for one in found]


def put(event: Event, row: Setup, minutes: float = 5) -> Refusal | None:
    return steering.place(event.pk, row.pk, by=staff("ada"), now=at(minutes))


def test_a_success_in_doubt_is_listed_with_every_setup_that_it_can_belong_to(doubtful):
    assert waiting() == [(doubtful.pk, ["Stripe", "Hubspot"])]


def test_placing_a_success_moves_its_setup_and_frees_the_other(doubtful):
    assert put(doubtful, setup(provider="stripe")) is None
    turn(6)
    assert enrolment(setup__provider="stripe").stage == "key_created"
    assert enrolment(setup__provider="hubspot").stage == "started"
    assert waiting() == []
    assert told() == ["ada placed “api_key_created”: it belongs to Stripe."]


def test_a_success_is_placed_once(doubtful):
    assert put(doubtful, setup(provider="stripe")) is None
    assert put(doubtful, setup(provider="hubspot"), 6) is Refusal.NOT_IN_DOUBT
    assert Event.objects.filter(name="staff_placed").count() == 1


def test_a_success_is_placed_though_its_log_was_folded_into_a_checkpoint(doubtful, monkeypatch):
    monkeypatch.setattr("lifecycle.runner.history.WORTH_A_CHECKPOINT", 1)
    tell_more = Event.objects.filter(account=account()).count()
    look(3)
    assert FoldCheckpoint.objects.get().last_event_id >= tell_more
    assert put(doubtful, setup(provider="stripe")) is None
    turn(6)
    assert enrolment(setup__provider="stripe").stage == "key_created"


def test_a_success_cannot_be_placed_on_a_setup_of_another_kind(tell, doubtful):
    row = Setup.objects.create(account=account(), integration_type="domain", key="provider:x")
    assert put(doubtful, row) is Refusal.GONE
    tell.starts(3, provider="notion")
    look(3)
    assert put(doubtful, setup(provider="notion")) is Refusal.NOT_A_CANDIDATE


def test_a_success_of_another_account_is_not_placed_here(tell, doubtful):
    tell.starts(0, account="beta", by="bob")
    look(2, "beta")
    assert put(doubtful, setup("beta")) is Refusal.NOT_IN_DOUBT


def test_nothing_of_the_test_world_is_placed_on_a_production_setup(tell):
    sandbox = Backend(IngestKeyFactory(environment=Environment.TEST, rate_per_second=1_000))
    sandbox.starts(0, provider="stripe")
    sandbox.starts(1, provider="hubspot")
    sandbox.tells("api_key_created", 2)
    tell.starts(0, provider="stripe")
    real = Account.objects.get(external_id="acme", environment=Environment.PRODUCTION)
    tried = Account.objects.get(external_id="acme", environment=Environment.TEST)
    look_at([real.pk, tried.pk], now=at(2))
    event = Event.objects.get(name="api_key_created", account=tried)
    row = Setup.objects.get(account=real)
    assert put(event, row) is Refusal.NOT_IN_DOUBT
    with pytest.raises(ValueError, match="test"):
        placing.place(event, real, by=staff("ada"), now=at(5))
    assert not Event.objects.filter(source="staff").exists()


def test_a_success_in_doubt_between_accounts_is_listed_in_each_and_placed_in_one(tell):
    tell.joins("dev", account="beta")
    tell.starts(0)
    tell.starts(0, account="beta")
    tell.tells("api_key_created", 5, account=None)
    look(5, "acme", "beta")
    event = Event.objects.get(name="api_key_created")
    assert waiting() == waiting("beta") == [(event.pk, ["acme", "beta"])]
    assert placing.place(event, account("beta"), by=staff("ada"), now=at(6))
    turn(6)
    assert waiting() == waiting("beta") == []
    assert enrolment("beta").stage == "key_created"
    assert told("beta") == ["ada placed “api_key_created”: it belongs to this account."]


def test_an_account_that_the_person_left_is_looked_at_again_too(tell):
    tell.joins("dev", account="beta")
    tell.leaves("dev", -DAY)
    tell.tells("api_key_created", 5, account=None)
    Event.objects.filter(name="api_key_created").update(account=None)
    turn(5)
    event = Event.objects.get(name="api_key_created")
    placing.place(event, account("beta"), by=staff("ada"), now=at(6))
    assert account("acme").next_look_at == at(6)


def test_a_success_from_before_the_present_attempt_holds_nothing_and_is_not_listed(doubtful, tell):
    for name in ("stripe", "hubspot"):
        tell.works(3, provider=name)
    look(4)
    assert waiting() == []


# --- what staff know about people -----------------------------------------------------------------


def member(name: str = "dev") -> Membership:
    return Membership.objects.get(person__external_id=name, account__external_id="acme")


def test_a_role_that_staff_change_counts_at_once_and_is_told(tell):
    tell.starts(0)
    turn(0)
    row = member()
    assert staff_facts.change_role(row.pk, "marketer", by=staff("ada"), now=at(5)) is None
    assert (member().role, member().role_since) == ("marketer", at(5))
    assert account().next_look_at == at(5)
    turn(5)
    assert enrolment().stage == "waiting"
    assert told() == ["ada changed the role of dev@customer.example from developer to marketer."]


def test_what_the_product_said_before_does_not_undo_a_role_and_what_it_says_later_does(tell):
    staff_facts.change_role(member().pk, "admin", by=staff("ada"), now=at(5))
    tell.joins("dev", "developer", minutes=3)
    assert member().role == "admin"
    tell.joins("dev", "owner", minutes=8)
    assert member().role == "owner"


@pytest.mark.parametrize(
    ("role", "refused"),
    [("wizard", FactRefusal.NO_SUCH_ROLE), ("developer", FactRefusal.SAME_ROLE)],
)
def test_a_role_that_is_none_or_no_other_is_refused(tell, role, refused):
    assert staff_facts.change_role(member().pk, role, by=staff("ada"), now=at(5)) is refused
    assert not Event.objects.filter(source="staff").exists()


def test_a_membership_that_staff_end_gets_no_more_mail(tell, provider):
    tell.starts(0)
    turn(0)
    assert staff_facts.end_membership(member().pk, by=staff("ada"), now=at(5)) is None
    until(HOUR, start=5)
    assert member().ended_at == at(5)
    assert provider.got == []
    assert told() == ["ada noted that dev@customer.example is in this account no more."]
    again = staff_facts.end_membership(member().pk, by=staff("ada"), now=at(6))
    assert again is FactRefusal.ENDED
    late = staff_facts.change_role(member().pk, "admin", by=staff("ada"), now=at(6))
    assert late is FactRefusal.ENDED


def test_a_refusal_of_setup_help_counts_in_all_accounts_of_the_person(tell, provider):
    tell.joins("dev", account="beta")
    tell.starts(0)
    tell.starts(0, account="beta")
    turn(0)
    dev = person("dev").pk
    assert staff_facts.change_consent(dev, given=False, by=staff("ada"), now=at(5)) is None
    until(HOUR, start=5)
    assert provider.got == []
    for name in ("acme", "beta"):
        assert told(name) == ["ada noted that dev@customer.example wants no more setup help."]
    row = Consent.objects.get()
    assert (row.given, row.source, row.at) == (False, "staff: ada", at(5))


def test_setup_help_that_was_refused_can_be_wanted_again(tell):
    dev = person("dev").pk
    by = staff("ada")
    assert staff_facts.change_consent(dev, given=True, by=by, now=at(1)) is FactRefusal.SAME_WORD
    assert staff_facts.change_consent(dev, given=False, by=by, now=at(2)) is None
    assert staff_facts.change_consent(dev, given=False, by=by, now=at(3)) is FactRefusal.SAME_WORD
    assert staff_facts.change_consent(dev, given=True, by=by, now=at(4)) is None
    assert Consent.objects.get().given is True


def test_nothing_is_told_when_the_row_cannot_be_changed(tell, monkeypatch):
    def breaks(*_args, **_more):
        raise RuntimeError("the log is away")

    monkeypatch.setattr("events.log.append", breaks)
    with pytest.raises(RuntimeError):
        staff_facts.end_membership(member().pk, by=staff("ada"), now=at(5))
    assert member().ended_at is None


# --- an account's pause ---------------------------------------------------------------------------


def test_pausing_an_account_is_told_in_its_story(tell, provider):
    tell.starts(0)
    turn(0)
    acme, ada = account().pk, staff("ada")
    assert pausing.pause_account(acme, by=ada, now=at(5))
    assert not pausing.pause_account(acme, by=ada, now=at(6))
    until(20, start=6)
    assert provider.got == []
    assert pausing.resume_account(acme, by=ada, now=at(21))
    assert not pausing.resume_account(acme, by=ada, now=at(22))
    until(23, start=22)
    assert provider.to() == ["hello"]
    assert told() == [
        "ada paused the account: nothing is sent to anybody in it.",
        "ada let sending to the account go on.",
    ]


def test_an_alert_that_is_taken_is_told_in_words(tell):
    tell.starts(0)
    turn(0)
    row = enrolment()
    alert = desk.open_alert(
        kind="step", dedupe_key="a", title="Help", account=row.account, enrolment=row, now=at(1)
    )
    ada = staff("ada")
    desk.take(alert.pk, by=ada, now=at(2))
    desk.release(alert.pk, by=ada, held_by=ada.pk, now=at(3))
    bob = staff("bob")
    desk.take(alert.pk, by=bob, now=at(4))
    desk.resolve(alert.pk, resolution="Called them", by=bob, held_by=bob.pk, now=at(5))
    assert told() == [
        "ada took an alert: reminders about API wait meanwhile.",
        "ada gave an alert back: reminders about API go on.",
        "bob took an alert: reminders about API wait meanwhile.",
        "bob resolved an alert: reminders about API go on.",
    ]
    titles = [entry.title for entry in why.story(account(), None)]
    assert "Resolved by bob: Help" in titles


def test_what_an_alert_still_holds_is_told_with_whoever_has_it(tell):
    tell.starts(0)
    turn(0)
    row, ada, bob = enrolment(), staff("ada"), staff("bob")
    about = {"kind": "step", "title": "Help", "account": row.account, "now": at(1)}
    whole = desk.open_alert(dedupe_key="whole", **about)
    single = desk.open_alert(dedupe_key="single", enrolment=row, **about)
    desk.take(whole.pk, by=ada, now=at(2))
    desk.take(single.pk, by=bob, now=at(3))
    desk.release(whole.pk, by=ada, held_by=ada.pk, now=at(4))
    assert set(told()[-2:]) == {
        "ada gave an alert back: reminders about every setup here go on.",
        "bob took an alert: reminders about API wait meanwhile.",
    }


def test_a_hold_from_before_names_were_kept_is_told_without_one(tell):
    tell.starts(0)
    turn(0)
    log.append(
        [
            log.OwnEvent(
                source="staff", message_id=name, name=name, account_id=account().pk,
                occurred_at=at(1), properties={},
            )
            for name in ("staff_hold_started", "staff_hold_ended")
        ],
        now=at(1),
    )  # fmt: skip
    assert set(told()) == {
        "A colleague took an alert: reminders about every setup here wait meanwhile.",
        "An alert was closed or given back: reminders about every setup here go on.",
    }
