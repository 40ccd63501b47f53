"""One account: where its setups are, what happens next, why somebody did or did not get a mail, the whole story."""

from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Account, Role
from lifecycle.pages.access import StaffRequest, View, staff
from lifecycle.pages.screen import screen
from lifecycle.pages.whole_number import whole_number
from lifecycle.runner import doubts, staff_facts, why
from lifecycle.runner.models import ParkedAccount

# What staff may change about a customer hangs on this one permission.
CHANGE = "accounts.change_account"
MERGED = "This account was merged into another one meanwhile."


def show(request: StaffRequest, pk: int, notice: str = "", tone: str = "") -> HttpResponse:
    account = get_object_or_404(Account.objects.select_related("merged_into"), pk=pk)
    now = timezone.now()
    parked = ParkedAccount.objects.filter(account=account).first()
    plan = None if parked else why.present(account, now)
    people = account.memberships.select_related("person").order_by("ended_at", "joined_at")
    context = {
        "account": account,
        "notice": notice,
        "tone": tone,
        "parked": parked,
        "members": people,
        "refused": staff_facts.refusing([member.person for member in people]),
        "roles": Role.objects.all(),
        "outlooks": why.outlooks(plan) if plan else [],
        "doubts": doubts.in_doubt(account, plan) if plan else [],
        "questions": why.questions(plan) if plan else [],
        "story": why.story(account, plan),
        "most": why.MOST_ENTRIES,
        # What became part of another account is worked on there.
        "may_change": request.user.has_perm(CHANGE) and account.merged_into is None,
    }
    return screen(request, "customer", context, title=str(account))


def answer(request: StaffRequest, pk: int, *, refused: str | None, said: str) -> HttpResponse:
    """The account as it is now, with what became of the click."""
    notice = f"Nothing was changed: {refused[:1].lower()}{refused[1:]}" if refused else said
    if request.htmx:
        return show(request, pk, notice, "warn" if refused else "good")
    messages.add_message(request, messages.WARNING if refused else messages.SUCCESS, notice)
    return redirect("customer", pk)


def changes_account(view: View) -> View:
    """A click that changes something about the account `pk`; what is part of another is worked on there."""

    @wraps(view)
    def guarded(request: StaffRequest, pk: int, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # A window may still show buttons that the page has no more.
        if Account.objects.filter(pk=pk, merged_into__isnull=False).exists():
            return answer(request, pk, refused=MERGED, said="")
        return view(request, pk, *args, **kwargs)

    return require_POST(staff(CHANGE)(guarded))


@require_GET
@staff("accounts.view_account")
def show_account(request: StaffRequest, pk: int) -> HttpResponse:
    return show(request, pk)


@require_GET
@staff("accounts.view_account")
def show_answer(request: StaffRequest, pk: int) -> HttpResponse:
    account = get_object_or_404(Account, pk=pk)
    person = account.people.filter(pk=whole_number(request.GET.get("person", "")) or 0).first()
    step = request.GET.get("step", "")
    now = timezone.now()
    said = "Choose a person and an e-mail."
    if person and step:
        said = why.answer(why.present(account, now), person, step, now)
    return screen(request, "answer", {"account": account, "answer": said}, title="Why?")
