"""What is taken back, forged or cured afterwards: the log is the truth, and only staff speak for staff."""

from datetime import timedelta

import pytest

from accounts.models import Account, Capability, Role
from events import voiding
from events.models import Void
from lifecycle.engine.reasons import Reason
from lifecycle.runner import health
from lifecycle.runner.models import ParkedAccount, StepRun
from lifecycle.runner.plan import ASK_AGAIN_AFTER
from lifecycle.runner.tick import sweep
from messaging.models import Message, TemplateVersion
from messaging.review import publish_template
from tests.runner.scenes import (
    DAY,
    account,
    at,
    enrolment,
    look,
    mails,
    send,
    setup,
    staff,
    turn,
    until,
)

pytestmark = pytest.mark.django_db


def void(name: str, minutes: float) -> Void:
    """All events of this name are taken back."""
    row = Void.objects.create(
        name=name, since=at(-DAY), until=at(10 * DAY), reason="sent by mistake"
    )
    voiding.apply(row, by=staff("administrator"), now=at(minutes))
    return row


@pytest.mark.parametrize("name", ["staff_stopped", "staff_hold_started", "staff_unblocked"])
def test_a_backend_cannot_speak_for_staff(tell, provider, name):
    tell.starts(0)
    tell.tells(name, 1, integration_type="api")
    turn(2)
    assert enrolment().left_at is None
    until(30)
    assert provider.to() == ["hello"]


def test_a_success_that_is_taken_back_lets_the_same_enrolment_go_on(tell, provider):
    tell.starts(0)
    tell.works(5)
    until(60)
    assert enrolment().left_reason == Reason.FINISHED
    void("first_api_call_success", 70)
    void("api_key_created", 70)
    turn(71)
    again = enrolment()
    assert (again.left_at, again.left_reason) == (None, "")
    assert setup().usable_at is None
    until(DAY, start=71, every=30)
    assert "confirm" not in provider.to()[1:]


def test_a_reopening_that_is_taken_back_ends_its_attempt_and_confirms_nothing_twice(tell, provider):
    tell.starts(0)
    tell.works(5)
    until(60)
    assert provider.to().count("confirm") == 1
    tell.tells("api_key_revoked", 70, provider="stripe")
    turn(71)
    assert enrolment(attempt=2).left_at is None
    taken = void("api_key_revoked", 80)
    turn(81)
    assert enrolment(attempt=2).left_reason == Reason.TAKEN_BACK
    until(3 * DAY, start=81, every=30)
    assert provider.to().count("confirm") == 1
    voiding.undo(taken, by=staff("administrator"), now=at(3 * DAY))
    turn(3 * DAY + 1)
    assert (enrolment(attempt=2).left_at, enrolment(attempt=2).left_reason) == (None, "")


def test_an_account_that_is_opened_again_goes_on_where_it_was(tell):
    tell.starts(0)
    turn(1)
    Account.objects.update(closed_at=at(1))
    look(2)
    assert enrolment().left_reason == Reason.CLOSED
    Account.objects.update(closed_at=None)
    look(3)
    assert enrolment().left_at is None


def test_a_setup_whose_events_are_all_taken_back_leaves_the_journey(tell):
    tell.starts(0)
    turn(1)
    void("integration_started", 2)
    turn(3)
    gone = enrolment()
    assert gone.left_reason == Reason.TAKEN_BACK
    assert gone.next_look_at is None


def test_nobody_eligible_is_asked_again_within_the_hour(tell, provider):
    """A role that is given a capability marks no account."""
    tell.joins("novice", role="novice")
    Role.objects.create(key="novice", name="Novice")
    tell.starts(0, by="novice")
    until(20)
    role = Role.objects.get(key="novice")
    role.capabilities.set(Capability.objects.all())
    due = account().next_look_at
    assert due is not None
    assert due <= at(20) + ASK_AGAIN_AFTER


def test_a_template_that_does_not_render_uses_up_nobodys_step(tell, provider):
    tell.joins("ada", role="admin")
    content = {"variants": [{"subject": "x", "preheader": "x", "body": "{{ nope.nope }}"}]}
    for live in list(TemplateVersion.objects.all()):
        version = TemplateVersion.objects.create(
            template=live.template, number=2, content=content, created_by=staff("author")
        )
        publish_template(version, by=staff("reviewer"), now=at(0))
    tell.starts(0)
    send(look(10), 10)
    sweep(at(11))
    turn(12)
    assert [(to, status) for to, status, _ in mails()] == [("hello", "failed")]
    assert list(StepRun.objects.values_list("status", flat=True)) == ["done"]
    assert not ParkedAccount.objects.exists()


def test_status_says_so_when_mail_waits_for_the_provider_for_hours(tell):
    tell.starts(0)
    look(10)
    Message.objects.update(
        next_attempt_at=at(6 * 60) + timedelta(minutes=10),
        reason="refused_for_now",
        detail="Connection refused",
    )
    now = at(6 * 60)
    found = health.health(now)
    (line,) = [line for line in found.lines if line.name == "Oldest e-mail in the queue"]
    assert not found.ok
    assert not line.ok
    assert "waiting for 5 hours" in line.value
