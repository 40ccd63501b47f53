"""Suppressions in and out as files: what another system knew, and what we know."""

from datetime import datetime
from typing import Any

from import_export import fields, widgets

from accounts.models import ConsentCategory
from accounts.tables import Table, chunks, column
from messaging import addresses
from messaging.models import Address, Suppression


class AddressWidget(widgets.Widget):  # type: ignore[misc]
    """An address by its value, in the spelling under which it is known; a new one is not stored yet."""

    # By value.
    known: dict[str, Address]

    def clean(self, value: Any, row: Any = None, **named: Any) -> Address:  # noqa: ARG002
        email = str(value or "")
        if not addresses.usable(email):
            raise ValueError(f"{email!r} is not an e-mail address.")
        value = addresses.normalise(email)
        return self.known.get(value) or Address(value=value)

    def render(self, value: Any, obj: Any = None, **named: Any) -> str:  # noqa: ARG002
        return value.value if value else ""


class ReasonWidget(widgets.CharWidget):  # type: ignore[misc]
    """One of the reasons we know; empty means that staff said so."""

    def clean(self, value: Any, row: Any = None, **named: Any) -> str:  # noqa: ARG002
        reason = str(value or Suppression.Reason.STAFF)
        if reason not in Suppression.Reason.values:
            raise ValueError(f"{reason!r} is none of {', '.join(Suppression.Reason.values)}.")
        return reason


class CategoryWidget(widgets.CharWidget):  # type: ignore[misc]
    """A kind of mail; empty means every kind."""

    def clean(self, value: Any, row: Any = None, **named: Any) -> str:  # noqa: ARG002
        category = str(value or "")
        if category and category not in ConsentCategory.values:
            raise ValueError(f"{category!r} is none of {', '.join(ConsentCategory.values)}.")
        return category


class SuppressionResource(Table):
    """Columns: address, reason, category, source, at, lifted_at.

    Importing adds what does not stand already; it lifts nothing.
    """

    address = fields.Field("address", "address", widget=AddressWidget())
    reason = fields.Field("reason", "reason", widget=ReasonWidget())
    category = fields.Field("category", "category", widget=CategoryWidget())

    class Meta:
        model = Suppression
        fields = ("address", "reason", "category", "source", "at", "lifted_at")
        export_order = fields
        # No reason means that staff said so and no category every kind of mail, so both may be missing.
        import_id_fields = ("address",)
        report_skipped = True

    def key(self, instance: Suppression) -> tuple[str, str, str]:
        return instance.address.value, instance.reason, instance.category

    def read(self, dataset: Any) -> None:
        named = {addresses.normalise(cell) for cell in column(dataset, "address")}
        known = [row for some in chunks(named) for row in Address.objects.filter(value__in=some)]
        self.fields["address"].widget.known = {row.value: row for row in known}
        standing = Suppression.objects.filter(lifted_at=None).select_related("address")
        # Lifted ones are history.
        self.before = {
            self.key(row): row
            for some in chunks(known)
            for row in standing.filter(address__in=some)
        }

    def get_instance(self, _loader: Any, row: Any) -> Suppression | None:
        """The standing suppression that the row repeats."""
        address, reason, category = (
            self.fields[name].clean(row) for name in ("address", "reason", "category")
        )
        return self.before.get((address.value, reason, category))

    def before_import_row(self, row: Any, **named: Any) -> None:
        super().before_import_row(row, **named)
        user = named.get("user")
        row.setdefault("reason", "")
        row.setdefault("category", "")
        row["source"] = row.get("source") or f"import by {user or 'staff'}"

    def skip_row(self, instance: Any, original: Any, _row: Any, *_: Any, **__: Any) -> bool:
        return original.pk is not None or self.key(instance) in self.changed

    def write(self, now: datetime) -> None:
        # Claims wait for the same locks: once this is stored, none follows.
        ids = addresses.lock(value for value, _, _ in self.changed)
        for (value, _, _), row in self.changed.items():
            row.address = Address(pk=ids[value], value=value)
        super().write(now)

    def get_import_fields(self) -> list[Any]:
        # When it began and ended is ours to say: an import is neither backdated nor a way to lift.
        return [self.fields[name] for name in ("address", "reason", "category", "source")]

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("address")
