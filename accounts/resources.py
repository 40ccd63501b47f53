"""Accounts, people and memberships as CSV or XLSX, in both directions.

What is imported is what the customer's product would have told us. Every account it touches is
locked before, in the order of the ids, and waits for a look afterwards.
"""

from collections import Counter
from collections.abc import Iterable
from copy import copy
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.shortcuts import redirect
from django.utils import timezone
from import_export import fields, widgets
from import_export.admin import ExportMixin, ImportMixin
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from accounts import cells
from accounts.models import Account, AnonymousId, Environment, Membership, Person, Role
from accounts.tables import Table, chunks, column, shorten


class Exchanged(Table):
    """What all three have in common: environments, locks and marks."""

    # The first row about each thing.
    first_rows: dict[tuple[str, ...], int]

    def needed(self) -> list[str]:
        return [name for name in super().needed() if name != "environment"]

    def before_import_row(self, row: dict[str, Any], **named: Any) -> None:
        super().before_import_row(row, **named)
        row["environment"] = row.get("environment") or Environment.PRODUCTION.value
        ids = tuple(str(row[name] or "") for name in self.needed())
        first = self.first_rows.setdefault((row["environment"], *ids), named["row_number"])
        if all(ids) and first != named["row_number"]:
            kind = self._meta.model._meta.verbose_name
            raise ValidationError({self.needed()[-1]: f"Row {first} is about the same {kind}."})

    def read(self, dataset: Any) -> None:
        self.first_rows = {}
        if "environment" not in dataset.headers:
            worlds = [Environment.PRODUCTION.value] * len(dataset)
            dataset.append_col(worlds, header="environment")
        self.find_rows(dataset)

    def lock(self) -> None:
        for some in chunks(sorted(self.accounts_before())):
            Account.objects.locked(some)

    def write(self, now: datetime) -> None:
        super().write(now)
        for some in chunks(sorted(self.accounts_after())):
            Account.objects.filter(pk__in=some).mark_changed(now)

    def find_rows(self, dataset: Any) -> None:
        """Look up what the rows of the table speak of, `before` among it."""
        raise NotImplementedError

    def accounts_before(self) -> set[int]:
        """The accounts that depend on what was found."""
        raise NotImplementedError

    def accounts_after(self) -> set[int]:
        """The accounts that depend on what was written."""
        raise NotImplementedError


class Known:
    """Where ids lead by now: also to what a row was merged into, or to whom an id was given up for."""

    def __init__(self, model: type[Model], names: set[str]) -> None:
        self._by_name: dict[tuple[str, str], Any] = {}
        rows: QuerySet[Any] = model._default_manager.select_related("merged_into")
        given_up = AnonymousId.objects.select_related("person__merged_into")
        for some in chunks(names):
            if model is Person:
                for given in given_up.filter(value__in=some):
                    self._by_name[given.environment, given.value] = _final(given.person)
            for row in rows.filter(external_id__in=some):
                self._by_name[row.environment, row.external_id] = _final(row)

    def get(self, environment: str, name: str) -> Any:
        """The row, or None."""
        return self._by_name.get((environment, name))

    @property
    def leads(self) -> dict[tuple[str, str], int]:
        """The row's key by environment and id."""
        return {name: row.pk for name, row in self._by_name.items()}

    @property
    def rows(self) -> list[Any]:
        return list(self._by_name.values())

    @property
    def ids(self) -> set[int]:
        return {row.pk for row in self.rows}


def _final(row: Any) -> Any:
    return row.merged_into or row


def accounts_of(people: Iterable[int]) -> set[int]:
    """The accounts that these people are or were in."""
    return {
        account
        for some in chunks(people)
        for account in Membership.objects.filter(person__in=some).values_list("account", flat=True)
    }


