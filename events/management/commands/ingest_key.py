"""`manage.py ingest_key create NAME` prints a new ingest key, and nothing else."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.migrated import MigratedCommand
from accounts.models import Environment
from events import keys
from events.models import IngestKey


class Command(MigratedCommand):
    help = "Create, list and revoke the keys that backends send events with."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="print a new key; it cannot be shown again")
        create.add_argument("name")
        create.add_argument(
            "--environment", choices=Environment.values, default=Environment.PRODUCTION.value
        )
        verbs.add_parser("list", help="every key's number, name and state")
        revoke = verbs.add_parser("revoke", help="end a key's life")
        revoke.add_argument("number", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "create":
            name = usable_name(options["name"])
            _, plain = keys.create(name, environment=options["environment"])
            self.stdout.write(plain)
        elif options["verb"] == "list":
            for key in IngestKey.objects.all():
                state = "revoked" if key.revoked_at else key.environment
                self.stdout.write(f"{key.pk}\t{key}\t{state}")
        else:
            found = IngestKey.objects.filter(pk=options["number"]).first()
            if found is None:
                raise CommandError(f"There is no key number {options['number']}.")
            keys.revoke(found, now=timezone.now())


def usable_name(text: str) -> str:
    """The name without spaces around. Raises CommandError for one that the admin's form would not take either."""
    try:
        return str(IngestKey._meta.get_field("name").clean(text.strip(), None))
    except ValidationError as error:
        raise CommandError(f"The key's name: {' '.join(error.messages)}") from error
