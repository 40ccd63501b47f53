"""The rows: what is measured against what."""

import itertools
import json
import random
import resource
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from accounts import staff
from accounts.models import Account, Membership, Person
from events import keys
from events.ingest import ingest
from events.models import Event, IngestKey
from events.validation import COLUMNS
from lifecycle.journeys import blueprint
from lifecycle.runner.look import look_at
from lifecycle.runner.tick import tick
from tests.bench.__main__ import Row
from tests.bench.statements import BARE_INSERT, BARE_TABLE

CHANCE = random.Random(20)


def fast() -> Any:
    """A bare psycopg cursor on our connection."""
    connection.ensure_connection()
    return connection.connection.cursor()


def publish_blueprint(now: datetime) -> None:
    staff.make_roles()
    author = staff.put_user("author", role="marketer", password=None)
    reviewer = staff.put_user("reviewer", role="reviewer", password=None)
    blueprint.load()
    blueprint.publish_all(author=author, reviewer=reviewer, now=now, since=now - timedelta(days=60))


# --- ingest -------------------------------------------------------------------------------------


# Many short rounds: a new file of PostgreSQL's log, every few dozen batches, then spoils one and not the median.
INGEST_ROUNDS, BATCHES = 30, 2


def message(account: str, person: str, now: datetime) -> dict[str, Any]:
    """A track call as Segment's Python library sends it."""
    return {
        "type": "track",
        "messageId": str(uuid.uuid4()),
        "userId": person,
        "event": "docs_viewed",
        "properties": {"path": "/docs/api-keys", "provider": "stripe"},
        "context": {
            "groupId": account,
            "library": {"name": "analytics-python", "version": "2.3.2"},
        },
        "timestamp": now.isoformat(),
        "integrations": {},
        "anonymousId": None,
    }


def bare_row(sent: dict[str, Any], account: int, person: int) -> dict[str, Any]:
    """The same event as the row it becomes, worked out beforehand."""
    extra = {key: value for key, value in sent.items() if key not in COLUMNS}
    return {
        "m": sent["messageId"], "t": "track", "n": sent["event"], "a": account, "p": person, "x": "",
        "w": "user", "h": False, "o": sent["timestamp"], "d": sent["properties"], "e": extra,
    }  # fmt: skip


def ingest_rows() -> Iterator[Row | str]:
    key = _key()
    connection.cursor().execute(BARE_TABLE)
    for accounts, floor in ((5_000, 0.45), (50, 0.60)):
        known = population(accounts)
        yield Row(
            f"ingest, batches of 500 on {accounts} accounts",
            "events/s",
            floor,
            _ingesting(key, known),
            _inserting(known),
            rounds=INGEST_ROUNDS,
        )
        look_everybody_away()


def _key() -> IngestKey:
    return keys.create("bench")[0]


