"""`manage.py status`: is all well, and if not, what to do. Exits 1 when something is wrong."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils import timezone

from lifecycle.runner.health import Health, health


def as_text(found: Health) -> str:
    """One screen of text."""
    width = max(len(line.name) for line in found.lines)
    rows = [
        f"  {'✓' if line.ok else '✗'} {line.name:<{width}}  {line.value}" for line in found.lines
    ]
    rest = [f"{one.headline} {one.advice}" for one in found.findings[1:]]
    return "\n".join([found.headline, *rows, "", found.advice, *rest])


class Command(BaseCommand):
    help = "Says on one screen whether all is well and what to do; exits 1 if it is not."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = health(timezone.now())
        except DatabaseError as error:
            raise CommandError(
                f"The database does not answer as it should: {error}. "
                "Check DATABASE_URL, and run `manage.py migrate`."
            ) from error
        self.stdout.write(as_text(found))
        if not found.ok:
            sys.exit(1)
