"""What happened: ingest keys, the event catalogue, the append-only log and what was refused."""

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length, Substr
from django.utils import timezone

from accounts.models import Account, Environment, Person

# How many characters of what was refused a page shows.
EXCERPT = 4_000


class IngestKey(models.Model):
    """A write key that a backend sends events with. Only its hash is stored."""

    name = models.CharField(max_length=120)
    environment = models.CharField(
        max_length=10, choices=Environment, default=Environment.PRODUCTION
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False, help_text="The key's last characters")
    rate_per_second = models.PositiveIntegerField(
        default=2000,
        validators=[MinValueValidator(1, "At least 1; to refuse everything, revoke the key.")],
        help_text="Events per second; beyond it the endpoint answers 429",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    # What processes have leased of the rate, in blocks, and time has not paid back since `leased_at`.
    leased = models.FloatField(default=0, editable=False)
    leased_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return f"{self.name} (…{self.hint})"

    @property
    def source(self) -> str:
        """What the log names as the source of this key's events."""
        return f"key:{self.pk}"


class EventKind(models.TextChoices):
    """What an event type says about a setup; which journey it feeds is said by the journey."""

    START = "start", "Start"
    MILESTONE = "milestone", "Milestone"
    COMPLETION = "completion", "Completion"
    ERROR = "error", "Error"
    ACTIVITY = "activity", "Activity"
    ACTIVATION = "activation", "Activation"
    UNDO = "undo", "Undo"
    CONTROL = "control", "Staff or system"


class EventType(models.Model):
    """An entry of the event catalogue, the tracking plan."""

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=12, choices=EventKind, default=EventKind.ACTIVITY)
    description = models.CharField(max_length=500, blank=True)
    schema = models.JSONField(
        default=dict,
        blank=True,
        help_text="JSON Schema of the properties: required, and of each property its type, enum, "
        "minimum, maximum, minLength, maxLength and pattern",
    )
    counts_as_activity = models.BooleanField(
        default=True, help_text="Does a person who causes it count as being at work right now?"
    )
    system_counts_as_activity = models.BooleanField(
        default=False, help_text="Does it count even when a system, not a person, caused it?"
    )
    example = models.JSONField(default=dict, blank=True)
    planned = models.BooleanField(
        default=True, help_text="Off: it arrived without anybody having planned it"
    )
    # Written at most once a minute per process: the log itself has no index by name.
    last_seen_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class EventName(models.Model):
    """What the customer's product calls one of our event types, and where it says what we need."""

    name = models.CharField(
        max_length=200, unique=True, help_text="As it arrives: API Key Generated"
    )
    event_type = models.ForeignKey(
        EventType, models.PROTECT, related_name="names", help_text="What it means here"
    )
    fields = models.JSONField(
        default=dict,
        blank=True,
        help_text='Our property → where it stands: {"provider": {"path": "vendor.name"}, '
        '"integration_type": {"constant": "api"}, '
        '"error_class": {"path": "code", "table": {"401": "auth_failed"}}}',
    )

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = "incoming event name"

    def __str__(self) -> str:
        return f"{self.name} → {self.event_type_id and self.event_type.name}"


