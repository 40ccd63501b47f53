"""What staff change about the people of an account: role, consent, membership."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.models import Membership
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.customer import CHANGE, answer
from lifecycle.runner import staff_facts


@require_POST
@staff(CHANGE)
def change_role(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    role = request.POST.get("role", "")
    refused = staff_facts.change_role(row.pk, role, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said=f"The role of {row.person} was changed.")


@require_POST
@staff(CHANGE)
def withdraw_consent(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    refused = staff_facts.change_consent(
        row.person_id, given=False, by=request.user, now=timezone.now()
    )
    return answer(request, pk, refused=refused, said=f"{row.person} gets no more setup help.")


@require_POST
@staff(CHANGE)
def give_consent(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    refused = staff_facts.change_consent(
        row.person_id, given=True, by=request.user, now=timezone.now()
    )
    return answer(request, pk, refused=refused, said=f"{row.person} may get setup help again.")


@require_POST
@staff(CHANGE)
def end_membership(request: StaffRequest, pk: int, member: int) -> HttpResponse:
    row = get_object_or_404(Membership, pk=member, account=pk)
    refused = staff_facts.end_membership(row.pk, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said=f"{row.person} is in this account no more.")