class Identified(Exchanged):
    """What has an id of its own, which may lead to another row by now."""

    known: Known

    def key(self, instance: Any) -> tuple[str, str]:
        return instance.environment, instance.external_id

    def find_rows(self, dataset: Any) -> None:
        self.known = Known(self._meta.model, column(dataset, "external_id"))
        self.before = {self.key(row): row for row in self.known.rows}

    def seen(self) -> Any:
        return super().seen(), self.known.leads

    def get_instance(self, _loader: Any, row: Any) -> Any:
        found = self.known.get(row["environment"], str(row["external_id"]))
        return found and copy(self.changed.get(self.key(found), found))

    def import_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        # Whoever is known under several ids keeps the one they have.
        own = {"external_id": instance.external_id} if instance.pk else {}
        super().import_instance(instance, {**row, **own}, **kwargs)


class AccountResource(Identified):
    value = cells.field("value", cells.Amount())
    time_zone = cells.field("time_zone", cells.Zone())
    created_at = cells.field("created_at", cells.Moment(), may_clear=False)
    closed_at = cells.field("closed_at", cells.Moment())

    class Meta:
        model = Account
        import_id_fields = ("environment", "external_id")
        fields = (
            "environment", "external_id", "name", "plan", "value", "acquisition_source",
            "time_zone", "language", "admin_outreach", "created_at", "closed_at",
        )  # fmt: skip
        skip_unchanged = True
        report_skipped = True

    written = Meta.fields[2:]

    def import_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        super().import_instance(instance, row, **kwargs)
        if instance.pk is None and instance.closed_at and not row.get("created_at"):
            instance.created_at = instance.closed_at
        if instance.closed_at and instance.closed_at < instance.created_at:
            raise ValidationError(
                {"closed_at": f"It lies before created_at, {instance.created_at}."}
            )

    def accounts_before(self) -> set[int]:
        return self.known.ids

    def accounts_after(self) -> set[int]:
        return {account.pk for account in self.changed.values()}


class PersonResource(Identified):
    email = cells.field("email", cells.Address())
    time_zone = cells.field("time_zone", cells.Zone())
    created_at = cells.field("created_at", cells.Moment(), may_clear=False)

    class Meta:
        model = Person
        import_id_fields = ("environment", "external_id")
        fields = (
            "environment", "external_id", "email", "name", "time_zone", "language", "created_at",
        )  # fmt: skip
        skip_unchanged = True
        report_skipped = True

    written = Meta.fields[2:]

    def accounts_before(self) -> set[int]:
        return accounts_of(self.known.ids)

    def accounts_after(self) -> set[int]:
        return accounts_of(person.pk for person in self.changed.values())


class InEnvironment(widgets.ForeignKeyWidget):  # type: ignore[misc]
    """Finds the row that an id leads to in the world that the line names."""

    known: Known

    def __init__(self, model: type[Model]) -> None:
        super().__init__(model, field="external_id")

    def clean(self, value: Any, row: Any = None, **_: Any) -> Any:
        name = self.model._meta.verbose_name
        if not value:
            raise ValueError(f"The line names no {name}.")
        found = self.known.get(row["environment"], str(value))
        if found is None:
            raise ValueError(f"There is no {name} {value!r}; import it first.")
        return found


