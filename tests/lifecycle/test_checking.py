"""What the checks say about the blueprint's e-mails and journeys in a real installation."""

import copy
import time

import pytest

from lifecycle.journeys import blueprint
from lifecycle.journeys.checking import check_journey, check_template
from lifecycle.journeys.models import JourneyVersion
from messaging.models import TemplateVersion
from messaging.rendering import freeze
from tests.messaging.scenes import ABOUT_A_SECOND

pytestmark = pytest.mark.django_db


@pytest.fixture
def drafts():
    blueprint.load()
    return dict(TemplateVersion.objects.values_list("template__key", "content"))


def test_the_blueprints_e_mails_have_no_remark_but_that_their_screens_are_placeholders(drafts):
    frozen = freeze()
    assert len(drafts) == 24
    for key, content in drafts.items():
        said = [(one.check, one.blocking) for one in check_template(key, content, frozen)]
        assert said == [("link_staging", False)], key


def test_the_journeys_of_the_blueprint_can_work_with_their_e_mails(drafts):
    for version in JourneyVersion.objects.all():
        found = check_journey(version.document, drafts=drafts, with_templates=True)
        assert [one for one in found if one.blocking] == []


def test_a_journey_names_a_template_that_is_live_or_published_with_it(drafts):
    document = JourneyVersion.objects.get(journey__key="api").document
    places = {one.place for one in check_journey(document) if one.place.endswith("do.template")}
    assert "stages.0.steps.0.do.template" in places


def test_a_remark_on_a_journey_says_where_why_and_how_to_mend_it(drafts):
    document = copy.deepcopy(JourneyVersion.objects.get(journey__key="api").document)
    document["path"]["start"] = [{"event": "setup_begun"}]
    (remark,) = check_journey(document, drafts=drafts)
    assert (remark.check, remark.place, remark.blocking) == ("journey", "path.start", True)
    assert "“setup_begun” is not in the catalogue" in remark.message
    assert "plan it there" in remark.mend


def test_a_document_that_cannot_be_read_has_remarks_too(drafts):
    document = copy.deepcopy(JourneyVersion.objects.get(journey__key="api").document)
    document["stages"][0]["steps"][0]["purpose"] = "spam"
    assert "stages.0.steps.0.purpose" in {one.place for one in check_journey(document)}


def test_the_remarks_on_a_journeys_templates_are_found_under_their_key(drafts):
    document = JourneyVersion.objects.get(journey__key="api").document
    drafts["api_started"]["variants"][0]["body"] += "{{ account.nmae }}"
    places = [
        one.place
        for one in check_journey(document, drafts=drafts, with_templates=True)
        if one.blocking
    ]
    assert places[0].startswith("templates.api_started.variants.0")


def test_a_link_that_leads_elsewhere_keeps_an_e_mail_from_going_live(drafts):
    content = drafts["api_started"]
    content["variants"][0]["body"] += "\nSee [this](https://elsewhere.com/x?token=abc).\n"
    found = {one.check: one for one in check_template("api_started", content, freeze())}
    assert found["link_host"].blocking
    assert found["link_secret"].blocking
    assert found["link_host"].place == "variants.0.body"
    # The blueprint's placeholder host is advice outside production.
    assert not found["link_staging"].blocking


def blocking(key, content):
    return [one for one in check_template(key, content, freeze()) if one.blocking]


def test_a_template_is_tried_on_every_reader_whom_a_journey_can_send_it_to(drafts):
    content = drafts["api_stalled_finish"]
    content["variants"][0]["body"] = content["variants"][0]["body"].replace(
        '{% button "api_first_call" %}', '{% button "api_keys" %}'
    )
    said = blocking("api_stalled_finish", content)
    (remark,) = (one for one in said if one.check == "capability")
    assert remark.place == "variants.0.body"
    # A variant of its own for a provider is tried with every role, too.
    assert "with the role" in remark.sample


def test_a_template_is_tried_on_readers_whose_name_is_not_known(drafts):
    content = drafts["api_started"]
    content["variants"][0]["subject"] = "{{ person.first_name }}, create the API key"
    (remark,) = blocking("api_started", content)
    assert (remark.check, remark.place) == ("blank_variable", "variants.0.subject")
    assert "nobody's name known" in remark.sample


def test_a_claim_that_is_not_always_true_is_among_the_remarks(drafts):
    content = drafts["api_started"]
    content["claims"] = [
        {"says": "A key exists", "holds": {"kind": "reached", "milestone": "credentials"}}
    ]
    (remark,) = blocking("api_started", content)
    assert (remark.check, remark.place) == ("claim", "claims.0")


def test_a_template_that_no_journey_sends_is_tried_on_made_up_readers(drafts):
    content = drafts["api_started"]
    assert blocking("not_sent_yet", content) == []
    content["variants"][0]["subject"] = "{{ provider.name }}: create the API key"
    (remark,) = blocking("not_sent_yet", content)
    assert "little is known" in remark.sample


def test_a_journeys_templates_are_tried_in_the_states_of_that_very_document(drafts):
    document = copy.deepcopy(JourneyVersion.objects.get(journey__key="api").document)
    started = next(stage for stage in document["stages"] if stage["key"] == "started")
    finish = next(stage for stage in document["stages"] if stage["key"] == "credentials")
    finish["steps"][0]["do"]["template"] = started["steps"][0]["do"]["template"]
    found = check_journey(document, drafts=drafts, with_templates=True)
    assert "templates.api_started.claims" in {
        one.place.rpartition(".")[0] for one in found if one.check == "claim" and one.blocking
    }


def test_of_a_link_with_many_addresses_each_fault_is_said_once(drafts):
    content = drafts["api_started"]
    content["variants"][0]["body"] += (
        "\n[Docs](http://docs.example.com/?for={{ provider.key | default: 'all' }})\n"
    )
    found = check_template("api_started", content, freeze())
    said = [(one.check, one.message if one.check == "link_staging" else "") for one in found]
    assert len(said) == len(set(said))
    assert {check for check, _ in said if check.startswith("link_")} > {"link_staging"}


def test_every_link_of_a_line_is_told(drafts):
    hosts = ("127.0.0.1", "evil.example", "staging.example.com")
    content = drafts["api_started"]
    content["variants"][0]["body"] += "\n" + " ".join(f"[x](https://{each}/x)" for each in hosts)
    found = check_template("api_started", content, freeze())
    for check in ("link_host", "link_staging"):
        said = " ".join(one.message for one in found if one.check == check)
        assert all(each in said for each in hosts), check


@pytest.mark.parametrize(
    "body",
    [
        "{% for a in (1..900) %}{% note %}{{ account.name }}{% endnote %}{% endfor %}",
        "{% for a in (1..900) %}[x]({% link 'api_keys' %}) {% endfor %}",
        "![[]()" * 3000,
    ],
)
def test_a_hostile_text_is_refused_within_a_second_with_its_links_and_claims(drafts, body):
    content = drafts["api_stalled_finish"]
    frozen = freeze()
    check_template("api_stalled_finish", content, frozen)  # the journey's states are found once
    content["variants"] = [{"subject": "Stripe", "body": body}]
    began = time.thread_time()
    found = check_template("api_stalled_finish", content, frozen)
    assert time.thread_time() - began < ABOUT_A_SECOND
    assert found[0].blocking
