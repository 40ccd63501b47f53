"""Review in the browser: submit, compare, comment, decide; what changed meanwhile is shown again."""

import json
import re

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from accounts import staff
from lifecycle.journeys import blueprint, changes, publishing
from lifecycle.journeys.checking import check_template
from lifecycle.journeys.models import Enrolment, Journey, JourneyVersion
from lifecycle.journeys.publish_plan import plan_of
from lifecycle.pages.reviewing import documents
from lifecycle.pages.reviewing.pieces import compare
from messaging import drafts, review
from messaging.models import (
    ChangeSet,
    Destination,
    Snippet,
    Template,
    TemplateVersion,
    VersionStatus,
)
from tests.factories import created
from tests.pages.scenes import enrolled

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(db):
    staff.make_roles()
    return {
        name: staff.put_user(name, role=name, password=None)
        for name in ("marketer", "reviewer", "administrator")
    }


@pytest.fixture
def published(people):
    """The blueprint live."""
    blueprint.load()
    now = timezone.now()
    blueprint.publish_all(
        author=people["marketer"], reviewer=people["reviewer"], now=now, since=now
    )


def written(people, key: str = "api_started", subject: str = "Another subject") -> TemplateVersion:
    template = Template.objects.get(key=key)
    version = drafts.begin(template, by=people["marketer"], now=timezone.now())
    content = {**version.content}
    content["variants"] = [{**content["variants"][0], "subject": subject}, *content["variants"][1:]]
    drafts.save(
        version.pk, content, revision=version.revision, by=people["marketer"], now=timezone.now()
    )
    version.refresh_from_db()
    return version


def journey_draft(people, **changed) -> JourneyVersion:
    live = JourneyVersion.objects.get(journey__key="api", status=VersionStatus.LIVE)
    return created(
        JourneyVersion,
        journey=live.journey,
        number=2,
        created_by=people["marketer"],
        integration_type=live.integration_type,
        document={**live.document, **changed},
    )


def submitted(people, version: TemplateVersion) -> ChangeSet:
    gathered = changes.of_template(version.template)
    return changes.submit(gathered, by=people["marketer"], note="Why not", now=timezone.now())


def shown(client, change_set) -> dict[str, str]:
    """The hidden fields of the approval as the page shows them."""
    text = client.get(change_set.get_absolute_url()).content.decode()
    return {
        name: re.search(rf'name="{name}"\s+value="([^"]*)"', text)[1] for name in ("hash", "plan")
    }


def approve(client, change_set, **fields):
    return client.post(reverse("approve_change_set", args=[change_set.pk]), fields)


def log_in(client, people, role):
    client.force_login(people[role])
    return client


def test_the_way_from_draft_to_live(client, people, published):
    version = written(people)
    marketer = log_in(client, people, "marketer")
    where = reverse("submit_template", args=["api_started"])
    page = marketer.get(where).content.decode()
    assert "<ins>Another subject</ins>" in page
    digest = re.search(r'name="hash" value="(\w+)"', page)[1]
    answer = marketer.post(where, {"hash": digest, "note": "Shorter"}, follow=True)
    assert "This is your own work" in answer.content.decode()
    change_set = ChangeSet.objects.latest("pk")
    reviewer = log_in(client, people, "reviewer")
    assert "Shorter" in reviewer.get(change_set.get_absolute_url()).content.decode()
    answer = approve(reviewer, change_set, **shown(reviewer, change_set))
    assert answer.status_code == 302
    version.refresh_from_db()
    assert version.status == VersionStatus.LIVE
    text = reviewer.get(change_set.get_absolute_url()).content.decode()
    assert "approved by reviewer" in text


def test_the_submit_page_shows_anew_what_changed_while_somebody_looked(client, people, published):
    written(people)
    marketer = log_in(client, people, "marketer")
    where = reverse("submit_template", args=["api_started"])
    answer = marketer.post(where, {"hash": "0" * 64})
    assert "was changed while you looked" in answer.content.decode()
    assert not ChangeSet.objects.filter(status="in_review").exists()


def test_without_a_draft_the_submit_page_leads_to_what_is_in_review(client, people, published):
    marketer = log_in(client, people, "marketer")
    where = reverse("submit_template", args=["api_started"])
    page = marketer.get(where).content.decode()
    assert "Write the next version first." in page
    assert "This is what your colleague will see" not in page
    change_set = submitted(people, written(people))
    page = marketer.get(where).content.decode()
    assert "It is in review already" in page
    assert f'href="{change_set.get_absolute_url()}"' in page


