"""Review: what was submitted is frozen, nobody approves their own work, and every move is on record."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction

from messaging import drafts, review
from messaging.models import (
    AuditEntry,
    ChangeSet,
    Destination,
    Participant,
    Snippet,
    TemplateVersion,
    VersionStatus,
)
from messaging.review import NotAllowed, shared
from tests.factories import UserFactory
from tests.messaging import reviewing
from tests.messaging.reviewing import BAD, a_draft, submit, words
from tests.messaging.scenes import NOW

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def ada():
    return UserFactory(username="ada")


@pytest.fixture
def bob():
    return UserFactory(username="bob", is_superuser=True)


@pytest.fixture
def world():
    reviewing.world()


def approved(change_set: ChangeSet, by, *, remarks=(), shown: str | None = None, overrule=""):
    with transaction.atomic():
        return review.publish(
            change_set,
            by=by,
            hash_shown=change_set.content_hash if shown is None else shown,
            remarks=remarks,
            overrule=overrule,
            now=LATER,
        )


def live(version: TemplateVersion, ada, bob) -> TemplateVersion:
    approved(submit(version, ada), bob)
    version.refresh_from_db()
    return version


def test_what_is_submitted_is_frozen_with_what_it_refers_to(world, ada):
    version = a_draft(ada)
    change_set = submit(version, ada)
    version.refresh_from_db()
    assert version.status == VersionStatus.IN_REVIEW
    assert version.frozen["snippets"] == {"offer": "We help.\n"}
    assert version.content_hash == review.content_hash(version.matter())
    assert change_set.status == ChangeSet.Status.IN_REVIEW
    assert set(change_set.participants.values_list("user__username", "part")) == {("ada", "author")}


def test_an_approval_makes_it_live_and_retires_what_was(world, ada, bob):
    first = live(a_draft(ada), ada, bob)
    second = live(a_draft(ada, subject="Second"), ada, bob)
    first.refresh_from_db()
    assert (first.status, second.status) == (VersionStatus.RETIRED, VersionStatus.LIVE)
    assert second.approved_by == bob
    assert second.approved_hash == second.content_hash


def test_nobody_approves_their_own_work_superusers_included(world, bob):
    change_set = submit(a_draft(bob), bob)
    with pytest.raises(NotAllowed, match="your own work"):
        approved(change_set, bob)


def test_everybody_who_edited_is_an_author_whoever_submits(world, ada, bob):
    version = a_draft(ada)
    drafts.save(version.pk, words("Better"), revision=version.revision, by=bob, now=NOW)
    version.refresh_from_db()
    change_set = submit(version, ada)
    with pytest.raises(NotAllowed, match="your own work"):
        approved(change_set, bob)


def test_the_database_refuses_an_author_as_reviewer_whatever_the_code_says(world, ada, bob):
    change_set = submit(a_draft(ada), ada)
    with pytest.raises(DatabaseError), transaction.atomic():
        Participant.objects.create(change_set=change_set, user=ada, part="reviewer")


def test_a_second_approval_finds_it_decided(world, ada, bob):
    change_set = submit(a_draft(ada), ada)
    approved(change_set, bob)
    with pytest.raises(NotAllowed, match="approved and published already, by bob"):
        approved(change_set, UserFactory(is_superuser=True))


def test_what_was_not_shown_is_not_approved(world, ada, bob):
    change_set = submit(a_draft(ada), ada)
    answer = approved(change_set, bob, shown="0" * 64)
    assert isinstance(answer, review.Again)
    change_set.refresh_from_db()
    assert change_set.status == ChangeSet.Status.IN_REVIEW


def test_what_was_edited_since_the_proposal_is_not_submitted(world, ada):
    version = a_draft(ada)
    proposal = review.propose("Started", [version])
    drafts.save(version.pk, words("Other"), revision=version.revision, by=ada, now=NOW)
    with pytest.raises(NotAllowed, match="changed while you looked"):
        review.submit(proposal, by=ada, note="", remarks=(), now=NOW)
    assert not ChangeSet.objects.exists()


def test_what_is_in_review_cannot_be_edited(world, ada):
    version = a_draft(ada)
    submit(version, ada)
    answer = drafts.save(version.pk, words("Sly"), revision=version.revision, by=ada, now=NOW)
    assert isinstance(answer, drafts.Refused)


def test_a_blocking_remark_cannot_be_approved_away(world, ada, bob):
    change_set = submit(a_draft(ada), ada, remarks=(BAD,))
    reviewer = UserFactory()
    for overrule in ("", "  "):
        with pytest.raises(NotAllowed, match="It leads nowhere"):
            approved(change_set, bob, remarks=[BAD], overrule=overrule)
    with pytest.raises(NotAllowed, match="may not overrule"):
        approved(change_set, reviewer, remarks=[BAD], overrule="I say so")


def test_whoever_holds_the_permission_overrules_with_a_reason_on_record(world, ada):
    boss = UserFactory()
    boss.user_permissions.add(Permission.objects.get(codename="overrule_checks"))
    change_set = submit(a_draft(ada), ada, remarks=[BAD])
    approved(change_set, boss, remarks=[BAD], overrule="The page opens tomorrow.")
    change_set.refresh_from_db()
    assert change_set.overruled_because == "The page opens tomorrow."
    assert AuditEntry.objects.get(act="overruled").note == "The page opens tomorrow."


def test_changes_are_requested_made_and_submitted_again_with_the_history(world, ada, bob):
    version = a_draft(ada)
    change_set = submit(version, ada)
    review.request_changes(change_set, by=bob, comment="Shorter still.", now=NOW)
    version.refresh_from_db()
    assert version.status == VersionStatus.CHANGES_REQUESTED
    drafts.save(version.pk, words("S"), revision=version.revision, by=ada, now=NOW)
    change_set.refresh_from_db()
    again = review.submit(review.proposed(change_set), by=ada, note="", remarks=(), now=LATER)
    assert again.pk == change_set.pk
    assert again.content_hash != change_set.content_hash
    assert isinstance(approved(again, bob), review.Decided)
    acts = list(change_set.record.order_by("pk").values_list("act", flat=True))
    assert acts == ["submitted", "changes_requested", "submitted", "approved", "published"]


def test_a_request_for_changes_says_why(world, ada, bob):
    change_set = submit(a_draft(ada), ada)
    with pytest.raises(NotAllowed, match="Say what should change"):
        review.request_changes(change_set, by=bob, comment=" ", now=NOW)


def test_what_is_withdrawn_is_a_draft_again(world, ada):
    version = a_draft(ada)
    change_set = submit(version, ada)
    review.withdraw(change_set, by=ada, now=NOW)
    version.refresh_from_db()
    assert (version.status, version.change_set) == (VersionStatus.DRAFT, None)
    with pytest.raises(NotAllowed, match="decided already"):
        review.withdraw(change_set, by=ada, now=NOW)


# --- shared texts -----------------------------------------------------------------------------


def test_a_text_that_nothing_live_uses_changes_at_once(world, ada):
    a_draft(ada)
    row = Snippet.objects.get(key="offer")
    assert shared.change(row, {"body": "New.\n"}, by=ada, now=NOW) is None
    row.refresh_from_db()
    assert row.body == "New.\n"
    assert AuditEntry.objects.get(act="shared").by == ada


def test_a_text_in_use_changes_with_all_its_users_and_not_before(world, ada, bob):
    first = live(a_draft(ada), ada, bob)
    other = live(a_draft(ada, key="other"), ada, bob)
    live(a_draft(ada, key="apart", body="Nothing shared.\n"), ada, bob)
    row = Snippet.objects.get(key="offer")
    change_set = shared.change(row, {"body": "We call you.\n"}, by=bob, now=NOW)
    assert change_set is not None
    row.refresh_from_db()
    assert row.body == "We help.\n"
    drafted = review.members_of(change_set)
    assert {version.template_id for version in drafted} == {first.template_id, other.template_id}
    first.refresh_from_db()
    assert first.frozen["snippets"]["offer"] == "We help.\n"
    change_set = review.submit(review.proposed(change_set), by=bob, note="", remarks=(), now=NOW)
    with pytest.raises(NotAllowed, match="your own work"):
        approved(change_set, bob)
    approved(change_set, ada)
    row.refresh_from_db()
    assert row.body == "We call you.\n"
    now_live = TemplateVersion.objects.get(template=first.template, status=VersionStatus.LIVE)
    assert now_live.frozen["snippets"]["offer"] == "We call you.\n"


def test_a_screen_in_use_changes_in_review_too(world, ada, bob):
    live(a_draft(ada), ada, bob)
    row = Destination.objects.get(key="keys")
    change_set = shared.change(row, {"path": "/settings/keys"}, by=ada, now=NOW)
    assert change_set is not None
    change_set = review.submit(review.proposed(change_set), by=ada, note="", remarks=(), now=NOW)
    approved(change_set, bob)
    row.refresh_from_db()
    assert row.path == "/settings/keys"
    now_live = TemplateVersion.objects.get(status=VersionStatus.LIVE)
    assert now_live.frozen["destinations"]["keys"]["path"] == "/settings/keys"


def test_a_free_draft_of_a_user_joins_and_its_editors_are_authors(world, ada, bob):
    live(a_draft(ada), ada, bob)
    draft = a_draft(bob, subject="Bob's")
    row = Snippet.objects.get(key="offer")
    change_set = shared.change(row, {"body": "We call.\n"}, by=ada, now=NOW)
    assert change_set is not None
    assert [one.pk for one in review.members_of(change_set)] == [draft.pk]
    change_set = review.submit(review.proposed(change_set), by=ada, note="", remarks=(), now=NOW)
    with pytest.raises(NotAllowed, match="your own work"):
        approved(change_set, bob)


def test_a_version_in_review_stands_in_the_way_and_is_named(world, ada, bob):
    live(a_draft(ada), ada, bob)
    submit(a_draft(ada, subject="Next"), ada)
    row = Snippet.objects.get(key="offer")
    with pytest.raises(NotAllowed, match=r"Started v2 \(in review, by ada, in “Started”\)"):
        shared.change(row, {"body": "We call.\n"}, by=bob, now=NOW)


def test_a_shared_change_that_is_withdrawn_leaves_no_empty_drafts(world, ada, bob):
    live(a_draft(ada), ada, bob)
    row = Snippet.objects.get(key="offer")
    change_set = shared.change(row, {"body": "We call.\n"}, by=bob, now=NOW)
    assert change_set is not None
    review.withdraw(change_set, by=bob, now=NOW)
    assert set(TemplateVersion.objects.values_list("status", flat=True)) == {VersionStatus.LIVE}
    row.refresh_from_db()
    assert row.body == "We help.\n"


def test_an_email_cannot_be_thrown_out_of_a_change_of_what_it_shows(world, ada, bob):
    live(a_draft(ada), ada, bob)
    change_set = shared.change(
        Snippet.objects.get(key="offer"), {"body": "We call.\n"}, by=ada, now=NOW
    )
    (draft,) = review.members_of(change_set)
    refused = drafts.discard(draft.pk, revision=draft.revision, by=ada, now=NOW)
    assert isinstance(refused, drafts.Refused)
    assert "Withdraw the whole change" in refused.reason
    assert [one.pk for one in review.members_of(change_set)] == [draft.pk]


def test_a_shared_change_is_not_submitted_without_every_email_that_shows_it(world, ada, bob):
    live(a_draft(ada), ada, bob)
    row = Snippet.objects.get(key="offer")
    change_set = shared.change(row, {"body": "We call.\n"}, by=ada, now=NOW)
    live(a_draft(ada, key="newcomer"), ada, bob)
    with pytest.raises(NotAllowed, match="changes what Newcomer shows too"):
        review.submit(review.proposed(change_set), by=ada, note="", remarks=(), now=NOW)


def test_a_shared_change_is_not_published_past_an_email_that_went_live_meanwhile(world, ada, bob):
    live(a_draft(ada), ada, bob)
    row = Snippet.objects.get(key="offer")
    change_set = shared.change(row, {"body": "We call.\n"}, by=ada, now=NOW)
    change_set = review.submit(review.proposed(change_set), by=ada, note="", remarks=(), now=NOW)
    live(a_draft(ada, key="newcomer"), ada, bob)
    with pytest.raises(NotAllowed, match="Newcomer shows too, which went live meanwhile"):
        approved(change_set, bob)
    row.refresh_from_db()
    assert row.body == "We help.\n"


def test_a_draft_refers_to_what_its_change_set_makes_of_a_shared_text(world, ada, bob):
    first = live(a_draft(ada), ada, bob)
    change_set = shared.change(
        Snippet.objects.get(key="offer"), {"body": "We call.\n"}, by=ada, now=NOW
    )
    (draft,) = review.members_of(change_set)
    assert review.frozen_of(draft)["snippets"]["offer"] == "We call.\n"
    assert review.frozen_of(first)["snippets"]["offer"] == "We help.\n"


def test_a_version_that_waits_while_its_shared_text_changes_is_not_approved(world, ada, bob):
    change_set = submit(a_draft(ada), ada)
    Snippet.objects.filter(key="offer").update(body="Changed beside review.\n")
    with pytest.raises(NotAllowed, match="“offer” changed since this was submitted"):
        approved(change_set, bob)


# --- the database refuses ---------------------------------------------------------------------


def refused(sql: str, *values) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, values)
    except DatabaseError:
        return True
    return False


def test_the_database_keeps_what_was_submitted(world, ada, bob):
    version = a_draft(ada)
    table = "UPDATE messaging_templateversion SET"
    assert not refused(f"{table} content = '{{}}' WHERE id = %s", version.pk)
    submit(TemplateVersion.objects.get(pk=version.pk), ada)
    for column, value in (("content", "[]"), ("frozen", "{}"), ("content_hash", "x")):
        assert refused(f"{table} {column} = %s WHERE id = %s", value, version.pk), column
    # A status may move; what then may be edited is the draft.
    assert not refused(f"{table} status = 'changes_requested' WHERE id = %s", version.pk)
    assert not refused(f"{table} content = '[]' WHERE id = %s", version.pk)


def test_the_database_refuses_an_approval_by_an_editor(world, ada, bob):
    version = a_draft(ada)
    version.editors.add(bob)
    submit(version, ada)
    live_by = (
        "UPDATE messaging_templateversion SET status = 'live', approved_hash = content_hash, "
        "approved_by_id = %s WHERE id = %s"
    )
    assert refused(live_by, ada.pk, version.pk)
    assert refused(live_by, bob.pk, version.pk)
    assert refused(live_by, None, version.pk)
    assert not refused(live_by, UserFactory().pk, version.pk)


def test_the_database_keeps_the_record(world, ada):
    submit(a_draft(ada), ada)
    entry = AuditEntry.objects.latest("pk")
    assert refused("UPDATE messaging_auditentry SET note = 'nothing happened'")
    if connection.vendor == "postgresql":
        assert refused("DELETE FROM messaging_auditentry")
    with pytest.raises(TypeError):
        entry.save()
    with pytest.raises(TypeError):
        entry.delete()


def test_after_all_migrations_the_triggers_are_there():
    wanted = {
        f"{table}_{name}"
        for table in ("messaging_templateversion", "journeys_journeyversion")
        for name in ("fixed", "approved", "approved_new")
    } | {"messaging_auditentry_kept"}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        assert wanted <= {name for (name,) in cursor.fetchall()}
