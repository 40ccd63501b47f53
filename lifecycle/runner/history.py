"""An account's log, folded: from the beginning, or from where a checkpoint left off.

The log is the truth. A checkpoint is a cache for long logs; it is used only while nothing that was
folded into it has changed (definition, late attribution) and nothing older has arrived since. It stays
a little behind the newest event, because batches of one customer overtake each other all the time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from psycopg import Cursor
from pydantic import TypeAdapter
from pydantic_core import from_json

from accounts.models import Account
from events.models import Event as Row
from lifecycle.engine.fold import CONTROLS, PLACED, by_first_key, fold, in_order, sort_key, take
from lifecycle.engine.routing import Router
from lifecycle.engine.state import AccountState, Event
from lifecycle.runner.definition import Definition, current
from lifecycle.runner.models import FoldCheckpoint

WORTH_A_CHECKPOINT = 300  # events folded anew; reading fewer is cheaper than keeping a checkpoint
BEHIND = 100  # the newest events, which a checkpoint leaves out
AT_A_TIME = 2_000  # rows held in memory while a long log is folded

_STATE: TypeAdapter[AccountState] = TypeAdapter(AccountState)
_COLUMNS = (
    "id", "name", "occurred_at", "received_at", "person_id", "properties", "actor", "historical",
    "type", "account_id", "source", "message_id",
)  # fmt: skip
# The same columns, raw: times come in binary and JSON as text, because Django's converters in Python
# cost several times what the rest of the read does.
_RAW = ", ".join("properties::text" if name == "properties" else name for name in _COLUMNS)
_FIRST_OF_EACH = f"""
SELECT e.* FROM unnest(%s::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
    SELECT {_RAW} FROM events_event WHERE account_id = wanted.id AND void_id IS NULL
    ORDER BY id LIMIT {AT_A_TIME + 1}
) AS e
"""  # noqa: S608 - names of our own columns


STAFF = "staff"


class LongLog(Exception):
    """Logs that take long to fold from the beginning; `account_ids` says whose."""

    def __init__(self, account_ids: Sequence[int]) -> None:
        super().__init__(f"the logs of {account_ids} must be folded from the beginning")
        self.account_ids = account_ids


@dataclass
class History:
    """What one account's log adds up to, and the checkpoint to keep (None: leave things as they are)."""

    state: AccountState
    checkpoint: FoldCheckpoint | None = None


@dataclass
class Folded:
    """A long log folded: what all of it adds up to, and as JSON what all but its newest events do."""

    state: AccountState
    kept: Any
    newest: list[int]


def read(
    definition: Definition, accounts: Iterable[Account], *, patient: bool = True
) -> dict[int, History]:
    """The folded logs of these accounts, by account id. Two queries, and one per account that must start over.

    Raises LongLog where that takes long and the caller, holding locks, is not `patient`.
    """
    wanted = {account.pk: account for account in accounts}
    usable = {
        checkpoint.account_id: checkpoint
        for checkpoint in FoldCheckpoint.objects.filter(account__in=wanted)
        if checkpoint.definition == definition.fingerprint
        and checkpoint.history_version == wanted[checkpoint.account_id].history_version
    }
    short = [pk for pk in wanted if pk not in usable]
    result: dict[int, History] = {}
    fresh = _first_events(definition, short)
    start_over = [pk for pk in short if len(fresh.get(pk, ())) > AT_A_TIME]
    for pk, checkpoint in usable.items():
        history = _go_on(definition, wanted[pk], checkpoint)
        if history is None:
            start_over.append(pk)
        else:
            result[pk] = history
    if start_over and not patient:
        raise LongLog(start_over)
    for pk in start_over:
        result[pk] = _kept(definition, wanted[pk], _folded_rows(definition, _of(pk)))
    for pk in set(short) - result.keys():
        events = fresh.get(pk, [])
        if len(events) < WORTH_A_CHECKPOINT:
            result[pk] = History(fold(definition.router, events, placed=placements(events)))
            continue
        ordered = in_order(definition.router, events)
        folded = _folded(definition.router, partial(iter, ordered), placements(events))
        result[pk] = _kept(definition, wanted[pk], folded)
    return result


def warm(account_ids: Iterable[int]) -> None:
    """Fold these accounts' logs without any lock and keep the checkpoints, so that a look goes on from there.

    Within an account a later id always commits later, so what is seen here has no gaps.
    """
    accounts = Account.objects.filter(pk__in=account_ids)
    found = read(current(fresh=True), accounts).values()
    latest(history.checkpoint for history in found if history.checkpoint)


def _first_events(definition: Definition, account_ids: list[int]) -> dict[int, list[Event]]:
    """The first events of each account, one more than `AT_A_TIME` where there are more. One query."""
    found: dict[int, list[Event]] = {}
    if not account_ids:
        return found
    if connection.vendor == "postgresql":
        with Cursor(connection.connection) as cursor:
            cursor.execute(_FIRST_OF_EACH, [account_ids], binary=True)
            for row in cursor:
                event = engine_event(definition, (*row[:5], from_json(row[5]), *row[6:]))
                found.setdefault(row[9], []).append(event)
        return found
    rows = (
        Row.objects.counting().filter(account__in=account_ids).values_list(*_COLUMNS).order_by("pk")
    )
    for row in rows.iterator(AT_A_TIME):
        events = found.setdefault(row[9], [])
        if len(events) <= AT_A_TIME:
            events.append(engine_event(definition, row))
    return found


