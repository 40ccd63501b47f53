"""Accounts, people and memberships in and out of a spreadsheet."""

from html import unescape

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import tables
from accounts.models import Account, AnonymousId, Membership, Person, Role
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
    assert membership.role_since == membership.joined_at
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
            (
                "external_id,nmae,plann\na,Acme,pro\n",
                "These columns are not known: nmae, plann. Known are: environment, external_id, name,",
            ),
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

    def test_says_which_roles_grant_nothing_and_takes_them(self, upload):
        AccountFactory(external_id="acme")
        for person in ("ada", "bob", "eve"):
            PersonFactory(external_id=person)
        Role.objects.create(key="boss", name="Boss")
        lines = "account,person,role\nacme,ada,Boss\nacme,bob,boss\nacme,eve,\n"
        page = unescape(upload(lines, "membership"))
        assert "grant nothing (in how many rows): Boss (1). Known are: boss." in page
        assert "3 rows: 3 new" in page
        assert 'name="import_file_name"' in page

    def test_names_both_ends_of_a_membership(self, upload):
        assert "these are missing: account, person." in upload("role\nadmin\n", "membership")


@pytest.mark.parametrize("resource", [AccountResource, PersonResource])
def test_two_rows_about_the_same_are_refused_with_the_number_of_the_first(resource):
    lines = ["environment,external_id,name", ",a,A", ",b,B", "test,a,A", " production ,a,C"]
    result = resource().import_data(table(*lines), dry_run=True)
    (row,) = result.invalid_rows
    kind = resource._meta.model._meta.verbose_name
    assert (row.number, row.error_dict) == (
        4,
        {"external_id": [f"Row 1 is about the same {kind}."]},
    )
    assert result.totals["new"] == 3


def test_two_rows_about_one_membership_are_refused():
    MembershipFactory(account__external_id="acme", person__external_id="ada")
    lines = table("account,person,role", "acme,ada,admin", "acme,ada,owner")
    (row,) = MembershipResource().import_data(lines, dry_run=True).invalid_rows
    assert row.error_dict == {"person": ["Row 1 is about the same membership."]}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("a,-500,,", {"value": ["'-500' is below zero."]}),
        (
            "a,0,2026-03-02,2026-03-01",
            {"closed_at": ["It lies before created_at, 2026-03-02 00:00:00+00:00."]},
        ),
    ],
)
def test_what_cannot_be_of_an_account_is_refused(line, wrong):
    lines = table("external_id,value,created_at,closed_at", line)
    (row,) = AccountResource().import_data(lines, dry_run=True).invalid_rows
    assert row.error_dict == wrong


def test_an_account_that_was_closed_before_we_knew_it_may_come_without_its_beginning():
    lines = table("external_id,closed_at", "a,2026-03-01")
    AccountResource().import_data(lines, raise_errors=True)
    account = Account.objects.get()
    assert account.closed_at == account.created_at


class TestALargeTable:
    @pytest.fixture
    def lines(self):
        for number in range(0, 40, 2):
            AccountFactory(external_id=f"a{number}", plan="free")
        rows = [f"a{number},Name,pro,Europe/Vienna" for number in range(40)]
        return table("external_id,name,plan,time_zone", *rows)

    def test_is_previewed_without_a_lock_and_without_a_query_for_each_row(self, lines):
        with CaptureQueriesContext(connection) as asked:
            result = AccountResource().import_data(lines, dry_run=True, raise_errors=True)
        assert (result.totals["new"], result.totals["update"]) == (20, 20)
        statements = [query["sql"] for query in asked.captured_queries]
        assert len(statements) == 1
        assert statements[0].startswith("SELECT")
        assert "FOR " not in statements[0]

    @pytest.mark.parametrize("resource", [PersonResource, MembershipResource])
    def test_of_people_and_of_memberships_likewise(self, resource, django_assert_max_num_queries):
        for number in range(20):
            ends = {"account__external_id": f"a{number}", "person__external_id": f"p{number}"}
            MembershipFactory(**ends, role="")
        lines = {
            PersonResource: ["external_id,name", *(f"p{n},Name" for n in range(20))],
            MembershipResource: ["account,person,role", *(f"a{n},p{n},admin" for n in range(20))],
        }[resource]
        with django_assert_max_num_queries(5):
            result = resource().import_data(table(*lines), dry_run=True, raise_errors=True)
        assert result.totals["update"] == 20

    def test_is_imported_without_a_query_for_each_row(self, lines, django_assert_max_num_queries):
        with django_assert_max_num_queries(10):
            AccountResource().import_data(lines, raise_errors=True)
        assert Account.objects.filter(plan="pro").exclude(next_look_at=None).count() == 40

    def test_is_refused_beyond_what_the_installation_takes(self, lines, settings):
        settings.IMPORT_MAX_ROWS = 39
        result = AccountResource().import_data(lines)
        (error,) = result.base_errors
        assert str(error.error) == "This file has 40 rows; import at most 39 at a time."
        assert not Account.objects.filter(plan="pro").exists()


def test_a_preview_names_all_it_does_and_shows_what_fits_on_a_page(admin_client, monkeypatch):
    monkeypatch.setattr(tables, "SHOWN", 2)
    AccountFactory(external_id="same", name="Same")
    lines = ["external_id,name", "same,Same", "a,Shown", "b,Shown", "c,Left out"]
    file = SimpleUploadedFile("table.csv", "\n".join(lines).encode())
    answer = admin_client.post(
        reverse("admin:accounts_account_import"), {"format": "0", "import_file": file}
    )
    page = answer.content.decode()
    assert "4 rows: 3 new, 0 changed, 1 left as they are, 0 wrong. The first 2 are shown." in page
    assert (page.count("Shown"), page.count("Left out")) == (2, 0)


def test_an_account_that_arrives_during_the_import_undoes_it_and_is_told(admin_client, monkeypatch):
    file = SimpleUploadedFile("table.csv", b"external_id,name\nold,Old\nnew,New\n")
    preview = admin_client.post(
        reverse("admin:accounts_account_import"), {"format": "0", "import_file": file}
    )
    write = AccountResource.write

    def be_overtaken(self, now):
        AccountFactory(external_id="new")
        write(self, now)

    monkeypatch.setattr(AccountResource, "write", be_overtaken)
    answer = admin_client.post(
        reverse("admin:accounts_account_process_import"),
        preview.context["confirm_form"].initial,
        follow=True,
    )
    assert "Nothing was imported. Somebody else stored one of these" in answer.content.decode()
    assert not Account.objects.filter(external_id="old").exists()


def test_what_arrives_while_an_import_waits_for_its_locks_is_not_undone(monkeypatch):
    AccountFactory(external_id="acme", plan="free")
    AccountFactory(external_id="other")

    def be_overtaken(self):
        Account.objects.filter(external_id="acme").update(plan="pro")

    monkeypatch.setattr(AccountResource, "lock", be_overtaken)
    lines = table("external_id,name", "acme,Acme", "other,Other", "new,New")
    AccountResource().import_data(lines, raise_errors=True)
    assert set(Account.objects.values_list("external_id", "name", "plan")) >= {
        ("acme", "Acme", "pro"),
        ("new", "New", ""),
    }
    assert Account.objects.filter(name__in=["Acme", "Other", "New"]).count() == 3
