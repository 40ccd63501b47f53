"""What an import changes of what decides who gets mail stands in the account's story."""

import pytest
import tablib
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from events.models import Event
from lifecycle.runner import why
from lifecycle.runner.imported import ToldAccounts, ToldMemberships
from tests.runner.scenes import account, at, staff

pytestmark = pytest.mark.django_db


def load(resource, *lines, dry_run=False):
    table = tablib.Dataset().load("\n".join(lines), format="csv")
    resource().import_data(table, raise_errors=True, dry_run=dry_run, user=staff("ada"))


def told(name: str = "acme") -> list[str]:
    row = account(name)
    entries = why.story(row, why.present(row, at(0)))
    return [entry.title for entry in reversed(entries) if entry.kind == "staff"]


def test_a_role_and_who_is_a_member(tell):
    tell.joins("bob", account="other")
    heading = "account,person,role,ended_at"
    load(ToldMemberships, heading, "acme,dev,viewer,", "acme,bob,developer,")
    load(ToldMemberships, heading, "acme,dev,viewer,", "acme,bob,developer,2100-03-02")
    load(ToldMemberships, heading, "acme,dev,viewer,", "acme,bob,developer,")
    assert told() == [
        "ada imported the role viewer for dev@customer.example; it was developer.",
        "ada imported bob@customer.example into this account, with the role developer.",
        "ada imported that bob@customer.example is in this account no more.",
        "ada imported that bob@customer.example is in this account again.",
    ]
    assert set(Event.objects.filter(name__startswith="import_").values_list("source")) == {
        ("import",)
    }


def test_a_plan_a_closing_and_whether_admins_may_be_written_to(tell):
    heading = "external_id,plan,closed_at,admin_outreach"
    load(ToldAccounts, heading, "acme,pro,,1")
    load(ToldAccounts, heading, "acme,pro,2100-03-02,1", "closed before,,2026-03-01,1")
    load(ToldAccounts, heading, "acme,,,0")
    assert told() == [
        "ada imported the plan pro; it was none.",
        "ada imported that the account was closed.",
        "ada imported the plan none; it was pro.",
        "ada imported that the account is open again.",
        "ada imported that admins who did not start the setup are not written to.",
    ]
    assert told("closed before") == ["ada imported that the account was closed."]


def test_nothing_is_told_of_a_preview_or_of_what_stays_as_it_was(tell):
    load(ToldAccounts, "external_id,plan", "acme,pro", dry_run=True)
    load(ToldAccounts, "external_id,name", "acme,Acme & Co")
    load(ToldMemberships, "account,person,role", "acme,dev,developer")
    assert told() == []


@pytest.mark.parametrize(
    ("model", "lines", "said"),
    [
        ("account", "external_id,plan\nacme,pro\n", "admin imported the plan pro; it was none."),
        (
            "membership",
            "account,person,role\nacme,dev,viewer\n",
            "admin imported the role viewer for dev@customer.example; it was developer.",
        ),
    ],
)
def test_it_is_told_of_what_is_imported_in_the_admin(tell, admin_client, model, lines, said):
    file = SimpleUploadedFile("table.csv", lines.encode())
    preview = admin_client.post(
        reverse(f"admin:accounts_{model}_import"), {"format": "0", "import_file": file}
    )
    assert told() == []
    form = preview.context["confirm_form"].initial
    admin_client.post(reverse(f"admin:accounts_{model}_process_import"), form)
    assert told() == [said]
