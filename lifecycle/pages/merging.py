"""Merge an account or a person that is known under two ids: choose the other, see what happens, confirm."""

from typing import TypeVar

from django.contrib import messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import Account, Person
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.customer import CHANGE
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number
from lifecycle.runner.merging import accounts, people

MOST_OFFERED = 20
Row = TypeVar("Row", bound=Model)


@require_http_methods(["GET", "POST"])
@staff(CHANGE)
def merge_account(request: StaffRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(Account.objects.select_related("merged_into"), pk=pk)
    other, offered = _accounts(request, account)
    refused = accounts.refusal(account, other) if other else None
    if request.method == "POST" and other and not refused:
        refused = accounts.merge(
            pk, other.pk, seen=_seen(request), by=request.user, now=timezone.now()
        )
        if refused is None:
            # Most that are merged have the same name.
            said = (
                f"{account} ({account.external_id}) is part of {other} ({other.external_id}) now."
            )
            messages.success(request, said)
            return redirect("customer", other.pk)
    can_be = other is not None and accounts.refusal(account, other) is None
    merge = accounts.preview(account, other) if other and can_be else None
    return _page(request, "merge_account", account, other, offered, refused, merge)


@require_http_methods(["GET", "POST"])
@staff(CHANGE)
def merge_person(request: StaffRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(Person.objects.select_related("merged_into"), pk=pk)
    other, offered = _people(request, person)
    refused = people.refusal(person, other) if other else None
    if request.method == "POST" and other and not refused:
        refused = people.merge(
            pk, other.pk, seen=_seen(request), by=request.user, now=timezone.now()
        )
        if refused is None:
            messages.success(request, f"{person} and {other} are one person now.")
            return redirect("admin:accounts_person_change", other.pk)
    can_be = other is not None and people.refusal(person, other) is None
    merge = people.preview(person, other) if other and can_be else None
    return _page(request, "merge_person", person, other, offered, refused, merge)


def _page(
    request: StaffRequest,
    page: str,
    subject: Account | Person,
    other: Account | Person | None,
    offered: list[Account] | list[Person],
    refused: str | None,
    merge: accounts.Merge | people.Merge | None,
) -> HttpResponse:
    context = {
        "subject": subject,
        "other": other,
        "offered": offered,
        "asked": _asked(request),
        "refused": refused,
        "merge": merge,
    }
    return screen(request, page, context, title=f"Merge {subject}")


def _asked(request: StaffRequest) -> str:
    return request.GET.get("q", "").strip()[:254]


def _seen(request: StaffRequest) -> str:
    return request.POST.get("seen", "")


def _number(request: StaffRequest) -> int:
    text = request.POST.get("other", "") or request.GET.get("other", "")
    return whole_number(text) or 0


def _accounts(request: StaffRequest, account: Account) -> tuple[Account | None, list[Account]]:
    """The account that was chosen, else those to choose from: what was asked for, or what shares its people."""
    if number := _number(request):
        return get_object_or_404(Account, pk=number), []
    others = Account.objects.filter(environment=account.environment, merged_into=None)
    others = others.exclude(pk=account.pk).order_by("name", "pk")
    if asked := _asked(request):
        return _found(others, Q(external_id=asked), Q(name__icontains=asked))
    here = account.memberships.values("person_id")
    shares = others.filter(memberships__person__in=here) | _of_that_name(others, account)
    return None, list(shares.distinct()[:MOST_OFFERED])


def _of_that_name(others: QuerySet[Account], account: Account) -> QuerySet[Account]:
    return others.filter(name__iexact=account.name) if account.name else others.none()


def _people(request: StaffRequest, person: Person) -> tuple[Person | None, list[Person]]:
    """The person that was chosen, else those to choose from: what was asked for, or who has the same address."""
    if number := _number(request):
        return get_object_or_404(Person, pk=number), []
    others = Person.objects.filter(environment=person.environment, merged_into=None)
    others = others.exclude(pk=person.pk).order_by("name", "pk")
    if asked := _asked(request):
        return _found(others, Q(external_id=asked), Q(email__iexact=asked))
    same = others.filter(email__iexact=person.email) if person.email else others.none()
    return None, list(same[:MOST_OFFERED])


def _found(rows: QuerySet[Row], exactly: Q, otherwise: Q) -> tuple[Row | None, list[Row]]:
    found = list(rows.filter(exactly)) or list(rows.filter(otherwise)[:MOST_OFFERED])
    return (found[0], []) if len(found) == 1 else (None, found)
