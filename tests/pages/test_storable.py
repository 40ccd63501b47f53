"""What no database can hold, in whatever a page is asked with: it refuses to keep it, and to compare with it."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account
from messaging.models import ChangeSet, Comment
from tests.factories import AccountFactory, UserFactory
from tests.pages.scenes import enrolled, journey, version

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "address",
    [
        "/reviews/record/?q=a%00b",
        "/events/live/?name=a%00b",
        "/admin/accounts/account/?q=a%00b",
        "/admin/messaging/message/?status__exact=a%00b",
        "/journeys/?%00=%00",
    ],
)
def test_a_search_goes_on_without_a_nul(address, as_superuser):
    assert as_superuser.get(address).status_code in (200, 302)


def test_an_address_that_holds_a_nul_is_nobodys(as_superuser):
    assert as_superuser.get("/reviews/submit/email/a%00b/").status_code == 404


def test_what_is_said_is_kept_without_a_nul(as_superuser):
    author = UserFactory()
    change_set = ChangeSet.objects.create(
        title="Words", created_by=author, created_at=timezone.now()
    )
    where = reverse("comment_change_set", args=[change_set.pk])
    as_superuser.post(where, {"text": "Too\0 loud", "place": ""})
    assert Comment.objects.get().text == "Too loud"


def test_a_form_of_the_admin_is_kept_without_a_nul(as_superuser):
    form = {"key": "ap\0p", "base_url": "https://app.company.com", "login_url": ""}
    assert as_superuser.post("/admin/messaging/host/add/", form).status_code == 302


def test_whoever_logs_in_with_a_nul_is_told_as_usual(client, db):
    answer = client.post("/admin/login/", {"username": "a\0", "password": "b\0"})
    assert answer.status_code == 200


def test_a_merge_is_looked_for_without_a_nul(as_superuser):
    account, other = AccountFactory(), AccountFactory(external_id="acme")
    answer = as_superuser.get(reverse("merge_account", args=[account.pk]), {"q": "ac\0me"})
    assert answer.context["other"] == Account.objects.get(pk=other.pk)


def test_an_id_beyond_the_numbers_of_a_database_is_nobodys(as_superuser, now):
    setup = enrolled(version(journey()), started=now).setup
    address = f"/accounts/{10**20}/setups/{setup.pk}/stop/"
    assert as_superuser.post(address).status_code == 404
