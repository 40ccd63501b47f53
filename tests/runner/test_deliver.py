"""Between being due and being handed over: what no longer holds is cancelled, and nothing goes twice."""

from datetime import timedelta

import pytest
from django.db.models import F

from accounts import pausing
from accounts.models import Account, Consent
from lifecycle.engine import ENGINE_VERSION
from lifecycle.runner import staff_facts
from lifecycle.runner.definition import current
from lifecycle.runner.health import HAND_OVER
from lifecycle.runner.models import FoldCheckpoint, Heartbeat, StepRun
from lifecycle.runner.tick import take_back_bounced
from messaging import outbox, suppression
from messaging.models import Attempt, Message, SendingDomain, Suppression
from tests.runner.inbox import Killed
from tests.runner.scenes import (
    API,
    DAY,
    HOUR,
    Cap,
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
    staff,
    steps_of,
    turn,
    until,
    verdicts,
)

pytestmark = pytest.mark.django_db


def hello_is_queued(tell) -> list[int]:
    """Dev started, ten minutes passed, and the first mail stands in the outbox."""
    tell.starts(0)
    queued = look(10)
    assert mails() == [("hello", "queued", "")]
    return queued


# --- the promise about usable ---------------------------------------------------------------------


def test_a_completion_between_look_and_hand_over_cancels_with_the_reason_usable(tell, provider):
    queued = hello_is_queued(tell)
    tell.works(10)
    send(queued, 10)
    assert mails() == [("hello", "cancelled", "usable")]
    assert runs() == [("hello", "cancelled")]
    assert provider.got == []


def test_after_such_a_cancellation_the_confirmation_still_goes(tell, provider):
    queued = hello_is_queued(tell)
    tell.works(10)
    send(queued, 10)
    turn(11)
    assert provider.to("dev") == ["confirm"]
    assert enrolment().left_at is None
    turn(12)
    assert enrolment().left_reason == "finished"


def test_a_confirmation_that_waits_for_the_provider_keeps_its_enrolment_open(tell, provider):
    tell.starts(0)
    provider.is_down = True
    tell.works(1)
    turn(1)
    # Something else happens in the account, so that it is looked at while the mail waits.
    tell.tells("docs_viewed", 2)
    until(30, start=2, every=1)
    assert mails() == [("confirm", "queued", Message.objects.get().reason)]
    provider.is_down = False
    until(90, start=31, every=1)
    assert provider.to() == ["confirm"]
    assert enrolment().left_reason == "finished"


def test_progress_to_the_next_stage_cancels_the_mail_about_the_last_one(tell, provider):
    queued = hello_is_queued(tell)
    tell.tells("api_key_created", 10)
    send(queued, 10)
    assert mails() == [("hello", "cancelled", "other_stage")]
    assert provider.got == []


def test_a_block_between_look_and_hand_over_silences_the_nudge(tell, provider):
    queued = hello_is_queued(tell)
    tell.fails(10, 10, 10)
    send(queued, 10)
    assert provider.got == []
    turn(12)
    assert provider.to() == ["checklist"]


def test_a_mail_goes_once_however_often_it_is_asked_for(tell, provider):
    queued = hello_is_queued(tell)
    send(queued, 10)
    send(queued + queued, 10)
    until(HOUR, start=10)
    assert provider.to() == ["hello"]
    assert Attempt.objects.count() == 1


# --- who ------------------------------------------------------------------------------------------


def suppressed(tell) -> str:
    suppression.suppress(
        "DEV@customer.example", Suppression.Reason.STAFF, source="test", now=at(10)
    )
    return "suppressed"


def unsubscribed(tell) -> str:
    suppression.unsubscribe("dev@customer.example", source="link", now=at(10))
    return "suppressed"


def consent_withdrawn(tell) -> str:
    Consent.objects.create(
        person=person("dev"), category="setup_help", given=False, source="test", at=at(10)
    )
    return "no_consent"


def left_by_the_link(tell) -> str:
    address = Message.objects.get().address
    suppression.refuse(address, "setup_help", source="link", now=at(10))
    return "no_consent"


def left_by_the_link_and_known_anew(tell) -> str:
    """The person's own word is gone, the address remembers."""
    left_by_the_link(tell)
    Consent.objects.all().delete()
    return "no_consent"


def gone(tell) -> None:
    """The setup then waits on another role, where this step does not stand."""
    tell.leaves("dev", 10)


def demoted(tell) -> str:
    tell.joins("dev", "marketer", minutes=10)
    return "other_stage"


