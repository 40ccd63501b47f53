"""Accounts, people and memberships in and out of a spreadsheet."""

from html import unescape

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import Account, AnonymousId, Membership, Person
from accounts.resources import AccountResource, MembershipResource, PersonResource
from accounts.staff import make_roles, put_user
from tests.factories import AccountFactory, MembershipFactory, PersonFactory, UserFactory

pytestmark = pytest.mark.django_db


def table(*lines):
    return tablib.Dataset().load("\n".join(lines), format="csv")


def test_accounts_are_made_and_changed_and_wait_for_a_look():
    known = AccountFactory(external_id="acme", plan="free", traits={"kept": 1})
    AccountFactory(external_id="other")
    lines = table("external_id,name,plan,value", "acme,Acme,pro,1200.50", "new,New,free,")
    result = AccountResource().import_data(lines, raise_errors=True)
    assert result.totals["new"] == result.totals["update"] == 1
    known.refresh_from_db()
    assert (known.plan, str(known.value), known.traits) == ("pro", "1200.50", {"kept": 1})
    waiting = Account.objects.exclude(next_look_at=None).values_list("external_id", flat=True)
    assert set(waiting) == {"acme", "new"}


def test_the_worlds_stay_apart():
    AccountFactory(external_id="acme", plan="free")
    lines = table("environment,external_id,plan", "test,acme,pro")
    AccountResource().import_data(lines, raise_errors=True)
    assert Account.objects.get(environment="production").plan == "free"


def test_a_preview_changes_nothing():
    lines = table("external_id,name", "acme,Acme")
    AccountResource().import_data(lines, dry_run=True, raise_errors=True)
    assert not Account.objects.exists()


def test_a_bad_line_is_named_in_the_preview():
    lines = table("external_id,email", "ada,ada@customer.example", "bob,no address")
    result = PersonResource().import_data(lines, dry_run=True)
    (row,) = result.invalid_rows
    assert (row.number, list(row.error_dict)) == (2, ["email"])
    assert not Person.objects.exists()


def test_memberships_carry_roles_and_name_whoever_is_missing():
    AccountFactory(external_id="acme")
    PersonFactory(external_id="ada")
    lines = table("account,person,role", "acme,ada,admin")
    MembershipResource().import_data(lines, raise_errors=True)
    membership = Membership.objects.get()
    assert (membership.role, membership.role_said_at is None) == ("admin", False)
    assert Account.objects.get().next_look_at is not None
    result = MembershipResource().import_data(table("account,person,role", "acme,nobody,x"))
    (row,) = result.invalid_rows
    assert row.error_dict == {"person": ["There is no person 'nobody'; import it first."]}


def test_what_goes_out_comes_back_the_same():
    MembershipFactory(account__name='=HYPERLINK("x")', account__plan="-", person__name="@sum")
    for resource in (AccountResource, PersonResource, MembershipResource):
        taken = resource().export().csv
        assert ",=" not in taken
        result = resource().import_data(
            tablib.Dataset().load(taken, format="csv"), raise_errors=True
        )
        assert result.totals["skip"] == 1, (resource, taken, [row.diff for row in result.rows])


@pytest.mark.parametrize("model", ["account", "person", "membership"])
def test_it_is_there_for_whoever_may_add_rows_and_for_nobody_else(client, model):
    make_roles()
    for page in ("import", "export"):
        client.force_login(UserFactory(is_superuser=True))
        assert client.get(reverse(f"admin:accounts_{model}_{page}")).status_code == 200
    client.force_login(put_user("kim", role="support", password=None))
    assert client.get(reverse(f"admin:accounts_{model}_import")).status_code == 403


