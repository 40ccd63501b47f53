"""Review on two connections at once, on PostgreSQL: one decides, the other is told."""

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from messaging import review
from messaging.models import AuditEntry, ChangeSet, Participant, TemplateVersion
from messaging.review import NotAllowed
from tests.events.test_races import together
from tests.factories import UserFactory
from tests.messaging import reviewing
from tests.messaging.scenes import NOW

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def change_set() -> ChangeSet:
    reviewing.world()
    author = UserFactory()
    return reviewing.submit(reviewing.a_draft(author), author)


def test_of_two_reviewers_at_once_one_publishes_and_the_other_is_told(change_set):
    reviewers = [UserFactory(), UserFactory()]
    said: list[object] = []

    def decide(by: User) -> None:
        try:
            with transaction.atomic():
                said.append(
                    review.publish(
                        change_set,
                        by=by,
                        hash_shown=change_set.content_hash,
                        remarks=(),
                        now=NOW,
                    )
                )
        except NotAllowed as refusal:
            said.append(refusal)

    together(*(lambda by=by: decide(by) for by in reviewers))
    assert sorted(type(one).__name__ for one in said) == ["Decided", "NotAllowed"]
    assert TemplateVersion.objects.get().status == "live"
    assert Participant.objects.filter(part="reviewer").count() == 1
    assert AuditEntry.objects.filter(act="published").count() == 1


def test_without_the_lock_the_database_still_allows_one_reviewer(change_set):
    Participant.objects.create(change_set=change_set, user=UserFactory(), part="reviewer")
    with pytest.raises(IntegrityError):
        Participant.objects.create(change_set=change_set, user=UserFactory(), part="reviewer")


def test_of_a_decision_and_a_withdrawal_at_once_one_happens(change_set):
    author = change_set.submitted_by
    said: list[str] = []

    def publish() -> None:
        try:
            with transaction.atomic():
                shown = change_set.content_hash
                review.publish(change_set, by=UserFactory(), hash_shown=shown, remarks=(), now=NOW)
            said.append("published")
        except NotAllowed:
            said.append("refused")

    def withdraw() -> None:
        try:
            review.withdraw(change_set, by=author, now=NOW)
            said.append("withdrawn")
        except NotAllowed:
            said.append("refused")

    together(publish, withdraw)
    assert sorted(said) in (["published", "refused"], ["refused", "withdrawn"])
    expected = "live" if "published" in said else "draft"
    assert TemplateVersion.objects.get().status == expected


def test_of_two_who_submit_at_once_one_does(change_set):
    author = UserFactory()
    version = reviewing.a_draft(author, key="other")
    proposals = [review.propose("Other", [version]) for _ in range(2)]
    said: list[str] = []

    def submit(proposal: review.Proposal) -> None:
        try:
            review.submit(proposal, by=author, note="", remarks=(), now=NOW)
            said.append("submitted")
        except NotAllowed:
            said.append("refused")

    together(*(lambda one=one: submit(one) for one in proposals))
    assert sorted(said) == ["refused", "submitted"]
    assert ChangeSet.objects.filter(title="Other").count() == 1