def _go_on(definition: Definition, account: Account, checkpoint: FoldCheckpoint) -> History | None:
    """Fold what the checkpoint leaves out; None where the log must be folded from the beginning."""
    left_out = Q(pk__gt=checkpoint.last_event_id) | Q(pk__in=checkpoint.newest)
    rows = _of(account.pk).filter(left_out).values_list(*_COLUMNS)[:AT_A_TIME]
    events = [engine_event(definition, row) for row in rows]
    newer = [event for event in events if event.id > checkpoint.last_event_id]
    state = _STATE.validate_python(checkpoint.state)
    older = any(
        state.last_key is not None and sort_key(definition.router, event) <= state.last_key
        for event in newer
    )
    # A placement speaks of an event that was folded already; many new ones are not worth the memory.
    if older or placements(newer) or len(events) == AT_A_TIME:
        return None
    if len(newer) < WORTH_A_CHECKPOINT:
        state.last_event_id = checkpoint.last_event_id
        return History(fold(definition.router, events, state=state))
    ordered = in_order(definition.router, events)
    return _kept(definition, account, _take(definition.router, state, ordered, {}))


def _of(account_id: int) -> QuerySet[Row]:
    return Row.objects.counting().filter(account=account_id)


def folded(definition: Definition, rows: QuerySet[Row]) -> AccountState:
    """What these events add up to as the log of one account, however many: the database sorts, we hold a slice."""
    return _folded_rows(definition, rows).state


def _folded_rows(definition: Definition, rows: QuerySet[Row]) -> Folded:
    placed = placements(
        engine_event(definition, row) for row in rows.filter(name=PLACED).values_list(*_COLUMNS)
    )

    def ordered() -> Iterator[Event]:
        by_time = rows.order_by("occurred_at", "pk").values_list(*_COLUMNS).iterator(AT_A_TIME)
        events = (engine_event(definition, row) for row in by_time)
        for _, moment in groupby(events, key=attrgetter("at")):
            yield from in_order(definition.router, moment)

    return _folded(definition.router, ordered, placed)


def _folded(
    router: Router, ordered: Callable[[], Iterable[Event]], placed: Mapping[int, tuple[str, str]]
) -> Folded:
    """The log from its beginning; `ordered` gives its events anew at each call."""
    folded = _take(router, AccountState(), ordered(), placed)
    # As in `fold`: a place may be named by a key that its setup learns only later.
    renamed = by_first_key(folded.state, placed)
    return folded if renamed == placed else _take(router, AccountState(), ordered(), renamed)


def _take(
    router: Router,
    state: AccountState,
    ordered: Iterable[Event],
    placed: Mapping[int, tuple[str, str]],
) -> Folded:
    # Where staff placed events, going on from before a placement would have to know of it.
    behind = 0 if placed else BEHIND
    newest: deque[Event] = deque()

    def all_but_newest() -> Iterator[Event]:
        for event in ordered:
            newest.append(event)
            if len(newest) > behind:
                yield newest.popleft()

    state = take(router, state, all_but_newest(), placed)
    kept = _STATE.dump_python(state, mode="json")
    return Folded(take(router, state, newest, placed), kept, [event.id for event in newest])


def engine_event(definition: Definition, row: tuple[Any, ...]) -> Event:
    """A row of the log (its `_COLUMNS`) as the engine sees it."""
    (pk, name, at, received_at, person, properties, actor, historical, kind, _, source, uid) = row
    name, properties = definition.naming.read(name, properties)
    if name in CONTROLS and source != STAFF:
        # Only we may speak for staff; a backend that sends such a name says nothing to the fold.
        name = f"sent:{name}"
    return Event(
        id=pk,
        name=name,
        at=at,
        received_at=received_at,
        uid=f"{source}\x1f{uid}",
        person=person,
        properties=properties if kind not in ("identify", "group", "alias") else {},
        active=not historical and definition.is_activity(name, kind, actor),
        historical=historical,
    )


def placements(events: Iterable[Event]) -> Mapping[int, tuple[str, str]]:
    """Where staff put events that fitted several setups: event id → (integration type, setup key)."""
    return dict(_placements(events))


def _placements(events: Iterable[Event]) -> Iterator[tuple[int, tuple[str, str]]]:
    for event in events:
        if event.name == PLACED and isinstance(event.properties.get("event_id"), int):
            kind, key = event.properties.get("integration_type"), event.properties.get("setup_key")
            yield event.properties["event_id"], (str(kind), str(key))


def _kept(definition: Definition, account: Account, folded: Folded) -> History:
    checkpoint = FoldCheckpoint(
        account_id=account.pk,
        last_event_id=folded.state.last_event_id,
        newest=folded.newest,
        history_version=account.history_version,
        definition=definition.fingerprint,
        state=folded.kept,
    )
    return History(folded.state, checkpoint)


def latest(checkpoints: Iterable[FoldCheckpoint]) -> None:
    """Keep these checkpoints in place of older ones."""
    FoldCheckpoint.objects.bulk_create(
        checkpoints,
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["last_event_id", "newest", "history_version", "definition", "state"],
    )
