"""Looking at e-mails: what is typed, for one reader or all, harmless and quick."""

import json
import time

import pytest
from django.core import mail

from accounts.models import User
from lifecycle.journeys import blueprint
from lifecycle.runner.real_samples import real_samples
from messaging.models import TemplateVersion
from messaging.preview import FRAME_POLICY
from tests.factories import AccountFactory
from tests.pages.test_editing import draft, fields
from tests.runner import scenes

pytestmark = pytest.mark.django_db
JSON = {"Accept": "application/json"}


@pytest.fixture
def writer(as_role):
    blueprint.load()
    return as_role("marketer")


def seen(client, key: str = "api_blocked", **changes: str):
    form = fields(draft(key), **changes) | {"variant": "0"}
    return client.post(f"/emails/{key}/preview/", form, headers=JSON).json()


def test_what_is_typed_is_seen_before_it_is_saved(writer):
    told = seen(writer, v0_subject="Hello {{ person.first_name }}", v0_body="Some **words**")
    assert told["subject"].startswith("Hello ")
    assert "<strong>words</strong>" in told["html"]
    assert "Some words" in told["text"]
    assert told["html"].count("Content-Security-Policy") == 1
    assert draft().revision == 1


def test_dark_and_light_are_shown_whatever_the_browser_prefers(writer):
    assert "@media all" in seen(writer, view="dark")["html"]
    assert "@media not all" in seen(writer, view="desktop")["html"]


def test_a_fault_is_shown_with_its_place_and_line(writer):
    told = seen(writer, v0_body="Hello\n\n{{ person.nmae }}")
    assert "person.nmae" in told["error"]
    assert (told["place"], told["line"]) == ("variants.0.body", 3)
    assert seen(writer, v0_subject="")["place"] == "variants.0.subject"


def test_half_written_words_with_twins_are_still_shown(writer):
    told = seen(writer, v1_error_class="", v2_error_class="")
    assert "error" not in told


def test_without_scripts_the_frame_shows_what_is_typed(writer):
    form = fields(draft(), v1_body="Only now") | {"view": "text"}
    answer = writer.post("/emails/api_blocked/preview/", form)
    assert "Only now" in answer.content.decode()
    assert answer["Content-Security-Policy"] == FRAME_POLICY
    assert "sandbox" in FRAME_POLICY


@pytest.mark.parametrize(
    "body",
    [
        "{% for a in (1..1000) %}{% for b in (1..1000) %}{% for c in (1..1000) %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% assign a = 'xxxxxxxxxx' %}{% for i in (1..900) %}{% assign a = a | append: a %}{% endfor %}{{ a }}",
        "{% for i in (1..999999999) %}x{% endfor %}",
        "{% snippet 'itself' %}",
        "{% include 'other' %}",
        "> " * 3000 + "deep",
        "[" * 9000,
        "{% if true %}" * 1500 + "x" + "{% endif %}" * 1500,
    ],
)
def test_a_hostile_text_costs_a_second_at_most_and_is_told_or_harmless(body, writer):
    from messaging.models import Snippet

    Snippet.objects.create(key="itself", name="x", body="{% snippet 'itself' %}")
    before = time.thread_time()
    told = seen(writer, v0_body=body[:19_900], v1_body=body[:19_900])
    assert time.thread_time() - before < 1.5
    assert told.get("error") or len(told["html"]) < 500_000


def test_a_page_of_readers_of_a_hostile_text_costs_little_more_than_a_second(writer):
    loop = "{% for a in (1..1000) %}{% for b in (1..1000) %}{{ a }}{% endfor %}{% endfor %}"
    version = draft()
    words = {"variants": [{"subject": "x", "preheader": "", "body": loop}], "claims": []}
    TemplateVersion.objects.filter(pk=version.pk).update(content=words)
    address = "/emails/api_blocked/versions/1/readers/"
    writer.get(address)
    before = time.thread_time()
    page = writer.get(address)
    assert time.thread_time() - before < 2
    assert all(one.error for one in page.context["seen"])


def test_markup_in_the_words_stays_words(writer):
    told = seen(writer, v0_body="<script>parent.taken = 1</script><img src=x onerror=alert(1)>")
    assert "<script" not in told["html"] and "<img" not in told["html"]


def test_the_remarks_lead_to_the_field(writer):
    form = fields(draft(), v0_body="{{ person.nmae }}")
    page = writer.post("/emails/api_blocked/check/", form).content.decode()
    assert "person.nmae" in page
    assert 'id="matrix"' in page


def test_every_reader_is_shown_in_a_frame_of_its_own(writer):
    page = writer.get("/emails/api_blocked/versions/1/readers/")
    assert page.status_code == 200
    frames = page.content.decode().count("<iframe")
    assert frames == len(page.context["seen"]) > 1
    sample = page.context["seen"][-1].sample.key
    answer = writer.get("/emails/api_blocked/versions/1/frame/", {"sample": sample, "view": "text"})
    assert answer["Content-Security-Policy"] == FRAME_POLICY
    assert "Hi " in answer.content.decode()


def test_a_sample_that_does_not_exist_falls_back_to_the_first(writer):
    answer = writer.get("/emails/api_blocked/versions/1/frame/", {"sample": "nobody"})
    assert answer.status_code == 200


