"""The pages on which staff merge two accounts or two people: choose, see, confirm."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Environment
from events.models import Event
from lifecycle.pages.numbers import numbers
from lifecycle.runner import pausing
from lifecycle.runner.look import look_at
from tests.factories import AccountFactory, MembershipFactory, PersonFactory, UserFactory
from tests.pages.test_access import STEERING, steering_address
from tests.pages.test_steering import minutes_ago
from tests.runner import scenes

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def two(settings) -> tuple[Account, Account]:
    """The account old, where Eve started Stripe an hour ago, and acme, where Dev did."""
    settings.ADMIN_OUTREACH = "yes"
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    backend.joins("eve", account="old")
    started = minutes_ago(60)
    backend.starts(started, provider="stripe")
    backend.starts(started, by="eve", account="old", provider="stripe")
    backend.starts(started, by="eve", account="old", provider="hubspot")
    old, acme = scenes.account("old"), scenes.account()
    look_at([old.pk, acme.pk], now=timezone.now())
    return old, acme


def shown(client, route: str, subject, **query) -> str:
    return client.get(reverse(route, args=[subject.pk]), query).content.decode()


def confirmed(client, route: str, subject, other, **more):
    """What comes of confirming what the page shows now."""
    page = client.get(reverse(route, args=[subject.pk]), {"other": other.pk})
    form = {"other": other.pk, "seen": page.context["merge"].token}
    return client.post(reverse(route, args=[subject.pk]), form, **more)


def test_two_accounts_are_merged_after_a_look_at_what_happens(two, as_role):
    old, acme = two
    client = as_role("support")
    text = shown(client, "merge_account", old, q="acme")
    assert (
        "<bdi>old</bdi> <code>old</code> becomes part of <bdi>acme</bdi> <code>acme</code>" in text
    )
    assert "is known to both; its reminders go on in one place" in text
    assert "moves as it is, with everything sent about it" in text
    assert "eve@customer.example" in text
    answer = confirmed(client, "merge_account", old, acme, follow=True)
    assert answer.redirect_chain == [(reverse("customer", args=[acme.pk]), 302)]
    assert "old (old) is part of acme (acme) now." in answer.content.decode()
    assert "support merged the account “old” into this one." in answer.content.decode()
    old.refresh_from_db()
    assert old.merged_into == acme


def test_looking_merges_nothing(two, as_role):
    old, acme = two
    shown(as_role("support"), "merge_account", old, other=acme.pk)
    old.refresh_from_db()
    assert old.merged_into is None


def test_what_changed_meanwhile_is_shown_and_not_done(two, as_role):
    old, acme = two
    client = as_role("support")
    where = reverse("merge_account", args=[old.pk])
    seen = client.get(where, {"other": acme.pk}).context["merge"].token
    MembershipFactory(account=old, person=PersonFactory(name="Kim"))
    answer = client.post(where, {"other": acme.pk, "seen": seen})
    text = answer.content.decode()
    assert "Something changed meanwhile" in text
    assert "Kim" in text
    old.refresh_from_db()
    assert old.merged_into is None
    again = client.post(where, {"other": acme.pk, "seen": answer.context["merge"].token})
    assert again.status_code == 302


def test_accounts_that_share_people_or_the_name_are_offered(as_role):
    here, shared = AccountFactory(name="Acme"), AccountFactory(name="Beta")
    named, stranger = AccountFactory(name="ACME"), AccountFactory(name="Other")
    person = PersonFactory()
    for account in (here, shared):
        MembershipFactory(account=account, person=person)
    page = as_role("support").get(reverse("merge_account", args=[here.pk]))
    assert set(page.context["offered"]) == {shared, named}
    assert stranger not in page.context["offered"]


def test_several_accounts_of_a_name_are_told_apart_by_their_ids(as_role):
    here = AccountFactory(name="Acme")
    twins = [AccountFactory(name="Beta"), AccountFactory(name="Beta")]
    text = shown(as_role("support"), "merge_account", here, q="beta")
    for twin in twins:
        assert f"?other={twin.pk}" in text
        assert twin.external_id in text


def test_nothing_found_is_said(as_role):
    text = shown(as_role("support"), "merge_account", AccountFactory(), q="<nobody>")
    assert "There is none like “&lt;nobody&gt;” in production." in text


@pytest.mark.parametrize("verb", ["get", "post"])
def test_a_test_account_is_never_offered_and_never_taken(verb, as_role):
    here = AccountFactory(name="Acme")
    trial = AccountFactory(name="Acme", environment=Environment.TEST)
    client, where = as_role("support"), reverse("merge_account", args=[here.pk])
    assert list(client.get(where).context["offered"]) == []
    answer = getattr(client, verb)(where, {"other": trial.pk, "seen": "x"})
    assert "test accounts stay apart" in answer.content.decode()
    here.refresh_from_db()
    assert here.merged_into is None


@pytest.mark.parametrize("other", ["", "x", "9" * 30, "0"])
def test_a_post_that_names_nobody_changes_nothing(other, as_role):
    where = reverse("merge_account", args=[AccountFactory().pk])
    assert as_role("support").post(where, {"other": other}).status_code == 200


def test_the_page_of_an_account_that_was_merged_leads_to_what_it_became(two, as_role):
    old, acme = two
    client = as_role("support")
    confirmed(client, "merge_account", old, acme)
    for route in ("customer", "merge_account"):
        text = shown(client, route, old)
        assert acme.get_absolute_url() in text
    assert "Pause the account" not in shown(client, "customer", old)
    assert "is part of" in shown(client, "customer", old)


@pytest.mark.parametrize("route", STEERING)
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_window_from_before_a_merge_changes_nothing_and_leads_to_the_other(
    route, headers, as_superuser
):
    address = steering_address(route)
    account = Account.objects.get(pk=int(address.split("/")[2]))
    into = AccountFactory(name="Beta")
    Account.objects.filter(pk=account.pk).update(merged_into=into)
    events = Event.objects.count()
    answer = as_superuser.post(address, headers=headers, follow=True)
    text = answer.content.decode()
    assert "Nothing was changed: this account was merged into another one meanwhile." in text
    assert into.get_absolute_url() in text
    assert Event.objects.count() == events


def test_a_merge_between_the_click_and_the_pause_leaves_nothing_paused(two, as_role):
    old, acme = two
    confirmed(as_role("support"), "merge_account", old, acme)
    assert not pausing.pause_account(old.pk, by=UserFactory(), now=timezone.now())
    old.refresh_from_db()
    assert old.paused_at is None


def test_the_way_to_the_page_is_shown_to_whoever_may_go_it(two, as_role):
    old, _ = two
    link = reverse("merge_account", args=[old.pk])
    assert link in shown(as_role("support"), "customer", old)
    assert link not in shown(as_role("analyst"), "customer", old)


def test_the_admin_leads_to_both_pages(as_role):
    member = MembershipFactory()
    client = as_role("support")
    for model, row in (("account", member.account), ("person", member.person)):
        page = client.get(reverse(f"admin:accounts_{model}_change", args=[row.pk]))
        assert "Merge with another…" in page.content.decode()
        way = client.get(reverse(f"admin:accounts_{model}_merge_{model}", args=[row.pk]))
        assert way.url == reverse(f"merge_{model}", args=[row.pk])
    marketer = as_role("marketer")
    page = marketer.get(reverse("admin:accounts_person_change", args=[member.person.pk]))
    assert page.status_code == 200
    assert "Merge with another…" not in page.content.decode()


def test_two_people_are_merged_after_a_look_at_what_happens(two, as_role):
    eve, dev = scenes.person("eve"), scenes.person("dev")
    client = as_role("support")
    text = shown(client, "merge_person", eve, q="DEV@customer.example")
    eves, devs = "<bdi>eve@customer.example</bdi>", "<bdi>dev@customer.example</bdi>"
    assert f"{eves} and {devs} become one person" in text
    assert "they are in it, as developer" in text
    answer = confirmed(client, "merge_person", eve, dev, follow=True)
    assert "are one person now" in answer.content.decode()
    eve.refresh_from_db()
    assert eve.merged_into == dev
    assert "another person" in shown(client, "merge_person", eve)


def test_people_of_the_same_address_are_offered(as_role):
    here = PersonFactory(email="ada@customer.example")
    twin = PersonFactory(email="Ada@customer.example")
    PersonFactory(email="ada@customer.example", environment=Environment.TEST)
    page = as_role("support").get(reverse("merge_person", args=[here.pk]))
    assert page.context["offered"] == [twin]


@pytest.mark.parametrize("route", ["merge_account", "merge_person"])
def test_with_scripts_the_part_comes_alone(route, as_role):
    row = AccountFactory() if route == "merge_account" else PersonFactory()
    answer = as_role("support").get(reverse(route, args=[row.pk]), headers=HTMX)
    assert answer.content.decode().lstrip().startswith(f'<section id="{route}">')


def test_a_setup_that_was_known_twice_counts_once_in_the_numbers(two, as_role):
    old, acme = two
    assert sum(row.started for row in numbers(timezone.now())) == 3
    confirmed(as_role("support"), "merge_account", old, acme)
    assert sum(row.started for row in numbers(timezone.now())) == 2


def test_two_members_with_one_address_are_pointed_out(two, as_role):
    old, acme = two
    twin = PersonFactory(email="EVE@customer.example", name="Eve Adams")
    MembershipFactory(account=acme, person=twin)
    text = shown(as_role("support"), "merge_account", old, other=acme.pk)
    assert f"Has the same address as Eve Adams ({twin.external_id}) there" in text