def population(count: int, *, email: bool = True) -> list[tuple[str, int, str, int]]:
    """Accounts with a person each, all known before: (account key, id, person key, id)."""
    stem = uuid.uuid4().hex[:6]
    since = timezone.now() - timedelta(days=10)
    accounts = Account.objects.bulk_create(
        [Account(external_id=f"{stem}-a{n}") for n in range(count)]
    )
    people = Person.objects.bulk_create(
        [
            Person(
                external_id=f"{stem}-p{n}",
                email=f"{stem}-p{n}@customer.example" if email else "",
            )
            for n in range(count)
        ]
    )
    Membership.objects.bulk_create(
        [
            Membership(
                account=account, person=person, role="admin", joined_at=since, role_since=since
            )
            for account, person in zip(accounts, people, strict=True)
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return [
        (account.external_id, account.pk, person.external_id, person.pk)
        for account, person in zip(accounts, people, strict=True)
    ]


def batches(
    known: list[tuple[str, int, str, int]], batches: int, size: int = 500
) -> list[list[tuple[dict[str, Any], int, int]]]:
    now = timezone.now()
    return [
        [
            (message(account, person, now), account_id, person_id)
            for account, account_id, person, person_id in CHANCE.choices(known, k=size)
        ]
        for _ in range(batches)
    ]


def _ingesting(key: IngestKey, known: list[tuple[str, int, str, int]]) -> Callable[[], int]:
    # Made beforehand, a load for every round and one to warm up.
    supply = [
        [[event for event, _, _ in batch] for batch in batches(known, BATCHES)]
        for _ in range(INGEST_ROUNDS + 1)
    ]

    def work() -> int:
        return sum(ingest(batch, key=key, now=timezone.now()).stored for batch in supply.pop())

    return work


def _inserting(known: list[tuple[str, int, str, int]]) -> Callable[[], int]:
    supply = [
        [json.dumps([bare_row(*event) for event in batch]) for batch in batches(known, BATCHES)]
        for _ in range(INGEST_ROUNDS + 1)
    ]

    def work() -> int:
        done = 0
        for packed in supply.pop():
            with transaction.atomic():
                cursor = fast()
                cursor.execute(BARE_INSERT, [timezone.now(), packed])
                done += cursor.rowcount
        return done

    return work


def look_everybody_away() -> None:
    """Nobody waits for a look any more."""
    Account.objects.update(next_look_at=None)


# --- look_at --------------------------------------------------------------------------------------

EVENTS_EACH = 20


def look_rows() -> Iterator[Row | str]:
    now = timezone.now()
    publish_blueprint(now)
    for chunk in (10, 25, 50):
        ours, theirs = _stalled(400, now), _stalled(400, now)
        look_at(ours, now=now)
        look_at(theirs, now=now)
        yield Row(
            f"look_at, {EVENTS_EACH} events each, chunks of {chunk}",
            "accounts/s",
            0.8,
            _looking(ours, chunk, now),
            _locking(theirs),
        )


def _stalled(count: int, now: datetime) -> list[int]:
    """Accounts in the middle of a setup, with twenty events each."""
    known = population(count)
    started = now - timedelta(minutes=50)
    rows = []
    names = ["integration_started", *["docs_viewed", "setup_page_viewed", "auth_failed"] * 7]
    for _, account, _, person in known:
        for number, name in enumerate(names[:EVENTS_EACH]):
            properties = {"integration_type": "api", "provider": "stripe"}
            at = started + timedelta(seconds=number * 120)
            rows.append(
                Event(
                    source="bench",
                    message_id=uuid.uuid4().hex,
                    type="track",
                    name=name,
                    account_id=account,
                    person_id=person,
                    occurred_at=at,
                    received_at=at,
                    properties=properties,
                    extra={},
                )
            )
    Event.objects.bulk_create(rows, batch_size=2000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return [account for _, account, _, _ in known]


def _looking(accounts: list[int], chunk: int, now: datetime) -> Callable[[], int]:
    later = itertools.count(1)

    def work() -> int:
        at = now + timedelta(milliseconds=next(later))
        for start in range(0, len(accounts), chunk):
            look_at(accounts[start : start + chunk], now=at)
        return len(accounts)

    return work


def _locking(accounts: list[int]) -> Callable[[], int]:
    def work() -> int:
        for account in accounts:
            with transaction.atomic():
                cursor = fast()
                cursor.execute(
                    "SELECT id FROM accounts_account WHERE id = %s FOR NO KEY UPDATE", [account]
                )
                cursor.execute(
                    "SELECT id, name, occurred_at, received_at, person_id, properties, actor "
                    "FROM events_event WHERE account_id = %s ORDER BY id",
                    [account],
                )
                cursor.fetchall()
                cursor.execute(
                    "UPDATE accounts_account SET next_look_at = %s WHERE id = %s",
                    [timezone.now() + timedelta(days=1), account],
                )
        return len(accounts)

    return work


# --- tick -----------------------------------------------------------------------------------------


def tick_rows() -> Iterator[Row | str]:
    """A tick with nothing due, at ten thousand and at a million idle enrolments, after churn."""
    times = {}
    for idle in (10_000, 1_000_000):
        _idle_accounts(idle)
        times[idle] = _tick_ms()
        yield f"tick with nothing due, {idle:>9,} idle accounts: {times[idle]:.2f} ms"
    ratio = times[1_000_000] / times[10_000]
    yield f"a million against ten thousand: {ratio:.2f} (at most 1.50: {'ok' if ratio <= 1.5 else 'ABOVE'})"


def _idle_accounts(total: int) -> None:
    """So many accounts that wait for a time far away; each was moved a few times, as in real life."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_account (environment, external_id, name, plan, acquisition_source, "
            "time_zone, language, traits, traits_at, created_at, admin_outreach, next_look_at, history_version, looks_begun) "
            "SELECT 'production', 'idle-' || n || '-' || %s, '', '', '', '', '', '{}', NULL, now(), true, "
            "now() + interval '1 day' * (1 + n %% 20), 0, 0 FROM generate_series(1, %s) AS n",
            [uuid.uuid4().hex, total],
        )
        for _ in range(3):
            cursor.execute(
                "UPDATE accounts_account SET next_look_at = next_look_at + interval '1 second' "
                "WHERE external_id LIKE 'idle-%' AND id % 50 = 0"
            )
        cursor.execute("VACUUM ANALYZE accounts_account")


def _tick_ms() -> float:
    took = []
    for _ in range(60):
        began = time.perf_counter()
        tick(timezone.now())
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


# --- a long log -----------------------------------------------------------------------------------


def long_rows() -> Iterator[Row | str]:
    """An account with a hundred thousand events: the first look, and a look at one more event."""
    now = timezone.now()
    publish_blueprint(now)
    ((_, account, _, person),) = population(1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (source, message_id, type, name, account_id, person_id, anonymous_id, "
            "actor, environment, occurred_at, received_at, historical, properties, extra) "
            "SELECT 'bench', 'long-' || n, 'track', CASE WHEN n = 1 THEN 'integration_started' "
            "WHEN n %% 10 = 0 THEN 'auth_failed' ELSE 'docs_viewed' END, %s, %s, '', 'user', 'production', "
            "now() - interval '1 second' * (200000 - n), now(), false, "
            '\'{"integration_type": "api", "provider": "stripe"}\', \'{}\' '
            "FROM generate_series(1, 100000) AS n",
            [account, person],
        )
    before = peak_megabytes()
    began = time.perf_counter()
    look_at([account], now=now)
    first = time.perf_counter() - began
    Event.objects.create(
        source="bench", message_id="long-last", type="track", name="docs_viewed", account_id=account,
        person_id=person, occurred_at=now, received_at=now, properties={}, extra={},
    )  # fmt: skip
    began = time.perf_counter()
    look_at([account], now=now + timedelta(seconds=1))
    again = time.perf_counter() - began
    yield (
        f"100,000 events: first look {first:.1f} s, with one more event {again * 1000:.0f} ms, "
        f"memory +{peak_megabytes() - before:.0f} MB"
    )


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


GROUPS: dict[str, Callable[[], Iterator[Row | str]]] = {
    "ingest": ingest_rows,
    "look": look_rows,
    "tick": tick_rows,
    "long": long_rows,
}
