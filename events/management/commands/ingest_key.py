"""`manage.py ingest_key create NAME` prints a new ingest key, and nothing else."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import Environment
from events import keys
from events.models import IngestKey


class Command(BaseCommand):
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
            _, plain = keys.create(options["name"], environment=options["environment"])
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