@pytest.mark.parametrize(
    "change",
    [
        suppressed,
        unsubscribed,
        consent_withdrawn,
        left_by_the_link,
        left_by_the_link_and_known_anew,
        gone,
    ],
)
def test_whoever_may_not_be_written_to_any_more_gets_nothing(tell, provider, change):
    queued = hello_is_queued(tell)
    why = change(tell)
    send(queued, 10)
    assert mails()[0][1] == "cancelled"
    turn(20)
    assert provider.got == []
    if why is not None:
        assert mails() == [("hello", "cancelled", "nobody_eligible")]
        passed = enrolment().decisions.filter(step_key="hello").last()
        assert (passed.outcome, passed.reason) == ("no", "nobody_eligible")
        assert passed.detail["passed_over"] == [[person("dev").pk, why]]


def test_staff_note_a_new_word_and_mail_goes_on_also_where_only_the_address_remembered(
    tell, provider
):
    queued = hello_is_queued(tell)
    left_by_the_link_and_known_anew(tell)
    dev, by = person("dev"), staff("sam")
    assert staff_facts.refusing([dev]) == {dev.pk}
    send(queued, 10)
    assert staff_facts.change_consent(dev.pk, given=True, by=by, now=at(11)) is None
    assert staff_facts.refusing([dev]) == set()
    turn(12)
    assert provider.to() == ["hello"]


def test_the_next_able_person_gets_it_instead_and_only_once(tell, provider):
    tell.joins("ada", "admin")
    queued = hello_is_queued(tell)
    suppressed(tell)
    send(queued, 10)
    until(60, start=11)
    assert provider.to("dev") == []
    assert provider.to("ada") == ["hello"]
    assert runs() == [("hello", "cancelled"), ("hello", "done")]


def test_a_starter_who_loses_the_capability_is_not_given_the_task(tell, provider):
    queued = hello_is_queued(tell)
    tell.joins("ada", "admin", minutes=9)
    demoted(tell)
    send(queued, 10)
    assert mails() == [("hello", "cancelled", "other_stage")]
    until(2 * HOUR, start=11)
    assert provider.to("dev") == ["ask_your_admin"]
    assert provider.to("ada") == ["ask"]


def test_a_leaver_who_was_asked_is_replaced_by_a_joiner_who_can_do_it(tell, provider):
    tell.joins("mia", "marketer")
    tell.joins("ada", "admin")
    tell.starts(0, by="mia")
    turn(10)
    queued = look(60)
    tell.leaves("ada", 60)
    tell.joins("ole", "owner", minutes=60)
    send(queued, 60)
    assert mails()[-1] == ("ask", "cancelled", "recipient_changed")
    until(4 * HOUR, start=61)
    assert provider.to("ada") == []
    assert provider.to("ole") == ["ask"]


def test_mail_follows_a_person_to_their_new_address(tell, provider):
    queued = hello_is_queued(tell)
    tell.joins("dev", email="dev.new@customer.example", minutes=10)
    send(queued, 10)
    turn(12)
    assert [mail.to for mail in provider.got] == [["dev.new@customer.example"]]


def test_a_bounce_passes_the_step_on_to_the_next_able_person(tell, provider):
    tell.joins("ada", "admin")
    send(hello_is_queued(tell), 10)
    sent = Message.objects.get()
    outbox.move([{"id": sent.pk}], "bounced", settled_at=at(15), reason="hard_bounce")
    take_back_bounced(at(15))
    until(60, start=15)
    assert provider.to("dev") == ["hello"]
    assert provider.to("ada") == ["hello"]
    assert runs() == [("hello", "bounced"), ("hello", "done")]


def test_two_bounces_leave_nobody_and_say_so(tell, provider):
    send(hello_is_queued(tell), 10)
    outbox.move([{"id": Message.objects.get().pk}], "bounced", settled_at=at(15))
    take_back_bounced(at(15))
    turn(16)
    assert verdicts("hello")[-1] == ("no", "nobody_eligible")
    assert len(provider.got) == 1


# --- how many -------------------------------------------------------------------------------------


def test_a_second_mail_waits_for_the_cap_to_the_exact_instant_and_then_goes(tell, provider):
    tell.starts(0)
    turn(10)
    turn(2 * HOUR)
    assert verdicts("start_stalled")[-1] == ("wait", "cap_person")
    assert enrolment().next_look_at == at(10 + DAY)
    assert account().next_look_at == at(10 + DAY)
    turn(10 + DAY - 0.001)
    assert provider.to() == ["hello"]
    turn(10 + DAY)
    assert provider.to() == ["hello", "start_stalled"]


