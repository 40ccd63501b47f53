"""What a look concludes and writes, on the real tables."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import pausing as accounts_pausing
from accounts.models import Account
from events.models import Event
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.engine import ENGINE_VERSION
from lifecycle.engine.fold import PLACED
from lifecycle.engine.journey import Entry
from lifecycle.journeys.models import Enrolment, JourneyVersion, Setup
from lifecycle.runner import history, pausing
from lifecycle.runner.definition import current
from lifecycle.runner.look import PARKED_FOR, look_at
from lifecycle.runner.models import Decision, FoldCheckpoint, ParkedAccount, StepRun
from lifecycle.runner.tick import spread
from messaging.models import Message
from tests.runner.folds import folded_anew
from tests.runner.scenes import (
    API,
    DAY,
    DOMAIN,
    HOUR,
    account,
    at,
    enrolment,
    lean,
    look,
    mails,
    person,
    publish,
    runs,
    send,
    setup,
    staff,
    steps_of,
    turn,
    until,
    verdicts,
    world,
)

pytestmark = pytest.mark.django_db


# --- entering and leaving -------------------------------------------------------------------------


def test_a_start_enters_the_journey_and_says_so(tell):
    tell.starts(0)
    turn(0)
    assert (enrolment().stage, enrolment().entered_at) == ("started", at(0))
    entered = Decision.objects.filter(step_key="").get()
    assert (entered.outcome, entered.reason) == ("moved", "entered")
    assert account().next_look_at == at(10)


def test_a_setup_that_started_before_the_journey_was_published_stays_outside(tell):
    tell.starts(-60 * DAY)
    turn(0)
    assert Enrolment.objects.count() == 0
    assert setup().entry_reason == "started_before_publish"
    assert Decision.objects.get().reason == "started_before_publish"


def test_a_look_without_news_writes_nothing_new(tell):
    tell.starts(0)
    turn(0)
    written = list(Decision.objects.values_list("pk", flat=True))
    for minute in range(1, 10):
        look(minute)
    assert list(Decision.objects.values_list("pk", flat=True)) == written
    look(10)
    assert Decision.objects.count() == len(written) + 1


def test_nothing_is_planned_for_somebody_whose_address_is_none(tell):
    tell.joins("dev", email="not an email")
    tell.starts(0)
    assert look(10) == []
    assert Decision.objects.filter(reason="no_address").exists() or any(
        reason == "no_address"
        for detail in Decision.objects.values_list("detail", flat=True)
        for _, reason in detail.get("passed_over", ())
    )


def test_every_decision_names_the_engine_that_made_it(tell):
    tell.starts(0)
    until(3 * HOUR)
    assert set(Decision.objects.values_list("engine_version", flat=True)) == {ENGINE_VERSION}
    assert not Decision.objects.filter(reason="").exists()


def test_the_journey_ends_with_a_confirmation_and_never_reminds_again(tell, provider):
    tell.starts(0)
    until(HOUR)
    tell.works(HOUR)
    until(10 * DAY, start=HOUR, every=DAY)
    assert provider.to() == ["hello", "confirm"]
    assert enrolment().left_reason == "finished"
    assert account().next_look_at is None
    assert Event.objects.filter(source="lifecycle", name="integration_usable").count() == 1


def test_reopening_begins_a_second_attempt_in_an_enrolment_of_its_own(tell, provider):
    tell.starts(0)
    tell.works(5)
    until(7, start=5, every=1)
    tell.tells("api_key_revoked", DAY)
    until(DAY + 2 * HOUR, start=DAY)
    first, second = Enrolment.objects.order_by("attempt")
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.left_reason, second.left_at) == ("finished", None)
    assert Setup.objects.count() == 1
    assert "hello" in provider.to("dev")


def test_reopening_while_the_confirmation_waits_leaves_the_first_attempt_as_reopened(
    tell, provider
):
    tell.starts(0)
    provider.is_down = True
    tell.works(1)
    turn(1)
    tell.tells("api_key_revoked", 2)
    turn(2)
    assert enrolment(attempt=1).left_reason == "reopened"
    assert enrolment(attempt=2).left_at is None
    provider.is_down = False
    until(9, start=3, every=1)
    assert provider.to() == []
    assert mails()[0] == ("confirm", "cancelled", "reopened")


def test_a_closed_account_leaves_with_that_reason(tell):
    tell.starts(0)
    turn(0)
    Account.objects.update(closed_at=at(1))
    look(1)
    assert enrolment().left_reason == "account_closed"


# --- which setup ----------------------------------------------------------------------------------


def test_a_provider_that_becomes_known_late_keeps_the_row_and_sends_nothing_again(tell, provider):
    tell.tells("api_key_created", 0)
    until(DAY, every=HOUR)
    before, sent = setup().pk, provider.to()
    assert "key_created_stalled" in sent
    tell.starts(-1, provider="stripe", received=DAY)
    until(2 * DAY, start=DAY, every=HOUR)
    assert (setup().pk, setup().provider, setup().key) == (before, "stripe", "provider:stripe")
    assert Enrolment.objects.count() == 1
    assert provider.to() == sent


def test_two_setups_of_one_account_are_followed_apart(tell):
    publish(lean(DOMAIN))
    tell.joins("dev", "admin")
    tell.starts(0, provider="stripe")
    tell.starts(1, kind="domain", provider="cloudflare")
    tell.tells("domain_verified", 2)
    look(2)
    stages = Enrolment.objects.order_by("pk").values_list("setup__integration_type", "stage")
    assert dict(stages) == {"api": "started", "domain": "verified"}


def test_a_completion_that_fits_several_setups_holds_nudges_on_all_of_them(tell, provider):
    tell.starts(0, provider="stripe")
    tell.starts(1, provider="hubspot")
    tell.tells("api_key_created", 2)
    until(3 * HOUR, start=2)
    assert provider.got == []
    assert {v[-1] for v in [verdicts("hello")[-1:]] for v in v} == {"ambiguous_completion"}


def test_placing_it_lets_the_other_setup_go_on(tell, provider):
    tell.starts(0, provider="stripe")
    tell.starts(1, provider="hubspot")
    tell.tells("api_key_created", 2)
    until(30, start=2)
    place("api_key_created", "api", "provider:stripe", 30)
    until(31, start=30)
    stages = dict(Enrolment.objects.values_list("setup__provider", "stage"))
    assert stages == {"stripe": "key_created", "hubspot": "started"}
    assert provider.to() == ["hello"]


def place(event: str, kind: str, key: str, minutes: float) -> None:
    """Staff say which setup the event belongs to."""
    from events import log

    row = Event.objects.get(name=event)
    log.append(
        [
            log.OwnEvent(
                source="staff", message_id=f"placed:{row.pk}", name=PLACED,
                account_id=row.account_id, occurred_at=at(minutes),
                properties={"event_id": row.pk, "integration_type": kind, "setup_key": key},
            )
        ],
        now=at(minutes),
    )  # fmt: skip


def test_a_success_of_somebody_in_two_accounts_that_names_none_holds_both(tell, provider):
    tell.joins("dev", account="beta")
    tell.starts(0)
    tell.starts(0, account="beta")
    tell.tells("first_api_call_success", 5, account=None, environment="production")
    until(HOUR)
    assert provider.got == []
    assert verdicts("hello", "acme")[-1] == ("wait", "ambiguous_completion")
    assert verdicts("hello", "beta")[-1] == ("wait", "ambiguous_completion")


def test_completed_elsewhere_passes_the_person_over_and_leaves_the_setup_open(tell, provider):
    tell.joins("dev", account="beta")
    tell.starts(-DAY, account="beta")
    tell.works(-DAY + 1, account="beta")
    turn(-DAY + 1)
    tell.starts(0)
    until(3 * HOUR)
    assert mails("acme") == []
    assert verdicts("hello", "acme")[-1] == ("no", "nobody_eligible")
    assert enrolment("acme").left_at is None


def test_a_colleague_who_is_active_elsewhere_is_left_in_peace(tell, provider):
    tell.joins("dev", account="beta")
    tell.starts(0)
    for minute in (0, 6, 12, 18, 24):
        tell.tells("docs_viewed", minute, account="beta")
    until(26, every=2)
    assert mails("acme") == []
    assert verdicts("hello", "acme")[-1] == ("wait", "active_in_session")
    until(HOUR, start=26, every=2)
    assert mails("acme") == [("hello", "sent", "")]


# --- the control group ----------------------------------------------------------------------------


def test_the_arm_is_fixed_at_the_first_enrolment(tell):
    publish(lean(API, holdout_percent=100))
    tell.starts(0)
    tell.works(1)
    turn(1)
    publish(lean(API, holdout_percent=0))
    tell.tells("api_key_revoked", DAY)
    turn(DAY)
    assert list(Enrolment.objects.values_list("arm", flat=True)) == ["holdout", "holdout"]


def test_alerts_that_a_step_would_open_are_withheld_from_the_control_group(tell):
    publish(lean(API, holdout_percent=100))
    tell.starts(0)
    until(4 * DAY, every=12 * HOUR)
    assert ("still_nothing", "done") in runs()
    assert Alert.objects.count() == 0


def test_the_hand_off_runs_in_both_arms(tell):
    publish(lean(API, holdout_percent=100))
    tell.starts(0)
    tell.works(1)
    until(5, start=1, every=1)
    assert Event.objects.filter(name="integration_usable").count() == 1
    assert mails() == [("confirm", "withheld", "")]
    assert enrolment().left_reason == "finished"


# --- alerts, holds, incidents ---------------------------------------------------------------------


def test_a_step_opens_one_alert_however_often_it_is_looked_at(tell):
    tell.starts(0)
    until(5 * DAY, every=12 * HOUR)
    alert = Alert.objects.get()
    assert (alert.kind, alert.enrolment) == ("step", enrolment())


def test_a_colleague_who_takes_the_alert_silences_mail_until_they_give_it_back(tell, provider):
    tell.starts(0)
    turn(0)
    alert = desk.open_alert(
        kind="step", dedupe_key="x", title="Help", account=account(), enrolment=enrolment(),
        now=at(1),
    )  # fmt: skip
    ada = staff("ada")
    desk.take(alert.pk, by=ada, now=at(2))
    until(40, start=2)
    assert provider.got == []
    assert verdicts("hello")[-1] == ("wait", "held_by_a_person")
    desk.release(alert.pk, by=ada, held_by=ada.pk, now=at(45))
    until(HOUR, start=45)
    assert provider.to() == ["hello"]


def test_an_incident_silences_nudges_and_resolutions_of_its_provider_alone(tell, provider):
    tell.joins("eve", account="beta")
    tell.starts(0, provider="stripe")
    tell.starts(0, by="eve", account="beta", provider="hubspot")
    tell.fails(1, 1, 1)
    tell.fails(1, 1, 1, by="eve", account="beta")
    desk.open_alert(kind="incident", dedupe_key="incident:stripe:auth", title="x", now=at(1))
    until(30, start=1)
    assert provider.to("dev") == []
    assert provider.to("eve") == ["checklist"]


def test_a_provider_with_a_manual_path_opens_one_alert_and_no_journey(tell):
    publish(lean(API, entry=Entry(manual_providers=("on_premises",))))
    tell.starts(0, provider="on_premises")
    until(2 * DAY, every=12 * HOUR)
    assert Alert.objects.get().kind == "manual_path"
    assert Enrolment.objects.count() == 0


def test_a_provider_found_to_be_manual_later_ends_the_journey_and_calls_a_person_once(
    tell, provider
):
    publish(lean(API, entry=Entry(manual_providers=("on_premises",))))
    tell.tells("docs_viewed", 0)
    tell.starts(0)
    turn(10)
    tell.starts(11, provider="on_premises")
    until(2 * DAY, start=11, every=12 * HOUR)
    assert enrolment().left_reason == "manual_provider"
    assert Alert.objects.get().kind == "manual_path"
    assert provider.to() == ["hello"]


# --- pauses, publishes ----------------------------------------------------------------------------


def all_of_it(paused: bool, now) -> None:
    if paused:
        pausing.pause_all(by="ann", now=now)
    else:
        pausing.resume_all(now=now)


def the_journey(paused: bool, now) -> None:
    move = pausing.pause_journey if paused else pausing.resume_journey
    move(enrolment_journey(), now=now)


def the_account(paused: bool, now) -> None:
    move = accounts_pausing.pause if paused else accounts_pausing.resume
    move(account().pk, now=now)


def enrolment_journey() -> int:
    return JourneyVersion.objects.get(status="live").journey_id


@pytest.mark.parametrize(
    ("switch", "reason"),
    [(all_of_it, "paused_all"), (the_journey, "paused_journey"), (the_account, "paused_account")],
)
def test_a_pause_keeps_everybody_where_they_are_and_resuming_sends_what_is_not_late(
    tell, provider, switch, reason
):
    # `hello` is worth sending for an hour only, the other one for three days.
    hello = world.mail(
        "hello", world.Purpose.NUDGE, world.To.ABLE, after_minutes=10, late_after_minutes=HOUR
    )
    stalled = world.mail("stalled", world.Purpose.NUDGE, world.To.ABLE, after_minutes=20)
    publish(steps_of(lean(API), "started", hello, stalled))
    tell.starts(0)
    turn(0)
    switch(True, at(1))
    until(3 * HOUR, start=1)
    assert provider.got == []
    assert enrolment().stage == "started"
    assert verdicts("stalled")[-1] == ("wait", reason)
    switch(False, at(3 * HOUR))
    until(3 * HOUR + 30, start=3 * HOUR)
    assert provider.to() == ["stalled"]
    assert verdicts("hello")[-1] == ("no", "too_late")


def test_progress_during_a_pause_counts(tell, provider):
    tell.starts(0)
    turn(0)
    pausing.pause_all(by="ann", now=at(1))
    tell.works(30)
    until(HOUR, start=1)
    pausing.resume_all(now=at(HOUR))
    until(2 * HOUR, start=HOUR)
    assert provider.to() == ["confirm"]


def test_a_second_pause_is_refused_and_one_resume_ends_it(tell):
    assert pausing.pause_all(by="ann", now=at(0))
    assert not pausing.pause_all(by="bob", now=at(1))
    assert pausing.resume_all(now=at(2))
    assert not pausing.resume_all(now=at(3))


def test_a_publish_moves_open_enrolments_and_what_was_sent_stays_sent(tell, provider):
    tell.starts(0)
    turn(10)
    second = publish(lean(API, name="API, again"), now=at(11))
    spread([account().pk], at(11))
    until(HOUR, start=11)
    assert enrolment().version_id == second.pk
    assert provider.to() == ["hello"]


def test_a_step_that_a_new_version_adds_goes_unless_it_is_late(tell, provider):
    tell.starts(0)
    turn(10)
    nudge, able = world.Purpose.NUDGE, world.To.ABLE
    late = world.mail("late", nudge, able, after_minutes=5, late_after_minutes=30)
    fresh = world.mail("fresh", nudge, able, after_minutes=5, ignores_cap=True)
    publish(steps_of(lean(API), "started", late, fresh), now=at(HOUR))
    spread([account().pk], at(HOUR))
    until(2 * HOUR, start=HOUR)
    assert provider.to() == ["hello", "fresh"]
    assert verdicts("late")[-1] == ("no", "too_late")


# --- trouble --------------------------------------------------------------------------------------


def test_an_account_whose_log_cannot_be_folded_is_parked_and_the_others_go_on(tell, provider):
    tell.joins("eve", account="beta")
    tell.starts(0)
    tell.starts(0, by="eve", account="beta")
    turn(0)
    FoldCheckpoint.objects.create(
        account=account("beta"), last_event_id=1, definition=current().fingerprint,
        history_version=account("beta").history_version, state={"setups": "broken"},
    )  # fmt: skip
    until(10, start=1)
    assert provider.to("dev") == ["hello"]
    assert provider.to("eve") == []
    parked = ParkedAccount.objects.get()
    assert (parked.account, parked.failures) == (account("beta"), 1)
    assert "setups" in parked.error
    assert account("beta").next_look_at == at(10) + PARKED_FOR
    # Tried again, further and further apart, and forgotten once it works.
    turn(15)
    parked.refresh_from_db()
    assert parked.failures == 2
    assert account("beta").next_look_at == at(15) + 2 * PARKED_FOR
    FoldCheckpoint.objects.all().delete()
    turn(25)
    assert provider.to("eve") == ["hello"]
    assert not ParkedAccount.objects.exists()


def test_a_missing_template_parks_the_account_that_needs_it_and_no_other(tell, provider):
    from messaging.models import TemplateVersion

    tell.joins("eve", account="beta")
    tell.starts(0)
    tell.starts(0, by="eve", account="beta")
    tell.fails(5, 5, 5, by="eve", account="beta")
    TemplateVersion.objects.filter(template__key="checklist").update(status="retired")
    until(10, every=5)
    assert provider.to() == ["hello"]
    assert ParkedAccount.objects.get().account == account("beta")
    assert "checklist" in ParkedAccount.objects.get().error
    assert mails("beta") == []
    TemplateVersion.objects.filter(template__key="checklist").update(status="live")
    until(HOUR, start=11)
    assert provider.to("eve") == ["checklist"]


# --- speed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [0, 10, 2 * HOUR])
def test_looking_at_twenty_accounts_takes_as_many_queries_as_looking_at_two(tell, minutes):
    few = [f"few{n}" for n in range(2)]
    many = [f"many{n}" for n in range(20)]
    for name in few + many:
        tell.joins(f"dev-{name}", account=name)
        tell.starts(0, by=f"dev-{name}", account=name)
    current()  # reads the journey's document once per process
    counted = []
    for names in (few, many):
        ids = [account(name).pk for name in names]
        for before in (0, 10):
            if before < minutes:
                look_at(ids, now=at(before))
        with CaptureQueriesContext(connection) as seen:
            look_at(ids, now=at(minutes))
        counted.append([query["sql"][:80] for query in seen])
    assert len(counted[0]) == len(counted[1]), set(counted[1]) ^ set(counted[0])
    assert len(counted[1]) < 45


# --- long logs ------------------------------------------------------------------------------------


def long_log(tell, events: int = 5000) -> None:
    tell.starts(0, provider="stripe")
    tell.send(
        *[
            {
                "type": "track", "event": "docs_viewed", "userId": "dev", "groupId": "acme",
                "timestamp": (at(1) + timedelta(seconds=n)).isoformat(),
            }
            for n in range(events)
        ],
        received=2 * HOUR,
    )  # fmt: skip


def state_of(name: str = "acme"):
    return history.read(current(), [account(name)])[account(name).pk].state


def same(one, other) -> bool:
    """Equal, apart from what differs between lists and tuples that went through JSON."""
    return history._STATE.dump_python(one, mode="json") == history._STATE.dump_python(
        other, mode="json"
    )


def test_a_long_log_is_read_from_a_checkpoint_and_gives_the_state_of_a_full_fold(tell):
    long_log(tell)
    look(3 * HOUR)
    checkpoint = FoldCheckpoint.objects.get()
    assert checkpoint.last_event_id == Event.objects.order_by("pk").last().pk
    tell.tells("api_key_created", 4 * HOUR, provider="stripe")
    assert "credentials" not in checkpoint.state
    with CaptureQueriesContext(connection) as seen:
        state = state_of()
    assert same(state, folded_anew())
    assert "key" in state.setups[0].reached
    assert sum('"events_event"' in query["sql"] for query in seen) <= 2


def test_an_event_older_than_the_checkpoint_folds_everything_again(tell):
    long_log(tell)
    look(3 * HOUR)
    tell.tells("api_key_created", 0.5, provider="stripe", received=4 * HOUR)
    look(4 * HOUR)
    state = state_of()
    assert same(state, folded_anew())
    assert state.setups[0].reached["key"].at == at(0.5)


def test_an_event_a_little_late_goes_on_from_the_checkpoint(tell):
    long_log(tell)
    look(3 * HOUR)
    last = at(1) + timedelta(seconds=4990)
    late = {"type": "track", "event": "api_key_created", "userId": "dev", "groupId": "acme",
            "properties": {"provider": "stripe"}, "timestamp": last.isoformat()}  # fmt: skip
    tell.send(late, received=3 * HOUR)
    with CaptureQueriesContext(connection) as seen:
        state = state_of()
    assert sum('"events_event"' in query["sql"] for query in seen) <= 2
    assert same(state, folded_anew())
    assert state.setups[0].reached["key"].at == last


def test_checkpoint_upon_checkpoint_gives_the_state_of_a_full_fold(tell):
    long_log(tell, events=400)
    look(3 * HOUR)
    first = FoldCheckpoint.objects.get().last_event_id
    for turn_of in range(3):
        tell.send(
            *[
                {"type": "track", "event": "auth_failed", "userId": "dev", "groupId": "acme",
                 "properties": {"provider": "stripe"},
                 "timestamp": (at(3 * HOUR + turn_of * 60) + timedelta(seconds=n * 7)).isoformat()}
                for n in range(150)
            ],
            received=5 * HOUR + turn_of,
        )  # fmt: skip
        look(5 * HOUR + turn_of)
        assert same(state_of(), folded_anew())
    assert FoldCheckpoint.objects.get().last_event_id > first


@pytest.mark.django_db(transaction=True)
def test_a_long_log_is_folded_while_nobody_waits_for_its_account(tell, provider, monkeypatch):
    held = []
    folded_rows = history._folded_rows

    def noting(*args):
        held.append(connection.in_atomic_block)
        return folded_rows(*args)

    monkeypatch.setattr(history, "_folded_rows", noting)
    long_log(tell)
    look(3 * HOUR)
    tell.tells("api_key_created", 0.5, provider="stripe", received=4 * HOUR)
    look(4 * HOUR)
    assert held == [False, False]
    hour = next(hour for hour in range(5, 60) if look(hour * HOUR))
    tell.tells("docs_viewed", 0.7, received=hour * HOUR)
    queued = list(Message.objects.filter(status="queued").values_list("pk", flat=True))
    send(queued, hour * HOUR)
    assert provider.got
    assert held == [False, False, False]
    assert same(state_of(), folded_anew())


def test_late_attribution_folds_everything_again(tell):
    long_log(tell, events=300)
    look(3 * HOUR)
    tell.send(
        {
            "type": "track", "event": "api_key_created", "anonymousId": "browser",
            "groupId": "acme", "timestamp": at(1).isoformat(),
        },
        received=3 * HOUR,
    )  # fmt: skip
    look(3 * HOUR)
    tell.send(
        {"type": "identify", "userId": "dev", "anonymousId": "browser"}, received=3 * HOUR + 1
    )
    look(3 * HOUR + 1)
    assert same(state_of(), folded_anew())
    assert state_of().setups[0].reached_by["key"] == person("dev").pk


def test_a_changed_definition_folds_everything_again(tell):
    long_log(tell, events=300)
    look(3 * HOUR)
    before = FoldCheckpoint.objects.get().definition
    path = world.replace(API.path, usable=("key",))
    reachable = tuple(stage for stage in API.stages if stage.key != "key_created")
    publish(lean(world.replace(API, path=path, stages=reachable)), now=at(3 * HOUR))
    tell.tells("api_key_created", 4 * HOUR, provider="stripe")
    look(4 * HOUR)
    assert FoldCheckpoint.objects.get().definition != before
    assert state_of().setups[0].usable is not None
    assert same(state_of(), folded_anew())


def test_a_place_named_by_a_key_learnt_later_holds_in_a_long_log_too(tell):
    tell.starts(0, provider="stripe")
    tell.starts(1, provider="hubspot")
    tell.tells("api_key_created", 2)
    tell.tells("auth_failed", 3, provider="stripe", integration_id="42")
    long_log_rest = [
        {
            "type": "track", "event": "docs_viewed", "userId": "dev", "groupId": "acme",
            "timestamp": (at(10) + timedelta(seconds=n)).isoformat(),
        }
        for n in range(history.AT_A_TIME + 10)
    ]  # fmt: skip
    tell.send(*long_log_rest, received=2 * HOUR)
    place("api_key_created", "api", "id:42", 2 * HOUR)
    state = state_of()
    assert same(state, folded_anew())
    assert "key" in state.setup("api", "provider:stripe").reached
    assert state.unplaced == []


def test_once_is_kept_by_the_database_itself(tell):
    from django.db import IntegrityError, transaction

    tell.starts(0)
    turn(10)
    run = StepRun.objects.get()
    for recipient in (run.recipient_key, "999"):
        with pytest.raises(IntegrityError), transaction.atomic():
            StepRun.objects.create(
                enrolment=run.enrolment, step_key=run.step_key, recipient_key=recipient, at=at(11)
            )
    assert Message.objects.count() == 1


def test_what_somebody_did_before_they_acted_in_the_account_is_placed_there(tell):
    """No group call says so: acting in an account makes a member, and that settles the rest."""
    tell.starts(0)
    tell.works(5, by="eve", account=None)
    assert Event.objects.filter(account=None, person=person("eve")).count() == 2
    tell.tells("docs_viewed", 6, by="eve")
    turn(10)
    assert not Event.objects.filter(account=None).exists()
    assert setup().usable_at == at(5)
    assert mails()[0] == ("hello", "cancelled", "usable")
