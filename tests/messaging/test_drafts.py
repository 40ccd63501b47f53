"""Drafts: begun once, saved as typed, and nobody overwrites anybody."""

from datetime import timedelta

import pytest

from lifecycle.journeys.models import JourneyVersion
from messaging import drafts
from messaging.models import AuditEntry, Template, TemplateVersion, VersionStatus
from tests.events.test_races import together
from tests.factories import UserFactory
from tests.messaging.scenes import CONTENT, NOW, a_version
from tests.pages.scenes import journey, version

LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def ann(db):
    return UserFactory(username="ann")


@pytest.fixture
def bob(db):
    return UserFactory(username="bob")


@pytest.fixture
def live(db) -> TemplateVersion:
    row = a_version()
    approved = {
        "status": VersionStatus.LIVE,
        "approved_hash": row.content_hash,
        "approved_by": UserFactory(),
    }
    TemplateVersion.objects.filter(pk=row.pk).update(**approved)
    return row


def words(subject: str, **more):
    return {"variants": [{"subject": subject, "preheader": "", "body": "Hi", **more}], "claims": []}


def test_a_draft_begins_with_the_words_of_the_live_version(live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    assert (draft.number, draft.status, draft.content) == (2, VersionStatus.DRAFT, CONTENT)
    assert draft.created_by == ann
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.by, entry.subject_key) == ("begun", ann, f"templateversion:{draft.pk}")


def test_a_new_email_begins_with_one_empty_variant(ann):
    draft = drafts.begin(Template.objects.create(key="new", name="New"), by=ann, now=NOW)
    assert draft.number == 1
    assert drafts.save(draft.pk, draft.content, revision=1, by=ann, now=NOW)
    assert [one["subject"] for one in draft.content["variants"]] == [""]


def test_whoever_begins_second_gets_the_same_draft(live, ann, bob):
    first = drafts.begin(live.template, by=ann, now=NOW)
    assert drafts.begin(live.template, by=bob, now=LATER) == first
    assert AuditEntry.objects.count() == 1


