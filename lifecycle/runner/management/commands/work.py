"""`manage.py work`: everything that runs in the background, in one command. Ctrl-C stops it."""

from contextlib import suppress
from typing import Any

from accounts.migrated import DatabaseAway, MigratedCommand
from lifecycle.runner.supervisor import Supervisor


class Command(MigratedCommand):
    help = "Run the background work: look at accounts, send mail, watch that it progresses."

    def check_migrations(self) -> None:
        """A database that comes later than we do is waited for, as one that goes away for a while."""
        with suppress(DatabaseAway):
            super().check_migrations()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write("Working. Ctrl-C stops it.")
        Supervisor().run()
        self.stdout.write("Stopped.")
