"""An account's page: where its setups are, what happens next, and why somebody did or did not get a mail."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import staff
from accounts.models import Account, Person
from events import keys
from events.ingest import ingest
from lifecycle.journeys import blueprint, publishing
from lifecycle.journeys.models import Enrolment, Journey, JourneyVersion
from lifecycle.runner.deliver import deliver
from lifecycle.runner.look import look_at
from lifecycle.runner.models import ParkedAccount, Pause
from lifecycle.runner.why import outlooks, present
from messaging.models import Address, Suppression

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>{{ 7 }}"


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def published(now):
    staff.make_roles()
    author, reviewer = (
        staff.put_user(name, role=name, password=None) for name in ("marketer", "reviewer")
    )
    blueprint.load()
    for version in JourneyVersion.objects.all():
        version.document["hours"] |= {
            "days": list(range(7)), "start": "00:00", "end": "24:00",
            "quiet_start": "00:00", "quiet_end": "00:00",
        }  # fmt: skip
        version.save()
    since = now - timedelta(days=30)
    blueprint.publish_all(author=author, reviewer=reviewer, now=now, since=since)


def tell(now, *calls) -> Account:
    key, _ = keys.create("test")
    ingest(list(calls), key=key, now=now)
    account = Account.objects.get()
    # The sending domain was made after `now`; its first tokens are there a moment later.
    soon = now + timedelta(seconds=30)
    deliver(look_at([account.pk], now=now), clock=lambda: soon)
    return account


def member(name, role, now) -> list[dict]:
    at = (now - timedelta(days=10)).isoformat()
    traits = {"name": name, "email": f"{name.split()[0].lower()}@acme.example"}
    return [
        {"type": "identify", "userId": name, "traits": traits, "timestamp": at},
        {"type": "group", "userId": name, "groupId": "acme", "timestamp": at,
         "traits": {"name": "Acme", "role": role}},
    ]  # fmt: skip


def started(name, minutes, now, kind="api") -> dict:
    return {
        "type": "track", "userId": name, "event": "integration_started",
        "properties": {"integration_type": kind, "provider": "stripe"},
        "context": {"groupId": "acme"},
        "timestamp": (now - timedelta(minutes=minutes)).isoformat(),
    }  # fmt: skip


def page(client, account) -> str:
    return client.get(reverse("customer", args=[account.pk])).content.decode()


def why(client, account, name, step) -> str:
    person = Person.objects.get(external_id=name)
    address = reverse("customer_why", args=[account.pk])
    answer = client.get(
        address, {"person": person.pk, "step": step}, headers={"HX-Request": "true"}
    )
    return answer.content.decode()


def test_it_says_what_happens_next_to_whom_and_unless_what(admin_client, published, now):
    account = tell(now, *member("Dana Bell", "developer", now), started("Dana Bell", 5, now))
    shown = page(admin_client, account)
    assert "API 1: started" in shown
    assert "To Dana Bell: they started the setup." in shown
    assert "It does not happen if the setup moves on before." in shown


def test_whoever_got_a_mail_is_told_when(admin_client, published, now):
    account = tell(now, *member("Dana Bell", "developer", now), started("Dana Bell", 21, now))
    assert "Dana Bell got it on" in why(admin_client, account, "Dana Bell", "api_started")
    assert "Next for Stripe" in page(admin_client, account)


def test_whoever_was_passed_over_is_told_why_and_for_whom(admin_client, published, now):
    account = tell(
        now,
        *member("Dana Bell", "developer", now),
        *member("Omar Diaz", "owner", now),
        started("Dana Bell", 5, now),
    )
    said = why(admin_client, account, "Omar Diaz", "api_started")
    assert "Omar Diaz has not got it yet" in said or "does not get it" in said


def test_a_suppressed_starter_gets_nothing_and_the_reason_is_said(admin_client, published, now):
    Suppression.objects.create(
        address=Address.objects.create(value="dana@acme.example"), reason="complaint", source="test"
    )
    account = tell(now, *member("Dana Bell", "developer", now), started("Dana Bell", 21, now))
    said = why(admin_client, account, "Dana Bell", "api_started")
    assert "Dana Bell does not get it: their address must not get mail." in said


def test_whoever_is_known_only_by_a_track_gets_the_mail_that_is_due(admin_client, published, now):
    begun = started("Dana Bell", 122, now)
    begun["properties"]["initiated_by_role"] = "developer"
    account = tell(now, member("Dana Bell", "developer", now)[0], begun)
    row = account.memberships.get()
    assert row.role_since == row.joined_at
    assert "Dana Bell got it on" in why(admin_client, account, "Dana Bell", "api_stalled_start")


def pair(now) -> Account:
    """Dana has started and Omar may help; the first mail is not due yet."""
    return tell(
        now,
        *member("Dana Bell", "developer", now),
        *member("Omar Diaz", "developer", now),
        started("Dana Bell", 5, now),
    )


def test_whoever_cannot_be_written_to_is_told_so_before_its_time(admin_client, published, now):
    account = pair(now)
    Suppression.objects.create(
        address=Address.objects.create(value="dana@acme.example"), reason="complaint", source="test"
    )
    said = why(admin_client, account, "Dana Bell", "api_started")
    assert "Dana Bell does not get it: their address must not get mail." in said
    account.memberships.update(ended_at=now)
    for name in ("Dana Bell", "Omar Diaz"):
        said = why(admin_client, account, name, "api_started")
        assert f"{name} does not get it: they left the account." in said


def test_a_pause_is_told_before_the_time_of_a_mail_has_come(admin_client, published, now):
    account = pair(now)
    Pause.objects.create(paused_at=now, paused_by="ada")
    said = why(admin_client, account, "Dana Bell", "api_started")
    assert "its time has not come yet. Besides, all sending is paused." in said
    assert "Besides, all sending is paused." in page(admin_client, account)


def test_each_setup_gets_an_answer_of_its_own(admin_client, published, now):
    other = started("Dana Bell", 5, now)
    other["properties"] = {"integration_type": "api", "provider": "hubspot"}
    account = tell(
        now, *member("Dana Bell", "developer", now), started("Dana Bell", 21, now), other
    )
    said = why(admin_client, account, "Dana Bell", "api_started")
    assert "Stripe: Dana Bell got it on" in said
    assert "HubSpot: Dana Bell has not got it yet" in said


def test_no_time_is_told_for_what_waits_for_an_end_that_nobody_knows(admin_client, published, now):
    account = pair(now)
    account.paused_at = now
    account.save()
    plan = present(account, now + timedelta(minutes=40))
    (api,) = outlooks(plan)
    waiting = [step for step in api.next if "The account is paused." in step.text]
    assert waiting, api.next
    assert all(step.at is None for step in waiting)


def test_a_working_setup_says_that_reminders_are_over(admin_client, published, now):
    success = {
        **started("Dana Bell", 3, now), "event": "first_api_call_success",
        "properties": {"provider": "stripe", "environment": "production"},
    }  # fmt: skip
    key_made = {**started("Dana Bell", 4, now), "event": "api_key_created"}
    account = tell(
        now, *member("Dana Bell", "developer", now), started("Dana Bell", 5, now), key_made, success
    )
    said = why(admin_client, account, "Dana Bell", "api_started")
    assert "does not get it: the integration is working" in said.lower() or "is over" in said
    assert "Working" in page(admin_client, account)


def test_the_control_group_is_named_and_what_was_withheld(admin_client, published, now):
    live = JourneyVersion.objects.get(journey__key="api")
    version = JourneyVersion.objects.create(
        journey=live.journey,
        number=2,
        created_by=live.created_by,
        document={**live.document, "holdout_percent": 100},
    )
    assert live.approved_by is not None
    publishing.publish(version, by=live.approved_by, now=now)
    account = tell(now, *member("Dana Bell", "developer", now), started("Dana Bell", 21, now))
    assert Enrolment.objects.get().arm == Enrolment.Arm.HOLDOUT
    assert "control group" in page(admin_client, account)
    assert "would have got it" in why(admin_client, account, "Dana Bell", "api_started")


def test_an_account_that_was_set_aside_shows_the_error(admin_client, published, now):
    account = tell(now, started("Dana Bell", 5, now))
    ParkedAccount.objects.create(account=account, error="KeyError: 'x'", parked_at=now)
    assert "was set aside after an error" in page(admin_client, account)


def test_an_account_without_setups_says_what_will_appear(admin_client):
    account = Account.objects.create(external_id="new")
    assert "No setup yet" in page(admin_client, account)


def test_hostile_names_and_properties_are_shown_as_text(admin_client, published, now):
    calls = member(HOSTILE, "developer", now)
    calls[1]["traits"]["name"] = HOSTILE
    account = tell(now, *calls, {**started(HOSTILE, 5, now), "properties": {
        "integration_type": "api", "provider": HOSTILE}})  # fmt: skip
    shown = page(admin_client, account)
    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown


def test_a_question_without_a_person_or_an_email_says_what_to_choose(admin_client):
    account = Account.objects.create(external_id="new")
    answer = admin_client.get(reverse("customer_why", args=[account.pk]), {"person": "x'"})
    assert "Choose a person and an e-mail." in answer.content.decode()


def test_the_page_costs_the_same_queries_for_a_longer_story(
    admin_client, published, now, django_assert_max_num_queries
):
    account = tell(now, *member("Dana Bell", "developer", now), started("Dana Bell", 5, now))
    key, _ = keys.create("more")
    seen = [
        {**started("Dana Bell", 4, now), "event": "docs_viewed", "messageId": f"m{n}"}
        for n in range(30)
    ]
    with django_assert_max_num_queries(60):
        page(admin_client, account)
    ingest(seen, key=key, now=now)
    with django_assert_max_num_queries(60):
        page(admin_client, account)
    assert Journey.objects.count() == 3