def test_a_journey_goes_with_the_drafts_of_its_emails(people, published):
    version = written(people)
    draft = journey_draft(people, name="API, anew")
    gathered = changes.of_journey(draft.journey)
    assert [str(one) for one in gathered.proposal.members] == [str(version), str(draft)]
    change_set = changes.submit(gathered, by=people["marketer"], note="", now=timezone.now())
    token = changes.plan(change_set, now=timezone.now()).token()
    done = changes.approve(
        change_set,
        by=people["reviewer"],
        hash_shown=change_set.content_hash,
        plan_shown=token,
        now=timezone.now(),
    )
    assert isinstance(done, changes.Published)
    for one in (version, draft):
        one.refresh_from_db()
        assert one.status == VersionStatus.LIVE


def test_publishing_moves_open_setups_and_says_who_is_looked_at_again(people, published):
    live = JourneyVersion.objects.get(journey__key="api", status=VersionStatus.LIVE)
    on_it = enrolled(live, started=timezone.now())
    draft = journey_draft(people, name="API, anew")
    gathered = changes.of_journey(draft.journey)
    change_set = changes.submit(gathered, by=people["marketer"], note="", now=timezone.now())
    done = changes.approve(
        change_set,
        by=people["reviewer"],
        hash_shown=change_set.content_hash,
        plan_shown=changes.plan(change_set, now=timezone.now()).token(),
        now=timezone.now(),
    )
    assert done == changes.Published((on_it.account_id,))
    assert Enrolment.objects.get().version == draft


def test_a_draft_of_another_change_is_named_and_left_out(people, published):
    version = written(people)
    change_set = submitted(people, version)
    review.request_changes(change_set, by=people["reviewer"], comment="No.", now=timezone.now())
    draft = journey_draft(people, name="API, anew")
    gathered = changes.of_journey(draft.journey)
    assert gathered.proposal.members == (draft,)
    assert gathered.left_out == (version,)


def test_a_plan_that_changed_materially_is_shown_again(client, people, published):
    change_set = submitted(people, written(people))
    reviewer = log_in(client, people, "reviewer")
    seen = shown(reviewer, change_set)
    Journey.objects.filter(key="api").update(paused_at=timezone.now())
    answer = approve(reviewer, change_set, **seen)
    assert "API setup is paused now." in answer.content.decode()
    assert ChangeSet.objects.get(pk=change_set.pk).status == "in_review"
    answer = approve(reviewer, change_set, **shown(reviewer, change_set))
    assert answer.status_code == 302


def test_a_few_more_setups_are_no_news_but_many_are(people, published):
    version = written(people)
    live = JourneyVersion.objects.get(journey__key="api", status=VersionStatus.LIVE)
    now = timezone.now()
    token = plan_of([version], [], now).token()
    for _ in range(5):
        enrolled(live, started=now)
    assert plan_of([version], [], now).since(token) == ()
    enrolled(live, started=now)
    assert plan_of([version], [], now).since(token) == (
        "API setup: 6 setups are on it now, not 0.",
    )
    assert plan_of([version], [], now).since("made up") == (
        "This page did not show what publishing would do.",
    )


def send_when_it_works(people, key: str) -> None:
    """Publish the API journey with this e-mail in place of the one that says that it works."""
    live = JourneyVersion.objects.get(journey__key="api", status=VersionStatus.LIVE)
    said, other = '"template": "api_usable"', f'"template": "{key}"'
    stages = json.loads(json.dumps(live.document["stages"]).replace(said, other))
    version = journey_draft(people, stages=stages)
    publishing.publish(version, by=people["reviewer"], now=timezone.now())


def test_whoever_approves_second_is_told_that_it_is_decided(client, people, published):
    change_set = submitted(people, written(people))
    reviewer = log_in(client, people, "reviewer")
    fields = shown(reviewer, change_set)
    reviewer.post(f"/reviews/{change_set.pk}/approve/", fields)
    text = reviewer.post(f"/reviews/{change_set.pk}/approve/", fields).content.decode()
    assert "was approved and published already, by reviewer" in text
    assert "no longer what you saw" not in text


def test_what_the_checks_find_at_the_last_moment_blocks(client, people, published):
    change_set = submitted(people, written(people))
    send_when_it_works(people, "api_started")
    reviewer = log_in(client, people, "reviewer")
    seen = shown(reviewer, change_set)
    text = approve(reviewer, change_set, **seen).content.decode()
    assert "cannot be approved while a check blocks it" in text
    assert "only an administrator can publish it" in text
    text = approve(reviewer, change_set, **seen, overrule="I want to").content.decode()
    assert "You may not overrule the checks" in text
    boss = log_in(client, people, "administrator")
    answer = approve(boss, change_set, **seen, overrule="The page opens at noon.")
    assert answer.status_code == 302
    text = boss.get(change_set.get_absolute_url()).content.decode()
    assert "The checks were overruled: The page opens at noon." in text