def test_the_cap_counts_an_address_over_all_accounts_and_spellings(tell, provider):
    tell.joins("dev2", account="beta", email="DEV@Customer.example")
    tell.starts(0)
    tell.starts(0, by="dev2", account="beta")
    queued = look(10, "acme", "beta")
    assert len(queued) == 2
    send(queued, 10)
    assert len(provider.got) == 1
    assert [m[1:] for m in mails("acme") + mails("beta")] == [
        ("sent", ""),
        ("cancelled", "cap_person"),
    ]
    until(HOUR, start=11)
    assert len(provider.got) == 1


def test_messages_of_one_person_claimed_in_one_group_share_the_cap(tell, provider):
    tell.joins("dev", account="beta")
    tell.starts(0)
    tell.starts(0, account="beta")
    first, second = look(10, "acme"), look(10, "beta")
    send(first + second, 10)
    assert len(provider.got) == 1


def test_a_cap_of_zero_means_none_at_all(tell, provider):
    publish(lean(API, caps=(Cap("person", 0, DAY),)))
    tell.starts(0)
    turn(10)
    assert provider.got == []
    assert verdicts("hello")[-1] == ("no", "cap_zero")


def test_what_ignores_the_cap_goes_and_what_counts_is_counted(tell, provider):
    tell.starts(0)
    turn(10)
    tell.fails(20, 21, 22)
    turn(23)
    assert provider.to() == ["hello", "checklist"]
    assert Message.objects.filter(counts_toward_cap=True).count() == 2


def test_a_retry_that_finds_its_place_taken_waits_instead_of_exceeding_the_cap(tell, provider):
    tell.joins("dev", account="beta")
    tell.starts(0)
    tell.starts(0, account="beta")
    provider.is_down = True
    send(look(10, "acme"), 10)
    assert mails("acme")[0][1] == "queued"
    provider.is_down = False
    send(look(11, "beta"), 11)
    until(HOUR, start=12)
    assert len(provider.got) == 1


# --- the control group ----------------------------------------------------------------------------


def test_the_control_group_gets_nothing_but_the_receipt_and_counts_for_its_own_account(
    tell, provider
):
    publish(lean(API, holdout_percent=100))
    tell.starts(0)
    turn(10)
    message = Message.objects.get()
    assert (message.status, provider.got) == ("withheld", [])
    assert message.receipt["stage"] == "started"
    assert message.claimed_at == at(10)
    assert verdicts("hello")[-1] == ("due", "withheld")
    # The account's own limit is used up by it, the person's is not.
    publish(lean(API, caps=(Cap("account", 1, DAY),)))
    turn(2 * HOUR)
    assert verdicts("start_stalled")[-1] == ("wait", "cap_account")


def test_what_was_withheld_leaves_the_same_person_free_to_be_written_to_elsewhere(tell, provider):
    publish(lean(API, holdout_percent=100))
    tell.starts(0)
    turn(10)
    publish(lean(API, holdout_percent=0))
    tell.joins("dev", account="beta")
    tell.starts(20, account="beta")
    until(40, start=20)
    assert mails("acme") == [("hello", "withheld", "")]
    assert mails("beta") == [("hello", "sent", "")]


# --- receipts and reasons -------------------------------------------------------------------------


def test_a_claim_keeps_what_was_true_when_leave_was_given(tell):
    tell.starts(0)
    turn(10)
    receipt = Message.objects.get().receipt
    version = enrolment().version
    assert receipt["at"] == at(10).isoformat()
    assert receipt["journey_version"] == version.pk
    assert receipt["engine"] == ENGINE_VERSION
    assert receipt["stage"] == "started"
    assert receipt["due_at"] == at(10).isoformat()
    assert receipt["usable"] is None
    assert receipt["blocked"] is None
    assert receipt["person"] == person("dev").pk
    assert receipt["chosen_because"] == "started_it"
    assert receipt["last_event"] == account().event_set.order_by("pk").last().pk


def test_every_message_that_did_not_go_says_why(tell):
    queued = hello_is_queued(tell)
    tell.works(10)
    send(queued, 10)
    silent = Message.objects.filter(status__in=["cancelled", "failed", "uncertain"])
    assert silent.exists()
    assert not silent.filter(reason="").exists()


# --- pauses ---------------------------------------------------------------------------------------


