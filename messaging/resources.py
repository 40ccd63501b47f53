"""Suppressions in and out as files: what another system knew, and what we know."""

from typing import Any

from import_export import fields, resources, widgets

from accounts.models import ConsentCategory
from accounts.tables import FORMULA
from messaging import addresses
from messaging.models import Address, Suppression


class AddressWidget(widgets.Widget):  # type: ignore[misc]
    """An address by its value, in the spelling under which it is known."""

    def clean(self, value: Any, row: Any = None, **named: Any) -> Address:  # noqa: ARG002
        email = str(value or "")
        if not addresses.usable(email):
            raise ValueError(f"{email!r} is not an e-mail address.")
        return Address.objects.get(pk=addresses.known([email])[addresses.normalise(email)])

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


class SuppressionResource(resources.ModelResource):  # type: ignore[misc]
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
        # A file without a category means every kind of mail, so the column may be missing.
        import_id_fields = ("address", "reason")
        skip_unchanged = True
        report_skipped = True
        use_transactions = True

    def get_instance(self, instance_loader: Any, row: Any) -> Suppression | None:  # noqa: ARG002
        """The standing suppression that the row repeats; lifted ones are history."""
        address = self.fields["address"].clean(row)
        reason = self.fields["reason"].clean(row)
        category = self.fields["category"].clean(row)
        rows = Suppression.objects.filter(address=address, reason=reason, category=category)
        return rows.filter(lifted_at=None).first()

    def before_import_row(self, row: Any, **named: Any) -> None:
        user = named.get("user")
        row.setdefault("reason", "")
        row.setdefault("category", "")
        row["source"] = row.get("source") or f"import by {user or 'staff'}"

    def skip_row(self, _instance: Any, original: Any, _row: Any, *_: Any, **__: Any) -> bool:
        return original.pk is not None

    def export_field(self, field: Any, instance: Any, **named: Any) -> Any:
        value = super().export_field(field, instance, **named)
        # `source` holds what providers said; a spreadsheet must not run it.
        return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value

    def get_import_fields(self) -> list[Any]:
        # When it began and ended is ours to say: an import is neither backdated nor a way to lift.
        return [self.fields[name] for name in ("address", "reason", "category", "source")]

    def get_queryset(self) -> Any:
        return super().get_queryset().select_related("address")