def test_nobody_publishes_what_became_live_beside_it_unchecked(people, published, monkeypatch):
    change_set = submitted(people, written(people))
    token = changes.plan(change_set, now=timezone.now()).token()

    def meanwhile(*given, **named):
        other = written(people, "api_usable")
        review.publish_template(other, by=people["reviewer"], now=timezone.now())
        return check_template(*given, **named)

    monkeypatch.setattr(changes, "check_template", meanwhile)
    done = changes.approve(
        change_set,
        by=people["reviewer"],
        hash_shown=change_set.content_hash,
        plan_shown=token,
        now=timezone.now(),
    )
    assert isinstance(done, review.Again)


def test_comments_stand_at_their_place_until_they_are_settled(client, people, published):
    change_set = submitted(people, written(people))
    reviewer = log_in(client, people, "reviewer")
    place = f"{Template.objects.get(key='api_started').name}: Subject (default)"
    where = reverse("comment_change_set", args=[change_set.pk])
    reviewer.post(where, {"place": place, "text": "Too loud."})
    (said,) = change_set.comments.all()
    assert (said.place, said.text) == (place, "Too loud.")
    marketer = log_in(client, people, "marketer")
    assert "Too loud." in marketer.get(change_set.get_absolute_url()).content.decode()
    marketer.post(reverse("resolve_comment", args=[change_set.pk, said.pk]))
    said.refresh_from_db()
    assert said.resolved_by == people["marketer"]


@pytest.mark.parametrize("place", ["../../<script>", "p" * 200, "api_started: Body (default)"])
def test_a_comment_on_what_the_change_set_does_not_have_is_about_the_whole(
    place, client, people, published
):
    change_set = submitted(people, written(people))
    reviewer = log_in(client, people, "reviewer")
    where = reverse("comment_change_set", args=[change_set.pk])
    reviewer.post(where, {"place": place, "text": "Too loud."})
    assert change_set.comments.get().place == ""


def test_who_is_asked_for_changes_is_led_to_the_words_and_back(client, people, published):
    change_set = submitted(people, written(people))
    review.request_changes(
        change_set, by=people["reviewer"], comment="Too loud.", now=timezone.now()
    )
    marketer = log_in(client, people, "marketer")
    text = marketer.get(change_set.get_absolute_url()).content.decode()
    assert 'href="/emails/api_started/edit/"' in text
    assert "reviewer asked for changes to" in text
    said = f"{change_set.get_absolute_url()}#comments"
    for address in ("/emails/api_started/", "/emails/api_started/edit/"):
        assert said in marketer.get(address).content.decode()
    reviewer = log_in(client, people, "reviewer")
    assert "/emails/api_started/edit/" not in (
        reviewer.get(change_set.get_absolute_url()).content.decode()
    )


def test_a_claims_condition_is_compared_in_words(client, people, published):
    version = written(people)
    claim = {"says": "A key exists", "holds": {"kind": "reached", "milestone": "credentials"}}
    content = {**version.content, "claims": [*version.content["claims"], claim]}
    drafts.save(
        version.pk, content, revision=version.revision, by=people["marketer"], now=timezone.now()
    )
    marketer = log_in(client, people, "marketer")
    text = marketer.get(reverse("submit_template", args=["api_started"])).content.decode()
    words = re.sub(r"</?(ins|del|span)[^>]*>", "", text)
    assert "A key exists: “Credentials created” is reached" in words
    assert "&quot;kind&quot;" not in text


def test_an_untouched_draft_says_that_nothing_was_changed(client, people, published):
    template = Template.objects.get(key="api_started")
    drafts.begin(template, by=people["marketer"], now=timezone.now())
    marketer = log_in(client, people, "marketer")
    text = marketer.get(reverse("submit_template", args=["api_started"])).content.decode()
    assert "nothing was changed yet" in text


def test_both_versions_can_be_looked_at_and_no_other(client, people, published):
    version = written(people)
    change_set = submitted(people, version)
    old = version.siblings().get(status=VersionStatus.LIVE)
    reviewer = log_in(client, people, "reviewer")
    for one, subject in ((version, "Another subject"), (old, "")):
        answer = reviewer.get(reverse("change_set_mail", args=[change_set.pk, one.pk, 0]))
        assert answer.status_code == 200
        assert "sandbox" in answer["Content-Security-Policy"]
        assert subject in answer.content.decode()
    unknown = reverse("change_set_mail", args=[change_set.pk, version.pk, 99])
    assert reviewer.get(unknown).status_code == 404
    stranger = TemplateVersion.objects.get(template__key="api_usable")
    where = reverse("change_set_mail", args=[change_set.pk, stranger.pk, 0])
    assert reviewer.get(where).status_code == 404


