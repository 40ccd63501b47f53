"""The admin's lists of whom we do not write to."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import action

from accounts.actions import report_each
from accounts.filters import whether
from accounts.models import User
from accounts.readonly import ReadOnlyAdmin, ReadOnlyInline
from accounts.resources import Exchanging
from messaging import suppression
from messaging.models import (
    Address,
    Suppression,
)
from messaging.resources import SuppressionResource


@admin.register(Suppression)
class SuppressionAdmin(Exchanging, ReadOnlyAdmin):
    """Why we do not write to somebody. Lifting keeps the row, with who did it."""

    resource_classes: ClassVar = [SuppressionResource]

    list_display = ("address", "reason", "category", "source", "at", "lifted_at", "lifted_by")
    list_select_related = ("address", "lifted_by")
    list_filter = (
        "reason",
        "category",
        whether("lifted_at", title="suppression", yes="lifted", no="standing"),
    )
    search_fields = ("address__value", "source")
    actions: ClassVar = ["lift"]

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.change_suppression")

    @action(description="Lift: allow mail again", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        now = timezone.now()
        by = request.user
        assert isinstance(by, User)
        done = [suppression.lift(row, by=by, now=now) for row in queryset]
        report_each(request, done, did="lifted", skipped="lifted already")


class SuppressionInline(ReadOnlyInline):
    model = Suppression
    fields = ("reason", "category", "source", "at", "lifted_at", "lifted_by")
    readonly_fields = fields


@admin.register(Address)
class AddressAdmin(ReadOnlyAdmin):
    list_display = ("value",)
    search_fields = ("value",)
    inlines: ClassVar = [SuppressionInline]