def test_a_pause_between_look_and_hand_over_stops_the_mail_and_resuming_lets_it_go(tell, provider):
    queued = hello_is_queued(tell)
    pausing.pause(account().pk, now=at(10))
    send(queued, 10)
    assert mails() == [("hello", "cancelled", "paused_account")]
    assert Message.objects.get().detail.startswith("Due ")
    until(30, start=11)
    assert provider.got == []
    pausing.resume(account().pk, now=at(31))
    turn(31)
    assert provider.to() == ["hello"]


# --- the provider ---------------------------------------------------------------------------------


def test_while_the_provider_is_down_a_mail_waits_and_goes_once_afterwards(tell, provider):
    tell.starts(0)
    provider.is_down = True
    until(20, start=10, every=1)
    assert mails()[0][1] == "queued"
    assert Message.objects.get().attempts > 1
    handed_over = Heartbeat.objects.filter(name=HAND_OVER)
    assert not handed_over.exists()  # what was refused is no sign of life
    provider.is_down = False
    until(80, start=21, every=1)
    assert handed_over.exists()
    assert provider.to() == ["hello"]
    assert Message.objects.get().status == "sent"


def test_a_retry_passes_the_gate_again(tell, provider):
    tell.starts(0)
    provider.is_down = True
    turn(10)
    tell.works(11)
    provider.is_down = False
    until(20, start=11, every=1)
    assert provider.to() == ["confirm"]
    assert mails()[0] == ("hello", "cancelled", "usable")


@pytest.mark.parametrize(("moment", "arrived"), [("before", 0), ("after", 1)])
def test_a_process_that_dies_at_the_hand_over_leaves_it_unknown_and_it_is_never_repeated(
    tell, provider, moment, arrived
):
    queued = hello_is_queued(tell)
    provider.kills = moment
    with pytest.raises(Killed):
        send(queued, 10)
    assert mails()[0][1] == "sending"
    outbox.reap(at(10) + timedelta(minutes=3))
    assert mails() == [("hello", "uncertain", "lease_expired")]
    until(DAY - 10, start=15, every=60)
    assert provider.to() == ["hello"] * arrived


def test_a_domain_that_is_paused_keeps_its_mail_in_the_queue(tell, provider):
    queued = hello_is_queued(tell)
    SendingDomain.objects.update(paused_at=at(0))
    send(queued, 10)
    assert mails()[0][1] == "queued"
    SendingDomain.objects.update(paused_at=None, tokens=F("burst"))
    turn(12)
    assert provider.to() == ["hello"]


# --- one account's trouble ------------------------------------------------------------------------


def test_an_account_whose_facts_cannot_be_read_at_the_gate_stops_no_other(tell, provider):
    tell.joins("eve", account="beta")
    tell.starts(0)
    tell.starts(0, by="eve", account="beta")
    queued = look(10, "acme", "beta")
    poison(account("beta").pk)
    send(queued, 10)
    assert provider.to("dev") == ["hello"]
    assert provider.to("eve") == []
    assert mails("beta")[0][1] == "queued"
    assert account("beta").parkedaccount.error
    account("beta").foldcheckpoint.delete()
    until(60, start=11)
    assert provider.to("eve") == ["hello"]


def poison(account_id: int) -> None:
    """A checkpoint that looks right and cannot be read."""
    FoldCheckpoint.objects.update_or_create(
        account_id=account_id,
        defaults={
            "last_event_id": 1, "history_version": account("beta").history_version,
            "definition": current().fingerprint, "state": {"setups": "broken"},
        },
    )  # fmt: skip


def test_a_step_that_left_the_journey_is_not_sent(tell, provider):
    queued = hello_is_queued(tell)
    publish(steps_of(lean(API), "started"))
    send(queued, 10)
    assert mails() == [("hello", "cancelled", "step_removed")]
    assert StepRun.objects.filter(status="done").count() == 0


@pytest.mark.parametrize("why", ["not_on_allow_list", "test_environment"])
def test_a_mail_that_this_installation_must_not_send_takes_its_step_and_says_why(
    tell, provider, settings, why
):
    queued = hello_is_queued(tell)
    if why == "not_on_allow_list":
        settings.EMAIL_ALLOW_LIST = ["@team.example"]
    else:
        Account.objects.update(environment="test")
    send(queued, 10)
    assert mails() == [("hello", "cancelled", why)]
    assert runs() == [("hello", "not_sent")]
    # It is not due again at once, to be refused again; later steps come as they would.
    until(HOUR, start=11)
    assert len(mails()) == 1
    assert provider.got == []
