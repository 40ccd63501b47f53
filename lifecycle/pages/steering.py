"""The buttons of an account's page: for its setups, for successes in doubt, for all of its mail."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from accounts.models import Account
from events import placing
from events.models import Event
from lifecycle.journeys.models import Setup
from lifecycle.pages.access import StaffRequest
from lifecycle.pages.customer import answer, changes_account
from lifecycle.runner import pausing, steering


@changes_account
def unblock_setup(request: StaffRequest, pk: int, setup: int) -> HttpResponse:
    row = get_object_or_404(Setup, pk=setup, account=pk)
    refused = steering.unblock(row.pk, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said="Unblocked. Reminders go on from now.")


@changes_account
def stop_setup(request: StaffRequest, pk: int, setup: int) -> HttpResponse:
    row = get_object_or_404(Setup, pk=setup, account=pk)
    refused = steering.stop(row.pk, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said="Stopped. Nothing more is sent about it.")


@changes_account
def restart_setup(request: StaffRequest, pk: int, setup: int) -> HttpResponse:
    row = get_object_or_404(Setup, pk=setup, account=pk)
    refused = steering.restart(row.pk, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said="It goes on from where it is.")


@changes_account
def place_in_setup(request: StaffRequest, pk: int, event: int, setup: int) -> HttpResponse:
    row = get_object_or_404(Setup, pk=setup, account=pk)
    refused = steering.place(event, row.pk, by=request.user, now=timezone.now())
    return answer(request, pk, refused=refused, said="Placed. Reminders go by it now.")


@changes_account
def place_in_account(request: StaffRequest, pk: int, event: int, other: int) -> HttpResponse:
    row = get_object_or_404(Event, pk=event, person__memberships__account=pk)
    # Only an account that the person is or was in, of the same environment, is ever offered.
    mine = Account.objects.filter(environment=row.environment, memberships__person=row.person_id)
    account = get_object_or_404(mine.filter(merged_into=None), pk=other)
    done = placing.place(row, account, by=request.user, now=timezone.now())
    refused = None if done else steering.Refusal.NOT_IN_DOUBT
    return answer(request, pk, refused=refused, said=f"Placed: it belongs to {account}.")


@changes_account
def pause_account(request: StaffRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(Account, pk=pk)
    done = pausing.pause_account(account.pk, by=request.user, now=timezone.now())
    refused = None if done else "It is paused already."
    return answer(request, pk, refused=refused, said="Paused. Nothing is sent to this account.")


@changes_account
def resume_account(request: StaffRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(Account, pk=pk)
    done = pausing.resume_account(account.pk, by=request.user, now=timezone.now())
    refused = None if done else "It is not paused."
    return answer(request, pk, refused=refused, said="Sending to this account goes on.")
