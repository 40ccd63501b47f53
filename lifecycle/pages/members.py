"""What staff change about the people of an account: role, consent, membership."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from accounts.models import Membership
from lifecycle.pages.access import StaffRequest
from lifecycle.pages.customer import answer, changes_account
from lifecycle.runner import staff_facts


@changes_account
def change_role(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    role = request.POST.get("role", "")
    refused = staff_facts.change_role(row.pk, role, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said=f"The role of {row.person} was changed.")


@changes_account
def withdraw_consent(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    refused = staff_facts.change_consent(
        row.person_id, given=False, by=request.user, now=timezone.now()
    )
    return answer(request, pk, refused=refused, said=f"{row.person} gets no more setup help.")


@changes_account
def give_consent(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    refused = staff_facts.change_consent(
        row.person_id, given=True, by=request.user, now=timezone.now()
    )
    return answer(request, pk, refused=refused, said=f"{row.person} may get setup help again.")


@changes_account
def end_membership(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    refused = staff_facts.end_membership(row.pk, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said=f"{row.person} is in this account no more.")