def test_an_email_that_nobody_can_get_says_so(writer):
    version = draft()
    TemplateVersion.objects.filter(pk=version.pk).update(content={"variants": [], "claims": []})
    answer = writer.get("/emails/api_blocked/versions/1/frame/")
    assert "cannot be rendered" in answer.content.decode()
    assert writer.get("/emails/api_blocked/versions/1/readers/").status_code == 200


def test_a_reader_who_gets_the_variant_is_found(writer):
    form = fields(draft()) | {"variant": "2"}
    told = writer.post("/emails/api_blocked/preview/", form, headers=JSON).json()
    assert (told["at"], told["variant"]) == (2, "error=scope")
    assert "A scope is missing" in told["values"]["error.name"]


def test_a_variant_that_nobody_gets_is_shown_with_made_up_values(writer):
    told = seen(
        writer, "api_blocked", v0_provider="nobody_has_it", v0_subject="For {{ provider.key }}"
    )
    assert told["subject"] == "For nobody_has_it"
    assert "No reader known" in told["nobody"]


def test_the_chosen_reader_gets_what_they_would_get(writer):
    page = writer.get("/emails/api_blocked/versions/1/readers/")
    sample = next(one.sample for one in page.context["seen"] if one.variant == "error=scope")
    form = fields(draft()) | {"sample": sample.key}
    told = writer.post("/emails/api_blocked/preview/", form, headers=JSON).json()
    assert (told["sample"], told["variant"]) == (sample.key, "error=scope")


def test_a_test_mail_goes_to_ones_own_mailbox_with_what_is_typed(writer):
    form = fields(draft(), v1_subject="Typed just now")
    told = writer.post("/emails/api_blocked/send-test/", form, headers=JSON).json()
    assert told == {"said": "Sent to marketer@localhost.", "sent": True} or not told["sent"]
    User.objects.filter(username="marketer").update(email="m@company.example")
    told = writer.post("/emails/api_blocked/send-test/", form, headers=JSON).json()
    assert told == {"said": "Sent to m@company.example.", "sent": True}
    assert mail.outbox[-1].subject == "[Test] Typed just now"


def test_without_scripts_a_test_mail_loses_no_words(writer):
    form = fields(draft(), v1_subject="Typed just now")
    page = writer.post("/emails/api_blocked/send-test/", form).content.decode()
    assert "Typed just now" in page
    assert draft().revision == 1


def test_what_cannot_be_rendered_is_not_sent(writer):
    form = fields(draft(), v1_body="{{ nonsense }}")
    told = writer.post("/emails/api_blocked/send-test/", form, headers=JSON).json()
    assert not told["sent"]
    assert "cannot be rendered" in told["said"]
    assert mail.outbox == []


def test_a_real_account_is_looked_up_by_id_or_name(writer):
    AccountFactory(external_id="acme", name="Acme")
    for asked, told in {
        "acme": "No live journey sends this e-mail to anybody in Acme",
        "nowhere": "There is no account “nowhere”",
    }.items():
        form = fields(draft()) | {"account": asked}
        answer = writer.post("/emails/api_blocked/preview/", form, headers=JSON).json()
        assert told in answer["told"]
        assert answer["real"] == []


def test_a_real_account_is_seen_with_its_own_facts(started, as_role):
    client = as_role("marketer")
    client.post(f"/emails/{started}/begin/")
    form = fields(draft(started), v0_subject="For {{ person.email }}")
    form |= {"account": scenes.account().external_id}
    told = client.post(f"/emails/{started}/preview/", form, headers=JSON).json()
    assert told["subject"] == f"For {scenes.person('dev').email}"
    assert told["real"][0]["key"] == told["sample"]
    again = fields(draft(started)) | {"sample": told["sample"]}
    told = client.post(f"/emails/{started}/preview/", again, headers=JSON).json()
    assert told["values"]["person.email"] == scenes.person("dev").email


def test_an_account_counts_more_than_the_made_up_reader_chosen_beside_it(started, as_role):
    client = as_role("marketer")
    client.post(f"/emails/{started}/begin/")
    made_up = client.get(f"/emails/{started}/edit/").context["sample"].key
    form = fields(draft(started)) | {"sample": made_up, "account": scenes.account().external_id}
    told = client.post(f"/emails/{started}/preview/", form, headers=JSON).json()
    assert told["values"]["person.email"] == scenes.person("dev").email
    told = client.post(f"/emails/{started}/preview/", form | {"account": ""}, headers=JSON).json()
    assert told["sample"] == made_up


def test_a_real_account_is_not_shown_to_whoever_may_not_see_accounts(started, as_role):
    client = as_role("marketer")
    (sample,) = real_samples(scenes.account(), started, now=scenes.at(60))
    client.post(f"/emails/{started}/begin/")
    version = draft(started)
    words = {"variants": [{"subject": "x", "preheader": "", "body": "{{ person.email }}"}]}
    TemplateVersion.objects.filter(pk=version.pk).update(content=words)
    address = f"/emails/{started}/versions/{version.number}/frame/"
    asked = {"sample": sample.key, "view": "text"}
    theirs = scenes.person("dev").email
    assert theirs in client.get(address, asked).content.decode()
    answer = as_role("reviewer").get(address, asked)
    assert answer.status_code == 200
    assert theirs not in answer.content.decode()


def test_every_blueprint_email_is_seen_without_a_fault(writer):
    for version in TemplateVersion.objects.select_related("template"):
        told = seen(writer, version.template.key)
        assert "error" not in told, json.dumps(told)
