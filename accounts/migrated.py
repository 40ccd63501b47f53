"""Commands that need every table: where a migration waits they say so and do nothing."""

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor


class DatabaseAway(CommandError):
    """Nobody can say whether a migration waits."""


class MigratedCommand(BaseCommand):
    requires_migrations_checks = True

    def check_migrations(self) -> None:
        """Instead of Django's warning. Raises CommandError where a migration waits, DatabaseAway where that cannot be known."""
        try:
            executor = MigrationExecutor(connection)
            waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            raise DatabaseAway(
                f"The database does not answer as it should: {error}. Check DATABASE_URL."
            ) from error
        if waiting:
            raise CommandError(
                f"Migrations wait for this database ({len(waiting)}). Run `manage.py migrate` first."
            )
