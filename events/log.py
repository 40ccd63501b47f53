"""The append-only log: one statement writes a batch, and the accounts it touches are locked first.

Within an account a later id always commits later, because whoever appends holds the account's lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F
from pydantic_core import to_json

from accounts.models import Account, Environment
from events.models import Actor

OWN_SOURCES = frozenset({"staff", "import", "lifecycle"})

# The whole batch travels as one JSON parameter: adapting every value by itself costs more than
# the insert. Ids come back only where some were known before.
_APPEND_POSTGRESQL = """
WITH new AS (
    INSERT INTO events_event (source, environment, received_at, message_id, type, name, account_id,
        person_id, anonymous_id, actor, historical, occurred_at, properties, extra, problems)
    SELECT %s, %s, %s, r.m, r.t, r.n, r.a, r.p, r.x, r.w, r.h, r.o, r.d, r.e, r.q
    FROM jsonb_to_recordset(%s::jsonb) AS r(m text, t text, n text, a bigint, p bigint, x text,
        w text, h boolean, o timestamptz, d jsonb, e jsonb, q jsonb)
    ON CONFLICT (source, message_id) DO NOTHING RETURNING message_id
)
SELECT CASE WHEN count(*) <> %s THEN coalesce(array_agg(message_id), '{}') END FROM new
"""
_APPEND_SQLITE = """
INSERT INTO events_event (source, environment, received_at, message_id, type, name, account_id,
    person_id, anonymous_id, actor, historical, occurred_at, properties, extra, problems)
SELECT %s, %s, %s, r ->> '$.m', r ->> '$.t', r ->> '$.n', r ->> '$.a', r ->> '$.p', r ->> '$.x',
    r ->> '$.w', r ->> '$.h', replace(replace(r ->> '$.o', 'T', ' '), 'Z', ''), r -> '$.d', r -> '$.e', r -> '$.q'
