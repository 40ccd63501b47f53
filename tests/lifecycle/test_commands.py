"""A command that needs tables says what to do where they are not there yet."""

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.django_db
COMMANDS = [
    ("ingest_key", "create", "Our backend"),
    ("load_blueprint",),
    ("staff_roles",),
    ("staff_user", "ada", "--role", "administrator"),
    ("work",),
]


@pytest.fixture(autouse=True)
def ran(monkeypatch) -> list[str]:
    """What went on anyway, which would be working for ever."""
    done: list[str] = []
    monkeypatch.setattr(
        "lifecycle.runner.management.commands.work.Supervisor.run",
        lambda _: done.append("work"),
    )
    return done


def away(*args):
    raise OperationalError("connection refused")


@pytest.mark.parametrize("command", COMMANDS)
def test_before_the_first_migration_it_names_migrate(command):
    MigrationRecorder(connection).migration_qs.all().delete()
    with pytest.raises(CommandError, match=r"Run `manage\.py migrate` first"):
        call_command(*command)


@pytest.mark.parametrize("command", COMMANDS)
def test_after_a_new_version_came_it_names_migrate(command):
    newest = MigrationRecorder(connection).migration_qs.filter(app="messaging").latest("pk")
    newest.delete()
    with pytest.raises(CommandError, match=r"Run `manage\.py migrate` first"):
        call_command(*command)


def test_where_the_database_is_away_it_names_the_setting():
    with (
        connection.execute_wrapper(away),
        pytest.raises(CommandError, match=r"connection refused\. Check DATABASE_URL"),
    ):
        call_command("staff_roles")


def test_the_background_work_waits_for_a_database_that_is_away(ran):
    with connection.execute_wrapper(away):
        call_command("work")
    assert ran == ["work"]
