"""The admin's lists: they open, can be searched, and ask no more for many rows than for few."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ, Schedule

from accounts.models import Account, Person, User
from lifecycle.pages import navigation
from lifecycle.runner.models import FoldCheckpoint
from tests.factories import AccountFactory, MembershipFactory, PersonFactory, UserFactory
from tests.pages.rows import make

pytestmark = pytest.mark.django_db
OURS = {"accounts", "events", "messaging", "journeys", "runner", "alerts"}
LISTED = sorted(
    (model for model in admin.site._registry if model._meta.app_label in OURS),
    key=lambda model: model._meta.label,
)
BY_LABEL = [pytest.param(model, id=model._meta.label) for model in LISTED]


def address(model, page: str, *arguments) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def queries_of(client, where: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(where).status_code == 200
    return len(asked)


@pytest.mark.parametrize("model", BY_LABEL)
def test_a_list_opens_and_asks_no_more_for_twelve_rows_than_for_two(model, as_superuser):
    where = address(model, "changelist")
    for _ in range(2):
        make(model)
    queries_of(as_superuser, where)
    for_two = queries_of(as_superuser, where)
    for _ in range(10):
        make(model)
    assert queries_of(as_superuser, where) == for_two


@pytest.mark.parametrize("model", BY_LABEL)
def test_a_row_opens(model, as_superuser):
    row = make(model)
    assert as_superuser.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", BY_LABEL)
def test_a_list_can_be_searched_where_it_says_so(model, as_superuser):
    make(model)
    if admin.site._registry[model].search_fields:
        found = as_superuser.get(address(model, "changelist"), {"q": "no such thing"})
        assert found.status_code == 200
        assert len(found.context["cl"].result_list) == 0


def test_every_link_of_the_sidebar_names_a_model_that_exists():
    for _, entries in navigation.SIDEBAR:
        for entry in entries:
            if isinstance(entry, navigation.Rows):
                assert apps.get_model(entry.model)


@pytest.mark.parametrize("app", ["messaging", "runner", "journeys"])
def test_the_admin_calls_its_lists_as_the_sidebar_does(app):
    named = {
        entry.title.lower(): apps.get_model(entry.model)._meta.verbose_name_plural.lower()
        for _, entries in navigation.SIDEBAR
        for entry in entries
        if isinstance(entry, navigation.Rows) and entry.model.startswith(f"{app}.")
    }
    # Our own page of journeys has that word already.
    assert named.pop("all journeys", "journeys") == "journeys"
    assert named == {title: title for title in named}


def test_every_list_of_ours_can_be_reached_from_the_sidebar():
    reached = {
        apps.get_model(entry.model)
        for _, entries in navigation.SIDEBAR
        for entry in entries
        if isinstance(entry, navigation.Rows)
    }
    # Found from the row they belong to, from the alerts' desk or the list of e-mails.
    inside = {
        "Template",
        "Attempt",
        "ProviderEvent",
        "Address",
        "Alert",
        "Heartbeat",
        "AnonymousId",
    }
    assert {model.__name__ for model in set(LISTED) - reached} <= inside


@pytest.mark.parametrize("model", [Schedule, OrmQ, FoldCheckpoint])
def test_what_operators_must_not_touch_is_not_in_the_admin(model):
    assert not admin.site.is_registered(model)


def test_an_accounts_people_stand_on_its_page(as_superuser):
    membership = MembershipFactory(person__email="ada@customer.example")
    text = as_superuser.get(address(Account, "change", membership.account_id)).content.decode()
    assert "ada@customer.example" in text


def test_an_account_is_found_by_somebodys_address(as_superuser):
    account = MembershipFactory(person__email="ada@customer.example").account
    AccountFactory()
    found = as_superuser.get(address(Account, "changelist"), {"q": "ada@customer"})
    assert list(found.context["cl"].result_list) == [account]


def test_pausing_accounts_says_how_many_and_why_not_the_others(as_role):
    one, two = AccountFactory(), AccountFactory()
    client, where = as_role("support"), address(Account, "changelist")
    chosen = {"action": "pause_sending", "_selected_action": [one.pk]}
    client.post(where, chosen)
    answer = client.post(where, {**chosen, "_selected_action": [one.pk, two.pk]}, follow=True)
    assert (
        "1 paused, 1 skipped: paused already or part of another account." in answer.content.decode()
    )
    one.refresh_from_db()
    assert one.paused_at is not None


def test_letting_an_account_go_on_asks_for_a_look(as_role):
    account = AccountFactory()
    client, where = as_role("support"), address(Account, "changelist")
    for name in ("pause_sending", "resume_sending"):
        client.post(where, {"action": name, "_selected_action": [account.pk]})
    account.refresh_from_db()
    assert account.paused_at is None
    assert account.next_look_at is not None


def test_what_the_customers_product_told_us_is_not_edited_by_hand(as_role):
    account = AccountFactory(plan="pro")
    form = {"plan": "free", "admin_outreach": "", "memberships-TOTAL_FORMS": 0}
    form["memberships-INITIAL_FORMS"] = 0
    as_role("support").post(address(Account, "change", account.pk), form)
    account.refresh_from_db()
    assert account.plan == "pro"
    assert account.admin_outreach is False


def test_an_analyst_sees_accounts_but_cannot_pause_them(as_role):
    account = AccountFactory()
    client, where = as_role("analyst"), address(Account, "changelist")
    assert client.get(where).status_code == 200
    client.post(where, {"action": "pause_sending", "_selected_action": [account.pk]})
    account.refresh_from_db()
    assert account.paused_at is None


def test_an_administrator_cannot_become_or_change_a_superuser(as_role):
    root = UserFactory(username="root", is_superuser=True)
    client = as_role("administrator")
    me = User.objects.get(username="administrator")
    form = {"username": "administrator", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    client.post(address(User, "change", me.pk), form)
    me.refresh_from_db()
    assert not me.is_superuser
    assert client.post(address(User, "change", root.pk), form).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[root.pk])
    assert client.get(password).status_code == 403


def test_an_administrator_makes_a_colleague_a_reviewer(as_role):
    client = as_role("administrator")
    form = {
        "username": "grace",
        "email": "grace@company.example",
        "usable_password": "true",
        "password1": "a-long-enough-one",
        "password2": "a-long-enough-one",
    }
    assert client.post(address(User, "add"), form).status_code == 302
    assert User.objects.filter(username="grace").exists()


def test_accounts_are_filtered_by_whether_we_may_send(as_superuser, now):
    paused = AccountFactory(paused_at=now)
    AccountFactory()
    found = as_superuser.get(address(Account, "changelist"), {"paused_at_set": "yes"})
    assert list(found.context["cl"].result_list) == [paused]


def test_people_are_filtered_by_whether_their_address_is_known(as_superuser):
    unknown = PersonFactory(email="")
    PersonFactory()
    found = as_superuser.get(address(Person, "changelist"), {"email_set": "no"})
    assert list(found.context["cl"].result_list) == [unknown]
