"""Suppressions from and to files: added once, nothing lifted, every bad line named."""

from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from tablib import Dataset

from messaging import addresses, suppression
from messaging.models import Address, Suppression
from messaging.resources import SuppressionResource
from tests.factories import UserFactory
from tests.messaging.scenes import NOW

pytestmark = pytest.mark.django_db


def load(*lines, headers=("address", "reason", "source")):
    data = Dataset(*lines, headers=headers)
    return SuppressionResource().import_data(data, user="eve")


def test_a_file_adds_what_does_not_stand_already():
    suppression.unsubscribe("known@x.example", source="link", now=NOW)
    lines = [
        ("New@X.example", "complaint", "old system"),
        ("known@x.example", "unsubscribe", "old system"),
        ("plain@x.example", "", ""),
    ]
    for _ in range(2):
        assert not load(*lines).has_errors()
    assert sorted(Suppression.objects.values_list("address__value", "reason", "source")) == [
        ("known@x.example", "unsubscribe", "link"),
        ("new@x.example", "complaint", "old system"),
        ("plain@x.example", "staff", "import by eve"),
    ]


def test_a_kind_of_mail_that_an_address_refuses_goes_out_and_comes_back_as_such():
    suppression.suppress(
        "a@x.example", "unsubscribe", source="link", now=NOW, category="setup_help"
    )
    data = SuppressionResource().export()
    Suppression.objects.all().delete()
    assert not SuppressionResource().import_data(data, user="eve").has_errors()
    assert suppression.refused(["a@x.example"]) == {"a@x.example": {"setup_help"}}
    wrong = load(("b@x.example", "unsubscribe", "any"), headers=("address", "reason", "category"))
    assert wrong.has_errors() or wrong.has_validation_errors()


def test_a_file_lifts_nothing_and_backdates_nothing():
    suppression.unsubscribe("a@x.example", source="link", now=NOW)
    load(("a@x.example", "unsubscribe", "2020-01-01"), headers=("address", "reason", "lifted_at"))
    assert addresses.suppressions([Suppression.objects.get().address_id])


def test_a_bad_line_is_named_and_nothing_of_the_file_is_kept():
    result = load(
        ("good@x.example", "staff", ""), ("nonsense", "staff", ""), ("b@x.example", "why", "")
    )
    said = " ".join(str(row.errors or row.validation_error) for row in result.rows)
    said += " ".join(str(row.error) for row in result.invalid_rows)
    assert result.has_errors() or result.has_validation_errors()
    assert "nonsense" in said
    assert not Suppression.objects.exists()


def test_the_admin_exports_and_offers_the_import(client):
    suppression.unsubscribe("a@x.example", source="=1+1", now=NOW)
    client.force_login(UserFactory(is_superuser=True))
    listing = client.get(reverse("admin:messaging_suppression_changelist"))
    assert reverse("admin:messaging_suppression_import").encode() in listing.content
    assert client.get(reverse("admin:messaging_suppression_import")).status_code == 200
    exported = client.post(
        reverse("admin:messaging_suppression_export"),
        {
            "format": "0",
            "resource": "",
            **{f"suppressionresource_{f}": "on" for f in ("address", "reason", "source")},
        },
    )
    assert b"a@x.example,unsubscribe,,'=1+1" in exported.content


def test_who_may_only_look_cannot_import(client):
    client.force_login(UserFactory())
    assert client.get(reverse("admin:messaging_suppression_import")).status_code == 403


@pytest.fixture
def upload(admin_client):
    def upload(text):
        file = SimpleUploadedFile("table.csv", text.encode())
        url = reverse("admin:messaging_suppression_import")
        return admin_client.post(url, {"format": "0", "import_file": file})

    return upload


def test_addresses_alone_are_enough(upload, admin_client):
    preview = upload("address\na@x.example\nA@X.example\nb@x.example\n")
    assert "3 rows: 2 new, 0 changed, 1 left as they are" in preview.content.decode()
    assert not Address.objects.exists()
    admin_client.post(
        reverse("admin:messaging_suppression_process_import"),
        preview.context["confirm_form"].initial,
    )
    standing = Suppression.objects.values_list("address__value", "reason", "source", "category")
    assert set(standing) == {
        ("a@x.example", "staff", "import by admin", ""),
        ("b@x.example", "staff", "import by admin", ""),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("address;reason\na@x.example;staff\n", "The columns are separated by semicolons."),
        ("email\na@x.example\n", "these are missing: address. It names: email."),
        ("address\nnonsense\n", "'nonsense' is not an e-mail address."),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_plain_words(upload, text, said):
    page = unescape(upload(text).content.decode())
    assert said in page
    assert "Traceback" not in page
    assert "site-packages" not in page


def test_a_long_file_is_previewed_with_few_queries_and_without_writing():
    suppression.unsubscribe("a0@x.example", source="link", now=NOW)
    data = Dataset(*[(f"a{number}@x.example",) for number in range(30)], headers=("address",))
    with CaptureQueriesContext(connection) as asked:
        result = SuppressionResource().import_data(data, dry_run=True, user="eve")
    assert result.totals["new"] == 30
    assert len(asked) == 2
    assert all(query["sql"].startswith("SELECT") for query in asked.captured_queries)