class TestIdsThatLeadElsewhereByNow:
    @pytest.fixture
    def ada(self):
        ada = PersonFactory(external_id="ada", email="ada@x.example")
        PersonFactory(external_id="ada-old", email="", merged_into=ada)
        AnonymousId.objects.create(value="ada-cookie", person=ada)
        return ada

    @pytest.mark.parametrize("name", ["ada", "ada-old", "ada-cookie"])
    def test_a_person_is_changed_under_any_of_their_ids(self, ada, name):
        account = MembershipFactory(person=ada).account
        Account.objects.update(next_look_at=None)
        PersonResource().import_data(
            table("external_id,email", f"{name},new@x.example"), raise_errors=True
        )
        ada.refresh_from_db()
        assert (ada.external_id, ada.email) == ("ada", "new@x.example")
        assert list(Person.objects.exclude(pk=ada.pk).values_list("email", flat=True)) == [""]
        account.refresh_from_db()
        assert account.next_look_at is not None

    def test_an_account_is_changed_under_the_id_it_had(self):
        acme = AccountFactory(external_id="acme", plan="free")
        old = AccountFactory(external_id="acme-old", plan="free", merged_into=acme)
        AccountResource().import_data(table("external_id,plan", "acme-old,pro"), raise_errors=True)
        acme.refresh_from_db()
        old.refresh_from_db()
        assert (acme.external_id, acme.plan, old.plan) == ("acme", "pro", "free")
        assert (acme.next_look_at is None, old.next_look_at) == (False, None)

    def test_a_membership_is_that_of_whom_the_ids_lead_to(self, ada):
        acme = AccountFactory(external_id="acme")
        AccountFactory(external_id="acme-old", merged_into=acme)
        lines = table("account,person,role", "acme-old,ada-old,owner", "acme,ada-cookie,admin")
        MembershipResource().import_data(lines, raise_errors=True)
        membership = Membership.objects.get()
        assert (membership.account, membership.person, membership.role) == (acme, ada, "admin")


def test_a_membership_does_not_end_before_it_begins():
    MembershipFactory(account__external_id="acme", person__external_id="ada")
    PersonFactory(external_id="bob")
    lines = table(
        "account,person,joined_at,ended_at",
        "acme,ada,2026-03-02,2026-03-01",
        "acme,bob,,2026-03-01",
    )
    result = MembershipResource().import_data(lines)
    (row,) = result.invalid_rows
    assert (row.number, list(row.error_dict)) == (1, ["ended_at"])
    left = Membership.objects.get(person__external_id="bob")
    assert left.joined_at == left.ended_at


@pytest.mark.parametrize("resource", [AccountResource, PersonResource])
def test_a_time_zone_that_is_none_is_named(resource):
    lines = table("external_id,time_zone", "a,Nonsense/Zone", "b,Europe/Vienna", "c,")
    (row,) = resource().import_data(lines, dry_run=True).invalid_rows
    assert row.error_dict == {
        "time_zone": ["'Nonsense/Zone' is no time zone; write it like Europe/Vienna."]
    }


@pytest.mark.parametrize(
    ("resource", "lines", "wrong"),
    [
        (
            AccountResource,
            ["external_id,value,created_at", "a,12k,2026-03-02", "b,1.5,yesterday", "c,NaN,"],
            {
                1: {"value": ["'12k' is no amount; write it like 1200.50."]},
                2: {"created_at": ["'yesterday' is no time; write it like 2026-03-02T12:00Z."]},
                3: {"value": ["'NaN' is no amount; write it like 1200.50."]},
            },
        ),
        (
            MembershipResource,
            ["account,person,joined_at", "nowhere,nobody,soon", ",,"],
            {
                1: {
                    "account": ["There is no account 'nowhere'; import it first."],
                    "person": ["There is no person 'nobody'; import it first."],
                    "joined_at": ["'soon' is no time; write it like 2026-03-02T12:00Z."],
                },
                2: {
                    "account": ["The line names no account."],
                    "person": ["The line names no person."],
                },
            },
        ),
    ],
)
def test_every_bad_line_is_told_in_plain_words(resource, lines, wrong):
    result = resource().import_data(table(*lines), dry_run=True)
    assert not result.has_errors()
    assert {row.number: row.error_dict for row in result.invalid_rows} == wrong


class TestATableThatCannotBeUsed:
    @pytest.fixture
    def upload(self, client):
        client.force_login(UserFactory(is_superuser=True))

        def upload(text, model="account"):
            file = SimpleUploadedFile("table.csv", text.encode())
            url = reverse(f"admin:accounts_{model}_import")
            return client.post(url, {"format": "0", "import_file": file}).content.decode()

        return upload

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("external_id;name\na;Acme\n", "The columns are separated by semicolons."),
            ("external_id\tname\na\tAcme\n", "The columns are separated by tabs."),
            ("id,name\na,Acme\n", "these are missing: external_id. It names: id, name."),
            ("external_id,name\na,Acme,more\n", "has every line as many cells as the first?"),
        ],
    )
    def test_says_what_is_wrong_with_it(self, upload, text, said):
        page = unescape(upload(text))
        assert said in page
        assert "Traceback" not in page
        assert not Account.objects.exists()

    def test_shows_every_bad_line_at_once(self, upload):
        page = unescape(upload("external_id,value\na,12k\nb,13k\nc,14\n"))
        assert "'12k' is no amount" in page
        assert "'13k' is no amount" in page
        assert "decimal." not in page

    def test_names_both_ends_of_a_membership(self, upload):
        assert "these are missing: account, person." in upload("role\nadmin\n", "membership")