def test_a_version_in_review_is_the_unfinished_one(live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    TemplateVersion.objects.filter(pk=draft.pk).update(status=VersionStatus.IN_REVIEW)
    assert drafts.begin(live.template, by=ann, now=LATER) == draft


def test_a_save_counts_on_and_makes_its_writer_an_author(live, ann, bob):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    assert drafts.save(draft.pk, words("A"), revision=1, by=bob, now=LATER) == drafts.Saved(
        2, LATER
    )
    draft.refresh_from_db()
    assert draft.content == words("A")
    assert (draft.saved_by, draft.saved_at, list(draft.editors.all())) == (bob, LATER, [bob])


def test_who_saves_second_is_shown_the_other_words_and_overwrites_nothing(live, ann, bob):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    drafts.save(draft.pk, words("Bob's"), revision=1, by=bob, now=LATER)
    found = drafts.save(draft.pk, words("Ann's"), revision=1, by=ann, now=LATER)
    assert found == drafts.Conflict(2, words("Bob's"), "bob", LATER)
    draft.refresh_from_db()
    assert draft.content == words("Bob's")
    assert isinstance(
        drafts.save(draft.pk, words("Both"), revision=2, by=ann, now=LATER), drafts.Saved
    )


def test_saving_what_stands_there_makes_nobody_an_author(live, ann, bob):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    found = drafts.save(draft.pk, dict(draft.content), revision=1, by=bob, now=LATER)
    assert found == drafts.Saved(1, NOW)
    assert not draft.editors.exists()


def test_half_written_words_are_kept_as_they_are(live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    unfinished = words("{% if ", body="", role="nobody")
    assert isinstance(drafts.save(draft.pk, unfinished, revision=1, by=ann, now=NOW), drafts.Saved)
    draft.refresh_from_db()
    assert draft.content == unfinished


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        {"variants": "x"},
        {"variants": [{"html": "x"}]},
        {"variants": [{"subject": 3}]},
        {"variants": [], "claims": {}},
        {"variants": [{"body": "x" * (drafts.WORDS_LIMIT + 1)}]},
    ],
)
def test_what_has_not_the_form_of_an_email_is_refused(odd, live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    assert isinstance(drafts.save(draft.pk, odd, revision=1, by=ann, now=NOW), drafts.Refused)
    draft.refresh_from_db()
    assert draft.content == CONTENT


@pytest.mark.parametrize("status", [VersionStatus.IN_REVIEW, VersionStatus.RETIRED])
def test_what_was_submitted_cannot_change_or_go(status, live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    TemplateVersion.objects.filter(pk=draft.pk).update(status=status)
    refused = drafts.save(draft.pk, words("A"), revision=1, by=ann, now=NOW)
    assert isinstance(refused, drafts.Refused)
    assert isinstance(drafts.discard(draft.pk, revision=1, by=ann, now=NOW), drafts.Refused)
    draft.refresh_from_db()
    assert draft.content == CONTENT


def test_changes_asked_for_can_be_made(live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    TemplateVersion.objects.filter(pk=draft.pk).update(status=VersionStatus.CHANGES_REQUESTED)
    assert isinstance(drafts.save(draft.pk, words("A"), revision=1, by=ann, now=NOW), drafts.Saved)


def test_a_discarded_draft_is_gone_and_remembered(live, ann):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    assert drafts.discard(draft.pk, revision=1, by=ann, now=LATER) is None
    assert not TemplateVersion.objects.filter(pk=draft.pk).exists()
    assert list(AuditEntry.objects.order_by("pk").values_list("act", flat=True)) == [
        "begun",
        "discarded",
    ]
    gone = drafts.save(draft.pk, words("A"), revision=1, by=ann, now=LATER)
    assert gone == drafts.Refused("This draft was discarded meanwhile.")


def test_nobody_discards_what_a_colleague_has_just_written(live, ann, bob):
    draft = drafts.begin(live.template, by=ann, now=NOW)
    drafts.save(draft.pk, words("Bob's"), revision=1, by=bob, now=LATER)
    found = drafts.discard(draft.pk, revision=1, by=ann, now=LATER)
    assert isinstance(found, drafts.Conflict)
    assert TemplateVersion.objects.filter(pk=draft.pk).exists()


def test_a_journey_is_drafted_by_the_same_rules(ann, bob):
    kind = drafts.Kind(
        model=JourneyVersion,
        parent="journey",
        words="document",
        empty={},
        fault=lambda words: "" if isinstance(words, dict) else "A journey is a document.",
        carried=("integration_type",),
    )
    live = version(journey())
    draft = drafts.begin(live.journey, by=ann, now=NOW, kind=kind)
    draft.refresh_from_db()
    live.refresh_from_db()
    assert (draft.document, draft.integration_type) == (live.document, live.integration_type)
    changed = {**draft.document, "name": "Other"}
    assert isinstance(
        drafts.save(draft.pk, changed, revision=1, by=bob, now=NOW, kind=kind), drafts.Saved
    )
    lost = drafts.save(draft.pk, {"name": "Mine"}, revision=1, by=ann, now=NOW, kind=kind)
    assert isinstance(lost, drafts.Conflict)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_many_who_begin_and_save_at_once_have_one_draft_and_one_winner():
    people = [UserFactory() for _ in range(6)]
    template = a_version().template
    TemplateVersion.objects.update(status=VersionStatus.RETIRED)
    begun = []
    raised = together(
        *(lambda by=by: begun.append(drafts.begin(template, by=by, now=NOW)) for by in people)
    )
    assert raised == []
    assert len({draft.pk for draft in begun}) == 1
    draft, found = begun[0], []

    def write(by):
        text = words(by.username)
        found.append(drafts.save(draft.pk, text, revision=1, by=by, now=NOW))

    assert together(*(lambda by=by: write(by) for by in people)) == []
    assert sum(isinstance(each, drafts.Saved) for each in found) == 1
    assert sum(isinstance(each, drafts.Conflict) for each in found) == len(people) - 1
