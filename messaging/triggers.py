"""Rules about single changes of rows, which no constraint can say: triggers, the same on both databases.

SQLite makes a table anew to alter it and loses its triggers, so whatever migration alters one of these
tables puts them there again; a test looks after all migrations.
"""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SUBMITTED = "('in_review', 'live', 'retired')"


def put_for_versions(
    table: str, *, editors: str, row_of_editor: str, fixed: Sequence[str]
) -> Callable[[Any, BaseDatabaseSchemaEditor], None]:
    """A migration's step: what was submitted stays as it was, and nobody approves their own work.

    `fixed` are the columns that no longer change; `editors` is the table of who edited a version.
    """

    def put(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        differs = " OR ".join(_differs(schema_editor, column) for column in fixed)
        own = (
            "NEW.approved_by_id = NEW.created_by_id OR EXISTS (SELECT 1 FROM "  # noqa: S608 - our names
            f"{editors} e WHERE e.{row_of_editor} = NEW.id AND e.user_id = NEW.approved_by_id)"
        )
        _trigger(
            schema_editor, table, "fixed", "UPDATE",
            f"OLD.status IN {SUBMITTED} AND ({differs})",
            "What was submitted cannot be changed.",
        )  # fmt: skip
        _trigger(
            schema_editor, table, "approved", "UPDATE",
            f"NEW.status = 'live' AND OLD.status <> 'live' AND (NEW.approved_by_id IS NULL OR {own})",
            "Nobody approves their own work.",
        )  # fmt: skip
        _trigger(
            schema_editor, table, "approved_new", "INSERT",
            "NEW.status = 'live' AND NEW.approved_by_id = NEW.created_by_id",
            "Nobody approves their own work.",
        )  # fmt: skip

    return put


def put_for_record(table: str) -> Callable[[Any, BaseDatabaseSchemaEditor], None]:
    """A migration's step: rows of this table are only ever added.

    SQLite refuses only to change one: there a test database is emptied by DELETE, which cannot be told
    apart from somebody's; PostgreSQL empties by TRUNCATE and refuses DELETE as well.
    """

    def put(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        said = "The audit record is only added to."
        _trigger(schema_editor, table, "kept", "UPDATE", "", said)
        if schema_editor.connection.vendor == "postgresql":
            _trigger(schema_editor, table, "kept_rows", "DELETE", "", said)

    return put


def take_away(table: str) -> Callable[[Any, BaseDatabaseSchemaEditor], None]:
    """The way back for either."""

    def take(_apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        for name in ("fixed", "approved", "approved_new", "kept", "kept_rows"):
            _drop(schema_editor, table, name)

    return take


def _differs(schema_editor: BaseDatabaseSchemaEditor, column: str) -> str:
    if schema_editor.connection.vendor == "postgresql":
        return f"NEW.{column} IS DISTINCT FROM OLD.{column}"
    return f"NEW.{column} IS NOT OLD.{column}"


def _trigger(
    schema_editor: BaseDatabaseSchemaEditor,
    table: str,
    name: str,
    event: str,
    when: str,
    message: str,
) -> None:
    _drop(schema_editor, table, name)
    if schema_editor.connection.vendor == "postgresql":
        # A WHEN clause cannot look into other tables, so the condition stands in the function.
        body = f"RAISE EXCEPTION '{message}' USING ERRCODE = 'check_violation';"
        body = f"IF {when} THEN {body} END IF;" if when else body
        schema_editor.execute(
            f"CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {body} RETURN NEW; END $$"
        )
        schema_editor.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_{name}()"
        )
    else:
        condition = f"WHEN {when} " if when else ""
        schema_editor.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} FOR EACH ROW {condition}"
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )


def _drop(schema_editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_{name} ON {table}")
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {table}_{name}()")
    else:
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_{name}")