def test_a_frame_shows_the_mail_to_the_reader_whom_the_editor_shows(
    client, people, published, settings
):
    settings.PRODUCT_NAME = "Flowbase"
    version = written(people, subject="{{ product.name }} and {{ account.name }}")
    change_set = submitted(people, version)
    reviewer = log_in(client, people, "reviewer")
    frame = reverse("change_set_mail", args=[change_set.pk, version.pk, 0])
    text = reviewer.get(frame, {"part": "html"}).content.decode()
    assert "Flowbase and Example Ltd" in text


def test_the_queue_marks_ones_own_and_counts_what_waits(client, people, published):
    submitted(people, written(people))
    reviewer = log_in(client, people, "reviewer")
    page = reviewer.get("/reviews/")
    (item,) = [
        item
        for group in page.context["sidebar_navigation"]
        for item in group["items"]
        if item["link"] == "/reviews/"
    ]
    assert item["badge"] == "1"
    assert "Your own work: somebody else" not in page.content.decode()
    marketer = log_in(client, people, "marketer")
    assert "Your own work: somebody else reviews it" in marketer.get("/reviews/").content.decode()


def test_the_record_is_searched(client, people, published):
    submitted(people, written(people))
    reviewer = log_in(client, people, "reviewer")
    text = reviewer.get("/reviews/record/", {"q": "Why not"}).content.decode()
    assert "marketer" in text
    assert "Nothing found." in reviewer.get("/reviews/record/", {"q": "zzz"}).content.decode()
    rows = reviewer.get("/reviews/record/", {"act": "published"}).context["page"]
    assert {row.act for row in rows} == {"published"}


# --- shared texts in the admin ----------------------------------------------------------------


def snippet_form(row: Snippet, **changed: str) -> dict[str, str]:
    return {"name": row.name, "body": row.body, **changed}


def test_saving_a_text_in_use_leads_to_its_change_set(client, people, published):
    row = Snippet.objects.get(key="support-offer")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_snippet_change", args=[row.pk])
    answer = marketer.post(where, snippet_form(row, name="Offer", body="Call us.\n"), follow=True)
    change_set = ChangeSet.objects.latest("pk")
    assert answer.redirect_chain[-1][0] == change_set.get_absolute_url()
    row.refresh_from_db()
    assert row.name == "Offer"
    assert row.body != "Call us.\n"
    keys = {one.template.key for one in review.members_of(change_set)}
    assert keys == {"api_blocked", "data_blocked", "domain_blocked"}
    assert "Submit for review" in answer.content.decode()


def test_the_editor_shows_and_checks_a_drafted_text_as_it_will_be(client, people, published):
    row = Snippet.objects.get(key="support-offer")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_snippet_change", args=[row.pk])
    marketer.post(where, snippet_form(row, body="Call {{ no.such }} now.\n"))
    assert "no.such" in marketer.post("/emails/api_blocked/check/").content.decode()
    assert "no.such" in marketer.post("/emails/api_blocked/preview/").content.decode()
    assert "no.such" in marketer.get("/emails/api_blocked/edit/").content.decode()


def test_throwing_one_email_out_of_a_shared_change_is_refused_and_says_what_to_do(
    client, people, published
):
    row = Snippet.objects.get(key="support-offer")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_snippet_change", args=[row.pk])
    marketer.post(where, snippet_form(row, body="Call us.\n"))
    draft = TemplateVersion.objects.get(template__key="api_blocked", status=VersionStatus.DRAFT)
    answer = marketer.post(
        "/emails/api_blocked/discard/", {"revision": draft.revision}, follow=True
    )
    assert "Withdraw the whole change instead" in answer.content.decode()
    assert TemplateVersion.objects.filter(pk=draft.pk).exists()


def test_withdrawing_a_shared_change_says_what_is_left_and_keeps_places_in_words(
    client, people, published
):
    row = Snippet.objects.get(key="support-offer")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_snippet_change", args=[row.pk])
    marketer.post(where, snippet_form(row, body="Call us.\n"))
    change_set = ChangeSet.objects.latest("pk")
    led = ("templates.api_blocked.snippets.support-offer", "journeys.api.stages.0.steps.0.after")
    remarks = [{"place": place, "message": "Look.", "mend": ""} for place in led]
    ChangeSet.objects.filter(pk=change_set.pk).update(remarks=remarks, checked_at=timezone.now())
    answer = marketer.post(reverse("withdraw_change_set", args=[change_set.pk]), follow=True)
    text = answer.content.decode()
    said = f"“{escape(row.name)} (shared text)” is withdrawn; what is live stays as it is"
    assert said in text
    assert "API 3: blocked by errors: The shared text “support-offer”" in text
    assert "API setup: Stages › Working › Steps › api_usable › After" in text
    assert not any(place in text for place in led)


