"""Many accounts that fail alike are one alert, and no mail about it until that is over."""

import pytest

from lifecycle.alerts import desk
from lifecycle.alerts.models import Alert
from lifecycle.runner import incidents
from lifecycle.runner.models import Decision
from tests.runner.scenes import DAY, HOUR, at, look, send

pytestmark = pytest.mark.django_db
ACCOUNTS = [f"acct{n}" for n in range(6)]


def started(tell, accounts=ACCOUNTS, provider="stripe") -> None:
    for account in accounts:
        tell.joins(f"dev-{account}", account=account)
        tell.starts(0, by=f"dev-{account}", account=account, provider=provider)


def fail(tell, minutes, accounts=ACCOUNTS, **properties) -> None:
    for account in accounts:
        tell.tells("auth_failed", minutes, by=f"dev-{account}", account=account, **properties)


def standing() -> list[str]:
    rows = Alert.objects.filter(kind="incident").exclude(status="resolved")
    return list(rows.values_list("dedupe_key", flat=True))


def test_many_accounts_failing_alike_open_one_alert(tell):
    started(tell)
    fail(tell, 5, provider="stripe")
    for minute in (6, 7, 8):
        incidents.follow(at(minute))
    alert = Alert.objects.get()
    assert alert.title == "6 accounts fail alike: Stripe, Refused credentials"
    assert "6 errors of 6 accounts within an hour; usual are 0.0 an hour." in alert.detail
    assert standing() == ["incident:stripe:auth"]


def test_a_few_accounts_or_different_providers_are_no_incident(tell):
    started(tell)
    fail(tell, 5, ACCOUNTS[:4], provider="stripe")
    fail(tell, 6, ACCOUNTS[4:], provider="hubspot")
    incidents.follow(at(10))
    assert not Alert.objects.exists()


def test_one_account_failing_again_and_again_is_no_incident(tell):
    started(tell)
    for minute in range(1, 20):
        fail(tell, minute, ACCOUNTS[:1], provider="stripe")
    incidents.follow(at(20))
    assert not Alert.objects.exists()


def test_what_is_usual_is_no_incident(tell):
    started(tell)
    for hour in range(1, 7 * 24, 4):
        for minute in range(4):
            fail(tell, hour * HOUR + minute, provider="stripe")
    fail(tell, 7 * DAY + 30, provider="stripe")
    incidents.follow(at(7 * DAY + HOUR))
    assert not Alert.objects.exists()


def test_an_error_without_a_provider_counts_for_the_setup_it_belongs_to(tell):
    started(tell)
    look(1, *ACCOUNTS)
    fail(tell, 5)
    incidents.follow(at(6))
    assert standing() == ["incident:stripe:auth"]


def test_reminders_about_it_wait_while_it_goes_on_and_go_out_afterwards(tell, provider):
    started(tell)
    fail(tell, 5, provider="stripe")
    incidents.follow(at(6))
    send(look(20, *ACCOUNTS), 20)
    assert provider.got == []
    assert Decision.objects.filter(reason="incident").exists()
    incidents.follow(at(2 * HOUR))
    assert standing() == []
    assert Alert.objects.get().resolution == incidents.OVER
    send(look(2 * HOUR + 1, *ACCOUNTS), 2 * HOUR + 1)
    assert len(provider.got) == len(ACCOUNTS)


def test_what_a_person_resolved_does_not_come_back_while_it_goes_on(tell):
    started(tell)
    fail(tell, 5, provider="stripe")
    incidents.follow(at(6))
    desk.resolve(Alert.objects.get().pk, resolution="Known, they are on it.", now=at(7))
    incidents.follow(at(8))
    assert standing() == []
    fail(tell, 13 * HOUR, provider="stripe")
    incidents.follow(at(13 * HOUR + 1))
    assert standing() == ["incident:stripe:auth"]


def test_imported_history_is_no_incident(tell):
    started(tell)
    for account in ACCOUNTS:
        error = {"type": "track", "event": "auth_failed", "groupId": account,
                 "properties": {"provider": "stripe"}, "timestamp": at(5).isoformat()}  # fmt: skip
        tell.send(error, received=5, historical=True)
    incidents.follow(at(6))
    assert not Alert.objects.exists()
