"""Anything may happen in any order, and the promises still hold.

Hypothesis drives events, time, workers, pauses, publishes, people and crashes against the real
database; the invariants are checked after every step, by rules written down here once more.
`MACHINE_EXAMPLES` and `MACHINE_STEPS` make the run longer.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts import pausing as accounts_pausing
from accounts.models import Account, Consent, Membership
from events import voiding
from events.models import Void
from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.engine.journey import Email, Purpose, To
from lifecycle.engine.state import AccountState, SetupState
from lifecycle.journeys.models import Enrolment, Journey, Setup
from lifecycle.runner import pausing
from lifecycle.runner.merging import accounts as merging
from lifecycle.runner.models import ParkedAccount, Pause, StepRun
from lifecycle.runner.tick import spread, sweep
from messaging import outbox, suppression
from messaging.models import Attempt, Message, Suppression
from tests.runner import inbox
from tests.runner.folds import folded_anew
from tests.runner.scenes import (
    API,
    CAN,
    DAY,
    HOUR,
    Backend,
    account,
    at,
    lean,
    look,
    person,
    publish,
    send,
    staff,
    turn,
)

ACCOUNTS = ("acme", "beta")
PEOPLE = ("dev", "mia", "ada", "ole")
ROLES = {"dev": "developer", "mia": "marketer", "ada": "admin", "ole": "owner"}
EVENTS = {
    "integration_started": {"integration_type": "api"},
    "api_key_created": {},
    "api_key_revoked": {},
    "first_api_call_success": {"environment": "production"},
    "auth_failed": {},
    "docs_viewed": {},
    "first_workflow_launched": {},
}
# What may be done in a browser that nobody has logged into yet.
BY_STRANGERS = ("docs_viewed", "api_key_created", "first_api_call_success")
THIRD = "gamma"
PHASES = [Phase.generate, Phase.shrink] if "MACHINE_SHRINK" in os.environ else [Phase.generate]
CHANGES = ("leaves", "unsubscribes", "is let back", "refuses", "agrees", *CAN)
NOT_HANDED_OVER = ("queued", "cancelled", "failed", "withheld")
accounts = st.sampled_from(ACCOUNTS)
people = st.sampled_from(PEOPLE)
browsers = st.sampled_from(["browser-1", "browser-2"])


class Story(RuleBasedStateMachine):
    """One company's two accounts, which share a person, over some days."""

    tell: Backend
    claimed: ClassVar[Counter[str]] = Counter()

    @initialize()
    def begins(self) -> None:
        self.world = transaction.atomic()
        self.world.__enter__()
        inbox.PROVIDER.__init__()
        self.now = 0.0
        self.queued: list[int] = []
        self.last: tuple[str, float, str, str] | None = None
        self.number = 0
        self.tell.starts(0, by="dev", account="acme")
        self.tell.starts(0, by="mia", account="beta")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.everything_comes_to_an_end()
            finally:
                transaction.set_rollback(True)
                self.world.__exit__(None, None, None)

    # --- what customers do ------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(sorted(EVENTS)), who=people, where=accounts,
        late=st.sampled_from([0, 0, 0, 5, 3 * HOUR]), provider=st.sampled_from(["", "", "stripe"]),
    )  # fmt: skip
    def happens(self, name: str, who: str, where: str, late: float, provider: str) -> None:
        more = {"provider": provider} if provider else {}
        self.number += 1
        uid = f"story-{self.number}"
        self.last = (name, self.now - late, who, where)
        self.tell.tells(
            name, self.now - late, who, where, received=self.now, uid=uid, **EVENTS[name], **more
        )

    @rule(who=people, where=accounts, minutes=st.sampled_from([9, 30, 3 * HOUR, DAY]))
    def somebody_starts_and_time_passes(self, who: str, where: str, minutes: float) -> None:
        self.tell.starts(self.now, by=who, account=where)
        self.the_workers_work(minutes)

    @rule(who=people, where=accounts, minutes=st.sampled_from([0, 1, HOUR]))
    def somebody_keeps_failing(self, who: str, where: str, minutes: float) -> None:
        self.tell.fails(self.now, self.now, self.now, by=who, account=where)
        self.the_workers_work(minutes)

    @rule(who=people, where=accounts)
    def succeeds(self, who: str, where: str) -> None:
        self.tell.works(self.now, by=who, account=where)

    @rule(who=people)
    def succeeds_somewhere(self, who: str) -> None:
        self.tell.tells("first_api_call_success", self.now, who, None, environment="production")

    @rule()
    def the_last_event_is_sent_again(self) -> None:
        if self.last:
            name, when, who, where = self.last
            report = self.tell.tells(
                name, when, who, where, received=self.now, uid=f"story-{self.number}",
                **EVENTS[name],
            )  # fmt: skip
            assert report.stored == 0

    @rule(name=st.sampled_from(BY_STRANGERS), browser=browsers)
    def somebody_acts_before_we_know_who(self, name: str, browser: str) -> None:
        event = {"type": "track", "event": name, "anonymousId": browser,
                 "timestamp": at(self.now).isoformat(), "properties": EVENTS[name]}  # fmt: skip
        self.tell.send(event, received=self.now)

    @rule(who=people, browser=browsers)
    def and_says_so(self, who: str, browser: str) -> None:
        self.tell.send(
            {"type": "identify", "userId": who, "anonymousId": browser}, received=self.now
        )

    @rule(who=people, where=accounts)
    def somebody_acts_by_an_old_id(self, who: str, where: str) -> None:
        """The same mailbox under two ids, which share what may be sent to it."""
        old = f"{who}-old"
        address = f"{who}@customer.example"
        self.tell.joins(old, ROLES[who], where, minutes=self.now, email=address)
        self.tell.starts(self.now, by=old, account=where, provider="hubspot")

    @rule(who=people)
    def two_ids_turn_out_to_be_one_person(self, who: str) -> None:
        self.tell.send(
            {"type": "alias", "userId": who, "previousId": f"{who}-old"}, received=self.now
        )

    @rule(who=people)
    def a_third_account_turns_up(self, who: str) -> None:
        if not Account.objects.filter(external_id=THIRD).exists():
            self.tell.joins(who, ROLES[who], THIRD, minutes=self.now)
        self.tell.starts(self.now, by=who, account=THIRD, provider="stripe")

    @rule(change=st.sampled_from(CHANGES), who=people, where=accounts)
    def somebody_changes(self, change: str, who: str, where: str) -> None:
        address, moment = f"{who}@customer.example", at(self.now)
        match change:
            case "leaves":
                self.tell.leaves(who, self.now, account=where)
            case "unsubscribes":
                suppression.unsubscribe(address, source="link", now=moment)
            case "is let back":
                for standing in Suppression.objects.filter(address__value=address, lifted_at=None):
                    suppression.lift(standing, by=staff("support"), now=moment)
            case "refuses" | "agrees":
                answer = {"given": change == "agrees", "source": "test"}
                Consent.objects.update_or_create(
                    person=person(who), category="setup_help", defaults=answer
                )
            case role:
                self.tell.joins(who, role, where, minutes=self.now)

    # --- what staff do ----------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(["acme", "beta", "everything", "the journey"]),
        on=st.sampled_from([True, False, False]),
    )
    def something_is_paused_or_resumed(self, what: str, on: bool) -> None:
        moment = at(self.now)
        match what, on:
            case "everything", True:
                pausing.pause_all(by="ann", now=moment)
            case "everything", False:
                pausing.resume_all(now=moment)
            case "the journey", True:
                pausing.pause_journey(Journey.objects.get().pk, now=moment)
            case "the journey", False:
                pausing.resume_journey(Journey.objects.get().pk, now=moment)
            case _, True:
                accounts_pausing.pause(account(what).pk, now=moment)
            case _:
                accounts_pausing.resume(account(what).pk, now=moment)

    @rule(where=accounts)
    def a_colleague_takes_care_or_gives_back(self, where: str) -> None:
        held = Alert.objects.filter(account=account(where), status="taken").first()
        if held:
            by, held_by = staff("support"), held.taken_by_id
            desk.release(held.pk, by=by, held_by=held_by, now=at(self.now))
            return
        alert = Alert.objects.filter(account=account(where), status="open").first()
        alert = alert or desk.open_alert(
            kind="reply", dedupe_key=f"reply:{where}", title="Help", account=account(where),
            now=at(self.now),
        )  # fmt: skip
        assert alert
        desk.take(alert.pk, by=staff("support"), now=at(self.now))

    @rule(minutes=st.sampled_from([5, 10, 20]))
    def a_new_version_is_published(self, minutes: int) -> None:
        publish(lean(API, session_minutes=minutes), now=at(self.now))
        spread([account(name).pk for name in ACCOUNTS], at(self.now))

    @rule(name=st.sampled_from(sorted(EVENTS)), reach=st.sampled_from([1, HOUR, DAY]))
    def events_turn_out_to_be_a_mistake(self, name: str, reach: float) -> None:
        void = Void.objects.create(
            name=name,
            since=at(self.now - reach),
            until=at(self.now + 0.1),
            reason="a wrong release",
        )
        voiding.apply(void, by=staff("eve"), now=at(self.now))

    @rule()
    def the_newest_void_was_the_mistake(self) -> None:
        void = Void.objects.filter(undone_at=None).order_by("-pk").first()
        if void:
            voiding.undo(void, by=staff("eve"), now=at(self.now))

    @rule(winner=accounts)
    def the_third_account_was_one_of_ours(self, winner: str) -> None:
        third = Account.objects.filter(external_id=THIRD, merged_into=None).first()
        if third:
            into = account(winner)
            seen = merging.preview(third, into).token
            refused = merging.merge(third.pk, into.pk, seen=seen, by=staff("sue"), now=at(self.now))
            assert refused is None

    # --- what our side does -----------------------------------------------------------------------

    @rule(minutes=st.sampled_from([1, 9, 30, 2 * HOUR, DAY]))
    def time_passes(self, minutes: float) -> None:
        self.now += minutes

    @rule(minutes=st.sampled_from([0, 0.1, 10, HOUR, 2 * HOUR, DAY]))
    def the_workers_work(self, minutes: float) -> None:
        self.now += minutes
        self.watched(lambda: turn(self.now))
        self.look_and_cache_agree()

    @rule(where=accounts)
    def a_worker_looks(self, where: str) -> None:
        self.queued += look(self.now, where)

    @rule()
    def a_worker_delivers(self) -> None:
        ids, self.queued = self.queued, []
        self.watched(lambda: send(ids, self.now))

    @rule(when=st.sampled_from(["before", "after"]))
    def a_worker_dies_while_it_hands_over(self, when: str) -> None:
        inbox.PROVIDER.kills = when
        try:
            self.watched(lambda: turn(self.now))
        except inbox.Killed:
            self.now += 0.5
        finally:
            inbox.PROVIDER.kills = ""

    @rule(down=st.booleans())
    def the_provider_goes_down_or_comes_back(self, down: bool) -> None:
        inbox.PROVIDER.is_down = down

    @rule(minutes=st.sampled_from([0, 5]))
    def the_sweep_runs(self, minutes: float) -> None:
        self.now += minutes
        sweep(at(self.now))

    @rule()
    def the_newest_mail_bounces(self) -> None:
        newest = Message.objects.filter(status="sent").order_by("-pk").first()
        if newest:
            outbox.move([{"id": newest.pk}], "bounced", settled_at=at(self.now), reason="bounced")
            sweep(at(self.now))

    # --- what must hold whenever something is claimed ---------------------------------------------

    def watched(self, work: Callable[[], None]) -> None:
        """Do it, and judge every message that was claimed meanwhile by what was true before."""
        before = dict(Message.objects.values_list("pk", "attempts"))
        present = Account.objects.filter(merged_into=None).values_list("external_id", flat=True)
        states = {name: folded_anew(name) for name in present}
        try:
            work()
        finally:
            claimed = Message.objects.select_related("person", "account", "address").exclude(
                attempts=0
            )
            for message in claimed:
                if message.attempts > before.get(message.pk, 0):
                    self.judge(message, states[message.account.external_id])

    def judge(self, message: Message, state: AccountState) -> None:
        run = StepRun.objects.select_related("enrolment__setup").get(message=message)
        _, step = API.steps()[run.step_key]
        self.claimed[run.step_key] += 1
        setup = state.setup(run.enrolment.setup.integration_type, run.enrolment.setup.key)
        assert setup is not None
        assert isinstance(step.do, Email)
        if step.purpose is not Purpose.CONFIRMATION:
            assert setup.usable is None, "a reminder was claimed after the integration worked"
            assert setup.held_since is None, "a reminder was claimed while a colleague was at it"
            assert not state.unplaced or not self.may_be_of(setup, state)
        if step.purpose in (Purpose.NUDGE, Purpose.ASK):
            assert setup.block is None, "a nudge was claimed while the setup was blocked"
        member = Membership.objects.get(account=message.account, person=message.person)
        assert member.ended_at is None, "somebody who left was written to"
        if step.do.to in (To.ABLE, To.OTHER_ABLE):
            needed = next(
                (m.capability for m in API.path.milestones if m.key not in setup.reached), ""
            )
            assert not needed or needed in CAN.get(member.role, ()), "a task beyond their role"
        refusal = Consent.objects.filter(person=message.person, given=False)
        assert not refusal.exists(), "somebody who said no was written to"
        suppressed = Suppression.objects.filter(address=message.address, lifted_at=None)
        assert not suppressed.exists(), "a suppressed address was written to"
        assert message.account.paused_at is None
        assert not Pause.objects.filter(is_open=True).exists()
        assert Journey.objects.get().paused_at is None
        # The look itself may have appended the hand-off since.
        assert message.receipt["last_event"] >= state.last_event_id

    def may_be_of(self, setup: SetupState, state: AccountState) -> bool:
        return any(
            (setup.integration_type, key) in unplaced.candidates and unplaced.at >= setup.started.at
            for unplaced in state.unplaced
            for key in setup.keys
        )

    # --- what must hold at any moment -------------------------------------------------------------

    @invariant()
    def the_promises_hold(self) -> None:
        self.nothing_goes_twice()
        self.every_no_has_a_reason()
        self.no_cap_is_exceeded()
        self.nobody_is_parked()

    def nothing_goes_twice(self) -> None:
        arrived = Counter(mail.metadata["message_id"] for mail in inbox.PROVIDER.got)
        assert not arrived or max(arrived.values()) == 1
        done = Counter(StepRun.objects.filter(status="done").values_list("enrolment", "step_key"))
        assert not done or max(done.values()) == 1
        standing = StepRun.objects.exclude(status="cancelled")
        each = Counter(standing.values_list("enrolment", "step_key", "recipient_key"))
        assert not each or max(each.values()) == 1

    def every_no_has_a_reason(self) -> None:
        silent = Message.objects.filter(status__in=["cancelled", "failed", "uncertain"])
        assert not silent.filter(reason="").exists()
        assert not Enrolment.objects.filter(left_at__isnull=False, left_reason="").exists()

    def no_cap_is_exceeded(self) -> None:
        claims = [
            (attempt.started_at, attempt.pk, attempt.message)
            for attempt in Attempt.objects.select_related("message__step_run").order_by("pk")
            if attempt.number == attempt.message.attempts
            and attempt.message.status not in NOT_HANDED_OVER
            and attempt.message.counts_toward_cap
        ]
        for moment, number, message in claims:
            _, step = API.steps()[message.step_run.step_key]
            if step.ignores_cap:
                continue
            for cap in API.caps:
                earlier = [
                    other
                    for when, order, other in claims
                    if order <= number and when > moment - cap.window
                    and (
                        other.account_id == message.account_id
                        if cap.scope == "account"
                        else other.address_id == message.address_id
                    )
                ]  # fmt: skip
                assert len(earlier) <= cap.limit, f"more than {cap.limit} per {cap.scope}"

    def nobody_is_parked(self) -> None:
        assert not ParkedAccount.objects.exists(), ParkedAccount.objects.get().error

    def look_and_cache_agree(self) -> None:
        """When nothing is left to do, the rows say what the log says, and nobody is forgotten."""
        for name in ACCOUNTS:
            row = account(name)
            states = folded_anew(name).setups
            kept = Setup.objects.filter(account=row)
            assert {(s.key, s.usable and s.usable.at, s.attempt) for s in states} <= {
                (s.key, s.usable_at, s.attempt) for s in kept
            }
            for enrolment in Enrolment.objects.filter(account=row, left_at=None):
                self.is_looked_after(enrolment, row)

    def is_looked_after(self, enrolment: Enrolment, row: Account) -> None:
        """Each step of its stage has a verdict, and one that waits for time has a next look."""
        assert enrolment.verdicts or StepRun.objects.filter(enrolment=enrolment).exists()
        for outcome, reason, *_ in enrolment.verdicts.values():
            assert reason
            if outcome == "wait" and reason in ("not_yet", "cap_person", "active_in_session"):
                assert row.next_look_at is not None
            if outcome == "due" and row.next_look_at is None:
                # Carried out; if its mail was turned down since, another look stands above.
                assert StepRun.objects.filter(enrolment=enrolment).exclude(status="cancelled")

    def everything_comes_to_an_end(self) -> None:
        """With all switches back, nothing stays in the outbox for ever."""
        inbox.PROVIDER.is_down = False
        pausing.resume_all(now=at(self.now))
        pausing.resume_journey(Journey.objects.get().pk, now=at(self.now))
        for name in ACCOUNTS:
            accounts_pausing.resume(account(name).pk, now=at(self.now))
        for minutes in (1, 5, HOUR, DAY, 4 * DAY):
            self.now += minutes
            sweep(at(self.now))
            self.watched(lambda: turn(self.now))
            self.look_and_cache_agree()
        self.now += 5
        sweep(at(self.now))
        assert not Message.objects.filter(status__in=["queued", "sending"]).exists()
        self.the_promises_hold()


@pytest.mark.django_db
@pytest.mark.timeout(int(os.environ.get("MACHINE_TIMEOUT", "300")))
def test_the_promises_hold_whatever_happens(tell):
    tell.joins("dev", account="beta")
    for name in ("mia", "ada"):
        tell.joins(name, ROLES[name])
    tell.joins("ole", "owner", "beta")
    for who in PEOPLE:
        for where in ACCOUNTS:
            if not Membership.objects.filter(person=person(who), account=account(where)).exists():
                tell.joins(who, ROLES[who], where)
    turn(-DAY)
    Story.tell = tell
    # What differs on PostgreSQL is told by the races; there a few stories are enough.
    examples = int(
        os.environ.get("MACHINE_EXAMPLES", "25" if connection.vendor == "sqlite" else "10")
    )
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=examples,
            stateful_step_count=int(os.environ.get("MACHINE_STEPS", "25")),
            derandomize="MACHINE_EXAMPLES" not in os.environ,
            deadline=None,
            database=None,
            # A failure is told as it was found: making it smaller would replay it hundreds of times.
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # The stories were about something.
    assert Story.claimed.total() > 2 * examples, Story.claimed
