"""What was decided and done, and the caches that make looking fast."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, Person
from lifecycle.journeys.models import Enrolment, Setup
from messaging.models import Message


class StepRun(models.Model):
    """That a step was carried out. This row, in the database, is what makes "once" true."""

    class Status(models.TextChoices):
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled before it went out"
        BOUNCED = "bounced", "Bounced, so somebody else may be asked"
        # As done for everything that follows: asked again, it would be refused again.
        NOT_SENT = "not_sent", "Taken, but this installation must not send its mail"

    enrolment = models.ForeignKey(Enrolment, models.PROTECT, related_name="step_runs")
    step_key = models.CharField(max_length=64)
    # The person's id, or "-" where a step has no recipient; never null, so that uniqueness holds.
    recipient_key = models.CharField(max_length=32, default="-")
    status = models.CharField(max_length=10, choices=Status, default=Status.DONE)
    single = models.BooleanField(default=True, help_text="The step goes to one recipient only")
    at = models.DateTimeField()
    message = models.OneToOneField(Message, models.PROTECT, null=True, related_name="step_run")

    class Meta:
        verbose_name = "step carried out"
        verbose_name_plural = "steps carried out"
        constraints: ClassVar = [
            # Nobody gets the same step of one enrolment twice.
            models.UniqueConstraint(
                fields=["enrolment", "step_key", "recipient_key"],
                condition=~Q(status="cancelled"),
                name="step_run_once",
            ),
            # A step for one recipient goes to one, even when two looks choose differently.
            models.UniqueConstraint(
                fields=["enrolment", "step_key"],
                condition=Q(single=True, status="done"),
                name="step_run_one_recipient",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.step_key} of enrolment {self.enrolment_id}"


class Decision(models.Model):
    """What the engine concluded about one step, or about entering; a row only when it changed."""

    account = models.ForeignKey(Account, models.PROTECT, related_name="decisions")
    setup = models.ForeignKey(Setup, models.PROTECT, null=True, related_name="decisions")
    enrolment = models.ForeignKey(Enrolment, models.PROTECT, null=True, related_name="decisions")
    step_key = models.CharField(max_length=64, blank=True, help_text="Empty: the enrolment itself")
    person = models.ForeignKey(Person, models.PROTECT, null=True)
    outcome = models.CharField(max_length=10)
    reason = models.CharField(max_length=64)
    detail = models.JSONField(default=dict, help_text="The facts that the reason speaks of")
    due_at = models.DateTimeField(null=True)
    at = models.DateTimeField()
    stage = models.CharField(max_length=64, blank=True)
    engine_version = models.CharField(max_length=20)

    class Meta:
        verbose_name = "decision"
        verbose_name_plural = "why and why not"
        indexes: ClassVar = [
            models.Index(fields=["enrolment", "step_key", "-id"], name="decision_of_step"),
            models.Index(fields=["account", "-id"], name="decision_of_account"),
        ]

    def __str__(self) -> str:
        return f"{self.step_key or 'enrolment'}: {self.reason}"


class FoldCheckpoint(models.Model):
    """A cache: the fold of an account's log but for its newest events. Only long logs get one."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True)
    last_event_id = models.BigIntegerField()
    # Ids up to the last one that are left out, so that what arrives a little late folds after it.
    newest = models.JSONField(default=list)
    history_version = models.PositiveIntegerField()
    # Hash of everything the fold depends on; another definition folds from the beginning.
    definition = models.CharField(max_length=64)
    state = models.JSONField()

    def __str__(self) -> str:
        return f"account {self.account_id} up to event {self.last_event_id}"


class ParkedAccount(models.Model):
    """An account whose look raised: nothing is sent, it is tried again later, and it is shown."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True)
    error = models.TextField()
    failures = models.PositiveIntegerField(default=1)
    parked_at = models.DateTimeField()

    class Meta:
        verbose_name = "account set aside"
        verbose_name_plural = "accounts set aside"

    def __str__(self) -> str:
        return f"{self.account}: {self.error[:80]}"


class EngineRelease(models.Model):
    """A version of the engine that has run here. A new one looks at everybody again, paced.

    The newest `since` is the version that runs; going back to an older one makes that the newest again.
    """

    version = models.CharField(max_length=20, primary_key=True)
    since = models.DateTimeField()
    # Accounts up to this id have been asked for; null: all have.
    swept_to = models.BigIntegerField(default=0, null=True)

    def __str__(self) -> str:
        return self.version


class Heartbeat(models.Model):
    """When something last showed that it is alive: the supervisor, the queue's tasks, a hand-over."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Pause(models.Model):
    """The switch that stops all sending and keeps everybody where they are. At most one is open."""

    paused_at = models.DateTimeField()
    paused_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=300, blank=True)
    resumed_at = models.DateTimeField(null=True)
    is_open = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar = [
            # Resuming must not leave a second, forgotten pause behind.
            models.UniqueConstraint(
                fields=["is_open"], condition=Q(is_open=True), name="pause_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"paused {self.paused_at:%Y-%m-%d %H:%M}"


class HandOff(models.Model):
    """The outgoing webhook at a journey's end: one row per enrolment, with every try in sight."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DONE = "done", "Delivered"
        FAILED = "failed", "Given up"

    enrolment = models.OneToOneField(Enrolment, models.PROTECT, related_name="hand_off")
    payload = models.JSONField()
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    log = models.JSONField(default=list, help_text="Every try: when, status code, words")

    class Meta:
        verbose_name = "hand-off"
        verbose_name_plural = "hand-offs"
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"], name="hand_off_due", condition=Q(status="waiting")
            )
        ]

    def __str__(self) -> str:
        return f"hand-off of enrolment {self.enrolment_id}"
