"""Readers to try a template on: every state in which it is sent, once, under a name that says which."""

import copy
from datetime import UTC, datetime

import pytest

from accounts import staff
from lifecycle.journeys import blueprint, publishing, samples
from lifecycle.journeys.checking import check_template
from lifecycle.journeys.models import Journey, JourneyVersion
from messaging.content import EXAMPLES, choose, read
from messaging.models import TemplateVersion, VersionStatus
from messaging.rendering import freeze, render, without_empty
from tests.lifecycle.test_claims import CAST, DOCUMENTS, EMAILS, journey

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
UNFILLED = {"support.email", "unsubscribe_url"}  # filled in when the mail is handed over


def readers(template: str) -> tuple[samples.Sample, ...]:
    return samples.generate(journey(template.partition("_")[0]), template, CAST).readers


@pytest.mark.parametrize("template", EMAILS)
def test_every_e_mail_has_readers_few_enough_to_look_through(template):
    found = readers(template)
    assert 0 < len(found) <= 24
    assert len({one.key for one in found}) == len({one.name for one in found}) == len(found)
    assert all(one.story and one.purpose and one.step for one in found)


@pytest.mark.parametrize("template", EMAILS)
def test_every_variant_of_the_blueprint_has_a_reader(template):
    content = read({"variants": EMAILS[template]["variants"]})
    chosen = {choose(content, without_empty(one.context)).name for one in readers(template)}
    # A mail about an error of any other class is for the classes that a company adds.
    spare = {"default"} if template in ("api_blocked", "data_blocked") else set()
    assert {variant.name for variant in content.variants} - chosen == spare


def test_every_provider_is_tried_and_one_that_nobody_knows_and_none():
    providers = {one.context["provider"]["key"] for one in readers("api_started")}
    assert providers == {"stripe", "salesforce", "hubspot", "rest", "some_provider", ""}


def test_a_blocked_setup_is_tried_with_every_error_at_every_provider():
    pairs = {
        (one.context["error"]["class"], one.context["provider"]["key"])
        for one in readers("api_blocked")
    }
    assert len(pairs) == 2 * 6
    assert "" in {one.context["error"]["message"] for one in readers("api_blocked")}


def test_readers_differ_in_role_in_kind_and_in_who_could_help():
    found = readers("api_usable")
    assert {one.context["person"]["role"] for one in found} == {
        "owner", "admin", "developer", "marketer", "member", "viewer", "",
    }  # fmt: skip
    assert {one.step for one in found} == {"api_usable", "api_usable_asked"}
    found = readers("api_started")
    assert {bool(one.context["helper"]["email"]) for one in found} == {True, False}
    assert {one.context["setup"]["started_by"]["first_name"] for one in found} == {"Dana", ""}
    assert {one.context["person"]["first_name"] for one in found} == {"Dana", "Ada"}
    # Nobody is tried who would never get it.
    assert all("manage_api_keys" in one.capabilities for one in found)


def test_a_sample_fills_every_variable_that_a_mail_may_use():
    [first, *_] = readers("api_blocked")
    for path in set(EXAMPLES) - UNFILLED:
        value = first.context
        for part in path.split("."):
            value = value[part]


def test_names_and_stories_say_in_plain_words_who_it_is_and_how_it_came_to_that():
    [first, *_] = readers("api_blocked")
    assert first.name == "Dana (developer), Stripe, blocked: Authentication failed"
    assert first.key == "api_blocked:stripe:auth:nothing-reached:starter:developer:helped"
    assert first.story == (
        "Dana (developer) started with Stripe",
        "In the account too: Ada (admin), Otto (owner), Vera (marketer)",
        "3 × Authentication failed within 1 h",
        "5 min passed",
    )


def test_how_many_situations_look_like_another_is_said():
    found = samples.generate(journey(), "api_blocked", CAST)
    assert found.folded > len(found.readers)
    assert samples.generate(journey(), "nothing_of_ours", CAST) == samples.Samples((), 0)


@pytest.mark.django_db
def test_the_newest_drafts_count_while_nothing_is_live():
    blueprint.load()
    first = samples.samples_of("api_started")
    assert [one.journey for one in first] == ["api"] * len(first)
    assert first == readers("api_started")
    newer = copy.deepcopy(DOCUMENTS["api"])
    newer["provider_names"] = [["adyen", "Adyen"]]
    draft = JourneyVersion.objects.filter(journey__key="api")
    draft.update(document=newer)
    assert "adyen" in {one.context["provider"]["key"] for one in samples.samples_of("api_started")}
    draft.update(document={"key": "api", "half": "typed"})
    assert samples.samples_of("api_started") == ()


@pytest.mark.django_db
def test_drafts_count_no_more_once_a_journey_that_sends_it_is_live():
    staff.make_roles()
    author, reviewer = (
        staff.put_user(name, role=name, password=None) for name in ("marketer", "reviewer")
    )
    blueprint.load()
    blueprint.publish_all(author=author, reviewer=reviewer, now=NOW, since=NOW)
    before = samples.samples_of("api_started")
    row = Journey.objects.get(key="api")
    draft = copy.deepcopy(DOCUMENTS["api"])
    draft["provider_names"] = []
    JourneyVersion.objects.create(journey=row, number=2, integration_type="api", document=draft)
    assert samples.samples_of("api_started") == before


@pytest.mark.django_db
def test_a_false_claim_and_a_text_that_fails_for_one_reader_keep_a_template_back():
    blueprint.load()
    version = TemplateVersion.objects.get(template__key="api_stalled_finish")
    content = copy.deepcopy(version.content)
    content["claims"].append({"says": "It works", "holds": {"kind": "usable"}})
    content["variants"][0]["subject"] = "{% if provider.name %}{{ provider.name }}{% endif %}"
    found = check_template("api_stalled_finish", content, freeze())
    blocking = {one.check: one for one in found if one.blocking}
    assert "“It works” is not true" in blocking.pop("claim").message
    assert {one.sample for one in blocking.values()} == {
        "Dana (developer), no provider, Credentials created"
    }


@pytest.mark.django_db
def test_every_sample_of_the_blueprint_can_be_rendered():
    blueprint.load()
    frozen = freeze()
    for version in TemplateVersion.objects.filter(
        status=VersionStatus.DRAFT, template__key__startswith="domain"
    ).select_related("template"):
        for one in readers(version.template.key):
            assert render(version.content, frozen, one.context).subject


def test_the_cast_is_what_the_roles_of_this_installation_grant(db):
    blueprint.load()
    assert publishing.cast() == CAST
