"""One statement for many rows that each get values of their own.

`bulk_update` neither compares the old state nor is quick (its CASE expressions cost more than the
rest of a hand-over), so the rows travel as one JSON parameter and meet the table in an UPDATE … FROM.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction


@dataclass(frozen=True, slots=True)
class Change:
    """Each of these rows gets its own values, and all of them `same`, where `where` (if any) still holds.

    `rows` name fields by attribute (`sender_id`), all rows the same ones, `key` among them.
    `where` must be plain comparisons of this model's own columns.
    """

    model: type[models.Model]
    rows: Sequence[Mapping[str, Any]]
    where: models.Q | None = None
    same: Mapping[str, Any] | None = None
    key: str = "id"


def update_each(
    model: type[models.Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    where: models.Q | None = None,
    same: Mapping[str, Any] | None = None,
    key: str = "id",
) -> list[int]:
    """Make this change; the keys of the rows for which `where` still held."""
    if not rows:
        return []
    sql, values = _statement(Change(model, rows, where, same, key))
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [row[0] for row in cursor.fetchall()]


def update_together(first: Change, second: Change) -> list[int]:
    """Make both changes, of different tables, or none; the keys of the first's rows.

    On PostgreSQL it is one statement, which does not wait until the disk has it: a crash of the database
    may forget it if it was made in the last moments before (below a second), and nothing half.
    """
    if connection.vendor != "postgresql":
        with transaction.atomic():
            update_each(
                second.model, second.rows, where=second.where, same=second.same, key=second.key
            )
            return update_each(
                first.model, first.rows, where=first.where, same=first.same, key=first.key
            )
    (sql, values), (also, more) = _statement(first), _statement(second)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH also AS ({also}) {sql.replace(' FROM ', f' FROM {_NO_WAIT}, ', 1)}",
            [*more, *values],
        )
        return [row[0] for row in cursor.fetchall()]


# Holds until the end of the transaction, which is asked how to commit only then.
_NO_WAIT = "set_config('synchronous_commit', 'off', true) AS no_wait"


def _statement(change: Change) -> tuple[str, list[Any]]:
    table = connection.ops.quote_name(change.model._meta.db_table)
    fields = _fields(change.model)
    columns = [(name, fields[name]) for name in change.rows[0] if name != change.key]
    key_column = _quoted(fields[change.key])
    payload = json.dumps(
        [
            {"k": row[change.key], **{name: _sent(row[name]) for name, field in columns}}
            for row in change.rows
        ],
        cls=DjangoJSONEncoder,
    )
    sets = [f"{_quoted(field)} = {_received(name)}" for name, field in columns]
    values: list[Any] = []
    for name, value in (change.same or {}).items():
        field = fields[name]
        sets.append(f"{_quoted(field)} = %s")
        values.append(field.get_db_prep_save(value, connection))
    condition, condition_values = (
        _condition(change.model, change.where) if change.where else ("TRUE", [])
    )
    sql = (
        f"UPDATE {table} SET {', '.join(sets)} FROM {_source(columns)} "  # noqa: S608 - only names of our own columns
        f"WHERE {table}.{key_column} = {_key()} AND {condition} RETURNING {table}.{key_column}"
    )
    return sql, [*values, payload, *condition_values]


@cache
def _fields(model: type[models.Model]) -> dict[str, Any]:
    return {
        name: field for field in model._meta.concrete_fields for name in (field.name, field.attname)
    }


def _quoted(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _sent(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if connection.vendor == "sqlite":
        # Exactly as Django itself writes times to SQLite, which compares them as text.
        return str(value.astimezone(UTC).replace(tzinfo=None))
    return value.isoformat()


def _received(name: str) -> str:
    return (
        f'new."{name}"'
        if connection.vendor == "postgresql"
        else f"json_extract(new.value, '$.{name}')"
    )


def _source(columns: Sequence[tuple[str, Any]]) -> str:
    if connection.vendor == "postgresql":
        types = ", ".join(f'"{name}" {field.db_type(connection)}' for name, field in columns)
        return f'jsonb_to_recordset(%s::jsonb) AS new("k" bigint{", " + types if types else ""})'
    return "json_each(%s) AS new"


def _key() -> str:
    return 'new."k"' if connection.vendor == "postgresql" else "json_extract(new.value, '$.k')"


def _condition(model: type[models.Model], where: models.Q) -> tuple[str, Sequence[Any]]:
    # One column, since a compiler works out all that are selected before it can be asked anything.
    query = model._base_manager.filter(where).values("pk").query
    compiler = query.get_compiler(connection=connection)
    # The FROM clause must exist before conditions can name its columns.
    compiler.setup_query()
    sql, parameters = compiler.compile(query.where)
    return sql or "TRUE", parameters
