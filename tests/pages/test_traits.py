"""Traits: what they fill, how well, and what the customer's product calls them."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from accounts.models import Account, Environment, Membership, Person, Role
from events import traits
from events.ingest import ingest
from events.models import TraitName
from lifecycle.pages.traits import filled, latest, left_over, unknown_roles
from tests.factories import AccountFactory, IngestKeyFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_remembered():
    traits.forget()
    yield
    traits.forget()


def says(*messages: dict, key=None) -> None:
    ingest(list(messages), key=key or IngestKeyFactory(), now=NOW)


def group(account: str = "acme", user: str = "ada", **said) -> dict:
    return {"type": "group", "userId": user, "groupId": account, "traits": said}


def identify(user: str = "ada", **said) -> dict:
    return {"type": "identify", "userId": user, "traits": said}


def known(label: str):
    return next(row for row in filled(latest()) if row.label == label)


def test_every_column_that_traits_fill_is_on_the_page():
    assert set(traits.USUAL) == set(TraitName.Fills.values)
    assert len(filled(latest())) == len(traits.USUAL)


def test_it_counts_for_how_many_each_is_filled_and_under_which_names_it_came():
    says(group(plan="pro"), group("beta"), identify(email="a@acme.example"))
    row = known("Account: plan")
    assert (row.filled, row.of, row.arrived) == (1, 2, ("plan",))
    assert (known("Person: e-mail").share, known("Account: value a year").arrived) == (1.0, ())


def test_the_test_world_is_not_counted():
    AccountFactory(environment=Environment.TEST, plan="pro")
    assert known("Account: plan").of == 0


def test_your_own_name_fills_the_column_and_comes_before_the_usual_one():
    TraitName.objects.create(name="annualRevenue", fills="account.value")
    TraitName.objects.create(name="seat", fills="membership.role")
    TraitName.objects.create(name="mail", fills="person.email")
    TraitName.objects.create(name="fullName", fills="person.name")
    says(
        group(annualRevenue=12000, value=5, seat="owner"),
        identify(mail="ada@acme.example", fullName="Ada L.", firstName="Ada", lastName="Lovelace"),
    )
    account, person = Account.objects.get(), Person.objects.get()
    assert (account.value, account.traits) == (12000, {"annualRevenue": 12000, "value": 5})
    assert (person.email, person.name) == ("ada@acme.example", "Ada L.")
    assert Membership.objects.get().role == "owner"


def test_the_usual_names_still_count_where_your_own_is_missing():
    TraitName.objects.create(name="annualRevenue", fills="account.value")
    says(group(value=5))
    assert Account.objects.get().value == 5


def test_what_is_known_already_stays_until_a_call_names_it_again():
    key = IngestKeyFactory()
    says(group(annualRevenue=12000), key=key)
    TraitName.objects.create(name="annualRevenue", fills="account.value")
    traits.forget()
    assert Account.objects.get().value is None
    says(group(annualRevenue=13000), key=key)
    assert Account.objects.get().value == 13000


def test_what_arrives_and_fills_nothing_is_listed_until_somebody_says_what_it_fills():
    says(group(mrr=400, plan="pro", role="owner", status="active"), identify(firstName="Ada"))
    assert [(row.call, row.name, row.count) for row in left_over(latest())] == [("group", "mrr", 1)]
    TraitName.objects.create(name="mrr", fills="account.value")
    assert left_over(latest()) == []


def test_roles_that_nobody_has_explained_are_listed():
    Role.objects.create(key="owner", name="Owner")
    says(group(role="owner"), group(user="bob", role="wizard"))
    assert list(unknown_roles()) == [("wizard", 1)]


def test_an_engineer_says_what_a_trait_fills_and_is_told_from_when_it_counts(as_role):
    client = as_role("engineer")
    says(group(mrr=400))
    page = client.get("/events/traits/").content.decode()
    add = reverse("admin:events_traitname_add")
    assert f"{add}?name=mrr" in page
    assert 'value="mrr"' in client.get(f"{add}?name=mrr").content.decode()
    answer = client.post(add, {"name": "mrr", "fills": "account.value"}, follow=True)
    assert "New identify and group calls are read this way" in answer.content.decode()
    assert "fills Account: value a year" in client.get("/events/traits/").content.decode()
    says(group(mrr=500))
    assert Account.objects.get().value == 500


def test_the_page_asks_a_fixed_number_of_queries(django_assert_max_num_queries):
    says(*(group(f"a{n}", f"u{n}", plan="pro", odd=n) for n in range(30)))
    with django_assert_max_num_queries(8):
        arriving = latest()
        assert (len(filled(arriving)), len(left_over(arriving))) == (12, 1)
