"""Their names, not ours: events are stored as they came, and read under the names of the catalogue.

Nothing stored is rewritten: a changed name or rule changes what is read, and state folds again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.models import Account
from events.models import Event, EventName

# How many recent events a preview shows.
PREVIEWED = 10


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one of our properties comes from: a place in theirs, looked up in a table, or a constant."""

    path: tuple[str, ...] = ()
    constant: Any = None
    table: Mapping[str, Any] | None = None

    def of(self, properties: Mapping[str, Any]) -> Any:
        """The value; None where they do not say it."""
        if not self.path:
            return self.constant
        value: Any = properties
        for step in self.path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if self.table is None or value is None:
            return value
        return self.table.get(value if isinstance(value, str) else json.dumps(value))


def rules(fields: Any) -> dict[str, Rule]:
    """The rules that a row's `fields` write down. Raises ValueError with the place of what is wrong."""
    if not isinstance(fields, dict):
        raise ValueError("It must be an object: our property → where it stands.")
    found = {}
    for name, written in fields.items():
        if not isinstance(written, dict) or not written.keys() <= {"path", "constant", "table"}:
            raise ValueError(f"{name}: write a path (and perhaps a table) or a constant.")
        if ("path" in written) == ("constant" in written):
            raise ValueError(f"{name}: write either a path or a constant.")
        path, table = written.get("path"), written.get("table")
        if "path" in written and not (isinstance(path, str) and all(path.split("."))):
            raise ValueError(f"{name}: a path is text such as vendor.name.")
        if table is not None and not isinstance(table, dict):
            raise ValueError(f"{name}: a table is an object: their value → ours.")
        found[name] = Rule(tuple(path.split(".")) if path else (), written.get("constant"), table)
    return found


@dataclass(frozen=True, slots=True)
class Naming:
    """Every incoming name at one moment. Two with one `fingerprint` read everything alike."""

    names: Mapping[str, tuple[str, Mapping[str, Rule]]]
    fingerprint: str

    def read(self, name: str, properties: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The event under our name, with the properties that we need beside theirs."""
        known = self.names.get(name)
        if known is None:
            return name, properties
        ours, fields = known
        said = {
            key: value for key, rule in fields.items() if (value := rule.of(properties)) is not None
        }
        return ours, {**properties, **said} if said else properties

    def sent_as(self, names: Iterable[str]) -> frozenset[str]:
        """These names of ours, and every name under which they arrive."""
        wanted = frozenset(names)
        return wanted | {theirs for theirs, (ours, _) in self.names.items() if ours in wanted}


def current() -> Naming:
    """The names as they stand in the database; one query."""
    rows = list(
        EventName.objects.order_by("name").values_list("name", "event_type__name", "fields")
    )
    written = json.dumps(rows, sort_keys=True)
    names: dict[str, tuple[str, Mapping[str, Rule]]] = {}
    for name, ours, fields in rows:
        try:
            names[name] = (ours, rules(fields))
        except ValueError:
            # Written past the form: the name still counts, and no event is refused because of it.
            names[name] = (ours, {})
    return Naming(names, hashlib.sha256(written.encode()).hexdigest() if rows else "")


@dataclass(frozen=True, slots=True)
class Preview:
    """One recent event, as it came and as it would be read."""

    event: Event
    name: str
    properties: Mapping[str, Any]


def preview(row: EventName) -> list[Preview]:
    """How the latest events of this name would be read. Raises ValueError for rules that are wrong."""
    naming = Naming({row.name: (row.event_type.name, rules(row.fields))}, "")
    latest = Event.objects.filter(name=row.name).order_by("-pk")[:PREVIEWED]
    return [Preview(event, *naming.read(event.name, event.properties)) for event in latest]


def fold_again(name: str, *, now: datetime) -> int:
    """Have every account with events of this name looked at anew; how many they are."""
    ids = list(
        Event.objects.filter(name=name, account__isnull=False)
        .order_by()
        .values_list("account", flat=True)
        .distinct()
    )
    with transaction.atomic():
        Account.objects.locked(ids)
        marked = Account.objects.filter(pk__in=ids)
        marked.mark_changed(now)
        return marked.update(history_version=F("history_version") + 1)
