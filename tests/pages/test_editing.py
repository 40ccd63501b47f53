"""Writing e-mails in the browser: the list, the form, who wins, and two writers at once."""

import pytest

from accounts.models import Role
from lifecycle.journeys import blueprint
from lifecycle.pages.editing import differing, typed
from lifecycle.pages.editing.matrix import matrix
from lifecycle.pages.editing.places import in_words
from lifecycle.pages.editing.uses import Readers, readers, uses
from messaging import drafts
from messaging.models import AuditEntry, TemplateVersion, VersionStatus
from messaging.review import publish_template
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def loaded(db):
    blueprint.load()


@pytest.fixture
def writer(as_role, loaded):
    return as_role("marketer")


def draft(key: str = "api_blocked") -> TemplateVersion:
    return TemplateVersion.objects.get(template__key=key, status=VersionStatus.DRAFT)


def fields(version: TemplateVersion, **changes: str) -> dict[str, str]:
    """The form as a browser would send it."""
    words = typed.plainly(version.content)
    form = {
        "version": str(version.pk),
        "revision": str(version.revision),
        "began_with": differing.marks(words),
        "variants": str(len(words["variants"])),
    }
    for at, claim in enumerate(typed.shown_claims(words)):
        form |= {f"claim{at}-says": claim.says, f"claim{at}-holds": claim.holds}
    for at, variant in enumerate(words["variants"]):
        form |= {f"v{at}-{name}": text.replace("\n", "\r\n") for name, text in variant.items()}
    return form | {name.replace("_", "-", 1): text for name, text in changes.items()}


def one(subject: str, **more: str) -> dict[str, str]:
    return {"subject": subject, "preheader": "", "body": "Hi", **more}


def test_the_list_says_who_sends_an_email_and_who_writes_the_next(writer):
    page = writer.get("/emails/").content.decode()
    assert "API 3: blocked by errors" in page
    assert "API setup: Blocked by errors" in page
    assert "v1 draft" in page


def test_a_new_email_is_begun_at_once(writer):
    answer = writer.post(
        "/emails/new/", {"name": "Hello", "key": "hello", "description": ""}, follow=True
    )
    assert answer.redirect_chain[-1][0] == "/emails/hello/edit/"
    assert draft("hello").created_by.username == "marketer"


@pytest.mark.parametrize("key", ["new", "api_blocked", "not a key"])
def test_a_key_that_cannot_be_is_explained(key, writer):
    answer = writer.post("/emails/new/", {"name": "Hello", "key": key})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()


def test_saving_an_untouched_form_changes_nothing(loaded):
    for version in TemplateVersion.objects.all():
        assert typed.words(fields(version)) == typed.plainly(version.content)


def test_what_is_typed_is_kept_and_makes_an_author(writer):
    answer = writer.post(
        "/emails/api_blocked/edit/",
        fields(draft(), v0_subject="Broken", v0_body="{% if"),
        follow=True,
    )
    assert "Saved" in answer.content.decode()
    kept = draft()
    assert kept.content["variants"][0]["subject"] == "Broken"
    assert kept.content["variants"][0]["body"] == "{% if"
    assert [user.username for user in kept.editors.all()] == ["marketer"]


def test_an_autosave_answers_with_the_next_revision(writer):
    form = fields(draft(), v0_subject="One")
    answer = writer.post("/emails/api_blocked/edit/", form, headers={"Accept": "application/json"})
    assert answer.json()["revision"] == 2
    assert draft().revision == 2


def test_a_body_keeps_its_first_empty_line(writer):
    version = draft()
    writer.post("/emails/api_blocked/edit/", fields(version, v0_body="\r\n\r\nHello"))
    page = writer.get("/emails/api_blocked/edit/").content.decode()
    assert draft().content["variants"][0]["body"] == "\n\nHello"
    assert 'variants.0.body">\n\n\nHello</textarea>' in page


def test_variants_are_added_for_a_reader_duplicated_and_removed(writer):
    def use(act: str) -> list[dict[str, str]]:
        writer.post("/emails/api_blocked/edit/", fields(draft()) | {"act": act})
        return draft().content["variants"]

    assert use("add|stripe|auth|")[3]["provider"] == "stripe"
    assert use("copy|0")[1] == use("copy|0")[0]
    count = len(draft().content["variants"])
    assert len(use("remove|0")) == count - 1


@pytest.mark.parametrize("act", ["explode", "copy|99", "copy|x", "add|"])
def test_an_act_that_does_not_exist_is_refused(act, writer):
    answer = writer.post("/emails/api_blocked/edit/", fields(draft()) | {"act": act})
    assert answer.status_code == 400


def test_the_form_of_another_email_is_refused(writer):
    other = draft("api_started")
    answer = writer.post("/emails/api_blocked/edit/", fields(other, v0_subject="X"))
    assert answer.status_code == 400


