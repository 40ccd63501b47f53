"""What messaging found becomes an alert, once, and the alert ends when the trouble does."""

from datetime import timedelta

import pytest

from lifecycle.alerts import desk, mail_trouble
from lifecycle.alerts.models import Alert
from lifecycle.runner.tick import sweep
from messaging import breaker, findings, outbox
from messaging.models import Finding, Message, SendingDomain
from tests.messaging.scenes import a_version, claimed, queued
from tests.runner.scenes import DAY, HOUR, at, staff, turn, until

pytestmark = pytest.mark.django_db


def standing() -> list[str]:
    rows = Alert.objects.exclude(status="resolved").order_by("pk")
    return list(rows.values_list("title", flat=True))


def test_a_tripped_breaker_opens_an_alert_and_letting_it_go_on_ends_it(tell):
    domain = SendingDomain.objects.get()
    breaker.pause(domain.pk, "3 of 10 mails were marked as spam within a day.", now=at(0))
    sweep(at(1))
    alert = Alert.objects.get()
    finding = Finding.objects.get()
    assert (alert.kind, alert.dedupe_key) == ("finding", f"finding:{finding.pk}")
    assert alert.title == "Sending is paused: company.example"
    assert "3 of 10 mails were marked as spam" in alert.detail
    domain.refresh_from_db()
    breaker.resume(domain, now=at(60))
    sweep(at(61))
    alert.refresh_from_db()
    assert (alert.status, alert.resolution) == ("resolved", "It is over.")


def test_a_finding_has_one_alert_however_often_the_sweep_comes(tell):
    findings.report("render_error", "api_started v2", "No such variable.", now=at(0))
    for minute in range(1, 4):
        sweep(at(minute))
    assert standing() == ["An e-mail cannot be written: api_started v2"]


def test_an_alert_that_a_person_resolved_does_not_come_back_while_the_trouble_goes_on(tell):
    findings.report("broken_link", "docs", "404 since Monday.", now=at(0))
    sweep(at(1))
    desk.resolve(Alert.objects.get().pk, resolution="We know.", now=at(2))
    sweep(at(3))
    assert standing() == []


def test_the_same_trouble_later_is_an_alert_of_its_own(tell):
    for start in (0, HOUR):
        findings.report("broken_link", "docs", "404.", now=at(start))
        sweep(at(start + 1))
        assert standing() == ["A link in e-mails does not work: docs"]
        findings.close("broken_link", "docs", now=at(start + 2))
        sweep(at(start + 3))
    assert Alert.objects.filter(resolution="It is over.").count() == 2


def test_an_alert_that_somebody_has_taken_ends_too(tell):
    findings.report("broken_link", "docs", "404.", now=at(0))
    sweep(at(1))
    desk.take(Alert.objects.get().pk, by=staff("sam"), now=at(2))
    findings.close("broken_link", "docs", now=at(3))
    sweep(at(4))
    assert standing() == []


# --- outcomes that nobody knows -------------------------------------------------------------------


def unknown_since(minutes: float) -> Message:
    (message,) = queued(now=at(minutes), emails=[f"x{minutes}@customer.example"])
    claimed([message], now=at(minutes), lease=timedelta(0))
    outbox.reap(at(minutes) + timedelta(seconds=1))
    return message


def test_outcomes_that_stay_unknown_open_one_alert(tell):
    unknown_since(0)
    unknown_since(5)
    sweep(at(9))
    assert standing() == []
    sweep(at(12))
    assert standing() == ["1 e-mail may or may not have been delivered"]
    sweep(at(20))
    assert Alert.objects.count() == 1


def test_there_is_one_such_alert_a_day_at_most(tell):
    for start in (0, HOUR, DAY + HOUR):
        message = unknown_since(start)
        sweep(at(start + 15))
        outbox.settle_by_hand(message, "sent", by="sam", now=at(start + 20))
        sweep(at(start + 21))
        assert standing() == []
    assert Alert.objects.filter(resolution=mail_trouble.OVER).count() == 2


def a_mail_goes(at_minutes: float, **values) -> None:
    message = queued(now=at(at_minutes), **values)
    ids = claimed(message, now=at(at_minutes))
    settled = outbox.Settlement(ids[0], "sent", at(at_minutes))
    assert outbox.settle([settled], owner="one") == ids


def test_an_e_mail_that_cannot_be_written_is_over_once_one_of_that_version_or_a_newer_one_goes(
    tell,
):
    version = a_version()
    findings.report("render_error", str(version), "No such variable.", now=at(0))
    sweep(at(1))
    a_mail_goes(2)
    sweep(at(3))
    assert standing() == [f"An e-mail cannot be written: {version}"]
    a_mail_goes(4, version=version)
    sweep(at(5))
    assert standing() == []


def test_an_e_mail_that_cannot_be_written_is_over_once_its_version_is_retired(tell):
    version = a_version()
    findings.report("render_error", str(version), "No such variable.", now=at(0))
    sweep(at(1))
    version.status = "retired"
    version.save()
    sweep(at(2))
    assert standing() == []


def test_a_mail_server_that_is_down_is_an_alert_within_minutes_and_over_once_mail_goes(
    tell, provider
):
    tell.starts(0)
    provider.is_down = True
    for minute in (10, 10.7, 11):
        turn(minute)
        sweep(at(minute))
        assert standing() == []
    until(16, start=12, every=1)
    sweep(at(16))
    (title,) = standing()
    assert title.startswith("The mail provider cannot be reached")
    provider.is_down = False
    until(40, start=17, every=1)
    sweep(at(40))
    assert provider.to() == ["hello"]
    assert standing() == []
