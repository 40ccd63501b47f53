"""Whoever is waited for is told: a row with the move, and one mail later."""

from datetime import timedelta

import pytest

from accounts.staff import make_roles, put_user
from messaging import review
from messaging.models import Notice
from messaging.review import notices
from tests.messaging import reviewing
from tests.messaging.reviewing import a_draft, submit
from tests.messaging.scenes import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def outbox(settings, mailoutbox):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    reviewing.world()
    return mailoutbox


@pytest.fixture
def people():
    make_roles()
    return {
        name: put_user(name, role=name, password=None)
        for name in ("marketer", "reviewer", "administrator", "support")
    }


def go(now=NOW) -> list[bool]:
    return [notices.mail(pk, clock=lambda: now) for pk in notices.lease_due(now)]


def kinds() -> set[tuple[str, str, str]]:
    return set(Notice.objects.values_list("user__username", "kind", "mail"))


def test_those_who_may_decide_are_told_and_nobody_else(people, outbox):
    change_set = submit(a_draft(people["marketer"]), people["marketer"])
    assert kinds() == {("reviewer", "review", "waiting"), ("administrator", "review", "waiting")}
    go()
    assert sorted(mail.to[0] for mail in outbox) == [
        "administrator@localhost",
        "reviewer@localhost",
    ]
    assert change_set.get_absolute_url() in outbox[0].body
    assert "Shorter." in outbox[0].body


def test_an_author_who_could_decide_is_not_told(people):
    submit(a_draft(people["administrator"]), people["administrator"])
    assert kinds() == {("reviewer", "review", "waiting")}


def test_authors_are_told_what_was_decided(people, outbox):
    change_set = submit(a_draft(people["marketer"]), people["marketer"])
    review.request_changes(change_set, by=people["reviewer"], comment="Shorter!", now=NOW)
    go()
    (mail,) = outbox
    assert mail.to == ["marketer@localhost"]
    assert "Shorter!" in mail.body


def test_a_notice_is_mailed_once_whoever_tries(people, outbox):
    submit(a_draft(people["administrator"]), people["administrator"])
    (pk,) = notices.lease_due(NOW)
    assert notices.lease_due(NOW) == []
    assert [notices.mail(pk, clock=lambda: NOW) for _ in range(3)] == [True, False, False]
    assert len(outbox) == 1
    assert notices.lease_due(NOW + timedelta(days=1)) == []


def test_what_is_decided_meanwhile_is_not_mailed(people, outbox):
    change_set = submit(a_draft(people["marketer"]), people["marketer"])
    review.withdraw(change_set, by=people["marketer"], now=NOW)
    assert go() == []
    assert {mail for *_, mail in kinds()} == {"not_needed"}
    assert outbox == []


def test_staging_redirects_and_its_allow_list_holds(people, outbox, settings):
    settings.EMAIL_ALLOW_LIST = ["@company.example"]
    submit(a_draft(people["administrator"]), people["administrator"])
    go()
    assert {mail for *_, mail in kinds()} == {"refused"}
    settings.EMAIL_REDIRECT_ALL_TO = "all@company.example"
    submit(a_draft(people["administrator"], key="other"), people["administrator"])
    go()
    assert [mail.to for mail in outbox] == [["all@company.example"]]


def test_a_provider_that_is_away_is_tried_again(people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    submit(a_draft(people["administrator"]), people["administrator"])
    go()
    notice = Notice.objects.get()
    assert notice.mail == "waiting"
    assert notice.next_attempt_at > NOW


def test_a_process_that_went_silent_leaves_it_unknown_and_nobody_repeats_it(people):
    submit(a_draft(people["administrator"]), people["administrator"])
    Notice.objects.update(mail="sending", lease_until=NOW)
    assert notices.reap(NOW + timedelta(minutes=1)) == 1
    assert Notice.objects.get().mail == "uncertain"
    assert notices.lease_due(NOW + timedelta(days=1)) == []


def test_the_count_is_of_what_waits_for_oneself(people):
    marketer, reviewer, boss = (people[n] for n in ("marketer", "reviewer", "administrator"))
    change_set = submit(a_draft(boss), boss)
    assert [notices.waiting_on(user) for user in (marketer, reviewer, boss)] == [0, 1, 0]
    review.request_changes(change_set, by=reviewer, comment="No.", now=NOW)
    assert [notices.waiting_on(user) for user in (marketer, reviewer, boss)] == [0, 0, 1]
