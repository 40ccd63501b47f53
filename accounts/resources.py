"""Accounts, people and memberships as CSV or XLSX, in both directions.

What is imported is what the customer's product would have told us. Every account it touches is
locked before, in the order of the ids, and waits for a look afterwards.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from import_export import fields, resources, results, widgets
from import_export.admin import ExportMixin, ImportMixin
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from accounts import cells
from accounts.models import Account, AnonymousId, Environment, Membership, Person

# What other programs put between the columns of what they call CSV.
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
# A spreadsheet runs a cell that begins with one of these (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Said(results.Error):  # type: ignore[misc]
    """An error in words alone: whoever uploads a table can do nothing with our code's."""

    traceback = ""


class Exchanged(resources.ModelResource):  # type: ignore[misc]
    """What all three have in common: safe cells, environments, locks and marks."""

    touched: set[int]

    @classmethod
    def get_error_result_class(cls) -> type[Said]:
        return Said

    def import_data(
        self, dataset: Any, dry_run: bool = False, raise_errors: bool = False, **how: Any
    ) -> Any:
        said = self._unusable(dataset.headers or [])
        if said is None:
            return super().import_data(dataset, dry_run, raise_errors, **how)
        if raise_errors:
            raise ValueError(said)
        result = self.get_result_class()()
        result.append_base_error(Said(ValueError(said)))
        return result

    def _unusable(self, headers: list[Any]) -> str | None:
        """Why no line of a table with these columns can be read; None where that is not so."""
        needed = [name for name in self.get_import_id_fields() if name != "environment"]
        missing = [name for name in needed if name not in headers]
        if not missing:
            return None
        for separator, name in OTHER_SEPARATORS.items():
            if headers and separator in str(headers[0]):
                return (
                    f"The columns are separated by {name}. Save the table with commas between them."
                )
        columns, has = ", ".join(missing), ", ".join(map(str, headers)) or "none"
        return f"The first line must name the columns, and these are missing: {columns}. It names: {has}."

    def before_import(self, dataset: Any, **_: Any) -> None:
        if "environment" not in (dataset.headers or ()):
            column = [Environment.PRODUCTION.value] * len(dataset)
            dataset.append_col(column, header="environment")
        self.touched = set()
        locked = self.accounts_of(dataset).order_by("pk").select_for_update(no_key=True)
        list(locked.values_list("pk", flat=True))

    def before_import_row(self, row: dict[str, Any], **_: Any) -> None:
        for name, value in row.items():
            if isinstance(value, str):
                cell = value.strip()
                row[name] = cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULA else cell
        row["environment"] = row.get("environment") or Environment.PRODUCTION.value

    def export_field(self, field: Any, instance: Any, **kwargs: Any) -> Any:
        value = super().export_field(field, instance, **kwargs)
        return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value

    def after_import(self, _dataset: Any, _result: Any, **_: Any) -> None:
        Account.objects.filter(pk__in=self.touched).mark_changed(timezone.now())

    def accounts_of(self, dataset: Any) -> QuerySet[Account]:
        """The accounts that these rows touch."""
        raise NotImplementedError


def column(dataset: Any, name: str) -> set[str]:
    return {str(value).strip() for value in dataset[name]} if name in dataset.headers else set()


def find(model: type[Model], environment: str, external_id: str) -> Any:
    """The row that this id leads to by now: also one that it was merged into, or whom it was given up for."""
    rows = model._default_manager.select_related("merged_into")
    row: Any = rows.filter(environment=environment, external_id=external_id).first()
    if row is None and model is Person:
        ids = AnonymousId.objects.select_related("person__merged_into")
        given_up = ids.filter(environment=environment, value=external_id).first()
        row = given_up and given_up.person
    return row and (row.merged_into or row)


def accounts_named(names: set[str]) -> QuerySet[Account]:
    """The accounts that these ids lead to."""
    named = Account.objects.filter(external_id__in=names)
    return Account.objects.filter(Q(pk__in=named) | Q(pk__in=named.values("merged_into")))


class Identified(Exchanged):
    """What has an id of its own, which may lead to another row by now."""

    def get_instance(self, _loader: Any, row: Any) -> Any:
        return find(self._meta.model, row["environment"], str(row["external_id"]))

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
        clean_model_instances = True
        use_transactions = True

    def accounts_of(self, dataset: Any) -> QuerySet[Account]:
        return accounts_named(column(dataset, "external_id"))

    def after_save_instance(self, instance: Any, _row: Any, **_: Any) -> None:
        self.touched.add(instance.pk)


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
        clean_model_instances = True
        use_transactions = True

    def accounts_of(self, dataset: Any) -> QuerySet[Account]:
        names = column(dataset, "external_id")
        people = Person.objects.filter(
            Q(external_id__in=names)
            | Q(pk__in=Person.objects.filter(external_id__in=names).values("merged_into"))
            | Q(pk__in=AnonymousId.objects.filter(value__in=names).values("person"))
        )
        return Account.objects.filter(
            pk__in=Membership.objects.filter(person__in=people).values("account")
        )

    def after_save_instance(self, instance: Any, _row: Any, **_: Any) -> None:
        self.touched.update(instance.memberships.values_list("account", flat=True))


class InEnvironment(widgets.ForeignKeyWidget):  # type: ignore[misc]
    """Finds the row that an id leads to in the world that the line names."""

    def __init__(self, model: type[Model]) -> None:
        super().__init__(model, field="external_id")

    def clean(self, value: Any, row: Any = None, **_: Any) -> Any:
        name = self.model._meta.verbose_name
        if not value:
            raise ValueError(f"The line names no {name}.")
        found = find(self.model, row["environment"], str(value))
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

    class Meta:
        model = Membership
        import_id_fields = ("account", "person")
        fields = ("environment", "account", "person", "role", "joined_at", "ended_at")
        skip_unchanged = True
        report_skipped = True
        clean_model_instances = True
        use_transactions = True

    def accounts_of(self, dataset: Any) -> QuerySet[Account]:
        return accounts_named(column(dataset, "account"))

    def get_instance(self, loader: Any, row: Any) -> Any:
        try:
            return super().get_instance(loader, row)
        except ValueError:
            # Said cell by cell when the line is read.
            return None

    def import_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        before = instance.role
        super().import_instance(instance, row, **kwargs)
        if instance.role != before:
            instance.role_since = instance.role_said_at = timezone.now()
        if instance.pk is None and instance.ended_at and not row.get("joined_at"):
            instance.joined_at = instance.ended_at
        if instance.ended_at and instance.ended_at < instance.joined_at:
            raise ValidationError({"ended_at": f"It lies before joined_at, {instance.joined_at}."})

    def after_save_instance(self, instance: Any, _row: Any, **_: Any) -> None:
        self.touched.add(instance.account_id)


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

    def add_data_read_fail_error_to_form(self, form: Any, _error: Exception) -> None:
        form.add_error(
            "import_file",
            "The file cannot be read in the format chosen. Is it that format, are its letters UTF-8, "
            "and has every line as many cells as the first?",
        )