class TraitName(models.Model):
    """What the customer's product calls a trait that fills one of our columns."""

    class Fills(models.TextChoices):
        ACCOUNT_NAME = "account.name", "Account: name"
        ACCOUNT_PLAN = "account.plan", "Account: plan"
        ACCOUNT_VALUE = "account.value", "Account: value a year"
        ACCOUNT_SOURCE = "account.acquisition_source", "Account: acquisition source"
        ACCOUNT_TIME_ZONE = "account.time_zone", "Account: time zone"
        ACCOUNT_LANGUAGE = "account.language", "Account: language"
        ACCOUNT_CREATED = "account.created_at", "Account: when it was created"
        PERSON_EMAIL = "person.email", "Person: e-mail"
        PERSON_NAME = "person.name", "Person: name"
        PERSON_TIME_ZONE = "person.time_zone", "Person: time zone"
        PERSON_LANGUAGE = "person.language", "Person: language"
        ROLE = "membership.role", "Person in the account: role"

    name = models.CharField(
        max_length=200, help_text="As it arrives at the top of the traits: annualRevenue"
    )
    fills = models.CharField(max_length=32, choices=Fills)

    class Meta:
        ordering: ClassVar = ["fills", "name"]
        constraints: ClassVar = [
            # Said twice it would mean no more than once.
            models.UniqueConstraint(fields=["name", "fills"], name="trait_named_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} → {self.get_fills_display()}"


class Actor(models.TextChoices):
    """Who acted."""

    USER = "user", "A person"
    SYSTEM = "system", "A system"
    AGENT = "agent", "An agent for a person"


class Void(models.Model):
    """Events sent by mistake, taken out of account together. The events stay, and so may the void be undone."""

    key = models.ForeignKey(
        IngestKey, models.PROTECT, null=True, blank=True, help_text="Empty: any key"
    )
    name = models.CharField(
        max_length=200, blank=True, help_text="The event's name as it arrived; empty: any"
    )
    since = models.DateTimeField(help_text="Received from then on")
    until = models.DateTimeField(help_text="Received before")
    reason = models.CharField(max_length=300)
    applied_at = models.DateTimeField(null=True, editable=False)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    undone_at = models.DateTimeField(null=True, editable=False)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(until__gt=F("since")), name="void_ends_after_it_begins"
            ),
            # Nothing is undone that was never done.
            models.CheckConstraint(
                condition=Q(undone_at=None) | Q(applied_at__isnull=False), name="void_undone_after"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'any event'}: {self.reason}"

    def clean(self) -> None:
        if self.since and self.until and self.until <= self.since:
            raise ValidationError({"until": "It has to end after it begins."})


class EventQuerySet(models.QuerySet["Event"]):
    def counting(self) -> "EventQuerySet":
        """Events that count: not taken out as sent by mistake."""
        return self.filter(void=None)


class Event(models.Model):
    """One thing that happened. Rows are only ever added; late attribution fills the blanks."""

    source = models.CharField(max_length=32, help_text="key:…, staff, import or lifecycle")
    message_id = models.CharField(max_length=100)
    type = models.CharField(max_length=10)
    name = models.CharField(max_length=200, blank=True)
    # The database does not check these three for every event: that took a third of the insert.
    # Whoever appends holds the account's lock, which proves that it is there, and accounts, people
    # and voids are never deleted.
    account = models.ForeignKey(
        Account, models.PROTECT, null=True, db_index=False, db_constraint=False
    )
    person = models.ForeignKey(
        Person, models.PROTECT, null=True, db_index=False, db_constraint=False
    )
    anonymous_id = models.CharField(max_length=255, blank=True)
    actor = models.CharField(max_length=6, choices=Actor, default=Actor.USER)
    environment = models.CharField(
        max_length=10, choices=Environment, default=Environment.PRODUCTION
    )
    occurred_at = models.DateTimeField(help_text="Theirs, corrected for clock skew")
    received_at = models.DateTimeField(help_text="Ours")
    historical = models.BooleanField(default=False)
    properties = models.JSONField(default=dict, help_text="properties, or traits")
    extra = models.JSONField(default=dict, help_text="context and every other key, as sent")
    problems = models.JSONField(null=True, help_text="What was wrong with it, though it was kept")
    # Whoever folds or counts leaves these out.
    void = models.ForeignKey(
        Void,
        models.PROTECT,
        null=True,
        editable=False,
        db_index=False,
        db_constraint=False,
        related_name="events",
    )

    objects = EventQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            # A resend of the same message changes nothing.
            models.UniqueConstraint(fields=["source", "message_id"], name="event_stored_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "id"], name="event_of_account"),
            models.Index(fields=["received_at"], name="event_received"),
            models.Index(
                fields=["person"],
                name="event_unattributed",
                condition=Q(account__isnull=True),
            ),
            models.Index(
                fields=["anonymous_id"],
                name="event_anonymous",
                condition=Q(person__isnull=True) & ~Q(anonymous_id=""),
            ),
            models.Index(fields=["void"], name="event_void", condition=Q(void__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name or self.type


class RejectedQuerySet(models.QuerySet["RejectedEvent"]):
    def in_short(self) -> "RejectedQuerySet":
        """With the `beginning` of what was sent and its `length`: all of it may be many megabytes."""
        short = {"beginning": Substr("raw", 1, EXCERPT), "length": Length("raw")}
        return self.defer("raw").annotate(**short)


class RejectedEvent(models.Model):
    """The quarantine: an event that could not be stored, with the reason, kept until somebody acts."""

    class Status(models.TextChoices):
        OPEN = "open", "Waiting"
        REPLAYED = "replayed", "Replayed"
        DISMISSED = "dismissed", "Dismissed"

    key = models.ForeignKey(IngestKey, models.PROTECT, null=True, blank=True)
    received_at = models.DateTimeField()
    code = models.CharField(max_length=40)
    detail = models.CharField(max_length=1000)
    # The address decides what was meant: its type, whether it is the past, whose words it uses.
    path = models.CharField(max_length=100, blank=True, help_text="Where it arrived")
    # The raw text; what could not be read as JSON is kept as it came.
    raw = models.TextField()
    raw_hash = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    event = models.ForeignKey(
        Event, models.PROTECT, null=True, blank=True, help_text="What the replay stored"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects = RejectedQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            # Clients resend what we refuse; the same words again are the same row.
            models.UniqueConstraint(fields=["key", "raw_hash"], name="rejected_once")
        ]
        indexes: ClassVar = [models.Index(fields=["status", "-received_at"], name="rejected_open")]

    def __str__(self) -> str:
        return f"{self.code}: {self.detail[:60]}"