class MembershipResource(Exchanged):
    environment = fields.Field(
        attribute="account__environment", column_name="environment", readonly=True
    )
    account = fields.Field(
        attribute="account", column_name="account", widget=InEnvironment(Account)
    )
    person = fields.Field(attribute="person", column_name="person", widget=InEnvironment(Person))
    joined_at = cells.field("joined_at", cells.Moment(), may_clear=False)
    ended_at = cells.field("ended_at", cells.Moment())
    accounts: Known
    people: Known
    roles: set[str]
    unknown_roles: Counter[str]

    class Meta:
        model = Membership
        import_id_fields = ("account", "person")
        fields = ("environment", "account", "person", "role", "joined_at", "ended_at")
        skip_unchanged = True
        report_skipped = True

    written = ("role", "role_since", "role_said_at", "joined_at", "ended_at")

    def key(self, instance: Any) -> tuple[int, int]:
        return instance.account_id, instance.person_id

    def find_rows(self, dataset: Any) -> None:
        self.accounts = Known(Account, column(dataset, "account"))
        self.people = Known(Person, column(dataset, "person"))
        self.roles = set(Role.objects.values_list("key", flat=True))
        self.unknown_roles = Counter()
        self.fields["account"].widget.known = self.accounts
        self.fields["person"].widget.known = self.people
        self.before = {
            self.key(row): row
            for some in chunks(self.people.ids)
            for row in Membership.objects.filter(person__in=some).select_related(
                "account", "person"
            )
        }

    def accounts_before(self) -> set[int]:
        return self.accounts.ids

    def accounts_after(self) -> set[int]:
        return {row.account_id for row in self.changed.values()}

    def seen(self) -> Any:
        return super().seen(), self.accounts.leads, self.people.leads

    def get_instance(self, _loader: Any, row: Any) -> Any:
        account = self.accounts.get(row["environment"], str(row["account"]))
        person = self.people.get(row["environment"], str(row["person"]))
        if account is None or person is None:
            # Said cell by cell when the line is read.
            return None
        key = account.pk, person.pk
        found = self.changed.get(key) or self.before.get(key)
        return found and copy(found)

    def import_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        before = instance.role
        super().import_instance(instance, row, **kwargs)
        if instance.role and instance.role not in self.roles:
            self.unknown_roles[instance.role] += 1
        if instance.role != before:
            instance.role_since = instance.role_said_at = timezone.now()
        if instance.pk is None and instance.ended_at and not row.get("joined_at"):
            instance.joined_at = instance.ended_at
        if instance.pk is None:
            # The role that somebody comes with is no change of role, which would start a clock anew.
            instance.role_since = instance.joined_at
        if instance.ended_at and instance.ended_at < instance.joined_at:
            raise ValidationError({"ended_at": f"It lies before joined_at, {instance.joined_at}."})

    def remarks(self) -> list[str]:
        # Taken all the same, as from an event: what a role grants may be said here later.
        if not self.unknown_roles:
            return []
        strange = ", ".join(f"{role} ({rows:,})" for role, rows in self.unknown_roles.items())
        known = ", ".join(sorted(self.roles)) or "none"
        return [
            "These roles are not known here, so they grant nothing (in how many rows): "
            f"{strange}. Known are: {known}."
        ]


class Exporting(ExportMixin):  # type: ignore[misc]
    """An admin list whose rows may be taken away by whoever may see them."""

    export_form_class = ExportForm

    def has_export_permission(self, request: Any) -> bool:
        meta = self.model._meta
        return bool(request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}"))


class Exchanging(ImportMixin, Exporting):  # type: ignore[misc]
    """An admin list that also takes rows in, from whoever may add them; first as a preview."""

    import_form_class = ImportForm
    import_export_change_list_template = "admin/import_export/change_list_import_export.html"

    def has_import_permission(self, request: Any) -> bool:
        meta = self.model._meta
        return bool(request.user.has_perm(f"{meta.app_label}.add_{meta.model_name}"))

    def import_action(self, request: Any, **kwargs: Any) -> Any:
        answer = super().import_action(request, **kwargs)
        result = answer.context_data.get("result")
        if result is not None:
            if said := shorten(result):
                messages.info(request, said)
            for remark in result.remarks:
                messages.warning(request, remark)
        return answer

    def process_result(self, result: Any, request: Any) -> Any:
        if not result.has_errors():
            return super().process_result(result, request)
        # The preview had found none: something changed since, and nothing of the file was kept.
        wrong = [*result.base_errors, *(each for _, row in result.row_errors() for each in row)]
        messages.error(request, f"Nothing was imported. {wrong[0].error}")
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_import")

    def add_data_read_fail_error_to_form(self, form: Any, _error: Exception) -> None:
        form.add_error(
            "import_file",
            "The file cannot be read in the format chosen. Is it that format, are its letters UTF-8, "
            "and has every line as many cells as the first?",
        )
