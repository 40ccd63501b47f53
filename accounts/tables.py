"""Tables of rows in and out: what is wrong with one in plain words, a preview that holds nobody up."""

from collections.abc import Collection, Hashable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from import_export import resources, results

# What other programs put between the columns of what they call CSV.
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
# A spreadsheet runs a cell that begins with one of these (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# So many values go into one query: databases take only so many parameters.
CHUNK = 500
# Rows of a preview that a page shows: ten thousand would make fifty megabytes.
SHOWN = 200


class Said(results.Error):  # type: ignore[misc]
    """An error in words alone: whoever uploads a table can do nothing with our code's."""

    traceback = ""


class Outcome(results.Result):  # type: ignore[misc]
    """What an import does, with what whoever confirms it should know though nothing is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.remarks: list[str] = []


class Difference(resources.Diff):  # type: ignore[misc]
    """What a row changes, in colours: read for a preview alone, and painted only when it is shown."""

    def __init__(self, resource: "Table", instance: Any, new: bool) -> None:
        self.left: list[str] = []
        self.right: list[str] = []
        self.new = new
        if resource.preview:
            super().__init__(resource, instance, new)

    def compare_with(self, resource: "Table", instance: Any) -> None:
        if resource.preview:
            super().compare_with(resource, instance)

    def as_html(self) -> "Difference":
        return self

    def __iter__(self) -> Iterator[str]:
        return iter(super().as_html())


class Table(resources.ModelResource):  # type: ignore[misc]
    """Reads all that its rows need at once, judges each row, and writes what they changed at the end.

    A preview leaves out the writing, so it takes no lock: on SQLite everybody else would wait for it.
    An import takes its locks for the writing, and judges again where what it read has changed by then.
    """

    preview = False
    # Whoever imports it.
    user: Any = None
    # By what tells a row apart: how it was before the import.
    before: dict[Any, Any]
    # By the same: what later rows of the table find, and what is written at the end.
    changed: dict[Any, Any]
    # What an import may change in a row that exists.
    written: Collection[str] = ()

    @cached_property
    def import_fields(self) -> list[Any]:
        return list(super().get_import_fields())

    def get_import_fields(self) -> list[Any]:
        # Asked for several times a row.
        return self.import_fields

    @classmethod
    def get_result_class(cls) -> type[Outcome]:
        return Outcome

    @classmethod
    def get_error_result_class(cls) -> type[Said]:
        return Said

    @classmethod
    def get_diff_class(cls) -> type[Difference]:
        return Difference

    def import_data(
        self, dataset: Any, dry_run: bool = False, raise_errors: bool = False, **how: Any
    ) -> Any:
        said = self.unusable(dataset)
        if said is not None:
            return self._refused(said, raise_errors)
        self.preview, self.user, self.changed = dry_run, how.get("user"), {}
        self.read(dataset)
        result = self._judged(dataset, raise_errors, **how)
        if dry_run or result.has_errors():
            return result
        seen = self.seen()
        try:
            with transaction.atomic():
                self.lock()
                self.read(dataset)
                if self.seen() != seen:
                    self.changed = {}
                    result = self._judged(dataset, raise_errors, **how)
                if not result.has_errors():
                    self.write(timezone.now())
        except IntegrityError:
            return self._refused(
                "Somebody else stored one of these rows meanwhile, so nothing of the table was kept. "
                "Import it again.",
                raise_errors,
            )
        return result

    def unusable(self, dataset: Any) -> str | None:
        """Why no line of the table can be taken; None where that is not so."""
        if len(dataset) > settings.IMPORT_MAX_ROWS:
            return (
                f"This file has {len(dataset):,} rows; import at most {settings.IMPORT_MAX_ROWS:,} "
                "at a time."
            )
        headers = dataset.headers or []
        missing = [name for name in self.needed() if name not in headers]
        if not missing:
            return self._unknown(headers)
        for separator, name in OTHER_SEPARATORS.items():
            if headers and separator in str(headers[0]):
                return (
                    f"The columns are separated by {name}. Save the table with commas between them."
                )
        columns, has = ", ".join(missing), ", ".join(map(str, headers)) or "none"
        return f"The first line must name the columns, and these are missing: {columns}. It names: {has}."

    def _unknown(self, headers: list[Any]) -> str | None:
        """Nobody types a column for nothing: what we would leave out is most likely misspelt."""
        known = self._meta.fields
        strange = [str(name) for name in headers if name and name not in known]
        if not strange:
            return None
        return f"These columns are not known: {', '.join(strange)}. Known are: {', '.join(known)}."

    def needed(self) -> list[str]:
        """The columns without which no line says anything."""
        return list(self.get_import_id_fields())

    def read(self, dataset: Any) -> None:
        """Look up what the rows speak of, `before` among it."""
        raise NotImplementedError

    def lock(self) -> None:
        """Lock what was read, where that has locks of its own."""

    def seen(self) -> Any:
        """What was read, as far as it decides what is written."""
        return {
            key: (row.pk, *(getattr(row, name) for name in self.written))
            for key, row in self.before.items()
        }

    def remarks(self) -> list[str]:
        """What is taken as it is, though it may be a mistake."""
        return []

    def key(self, instance: Any) -> Hashable:
        """What tells the row apart from others."""
        raise NotImplementedError

    def write(self, _now: datetime) -> None:
        """Store what the rows of the table changed."""
        rows = list(self.changed.values())
        known = [row for row in rows if row.pk is not None]
        new = [row for row in rows if row.pk is None]
        store = self._meta.model._default_manager.bulk_create
        store(new, batch_size=CHUNK)
        if known:
            # They are there, so this only updates; a statement for each would take four times as long.
            store(
                known,
                batch_size=CHUNK,
                update_conflicts=True,
                unique_fields=["pk"],
                update_fields=self.written,
            )

    def _refused(self, said: str, raise_errors: bool) -> Any:
        if raise_errors:
            raise ValueError(said)
        result = self.get_result_class()()
        result.append_base_error(Said(ValueError(said)))
        return result

    def _judged(self, dataset: Any, raise_errors: bool, **how: Any) -> Any:
        result = self.import_data_inner(
            dataset,
            self.preview,
            raise_errors,
            using_transactions=False,
            collect_failed_rows=False,
            **how,
        )
        result.remarks = self.remarks()
        return result

    def before_import_row(self, row: dict[str, Any], **_: Any) -> None:
        for name, value in row.items():
            row[name] = tidy(value)

    def validate_instance(
        self, instance: Any, import_validation_errors: Any = None, **_: Any
    ) -> None:
        """Ask the columns alone: what is known once, and what an id leads to, was looked up before."""
        errors = dict(import_validation_errors or {})
        relations = [each.name for each in instance._meta.fields if each.is_relation]
        try:
            instance.clean_fields(exclude={*errors, *relations})
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def save_instance(self, instance: Any, _is_create: bool, _row: Any, **_: Any) -> None:
        self.changed[self.key(instance)] = instance

    def export_field(self, field: Any, instance: Any, **kwargs: Any) -> Any:
        value = super().export_field(field, instance, **kwargs)
        return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value


def tidy(value: Any) -> Any:
    """A cell as it was meant: without blanks around it, what no database keeps, or a mark against formulas."""
    if not isinstance(value, str):
        return value
    cell = value.replace("\0", "").strip()
    return cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA else cell


def column(dataset: Any, name: str) -> set[str]:
    """What the cells of this column say; nothing where there is no such column."""
    return {str(tidy(cell)) for cell in dataset[name]} if name in dataset.headers else set()


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """The values in their order, as many at a time as go into one query."""
    rest = list(values)
    for start in range(0, len(rest), CHUNK):
        yield rest[start : start + CHUNK]


def shorten(result: results.Result) -> str:
    """Keep of a preview what a page can show, the rows that change something first; what it says in all."""
    if result.has_errors():
        return ""
    total, rows = result.totals, "row" if result.total_rows == 1 else "rows"
    said = (
        f"{result.total_rows:,} {rows}: {total['new']:,} new, {total['update']:,} changed, "
        f"{total['skip']:,} left as they are, {total['invalid']:,} wrong."
    )
    if max(len(result.rows), len(result.invalid_rows)) > SHOWN:
        said += f" The first {SHOWN:,} are shown."
    result.rows = sorted(result.rows, key=lambda row: row.is_skip())[:SHOWN]
    result.invalid_rows = result.invalid_rows[:SHOWN]
    return said
