"""Templates and their versions, and what they share: snippets, screens to link to, hosts."""

from typing import Any, ClassVar, Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from messaging.models.review import Reviewed


class Host(models.Model):
    """A host of the customer's product, set once per environment; destinations hang off it."""

    key = models.SlugField(primary_key=True, max_length=40)
    base_url = models.URLField(
        help_text="Such as https://app.example.com, without a trailing slash"
    )
    login_url = models.URLField(
        "login page",
        blank=True,
        help_text="Where somebody who is not logged in is sent: https://app.example.com/login. "
        "A setup screen that leads there counts as reachable.",
    )

    class Meta:
        verbose_name = "host"
        verbose_name_plural = "your hosts"

    def __str__(self) -> str:
        return self.base_url


class Destination(models.Model):
    """A setup screen that mails may link to."""

    key = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    host = models.ForeignKey(Host, models.PROTECT)
    path = models.CharField(
        max_length=255,
        help_text="Liquid allowed: /settings/api-keys?provider={{ provider.key }}",
        # It is put after the host's address: a whole address would lead to a page that nobody has.
        validators=[
            RegexValidator(
                r"^/(?!/)",
                "Write what stands after the host, beginning with one slash, such as "
                "/settings/api-keys. Another host is chosen above, or added under Your hosts.",
            )
        ],
    )
    capability = models.CharField(
        max_length=64, blank=True, help_text="What somebody needs to use this screen"
    )

    class Meta:
        verbose_name = "setup screen"
        verbose_name_plural = "setup screens"
        ordering: ClassVar = ["key"]

    def __str__(self) -> str:
        return self.name


class Snippet(models.Model):
    """A text shared by templates: a provider's tip, an error class's checklist."""

    key = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    body = models.TextField(help_text="Markdown with Liquid variables")

    class Meta:
        verbose_name = "shared text"
        verbose_name_plural = "shared texts"
        ordering: ClassVar = ["key"]

    def __str__(self) -> str:
        return self.name


class Template(models.Model):
    """An e-mail that journeys name by its key."""

    key = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = "e-mail"
        verbose_name_plural = "e-mails"
        ordering: ClassVar = ["key"]

    def __str__(self) -> str:
        return self.name


class TemplateVersion(Reviewed):
    """One version of a template's words, all its variants together; immutable once submitted."""

    template = models.ForeignKey(Template, models.PROTECT, related_name="versions")
    # messaging.content.Content as JSON: variants, each with subject, preheader and Markdown body.
    content = models.JSONField(default=dict)
    # Snippets, destinations and layout as they were at submission; what is sent uses only these.
    frozen = models.JSONField(default=dict, editable=False)
    # When the links that it can hold were last written down, to be probed.
    links_listed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "e-mail version"
        verbose_name_plural = "e-mail versions"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["template", "number"], name="template_number_once"),
            # Two drafts side by side would each lose what the other says.
            models.UniqueConstraint(
                fields=["template"],
                condition=Q(status__in=["draft", "in_review", "changes_requested"]),
                name="template_one_unfinished",
            ),
            # Two live versions would leave it to chance which one is sent.
            models.UniqueConstraint(
                fields=["template"],
                condition=Q(status="live"),
                name="template_one_live",
            ),
            # What is live is exactly what was approved.
            models.CheckConstraint(
                condition=~Q(status="live")
                | (~Q(content_hash="") & Q(approved_hash=models.F("content_hash"))),
                name="template_live_is_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    def matter(self) -> Any:
        return {"content": self.content, "frozen": self.frozen}

    def settled(self) -> dict[str, Any]:
        return {"frozen": self.frozen}

    def siblings(self) -> "models.QuerySet[Self]":
        return type(self).objects.filter(template=self.template_id)
