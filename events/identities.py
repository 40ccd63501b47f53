"""Who an event is about: accounts, people, the ids they had before, and who belongs where."""

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from accounts.models import Account, Membership, Person
from events import log

# Advisory locks stand in for rows that are not there yet (an anonymous id that nobody has linked).
# Their number bounds how many one batch can hold; the first figure, and the one after it for people, only
# keep them apart from whatever else might use advisory locks in this database.
LOCK_SPACE = 5_010
LOCK_BUCKETS = 1024


@dataclass(slots=True)
class Known:
    """What the database knows about the ids of a batch, missing rows created as stubs."""

    accounts: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    memberships: dict[int, list[Membership]] = field(default_factory=dict)

    def only_account_of(self, person_id: int | None) -> int | None:
        """The account of a person who belongs to exactly one; otherwise None."""
        if person_id is None:
            return None
        found = [each for each in self.memberships.get(person_id, ()) if each.ended_at is None]
        return found[0].account_id if len(found) == 1 else None

    def candidates(self, person_id: int | None) -> list[int]:
        """Every account that an event of this person may belong to: also those that they have left."""
        if person_id is None:
            return []
        return [each.account_id for each in self.memberships.get(person_id, ())]


def accounts(external_ids: Collection[str], environment: str, now: datetime) -> dict[str, int]:
    """The accounts with these ids, merged ones by the account they became; stubs for the unknown."""
    if not external_ids:
        return {}
    found = _accounts(external_ids, environment)
    missing = sorted(set(external_ids) - found.keys())
    if missing:
        # In one order everywhere, so that two batches that meet here wait instead of deadlocking.
        Account.objects.bulk_create(
            [
                Account(environment=environment, external_id=each, created_at=now)
                for each in missing
            ],
            ignore_conflicts=True,
        )
        found |= _accounts(missing, environment)
    return found


def _accounts(external_ids: Iterable[str], environment: str) -> dict[str, int]:
    sql = (
        "SELECT external_id, coalesce(merged_into_id, id) FROM accounts_account "  # noqa: S608
        f"WHERE environment = %s AND {log.among('external_id')}"
    )
    return dict(log.rows(sql, [environment, log.listed(external_ids)]))


def people(
    user_ids: Collection[str], anonymous_ids: Collection[str], environment: str, now: datetime
) -> tuple[dict[str, int], dict[str, int]]:
    """People by user id, stubs for the unknown; and people by the anonymous ids linked to them.

    A user id that is no person but was given up by an alias is the person it became.
    """
    found = _people(user_ids, environment) if user_ids else {}
    missing = sorted(set(user_ids) - found.keys())
    links: dict[str, int] = {}
    wanted = [*anonymous_ids, *missing]
    if wanted:
        sql = (
            "SELECT a.value, coalesce(p.merged_into_id, p.id) FROM accounts_anonymousid a "  # noqa: S608
            "JOIN accounts_person p ON p.id = a.person_id "
            f"WHERE a.environment = %s AND {log.among('a.value')}"
        )
        links = dict(log.rows(sql, [environment, log.listed(wanted)]))
    if missing:
        found |= {each: links[each] for each in missing if each in links}
        unknown = [each for each in missing if each not in links]
        Person.objects.bulk_create(
            [Person(environment=environment, external_id=each, created_at=now) for each in unknown],
            ignore_conflicts=True,
        )
        found |= _people(unknown, environment)
    return found, links


def _people(user_ids: Iterable[str], environment: str) -> dict[str, int]:
    sql = (
        "SELECT external_id, coalesce(merged_into_id, id) FROM accounts_person "  # noqa: S608
        f"WHERE environment = %s AND {log.among('external_id')}"
    )
    return dict(log.rows(sql, [environment, log.listed(user_ids)]))


def memberships(person_ids: Collection[int]) -> dict[int, list[Membership]]:
    """Every membership of these people, ended ones too."""
    found: dict[int, list[Membership]] = {}
    if person_ids:
        for each in Membership.objects.filter(person_id__in=person_ids).order_by("pk"):
            found.setdefault(each.person_id, []).append(each)
    return found


def hold(*, changed: Iterable[str], read: Iterable[str]) -> None:
    """Keep others from changing who these ids are (`changed`: also from reading it) until commit.

    Without it a track that sees no membership yet and the group call that creates it, both under
    way at once, would miss each other, and the track would stay unplaced for ever.
    SQLite has one writer at a time and needs none of this.
    """
    _hold(
        LOCK_SPACE,
        {zlib.crc32(name.encode()): False for name in read}
        | {zlib.crc32(name.encode()): True for name in changed},
    )


def hold_people(*, changed: Iterable[int], read: Iterable[int]) -> None:
    """The same for people by their row, whichever of their ids a call names: an alias gives them several.

    Comes after `hold`, and before anybody asks where these people belong.
    """
    _hold(LOCK_SPACE + 1, dict.fromkeys(read, False) | dict.fromkeys(changed, True))


def _hold(space: int, wanted: Mapping[int, bool]) -> None:
    """Take these locks of one space in one order until commit, exclusively where it says so."""
    if connection.vendor != "postgresql" or not wanted:
        return
    buckets: dict[int, bool] = {}
    for number, exclusive in wanted.items():
        bucket = number % LOCK_BUCKETS
        buckets[bucket] = exclusive or buckets.get(bucket, False)
    numbers = sorted(buckets)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN exclusive THEN pg_advisory_xact_lock(%s, bucket) "
            "ELSE pg_advisory_xact_lock_shared(%s, bucket) END "
            "FROM unnest(%s::int[], %s::bool[]) AS t(bucket, exclusive)",
            [space, space, numbers, [buckets[each] for each in numbers]],
        )


def traits_merged(
    row: Account | Person, traits: dict[str, Any], at: datetime | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All traits of the row after these arrived, and those of them that now count.

    Traits that are older than what we know, or of no time, fill blanks and overwrite nothing.
    """
    if at is None or (row.traits_at is not None and at < row.traits_at):
        counting = {key: value for key, value in traits.items() if key not in row.traits}
        return {**counting, **row.traits}, counting
    return {**row.traits, **traits}, traits
