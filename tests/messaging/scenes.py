"""Scenes about mails: what stands in the outbox when a test begins."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Account, Person
from messaging import outbox
from messaging.models import Message, Sender, SendingDomain, Template, TemplateVersion
from messaging.rendering import freeze
from messaging.review import content_hash

NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
LEASE = timedelta(seconds=120)
# Of one thread's processor time; where other work shares the machine's caches, a second's work takes longer.
ABOUT_A_SECOND = 2
CONTENT = {
    "variants": [
        {
            "subject": "Create your {{ provider.name }} key, {{ person.first_name }}",
            "preheader": "One step left",
            "body": "Hi {{ person.first_name }},\n\n{% note %}Keys are shown *once*.{% endnote %}\n",
        }
    ]
}
FACTS: dict[str, Any] = {
    "person": {"first_name": "Ann"},
    "account": {"name": "Initech"},
    "provider": {"key": "stripe", "name": "Stripe"},
    "integration": {"type": "api", "name": "Payments API"},
    "product": {"name": "Acme"},
    "support": {"email": "help@acme.example"},
}


def a_sender(**values: Any) -> Sender:
    domain, _ = SendingDomain.objects.get_or_create(
        name="acme.example", defaults={"rate_per_second": 1000, "burst": 1000}
    )
    return Sender.objects.create(
        **{
            "key": f"setup-{Sender.objects.count()}", "name": "Acme Setup", "address": "setup@acme.example",
            "reply_to": "help@acme.example", "domain": domain, **values,
        }
    )  # fmt: skip


def a_version(content: dict[str, Any] | None = None) -> TemplateVersion:
    template = Template.objects.create(key=f"template-{Template.objects.count()}", name="Started")
    content, frozen = content or CONTENT, freeze()
    return TemplateVersion.objects.create(
        template=template,
        number=1,
        content=content,
        frozen=frozen,
        content_hash=content_hash({"content": content, "frozen": frozen}),
    )


def queued(
    count: int = 1,
    *,
    account: Account | None = None,
    emails: list[str] | None = None,
    version: TemplateVersion | None = None,
    sender: Sender | None = None,
    facts: dict[str, Any] | None = None,
    now: datetime = NOW,
    not_after: datetime | None = None,
    **values: Any,
) -> list[Message]:
    """Mails in the outbox, each to somebody else."""
    account = account or Account.objects.create(external_id=f"a{Account.objects.count()}")
    version, sender = version or a_version(), sender or a_sender()
    start = Person.objects.count()
    emails = emails or [f"p{start + n}@customer.example" for n in range(count)]
    people = Person.objects.bulk_create(
        [Person(external_id=f"p{start + n}", email=email) for n, email in enumerate(emails)]
    )
    ids = outbox.enqueue(
        [
            outbox.NewMessage(
                dedupe_key=f"m{person.pk}",
                account_id=account.pk,
                person_id=person.pk,
                email=person.email,
                template_version_id=version.pk,
                sender_id=sender.pk,
                category="setup_help",
                counts_toward_cap=values.get("counts_toward_cap", True),
                context=facts or FACTS,
                not_after=not_after or now + timedelta(hours=6),
            )
            for person in people
        ],
        now=now,
    )
    return list(Message.objects.filter(pk__in=ids.values()).order_by("pk"))


def claimed(
    messages: list[Message], *, owner: str = "one", now: datetime = NOW, lease: timedelta = LEASE
) -> list[int]:
    """The same mails, claimed as the gate would."""
    with transaction.atomic():
        return outbox.claim(
            [outbox.Claim(message.pk, {"seen": "facts"}, message.context) for message in messages],
            owner=owner,
            now=now,
            lease=lease,
        )
