"""What a template version says: its variants, its claims, and which variant a reader gets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

# Longer than any mail we would want to send; it also bounds what a hostile template can cost.
BODY_LIMIT = 20_000
LINE_LIMIT = 1_000
VARIANT_LIMIT = 100


SAME_READERS = "This variant has the same provider, error class and role as one before it."


class ContentError(Exception):
    """The content is not a valid document; `faults` are the places and what is wrong there."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{place}: {what}" for place, what in faults))
        self.faults = faults


class RenderError(Exception):
    """The content cannot be turned into a mail for this reader; the message says why.

    `place` is the text to blame, such as `body` or `snippets.last-error`, and `line` its line where known.
    """

    place: str = ""
    line: int | None = None


class UnknownVariable(RenderError):
    """A text names a variable that does not exist."""


class UnknownKey(RenderError):
    """A text names a snippet or a destination that does not exist."""


class NoValue(RenderError):
    """A variable that has no value for this reader is printed."""


class TooSlow(RenderError):
    """The text takes longer than any mail needs."""


class NoSubject(RenderError):
    """The subject is empty for this reader."""


class BadLayout(RenderError):
    """The layout cannot be made into HTML."""


@contextmanager
def blaming(place: str) -> Iterator[None]:
    """Names the text in which an error arose, unless something inside it has named its own."""
    try:
        yield
    except RenderError as error:
        error.place = error.place or place
        raise


class VariantDocument(BaseModel):
    """A variant as it is stored. Empty selectors match every reader."""

    model_config = ConfigDict(extra="forbid")

    provider: str = ""
    error_class: str = ""
    role: str = ""
    subject: str = Field(max_length=LINE_LIMIT)
    preheader: str = Field(default="", max_length=LINE_LIMIT)
    body: str = Field(max_length=BODY_LIMIT)


class ContentDocument(BaseModel):
    """A template version's content as it is stored."""

    model_config = ConfigDict(extra="forbid")

    variants: list[VariantDocument] = Field(min_length=1, max_length=VARIANT_LIMIT)
    claims: list[Any] = []


@dataclass(frozen=True, slots=True)
class Variant:
    """One wording, and the readers it is for."""

    provider: str
    error_class: str
    role: str
    subject: str
    preheader: str
    body: str

    @property
    def name(self) -> str:
        """How a message's row names it: its selectors, or `default`."""
        chosen = [
            f"{label}={value}"
            for label, value in (
                ("provider", self.provider),
                ("error", self.error_class),
                ("role", self.role),
            )
            if value
        ]
        return ", ".join(chosen) or "default"


@dataclass(frozen=True, slots=True)
class Content:
    """Everything a template version says."""

    variants: tuple[Variant, ...]
    claims: tuple[Any, ...] = ()


def read(document: Mapping[str, Any]) -> Content:
    """The stored document as `Content`. Raises ContentError naming every bad field."""
    try:
        parsed = ContentDocument.model_validate(document)
    except ValidationError as error:
        raise ContentError(
            *((".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors())
        ) from error
    variants = tuple(Variant(**variant.model_dump()) for variant in parsed.variants)
    seen: set[tuple[str, str, str]] = set()
    for at, one in enumerate(variants):
        readers = (one.provider, one.error_class, one.role)
        if readers in seen:
            # Otherwise the order in the document would silently decide what is sent.
            raise ContentError((f"variants.{at}", SAME_READERS))
        seen.add(readers)
    return Content(variants, tuple(parsed.claims))


def choose(content: Content, context: Mapping[str, Any]) -> Variant:
    """The variant for this reader: most matching selectors wins; ties go to error class, provider, role.

    Raises RenderError where none matches.
    """
    provider = _value(context, "provider", "key")
    error_class = _value(context, "error", "class")
    role = _value(context, "person", "role")
    fitting = [
        variant
        for variant in content.variants
        if variant.provider in ("", provider)
        and variant.error_class in ("", error_class)
        and variant.role in ("", role)
    ]
    if not fitting:
        raise RenderError(
            f"No variant fits provider {provider!r}, error class {error_class!r} "
            f"and role {role!r}, and there is no default variant."
        )
    return max(fitting, key=_weight)


def _weight(variant: Variant) -> tuple[int, bool, bool, bool]:
    selectors = (bool(variant.error_class), bool(variant.provider), bool(variant.role))
    return (sum(selectors), *selectors)


def _value(context: Mapping[str, Any], group: str, name: str) -> str:
    return str((context.get(group) or {}).get(name) or "")


# Every variable that a mail may use: its meaning, and an example; whoever enqueues fills them in.
_VARIABLES: tuple[tuple[str, str, Any], ...] = (
    ("person.name", "The reader's full name", "Ann Example"),
    ("person.first_name", "The reader's first name", "Ann"),
    ("person.email", "The reader's address", "ann@customer.example"),
    ("person.role", "The reader's role in the account", "developer"),
    ("account.name", "The customer's workspace", "Initech"),
    ("account.plan", "The account's plan", "pro"),
    ("integration.type", "What kind of integration is being set up, such as api", "api"),
    ("integration.name", "The integration as people call it", "Payments API"),
    ("provider.key", "The provider's key, such as stripe", "stripe"),
    ("provider.name", "The provider's name", "Stripe"),
    ("setup.started_at", "When the setup was started", "2026-03-04T09:00:00+00:00"),
    ("setup.age_hours", "Hours since the setup was started", 26),
    ("setup.started_by.name", "Who started the setup", "Bob Example"),
    ("setup.started_by.first_name", "The first name of who started the setup", "Bob"),
    ("setup.started_by.email", "The address of who started the setup", "bob@customer.example"),
    ("setup.started_by.role", "The role of who started the setup", "developer"),
    ("next.milestone", "The next milestone's key", "key_created"),
    ("next.name", "The next milestone's name", "API key created"),
    ("next.action", "What to do next, as an instruction", "Create the API key"),
    ("next.capability", "What the next step requires of a person", "manage_api_keys"),
    ("next.destination", "The key of the screen where the next step is done", "api-keys"),
    ("error.class", "The error class that is in the way", "auth_failed"),
    ("error.name", "The error as people call it", "Authentication failed"),
    ("error.message", "The provider's words", "401 invalid key"),
    ("error.count", "How often it happened lately", 3),
    ("helper.name", "A colleague who is able to take the next step", "Eve Example"),
    ("helper.first_name", "That colleague's first name", "Eve"),
    ("helper.email", "That colleague's address", "eve@customer.example"),
    ("helper.role", "That colleague's role", "admin"),
    ("activation.name", "The first thing of value to do with the integration", "Send a payment"),
    ("activation.destination", "The key of the screen where that is done", "payments"),
    ("product.name", "Our product", "Acme"),
    ("support.email", "Where to ask for help", "help@acme.example"),
    ("unsubscribe_url", "Where the reader can stop these mails", "https://mail.acme.example/leave"),
)
VARIABLES: dict[str, str] = {path: meaning for path, meaning, _ in _VARIABLES}
EXAMPLES: dict[str, Any] = {path: example for path, _, example in _VARIABLES}
