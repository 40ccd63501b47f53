"""What is written and reviewed: versions, the change sets they are approved in, and the record of it."""

from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone


class VersionStatus(models.TextChoices):
    """Where a template's or a journey's version stands in review."""

    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    LIVE = "live", "Live"
    RETIRED = "retired", "Retired"


# A version of these may still be written, also where it was submitted before.
OPEN = (VersionStatus.DRAFT, VersionStatus.CHANGES_REQUESTED)
UNFINISHED = (*OPEN, VersionStatus.IN_REVIEW)


class ChangeSet(models.Model):
    """What is compared, approved and published together: a journey with its templates, or templates alone."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_REVIEW = "in_review", "In review"
        CHANGES_REQUESTED = "changes_requested", "Changes requested"
        PUBLISHED = "published", "Published"
        WITHDRAWN = "withdrawn", "Withdrawn"

    title = models.CharField(max_length=200)
    note = models.TextField(blank=True, help_text="What changed, and why, for the reviewer")
    status = models.CharField(max_length=20, choices=Status, default=Status.DRAFT, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    submitted_at = models.DateTimeField(null=True, editable=False)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    # SHA-256 over everything in it; approval is bound to it.
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    # What the checks said of exactly this content.
    remarks = models.JSONField(default=list, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    decided_at = models.DateTimeField(null=True, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    approved_hash = models.CharField(max_length=64, blank=True, editable=False)
    # Why blocking remarks were overruled, by somebody who may.
    overruled_because = models.TextField(blank=True, editable=False)

    class Meta:
        constraints: ClassVar = [
            # What is published is exactly what was approved.
            models.CheckConstraint(
                condition=~Q(status="published")
                | (
                    ~Q(content_hash="")
                    & Q(approved_hash=models.F("content_hash"))
                    & Q(decided_by__isnull=False)
                ),
                name="change_set_published_is_approved",
            ),
        ]
        permissions: ClassVar = [
            ("submit_change_set", "Can submit changes for review"),
            ("approve_change_set", "Can approve and publish changes, or ask for others"),
            ("overrule_checks", "Can publish in spite of a check, with a written reason"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("change_set", args=[self.pk])


class Participant(models.Model):
    """Who took part in a change set: as an author or as its reviewer, never as both."""

    class Part(models.TextChoices):
        AUTHOR = "author", "Author"
        REVIEWER = "reviewer", "Reviewer"

    change_set = models.ForeignKey(ChangeSet, models.CASCADE, related_name="participants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    part = models.CharField(max_length=8, choices=Part)

    class Meta:
        constraints: ClassVar = [
            # One part for each: whoever wrote any of it cannot approve it, superusers included.
            models.UniqueConstraint(fields=["change_set", "user"], name="participant_one_part"),
            # One approval publishes.
            models.UniqueConstraint(
                fields=["change_set"],
                condition=Q(part="reviewer"),
                name="participant_one_reviewer",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.part} of {self.change_set}"


class Reviewed(models.Model):
    """What every reviewed version has: its status, whose work it is, and what was approved."""

    number = models.PositiveIntegerField()
    status = models.CharField(
        max_length=20, choices=VersionStatus, default=VersionStatus.DRAFT, editable=False
    )
    # Counts the saves of a draft: who saves names the one they began from, so nobody overwrites anybody.
    revision = models.PositiveIntegerField(default=1, editable=False)
    saved_at = models.DateTimeField(default=timezone.now, editable=False)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    # Everybody who edited it; none of them may approve it.
    editors = models.ManyToManyField(settings.AUTH_USER_MODEL, editable=False, related_name="+")
    change_set = models.ForeignKey(
        ChangeSet, models.SET_NULL, null=True, editable=False, related_name="%(class)ss"
    )
    # SHA-256 of the canonical content; approval is bound to it.
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    submitted_at = models.DateTimeField(null=True, editable=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    approved_hash = models.CharField(max_length=64, blank=True, editable=False)
    published_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def subject_key(self) -> str:
        """How the audit record names it."""
        return f"{self._meta.model_name}:{self.pk}"

    def matter(self) -> Any:
        """What approval is bound to: everything that decides what will be sent."""
        raise NotImplementedError

    def settled(self) -> dict[str, Any]:
        """Columns that follow from the words, stored when it is submitted."""
        return {}

    def siblings(self) -> "models.QuerySet[Self]":
        """All versions of the same thing."""
        raise NotImplementedError


class SharedChange(models.Model):
    """A shared text or a setup screen as a change set would make it; its users are drafted with it."""

    change_set = models.ForeignKey(ChangeSet, models.CASCADE, related_name="shared_changes")
    snippet = models.ForeignKey("Snippet", models.PROTECT, null=True, related_name="changes")
    destination = models.ForeignKey(
        "Destination", models.PROTECT, null=True, related_name="changes"
    )
    # The fields that change, by name: as they were when the change was begun, and as they shall be.
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(snippet__isnull=True) ^ Q(destination__isnull=True),
                name="shared_change_of_one_thing",
            ),
            models.UniqueConstraint(
                fields=["change_set", "snippet"], name="shared_change_of_snippet_once"
            ),
            models.UniqueConstraint(
                fields=["change_set", "destination"], name="shared_change_of_destination_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.target} in {self.change_set}"

    @property
    def target(self) -> Any:
        """The snippet or the setup screen that changes."""
        return self.snippet or self.destination

    @property
    def subject_key(self) -> str:
        return f"{self.target._meta.model_name}:{self.target.pk}"


class Comment(models.Model):
    """What somebody says about a place in a change set."""

    change_set = models.ForeignKey(ChangeSet, models.PROTECT, related_name="comments")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    place = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.by}: {self.text[:60]}"


class AuditEntry(models.Model):
    """One move in review. Rows are only ever added; the database refuses to change one."""

    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    act = models.CharField(max_length=30)
    # What it was done to, in words and as `model:id`, since journeys are not known here.
    subject = models.CharField(max_length=200)
    subject_key = models.CharField(max_length=80, db_index=True)
    change_set = models.ForeignKey(ChangeSet, models.PROTECT, null=True, related_name="record")
    content_hash = models.CharField(max_length=64, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.by or 'the system'}: {self.act} {self.subject}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk:
            raise TypeError("The audit record is only added to.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("The audit record is only added to.")


class Notice(models.Model):
    """That somebody is waited for, or that something of theirs was decided; the row is the mail's job too."""

    class Kind(models.TextChoices):
        REVIEW = "review", "Waits for your review"
        CHANGES = "changes", "Changes are requested"
        PUBLISHED = "published", "Approved and published"

    class Mail(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        NOT_NEEDED = "not_needed", "Not needed any more"
        REFUSED = "refused", "Refused"
        UNCERTAIN = "uncertain", "Uncertain"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    change_set = models.ForeignKey(ChangeSet, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=10, choices=Kind)
    at = models.DateTimeField()
    mail = models.CharField(max_length=10, choices=Mail, default=Mail.WAITING)
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    detail = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            # One move tells everybody once, however often it is tried.
            models.UniqueConstraint(fields=["user", "change_set", "kind", "at"], name="notice_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_attempt_at"], name="notice_due", condition=Q(mail="waiting"))
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.change_set}"