FROM (SELECT value AS r FROM json_each(%s)) WHERE true
ON CONFLICT (source, message_id) DO NOTHING RETURNING message_id
"""


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """An event that we write ourselves: what staff did, what was imported, what lifecycle concluded."""

    source: str
    message_id: str
    name: str
    account_id: int
    occurred_at: datetime
    person_id: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    actor: str = Actor.SYSTEM
    type: str = "track"
    historical: bool = False


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def among(column: str, kind: str = "text") -> str:
    """The condition `column is one of these`, for one parameter from `listed`."""
    if is_postgresql():
        return f"{column} = ANY(%s::{kind}[])"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608


def listed(values: Iterable[Any]) -> str:
    """Many values as the one parameter that `among` takes."""
    if not is_postgresql():
        return to_json(list(values)).decode()
    # PostgreSQL's own words for an array: psycopg takes milliseconds to find them for hundreds.
    escaped = [str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(escaped) + '"}' if escaped else "{}"


def rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


class Locked(NamedTuple):
    """An account whose lock we hold."""

    id: int
    # It waits to be looked at already, so it needs no further mark.
    waits: bool
    is_merged: bool
    external_id: str


_LOCKED = (
    "SELECT id, coalesce(next_look_at <= %s, false), merged_into_id IS NOT NULL, external_id "
    "FROM accounts_account WHERE "
)


def _for_update(condition: str, now: datetime, parameters: Sequence[Any]) -> list[Locked]:
    postgresql = is_postgresql()
    moment: Any = now if postgresql else str(now.astimezone(UTC).replace(tzinfo=None))
    # SQLite has one writer at a time, and we are it.
    ending = " ORDER BY id FOR NO KEY UPDATE" if postgresql else " ORDER BY id"
    return [Locked(*row) for row in rows(_LOCKED + condition + ending, [moment, *parameters])]


def lock(account_ids: Iterable[int], *, now: datetime) -> list[Locked]:
    """Lock these accounts in the order of their ids until the transaction ends."""
    ids = set(account_ids)
    return _for_update(among("id", "bigint"), now, [listed(ids)]) if ids else []


def lock_known(external_ids: Iterable[str], environment: str, *, now: datetime) -> list[Locked]:
    """Lock those of these accounts that exist, in the order of their ids."""
    condition = f"environment = %s AND {among('external_id')}"
    return _for_update(condition, now, [environment, listed(external_ids)])


def insert(
    packed: str, *, source: str, environment: str, received_at: datetime, expected: int
) -> set[str] | None:
    """Append the packed rows; the message ids that are new, or None where all `expected` are."""
    if is_postgresql():
        scalars = [source, environment, received_at]
        ((new,),) = rows(_APPEND_POSTGRESQL, [*scalars, packed, expected])
        return None if new is None else set(new)
    moment = str(received_at.astimezone(UTC).replace(tzinfo=None))
    ids = {row[0] for row in rows(_APPEND_SQLITE, [source, environment, moment, packed])}
    return None if len(ids) == expected else ids


def pack(packable: Any) -> bytes:
    """Rows as the JSON that `insert` takes. Infinity, which `1e999` becomes, is kept as text."""
    return to_json(packable, inf_nan_mode="strings")


def mark(
    locked: Iterable[Locked],
    *,
    changed: Iterable[int],
    rewritten: Iterable[int] = (),
    now: datetime,
) -> None:
    """Ask for a look at the `changed` of these locked accounts; the `rewritten` are folded anew.

    An account that is waiting to be looked at already is left alone: whoever takes it must wait
    for our lock, and then sees what we appended.
    """
    wanted, again = set(changed), set(rewritten)
    late = [each.id for each in locked if each.id in wanted and not each.waits]
    if late:
        moment: Any = now if is_postgresql() else str(now.astimezone(UTC).replace(tzinfo=None))
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE accounts_account SET next_look_at = %s WHERE {among('id', 'bigint')}",  # noqa: S608
                [moment, listed(late)],
            )
    if again:
        marked = Account.objects.filter(pk__in=sorted(again))
        marked.mark_changed(now)
        marked.update(history_version=F("history_version") + 1)


def append(entries: Sequence[OwnEvent], *, now: datetime) -> int:
    """Append our own events and mark their accounts; how many were new.

    The same (source, message_id) again is no error and changes nothing.
    """
    strangers = {entry.source for entry in entries} - OWN_SOURCES
    if strangers:
        raise ValueError(f"not a source of our own: {', '.join(sorted(strangers))}")
    added = 0
    with transaction.atomic():
        locked = lock((entry.account_id for entry in entries), now=now)
        environments = dict(
            Account.objects.filter(pk__in=[account.id for account in locked]).values_list(
                "pk", "environment"
            )
        )
        touched: set[int] = set()
        for environment in Environment.values:
            for source in OWN_SOURCES:
                mine = [
                    entry
                    for entry in entries
                    if entry.source == source and environments[entry.account_id] == environment
                ]
                if not mine:
                    continue
                packed = pack([_packable(entry) for entry in mine]).decode()
                new = insert(
                    packed,
                    source=source,
                    environment=environment,
                    received_at=now,
                    expected=len(mine),
                )
                fresh = [entry for entry in mine if new is None or entry.message_id in new]
                added += len(mine) if new is None else len(new)
                touched.update(entry.account_id for entry in fresh)
        mark(locked, changed=touched, now=now)
    return added


def _packable(entry: OwnEvent) -> dict[str, Any]:
    return {
        "m": entry.message_id, "t": entry.type, "n": entry.name, "a": entry.account_id,
        "p": entry.person_id, "x": "", "w": entry.actor, "h": entry.historical,
        "o": entry.occurred_at.astimezone(UTC), "d": entry.properties, "e": {},
    }  # fmt: skip


def known(source: str, message_ids: Sequence[str]) -> set[str]:
    """Those of the messages that this source has already stored."""
    sql = (
        "SELECT message_id FROM events_event "  # noqa: S608
        f"WHERE source = %s AND {among('message_id')}"
    )
    return {row[0] for row in rows(sql, [source, listed(message_ids)])}
