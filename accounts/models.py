"""Who: the customers' accounts, the people in them, what their roles allow, and our own staff."""

from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Least
from django.urls import reverse
from django.utils import timezone


class User(AbstractUser):
    """A member of our own staff, who logs in here. Customers' people are `Person`."""

    class Meta:
        verbose_name = "staff user"
        verbose_name_plural = "staff users"


class Environment(models.TextChoices):
    """Which world a row belongs to. Rows of the test world never lead to mail for a customer."""

    PRODUCTION = "production", "Production"
    TEST = "test", "Test"


class Capability(models.Model):
    """Something that a step may require of a person, such as `manage_dns`."""

    key = models.SlugField(primary_key=True, max_length=64)
    name = models.CharField(max_length=120)

    class Meta:
        verbose_name_plural = "capabilities"
        ordering: ClassVar = ["key"]

    def __str__(self) -> str:
        return self.name


class Role(models.Model):
    """What a membership's role grants. A role that is not listed here grants nothing."""

    key = models.CharField(max_length=64, unique=True, help_text="As your product sends it: admin")
    name = models.CharField(max_length=120)
    capabilities = models.ManyToManyField(Capability, blank=True, related_name="roles")

    class Meta:
        ordering: ClassVar = ["key"]

    def __str__(self) -> str:
        return self.name


class AccountQuerySet(models.QuerySet["Account"]):
    def due(self, now: datetime) -> "AccountQuerySet":
        """Accounts that something happened to, or whose next step's time has come, longest waiting first."""
        return self.filter(next_look_at__lte=now).order_by("next_look_at")

    def locked(self, ids: list[int]) -> list["Account"]:
        """These accounts, locked in the order of their ids until the transaction ends."""
        return list(self.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True))

    def mark_changed(self, now: datetime) -> int:
        """Ask for a look at these accounts at `now`, or sooner where one is due sooner already."""
        return self.update(
            next_look_at=Least(models.functions.Coalesce(F("next_look_at"), now), now)
        )


class Account(models.Model):
    """The customer's workspace."""

    environment = models.CharField(
        max_length=10, choices=Environment, default=Environment.PRODUCTION
    )
    external_id = models.CharField(max_length=255, help_text="The id your product uses")
    name = models.CharField(max_length=255, blank=True)
    plan = models.CharField(max_length=120, blank=True)
    value = models.DecimalField(
        max_digits=14, decimal_places=2, null=True, blank=True, help_text="Yearly value"
    )
    acquisition_source = models.CharField(max_length=120, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=16, blank=True)
    traits = models.JSONField(default=dict, blank=True)
    # When the newest traits we know were true: what arrives late fills blanks but overwrites nothing.
    traits_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(
        null=True, blank=True, help_text="While set, nothing is sent to anybody in this account"
    )
    admin_outreach = models.BooleanField(
        default=True, help_text="May we write to admins here who did not start the setup?"
    )
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="merged"
    )
    # When lifecycle must look next. Ingest sets it to now while it holds this row's lock, so a look
    # either sees the new events or is asked for again. Null: nothing to wait for.
    next_look_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Looks begun since one last came to its end: what ends its worker every time is noticed by this.
    looks_begun = models.PositiveSmallIntegerField(default=0, editable=False)
    # Grows when events that were already stored change (attributed later, voided, mapped anew):
    # whatever was folded before is then folded again.
    history_version = models.PositiveIntegerField(default=0, editable=False)

    objects = AccountQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            # The same customer id is one account, however many batches create it at once.
            models.UniqueConstraint(
                fields=["environment", "external_id"], name="account_known_once"
            ),
            models.CheckConstraint(condition=~Q(external_id=""), name="account_id_not_empty"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_look_at"],
                name="account_due",
                condition=Q(next_look_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name or self.external_id

    def get_absolute_url(self) -> str:
        """The page that tells this account's whole story."""
        return reverse("customer", args=[self.pk])


class Person(models.Model):
    """Somebody in one or more accounts."""

    environment = models.CharField(
        max_length=10, choices=Environment, default=Environment.PRODUCTION
    )
    external_id = models.CharField(max_length=255, help_text="The user id your product uses")
    email = models.CharField(max_length=254, blank=True)
    name = models.CharField(max_length=255, blank=True)
    time_zone = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=16, blank=True)
    traits = models.JSONField(default=dict, blank=True)
    # When the newest traits we know were true: what arrives late fills blanks but overwrites nothing.
    traits_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="merged"
    )
    accounts: "models.ManyToManyField[Account, Membership]" = models.ManyToManyField(
        Account, through="Membership", related_name="people"
    )

    class Meta:
        verbose_name_plural = "people"
        constraints: ClassVar = [
            # The same user id is one person, however many batches create it at once.
            models.UniqueConstraint(
                fields=["environment", "external_id"], name="person_known_once"
            ),
            models.CheckConstraint(condition=~Q(external_id=""), name="person_id_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name or self.email or self.external_id


class AnonymousId(models.Model):
    """An id that a person used before they were known; `identify` or `alias` links it."""

    environment = models.CharField(
        max_length=10, choices=Environment, default=Environment.PRODUCTION
    )
    value = models.CharField(max_length=255)
    person = models.ForeignKey(Person, models.CASCADE, related_name="anonymous_ids")

    class Meta:
        constraints: ClassVar = [
            # An anonymous id belongs to one person; the first link wins.
            models.UniqueConstraint(fields=["environment", "value"], name="anonymous_id_once")
        ]

    def __str__(self) -> str:
        return self.value


class MembershipQuerySet(models.QuerySet["Membership"]):
    def current(self) -> "MembershipQuerySet":
        """Memberships that have not ended."""
        return self.filter(ended_at=None)


class Membership(models.Model):
    """A person in an account, with the role that says what they can do there."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="memberships")
    person = models.ForeignKey(Person, models.CASCADE, related_name="memberships")
    role = models.CharField(
        max_length=64, blank=True, help_text="A role's key; unknown grants none"
    )
    role_since = models.DateTimeField(default=timezone.now)
    # When the newest word on the role was said, also where it only repeated it: an older word that
    # arrives late changes nothing.
    role_said_at = models.DateTimeField(null=True, editable=False)
    joined_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    # Cache of the fold: the person's last own action in this account.
    last_active_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            # Somebody is in an account once; leaving and coming back is the same row.
            models.UniqueConstraint(fields=["account", "person"], name="membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.account}"


class ConsentCategory(models.TextChoices):
    """What kinds of mail a person may refuse apart."""

    SETUP_HELP = "setup_help", "Setup help"
    PRODUCT_NEWS = "product_news", "Product news"


class Consent(models.Model):
    """A person's word on one kind of mail. No row: the installation's default holds."""

    person = models.ForeignKey(Person, models.CASCADE, related_name="consents")
    category = models.CharField(max_length=20, choices=ConsentCategory)
    given = models.BooleanField()
    source = models.CharField(max_length=120, help_text="Where the person said so")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            # The newest word replaces the older one; two answers cannot stand side by side.
            models.UniqueConstraint(fields=["person", "category"], name="consent_once")
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.category} {'yes' if self.given else 'no'}"