def test_two_writers_see_both_texts_and_lose_none(writer):
    mine = fields(draft(), v0_subject="Mine")
    bob, form = UserFactory(username="bob"), typed.words(fields(draft(), v0_subject="Bob's"))
    form["variants"][1]["preheader"] = "Bob's preheader"
    drafts.save(draft().pk, form, revision=1, by=bob, now=draft().saved_at)
    answer = writer.post("/emails/api_blocked/edit/", mine)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Bob saved other words" in page
    assert "Mine" in page and "Bob&#x27;s preheader" in page
    assert draft().content["variants"][0]["subject"] == "Bob's"

    proposed = [each.key for each in answer.context["differences"] if each.take]
    assert proposed == ["error=auth|preheader"]
    both = mine | {"revision": "2", "merge": "yes", "take": proposed}
    writer.post("/emails/api_blocked/edit/", both)
    kept = draft().content["variants"]
    assert (kept[0]["subject"], kept[1]["preheader"]) == ("Mine", "Bob's preheader")
    assert {user.username for user in draft().editors.all()} == {"bob", "marketer"}


def test_words_typed_into_a_discarded_draft_stay_on_the_page(writer):
    form = fields(draft(), v0_subject="Precious")
    writer.post("/emails/api_blocked/discard/", {"revision": "1"})
    answer = writer.post("/emails/api_blocked/edit/", form)
    assert answer.status_code == 409
    assert "Precious" in answer.content.decode()
    assert "discarded meanwhile" in answer.content.decode()


def test_what_a_colleague_just_saved_is_not_discarded(writer):
    bob = UserFactory(username="bob")
    words = {"variants": [one("Bob's")], "claims": []}
    drafts.save(draft().pk, words, revision=1, by=bob, now=draft().saved_at)
    answer = writer.post("/emails/api_blocked/discard/", {"revision": "1"}, follow=True)
    assert "Not discarded: bob saved it" in answer.content.decode()
    assert AuditEntry.objects.filter(act="discarded").count() == 0


def test_a_version_in_review_opens_for_reading_only(writer):
    TemplateVersion.objects.update(status=VersionStatus.IN_REVIEW)
    answer = writer.get("/emails/api_blocked/edit/", follow=True)
    assert answer.redirect_chain[-1][0] == "/emails/api_blocked/"
    assert "It is in review" in answer.content.decode()


def test_a_reviewer_reads_but_is_offered_no_writing(as_role, loaded):
    page = as_role("reviewer").get("/emails/api_blocked/").content.decode()
    assert "Trying again as it is will most likely fail too." in page
    assert "Go on writing" not in page


def test_a_version_is_compared_with_the_live_one(writer):
    version = draft()
    publish_template(version, by=UserFactory(), now=version.saved_at)
    by = UserFactory()
    fresh = drafts.begin(version.template, by=by, now=version.saved_at)
    changed = {**fresh.content, "claims": ["started"]}
    drafts.save(fresh.pk, changed, revision=1, by=by, now=version.saved_at)
    page = writer.get("/emails/api_blocked/versions/2/").content.decode()
    assert "What it says is true" in page
    assert "Subject" not in page


def test_the_matrix_says_which_variant_each_reader_gets(loaded):
    who = readers(uses()["api_blocked"])
    assert ("stripe", "Stripe") in who.providers
    assert who.errors == (("auth", "Authentication failed"), ("scope", "A scope is missing"))
    words = {"variants": [one("A", provider="stripe"), one("B", error_class="auth")]}
    (table,) = matrix(words, who)
    assert table.errors == ("Authentication failed", "A scope is missing", "Any other error")
    cells = {label: [cell.fit for cell in row] for label, row in table.rows}
    assert cells["Stripe"] == ["part", "part", "own"]
    assert cells["Any other provider"] == ["own", "none", "none"]
    words["variants"].append(one("D"))
    (table,) = matrix(words, who)
    assert dict(table.rows)["Any other provider"][1].label == "falls back to default"


def test_roles_have_a_table_each_once_a_variant_names_one(db):
    Role.objects.create(key="admin", name="Admin")
    words = {"variants": [one("A", role="admin"), one("D")]}
    tables = matrix(words, Readers(roles=(("admin", "Admin"), ("dev", "Dev"))))
    assert [table.role for table in tables] == ["Admin", "Any other role"]


def test_an_email_that_is_sent_while_nothing_is_wrong_has_no_error_classes(loaded):
    assert readers(uses()["api_started"]).errors == ()


@pytest.mark.parametrize(
    ("take", "kept"),
    [
        ((), [("default", "A"), ("role=x", "only mine")]),
        (("default|subject",), [("default", "B"), ("role=x", "only mine")]),
        (("role=x|",), [("default", "A")]),
        (
            ("provider=p|",),
            [("default", "A"), ("role=x", "only mine"), ("provider=p", "only theirs")],
        ),
    ],
)
def test_two_tellings_become_one(take, kept):
    mine = {"variants": [one("A"), one("only mine", role="x")], "claims": []}
    theirs = {"variants": [one("B"), one("only theirs", provider="p")], "claims": []}
    made = typed.variants(differing.merged(mine, theirs, take))
    assert [(variant.name, variant.subject) for variant in made] == kept