def test_withdrawing_says_which_drafts_can_be_written_in_again(client, people, published):
    version = written(people)
    change_set = submitted(people, version)
    marketer = log_in(client, people, "marketer")
    answer = marketer.post(reverse("withdraw_change_set", args=[change_set.pk]), follow=True)
    assert f"{version} is a draft again." in answer.content.decode()


def test_a_broken_text_is_refused_with_the_place(client, people, published):
    row = Snippet.objects.get(key="support-offer")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_snippet_change", args=[row.pk])
    text = marketer.post(where, snippet_form(row, body="Hi {% if %}")).content.decode()
    assert "line 1" in text
    row.refresh_from_db()
    assert "Hi" not in row.body


def test_whose_draft_stands_in_the_way_is_said(client, people, published):
    change_set = submitted(people, written(people, "api_blocked"))
    row = Snippet.objects.get(key="support-offer")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_snippet_change", args=[row.pk])
    text = marketer.post(where, snippet_form(row, body="Call us.\n")).content.decode()
    assert "in review, by marketer, in “API 3: blocked by errors”" in text
    assert f'href="{change_set.get_absolute_url()}">Look at “' in text


def test_a_screen_in_use_is_not_moved_past_review(client, people, published):
    row = Destination.objects.get(key="api_keys")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_destination_change", args=[row.pk])
    form = {
        "name": row.name, "host": row.host_id, "path": "/elsewhere", "capability": row.capability,
    }  # fmt: skip
    answer = marketer.post(where, form, follow=True)
    row.refresh_from_db()
    assert row.path != "/elsewhere"
    assert "/elsewhere" in answer.content.decode()


@pytest.mark.parametrize(
    "path", ["https://evil.example/x", "//evil.example/x", "no-slash", "javascript:alert(1)"]
)
def test_a_screens_path_that_is_none_is_refused_with_words(path, client, people, published):
    row = Destination.objects.get(key="api_keys")
    marketer = log_in(client, people, "marketer")
    where = reverse("admin:messaging_destination_change", args=[row.pk])
    form = {"name": row.name, "host": row.host_id, "path": path, "capability": row.capability}
    assert "beginning with one slash" in marketer.post(where, form).content.decode()
    assert not ChangeSet.objects.filter(shared_changes__destination=row).exists()


# --- comparing --------------------------------------------------------------------------------


def said(before: str, after: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for piece in compare(before, after)]


def test_words_are_compared_within_their_line():
    assert said("Save the key.\n", "Save your key.\n") == [
        ("same", "Save "), ("out", "the"), ("in", "your"), ("same", " key.\n"),
    ]  # fmt: skip
    assert said("", "New") == [("in", "New")]
    assert said("Same", "Same") == [("same", "Same")]


def test_what_stays_the_same_for_long_is_not_shown():
    lines = "".join(f"line {number}\n" for number in range(20))
    assert said(lines + "old\n", lines + "new\n")[0] == ("gap", "18 lines stay the same")


def test_a_journeys_document_is_lines_that_people_read():
    document = {
        "name": "API",
        "stages": [
            {
                "name": "Blocked",
                "when": {"kind": "not", "of": {"kind": "reached", "milestone": "key"}},
                "steps": [{"key": "first", "after_minutes": 90, "ask": True}],
            }
        ],
    }
    assert documents.lines(document) == {
        "Name": "API",
        "Stages › order": "Blocked",
        "Stages › Blocked › Name": "Blocked",
        "Stages › Blocked › When": "not (reached: key)",
        "Stages › Blocked › Steps › order": "first",
        "Stages › Blocked › Steps › first › Key": "first",
        "Stages › Blocked › Steps › first › After": "1 h 30 min",
        "Stages › Blocked › Steps › first › Ask": "yes",
    }


def test_nothing_that_is_sent_changes_before_its_own_approval(people, published):
    live = TemplateVersion.objects.get(template__key="api_blocked", status=VersionStatus.LIVE)
    frozen = live.frozen
    Snippet.objects.filter(key="support-offer").update(body="Beside review.\n")
    live.refresh_from_db()
    assert live.frozen == frozen