def test_twins_with_the_same_readers_are_both_kept():
    mine = {"variants": [one("A"), one("A again")], "claims": []}
    theirs = {"variants": [one("A")], "claims": ["x"]}
    assert differing.merged(mine, theirs, ["claims"]) == {**mine, "claims": ["x"]}


@pytest.mark.parametrize(
    "claims",
    [
        [{"says": "It ä works", "holds": {"kind": "usable"}}],
        [{"says": "Half", "holds": "{half"}, {"says": "Only words", "holds": ""}],
        ["blocked", {"kind": "usable"}, {"says": "x", "more": 1}],
    ],
)
def test_claims_come_back_from_the_form_as_they_were(claims):
    form = {"variants": "0"}
    for at, claim in enumerate(typed.shown_claims({"claims": claims})):
        form |= {f"claim{at}-says": claim.says, f"claim{at}-holds": claim.holds}
    assert typed.words(form) == typed.plainly({"claims": claims})


def test_a_chosen_condition_without_words_is_told_in_words(writer):
    claim = {"claim0-says": "", "claim0-holds": '{"kind": "usable"}'}
    form = fields(draft("api_started")) | claim
    page = writer.post("/emails/api_started/edit/", form, follow=True).content.decode()
    assert draft("api_started").content["claims"][0] == {"says": "", "holds": {"kind": "usable"}}
    assert "Say what it claims." in page
    assert "Field required" not in page


def test_a_claims_condition_is_chosen_in_plain_words(writer):
    version = draft()
    sent = fields(version, claim0_holds='{"of": {"kind": "usable"}, "kind": "not"}')
    page = writer.post("/emails/api_blocked/edit/", sent, follow=True).content.decode()
    # However it is written, it is the same condition, and it stays as it was written.
    assert page.count("as written") == 0
    again = '<option value="{&quot;of&quot;: {&quot;kind&quot;: &quot;usable&quot;}, &quot;kind&quot;: &quot;not&quot;}" selected>'
    assert again in page
    assert '"{&quot;kind&quot;: &quot;reached&quot;, &quot;milestone&quot;: ' in page
    assert ">the setup is blocked by errors</option>" in page
    sent = fields(draft(), claim1_own='{"kind": "high_value"}')
    page = writer.post("/emails/api_blocked/edit/", sent, follow=True).content.decode()
    assert page.count("as written: {&quot;kind&quot;: &quot;high_value&quot;}") == 1
    assert draft().content["claims"][1]["holds"] == {"kind": "high_value"}


def test_a_remark_names_its_place_in_words():
    words = {"variants": [one("A"), one("B", error_class="auth")]}
    assert in_words("variants.1.body", words) == "Body (error=auth)"
    assert in_words("variants.0", words) == "The variant “default”"
    assert in_words("claims.1", words) == "What it says is true, no. 2"
    assert in_words("snippets.tip-api", words) == "The shared text “tip-api”"
    assert in_words("variants.7.body", words) == "variants.7.body"


def test_too_many_variants_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        typed.words({"variants": "1000"})


def test_a_nul_in_a_form_is_left_out(writer):
    answer = writer.post("/emails/api_blocked/edit/", fields(draft(), v0_body="be\0fore"))
    assert answer.status_code == 302
    assert draft().content["variants"][0]["body"] == "before"


@pytest.mark.parametrize("hidden", [r"\u0000", r"\ud800"])
def test_a_character_that_cannot_be_kept_stays_as_it_is_escaped(hidden, writer):
    own = f'{{"kind": "{hidden}"}}'
    form = fields(draft()) | {"claim0-says": "It stopped", "claim0-own": own}
    assert writer.post("/emails/api_blocked/edit/", form, follow=True).status_code == 200
    assert draft().content["claims"][0] == {"says": "It stopped", "holds": own}


HOSTILE = ["abc", "²", "9" * 20, "9" * 5000]


@pytest.mark.parametrize("revision", HOSTILE)
def test_a_draft_is_not_discarded_at_what_is_no_revision(revision, writer):
    answer = writer.post("/emails/api_started/discard/", {"revision": revision})
    assert answer.status_code == 400
    assert draft("api_started")


@pytest.mark.parametrize("number", HOSTILE)
@pytest.mark.parametrize("name", ["revision", "version", "variant", "account", "variants"])
@pytest.mark.parametrize("page", ["edit", "send-test", "preview", "check"])
def test_a_number_that_is_none_is_answered(page, name, number, writer):
    value = f"account:{number}:1" if name == "account" else number
    form = fields(draft("api_started")) | {name: value}
    answer = writer.post(f"/emails/api_started/{page}/", form)
    assert answer.status_code < 500


def test_of_two_variants_for_the_same_readers_the_second_is_told(writer):
    form = fields(draft("api_started"))
    form |= {"variants": "2", "v1-subject": "Another", "v1-body": "Hi"}
    page = writer.post("/emails/api_started/check/", form).content.decode()
    assert 'href="#v1"' in page
    assert "The variant “default”" in page
    assert "Give it another provider, error class or role" in page
