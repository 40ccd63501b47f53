"""Writing journeys in the browser: nothing changes unasked, every field its own value, two writers at once."""

import dataclasses
import json
import re
import tomllib
from typing import Any, get_args

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.engine import journey as language
from lifecycle.journeys import blueprint, documents, drafting
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.journey_editing import conditions, forms, parts, scalars, structure
from lifecycle.pages.journey_editing.fields import FIELDS, STEP_KEY, Field
from lifecycle.pages.journey_editing.kinds import (
    Choice,
    Clock,
    Deed,
    Events,
    Holds,
    Length,
    Limits,
    Names,
    Number,
    OfAccount,
    Switch,
    Text,
    Ticks,
    Words,
)
from lifecycle.pages.journey_editing.options import choices
from lifecycle.pages.journey_editing.page import fields_of as fields_of_draft
from lifecycle.pages.journey_editing.scalars import Unreadable
from messaging import drafts
from messaging.models import AuditEntry, VersionStatus
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
INPUT = re.compile(r"<(input|select|textarea)\b([^>]*)>(.*?)(?=</select>|</textarea>|<)", re.S)
HOSTILE = "\"><script>alert(1)</script>{{ 7|add:7 }}' OR 1=1 --"


@pytest.fixture
def loaded(db):
    blueprint.load()


@pytest.fixture
def writer(as_role, loaded) -> Client:
    return as_role("marketer")


def draft(key: str = "api") -> JourneyVersion:
    return JourneyVersion.objects.get(journey__key=key, number=1)


def goes_live(version: JourneyVersion) -> None:
    """The version as if a colleague had approved it, whatever else it names."""
    JourneyVersion.objects.filter(pk=version.pk).update(
        status=VersionStatus.LIVE, content_hash="x", approved_hash="x",
        approved_by=UserFactory(), integration_type=version.document["integration_type"],
    )  # fmt: skip


def leaves(value: Any, place: str = "") -> dict[str, Any]:
    """Every value of a document by its place."""
    if isinstance(value, dict) and value:
        pairs = [(f"{place}.{key}".strip("."), inner) for key, inner in value.items()]
    elif isinstance(value, list) and value:
        pairs = [(f"{place}.{at}".strip("."), inner) for at, inner in enumerate(value)]
    else:
        return {place: value}
    return {at: leaf for here, inner in pairs for at, leaf in leaves(inner, here).items()}


def changed(before: Any, after: Any) -> set[str]:
    """The places at which two documents differ."""
    old, new = leaves(before), leaves(after)
    return {
        place for place in old.keys() | new.keys() if old.get(place, ...) != new.get(place, ...)
    }


def posted(version: JourneyVersion, part: str, **typed: str) -> dict[str, str]:
    """The part's form as a browser sends it, with what was typed into it."""
    fields = fields_of_draft(version.journey, part)
    node = parts.locate(version.document, part)
    assert node is not None
    form = {"version": str(version.pk), "revision": str(version.revision)}
    form["began"] = json.dumps(forms.values(fields, node))
    for path, raw in forms.shown(fields, node).items():
        form |= {f"{path}:{name}": text for name, text in raw.items()}
    return form | {name if ":" in name else f"{name}:": text for name, text in typed.items()}


def fields_of(part: str) -> tuple[Field, ...]:
    kind = parts.kind_of(part)
    return (*((STEP_KEY,) if kind == "step" else ()), *FIELDS[kind])


def url(part: str, key: str = "api") -> str:
    return f"/journeys/{key}/edit/?part={part}"


def as_a_browser_sends(page: str) -> dict[str, str]:
    """The successful controls of the part's form in this page."""
    inner = page[page.index('class="panel part-form"') :]
    inner = inner[: inner.index("</form>")]
    sent: dict[str, str] = {}
    for tag in re.finditer(
        r"<input\b[^>]*>|<select\b.*?</select>|<textarea\b.*?</textarea>", inner, re.S
    ):
        text = tag.group()
        name = attribute(text, "name")
        if text.startswith("<select"):
            options = re.findall(r"<option\b[^>]*>", text)
            picked = [one for one in options if re.search(r"\sselected\b", one)] or options[:1]
            sent[name] = attribute(picked[-1], "value")
        elif text.startswith("<textarea"):
            sent[name] = unescaped(text[text.index(">") + 1 : -len("</textarea>")]).removeprefix(
                "\n"
            )
        elif 'type="checkbox"' not in text or re.search(r"\schecked\b", text):
            sent[name] = attribute(text, "value")
    return sent


def attribute(tag: str, name: str) -> str:
    found = re.search(rf'\s{name}="([^"]*)"', tag)
    return unescaped(found.group(1)) if found else ""


def unescaped(text: str) -> str:
    import html

    return html.unescape(text)


@pytest.mark.parametrize("key", ["api", "domain", "data"])
def test_a_page_that_is_opened_and_saved_changes_nothing(key, writer):
    before = draft(key)
    for part in parts.every(before.document):
        page = writer.get(url(part, key)).content.decode()
        answer = writer.post(url(part, key), as_a_browser_sends(page))
        assert answer.status_code == 302, part
        after = draft(key)
        assert (after.document, after.revision) == (before.document, before.revision), part
    assert not before.editors.exists()
    page = writer.get(url("document", key)).content.decode()
    text = unescaped(page.split('autocomplete="off">\n')[-1].split("</textarea>")[0])
    form = {"version": before.pk, "revision": before.revision, "text": text.replace("\n", "\r\n")}
    assert writer.post(url("document", key), form).status_code == 302
    assert draft(key).document == before.document


def other(one: Field, raw: dict[str, str], value: Any) -> tuple[dict[str, str], str]:
    """Another value as somebody types it, and the place within the field where it is kept."""
    match one.kind:
        case Clock():
            return {"": "09:15"}, ""
        case Number():
            return {"": str(int(value) + 7)}, ""
        case Length():
            return {**raw, "n": "13", "unit": "60"}, ""
        case Switch():
            return ({} if value else {"": "on"}), ""
        case Choice():
            return {"": "nudge" if value == "ask" else "ask"}, ""
        case Ticks():
            return {**raw, "5" if one.kind.numbers else "first_success": "on"}, f".{len(value)}"
        case Words():
            return {"": ", ".join([*value, "another"])}, f".{len(value)}"
        case Names():
            return {**raw, "0.name": "Renamed"}, ".0.1"
        case Limits():
            return {**raw, "0.n": "5"}, ".0.window_minutes"
        case Events():
            return {**raw, "0.event": "api_key_created_elsewhere"}, ".0.event"
        case OfAccount():
            return {**raw, "value": "77"}, ".test.value"
        case Deed():
            if value["kind"] == "email":
                other_one = "api_usable" if value["template"] == "api_blocked" else "api_blocked"
                return {**raw, "template": other_one}, ".template"
            return {**raw, "title": "Other words"}, ".title"
        case _:
            return {"": "Other words"}, ""


@pytest.mark.parametrize("key", ["api", "domain", "data"])
def test_every_field_changes_its_own_value_and_no_other(key, loaded):
    document = draft(key).document
    # Each value written out, as in a document where all of them were chosen.
    options = choices(documents.read(document))
    tried = 0
    for part in parts.every(document):
        place = place_of(document, part)
        fields = fields_of(part)
        node = parts.locate(document, part)
        began, shown = forms.values(fields, node), forms.shown(fields, node)
        for one in fields:
            value = began[one.path]
            empty = value in ([], None, "") and not isinstance(one.kind, Text | Choice)
            if (
                empty
                or isinstance(one.kind, Holds)
                or (one.kind == Deed() and value["kind"] == "hand_off")
            ):
                continue
            if isinstance(one.kind, Choice) and one.path != "purpose":
                continue
            if isinstance(one.kind, Ticks) and not one.kind.numbers:
                continue
            raw, within = other(one, shown[one.path], value)
            form = {
                f"{path}:{name}": text
                for path, texts in {**shown, one.path: raw}.items()
                for name, text in texts.items()
            }
            typed = forms.read(fields, form, began, options)
            assert (set(typed.touched), dict(typed.errors)) == ({one.path}, {}), (part, one.path)
            new = json.loads(json.dumps(document))
            there = parts.locate(new, part)
            after = forms.apply(fields, there, typed.touched)
            there.clear()
            there.update(after)
            where = f"{place}.{one.path}{within}".strip(".")
            expected = {where}
            if one.value(node) == one.default and one.path.split(".")[-1] not in str(list(node)):
                expected = changed(document, new)
            assert changed(document, new) == expected, (part, one.path)
            assert changed(document, new), (part, one.path)
            tried += 1
    assert tried > 150


def place_of(document: dict[str, Any], part: str) -> str:
    node = parts.locate(document, part)
    for place in candidates(document):
        found: Any = document
        for name in place.split(".") if place else ():
            found = found[int(name)] if name.isdecimal() else found[name]
        if found is node:
            return place
    raise AssertionError(part)


def candidates(document: dict[str, Any]) -> list[str]:
    found = ["", "path"]
    for kind in ("milestones", "errors"):
        found += [f"path.{kind}.{at}" for at in range(len(document["path"][kind]))]
    for at, stage in enumerate(document["stages"]):
        found.append(f"stages.{at}")
        found += [f"stages.{at}.steps.{each}" for each in range(len(stage.get("steps", ())))]
    return found


def test_a_changed_delay_is_kept_and_read_in_words(writer):
    form = posted(draft(), "step.api_started")
    form |= {"after_minutes:n": "45", "after_minutes:unit": "1"}
    answer = writer.post(url("step.api_started"), form, follow=True)
    page = answer.content.decode()
    assert "45 minutes after the stage began" in page
    assert reverse("submit_journey", args=["api"]) in page
    now = draft()
    assert [user.username for user in now.editors.all()] == ["marketer"]
    assert parts.locate(now.document, "step.api_started")["after_minutes"] == 45


def test_an_htmx_save_answers_with_the_fragment(writer):
    form = posted(draft(), "step.api_started") | {"after_minutes:n": "45"}
    answer = writer.post(url("step.api_started"), form, headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert page.startswith('<section id="edit_journey">')
    assert "Saved" in page


@pytest.mark.parametrize(
    ("part", "name", "text", "said"),
    [
        ("step.api_started", "after_minutes:n", "soon", "is not a whole number"),
        ("step.api_started", "after_minutes:n", "-3", "Give a whole number from 0"),
        ("step.api_started", "after_minutes:n", "9" * 30, "Give a whole number from 0"),
        ("step.api_started", "priority:", "1e9", "is not a whole number"),
        ("step.api_started", "do:template", "nowhere", "There is no e-mail “nowhere”"),
        ("step.api_started", "do:kind", "explode", "Choose what the step does"),
        ("step.api_started", "purpose:", HOSTILE, "There is no purpose"),
        ("step.api_started", "when:mode", "json", "This is not JSON"),
        ("step.api_started", "when:0.what", "trait", "Name the account&#x27;s property"),
        ("rules", "hours.start:", "25:00", "Write the time as HH:MM"),
        ("rules", "holdout_percent:", "nan", "Give a number from 0 to 100"),
        ("rules", "holdout_percent:", "101", "Give a number from 0 to 100"),
        ("rules", "caps:0.limit", "many", "is not a whole number"),
        ("rules", "name:", "  ", "This cannot be empty"),
        ("milestone.credentials", "capability:", "fly", "There is no capability “fly”"),
        ("milestone.credentials", "events:0.event", "", ""),
        ("error.auth", "threshold:", "0", "Give a whole number from 1"),
        ("error.auth", "events:99.event", "x", "At most 60"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_explained_and_stays_on_the_page(part, name, text, said, writer):
    before = draft()
    form = posted(before, part) | {name: text}
    form |= {"name:": "Precious words"} if part.startswith(("milestone", "error")) else {}
    answer = writer.post(url(part), form)
    if not said:
        assert answer.status_code == 302
        return
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert "<script>alert" not in page
    assert draft().document == before.document
    if "name:" in form and part.startswith(("milestone", "error")):
        assert "Precious words" in page


def test_hostile_words_are_words(writer):
    answer = writer.post(
        url("stage.started"), posted(draft(), "stage.started", name=HOSTILE), follow=True
    )
    assert "<script>alert" not in answer.content.decode()
    assert parts.locate(draft().document, "stage.started")["name"] == HOSTILE
    for page in ("/journeys/api/", "/journeys/api/changes/", url("document"), url("rules")):
        assert "<script>alert" not in writer.get(page).content.decode()


def test_a_text_that_is_too_long_is_refused(writer):
    answer = writer.post(url("stage.started"), posted(draft(), "stage.started", name="x" * 500))
    assert answer.status_code in (409, 422)
    assert parts.locate(draft().document, "stage.started")["name"] == "Started"


def theirs(part: str, **values: Any) -> None:
    """A colleague saves other values of this part."""
    version = draft()
    document = json.loads(json.dumps(version.document))
    parts.locate(document, part).update(values)
    drafts.save(
        version.pk, document, revision=version.revision, by=UserFactory(username="bob"),
        now=version.saved_at, kind=drafting.JOURNEYS,
    )  # fmt: skip


def test_two_who_change_different_values_both_keep_them(writer):
    mine = posted(draft(), "step.api_started", priority="33")
    theirs("step.api_started", after_minutes=77)
    assert writer.post(url("step.api_started"), mine).status_code == 302
    step = parts.locate(draft().document, "step.api_started")
    assert (step["priority"], step["after_minutes"]) == (33, 77)
    assert {user.username for user in draft().editors.all()} == {"bob", "marketer"}


def test_two_who_change_the_same_value_see_both_and_lose_neither(writer):
    mine = posted(draft(), "step.api_started", priority="33")
    theirs("step.api_started", priority=44, after_minutes=77)
    answer = writer.post(url("step.api_started"), mine)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Bob saved the same" in page
    assert "<del>44</del><ins>33</ins>" in page
    assert parts.locate(draft().document, "step.api_started")["priority"] == 44
    again = as_a_browser_sends(page)
    assert again["priority:"] == "33"
    assert writer.post(url("step.api_started"), again).status_code == 302
    step = parts.locate(draft().document, "step.api_started")
    assert (step["priority"], step["after_minutes"]) == (33, 77)


def test_words_typed_into_a_discarded_draft_stay_on_the_page(writer):
    form = posted(draft(), "stage.started", name="Precious")
    writer.post("/journeys/api/discard/", {"revision": draft().revision})
    answer = writer.post(url("stage.started"), form)
    assert answer.status_code == 409
    assert "Precious" in answer.content.decode()
    assert "discarded meanwhile" in answer.content.decode()


def test_words_typed_into_a_part_that_a_colleague_took_out_stay_on_the_page(writer):
    form = posted(draft(), "step.api_started", key="precious")
    act = {"act": "remove", "part": "step.api_started", "revision": draft().revision}
    assert writer.post("/journeys/api/edit/parts/", act).status_code == 302
    answer = writer.post(url("step.api_started"), form)
    assert answer.status_code == 409
    assert "precious" in answer.content.decode()


def test_what_a_colleague_just_wrote_is_not_taken_out(writer):
    seen = draft().revision
    theirs("step.api_started", priority=44)
    act = {"act": "remove", "part": "step.api_started", "revision": seen}
    answer = writer.post("/journeys/api/edit/parts/", act, follow=True)
    assert "Not taken out: bob saved" in answer.content.decode()
    assert parts.locate(draft().document, "step.api_started")


def test_parts_are_added_moved_and_taken_out(writer):
    def act(verb: str, part: str, **more: str) -> dict[str, Any]:
        form = {"act": verb, "part": part, "revision": str(draft().revision), **more}
        answer = writer.post("/journeys/api/edit/parts/", form, follow=True)
        assert answer.status_code == 200
        return draft().document

    document = act("add", "stage", key="halfway", name="Halfway")
    assert [stage["key"] for stage in document["stages"]][-2:] == ["halfway", "started"]
    document = act(
        "add", "step", stage="halfway", key="new_step", do="email", template="api_started"
    )
    assert parts.locate(document, "step.new_step")["do"]["template"] == "api_started"
    document = act("up", "stage.halfway")
    assert [stage["key"] for stage in document["stages"]][-3] == "halfway"
    act("add", "step", stage="halfway", key="second", do="alert", title="Look here")
    document = act("up", "step.second")
    keys = [step["key"] for step in parts.locate(document, "stage.halfway")["steps"]]
    assert keys == ["second", "new_step"]
    document = act("down", "step.new_step")
    assert parts.locate(document, "stage.credentials")["steps"][0]["key"] == "new_step"
    document = act("remove", "stage.halfway")
    assert parts.locate(document, "stage.halfway") is None
    document = act("add", "milestone", key="third", name="Third")
    assert document["path"]["milestones"][-1]["key"] == "third"
    document = act("add", "error", key="odd", name="Odd")
    assert document["path"]["errors"][-1]["key"] == "odd"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"part": "stage", "key": "started", "name": "Again"}, "There is a stage “started” already"),
        ({"part": "stage", "key": "No good", "name": "X"}, "A key has small letters"),
        ({"part": "stage", "key": "good", "name": " "}, "Give the stage a name"),
        ({"part": "step", "key": "good", "stage": "gone", "do": "alert", "title": "X"}, "not there any more"),
        ({"part": "step", "key": "good", "stage": "started", "do": "email"}, "Choose the e-mail"),
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_added_is_explained(form, said, writer):
    answer = writer.post(
        "/journeys/api/edit/parts/", {"act": "add", "here": "stage.started", **form}
    )
    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_a_step_keeps_its_key_once_it_was_live(writer):
    page = writer.get(url("step.api_started")).content.decode()
    assert 'name="key:"' in page
    goes_live(draft())
    writer.post("/journeys/api/begin/")
    page = writer.get(url("step.api_started")).content.decode()
    assert draft().status == VersionStatus.LIVE
    assert 'name="key:"' not in page
    assert "nobody gets it twice" in page


def test_a_new_key_of_a_step_leads_to_the_step(writer):
    form = posted(draft(), "step.api_started", key="hello")
    answer = writer.post(url("step.api_started"), form)
    assert answer.url.endswith("part=step.hello")
    twin = posted(draft(), "step.hello", key="api_blocked")
    answer = writer.post(url("step.hello"), twin)
    assert answer.status_code == 409
    assert "stands there twice" in answer.content.decode()


def test_what_the_checks_say_stands_beside_its_part(writer):
    form = posted(draft(), "stage.blocked") | {"when:0.what": "reached:gone"}
    page = writer.post(url("stage.blocked"), form, follow=True).content.decode()
    assert "There is no milestone “gone”" in page
    assert "1 to mend" in page
    assert "Change the condition, or the order of the stages." in page


def test_a_stage_that_can_never_hold_is_told(writer):
    form = posted(draft(), "stage.credentials") | {"when:0.what": "usable"}
    page = writer.post(url("stage.credentials"), form, follow=True).content.decode()
    assert "can never hold" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "This is not JSON"),
        ("[]", "A journey is a JSON object"),
        ('{"key": "api"}', "Field required"),
        ("[" * 100_000, "This is not JSON"),
        ("NaN", "A journey is a JSON object"),
    ],
)
def test_a_broken_document_is_refused_with_its_problems_and_stays_on_the_page(text, said, writer):
    form = {"version": draft().pk, "revision": draft().revision, "text": text}
    answer = writer.post(url("document"), form)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page
    assert unescaped(page).count(text[:50]) >= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(key="other"), "The journey’s key is"),
        (lambda d: d.update(colour="red"), "Unexpected keyword argument"),
        (lambda d: d["stages"].append(d["stages"][0]), "stands there twice"),
        (lambda d: d["path"].update(target_minutes=10**12), "At most"),
        (lambda d: d.update(name="a\0b"), "cannot be stored"),
        (lambda d: d.update(name="\ud800"), "cannot be stored"),
        (lambda d: d.update(holdout_percent=float("inf")), "At most"),
    ],
)
def test_a_document_that_nobody_could_work_with_is_refused(change, said, writer):
    document = draft().document
    change(document)
    form = {"version": draft().pk, "revision": draft().revision, "text": json.dumps(document)}
    answer = writer.post(url("document"), form)
    assert answer.status_code == 422
    assert said.replace("’", "'") in unescaped(answer.content.decode())


def nested(depth: int) -> dict[str, Any]:
    condition: dict[str, Any] = {"kind": "intent"}
    for _ in range(depth):
        condition = {"kind": "all", "of": [condition]}
    return condition


@pytest.mark.parametrize("depth", [6, 60, 300])
def test_conditions_nested_beyond_reason_are_refused_at_once(depth, writer):
    version = draft()
    form = posted(version, "stage.blocked") | {"when:mode": "json"}
    answer = writer.post(url("stage.blocked"), form | {"when:json": json.dumps(nested(depth))})
    assert (answer.status_code, draft().revision) == (422, 1)
    assert "5 deep at most" in answer.content.decode()
    version.document["stages"][1]["when"] = nested(depth)
    form = {"version": version.pk, "revision": 1, "text": json.dumps(version.document)}
    answer = writer.post(url("document"), form)
    assert (answer.status_code, draft().revision) == (422, 1)
    assert "5 deep at most" in answer.content.decode()


def test_a_nested_condition_is_shown_in_words_and_written_as_json(writer):
    form = posted(draft(), "stage.blocked") | {
        "when:mode": "json",
        "when:json": json.dumps(nested(5)),
    }
    assert writer.post(url("stage.blocked"), form).status_code == 302
    page = writer.get(url("stage.blocked")).content.decode()
    assert '<option value="json" selected>' in page
    assert "somebody has looked at the setup guide" in page
    assert parts.locate(draft().document, "stage.blocked")["when"] == nested(5)


def test_a_document_is_written_as_a_whole_and_two_are_told_apart(writer):
    version = draft()
    document = {**version.document, "holdout_percent": 20}
    form = {"version": version.pk, "revision": version.revision, "text": json.dumps(document)}
    theirs("step.api_started", priority=44)
    answer = writer.post(url("document"), form)
    assert answer.status_code == 409
    assert "<del>44</del><ins>60</ins>" in answer.content.decode()
    form["revision"] = draft().revision
    assert writer.post(url("document"), form).status_code == 302
    assert draft().document == document


def test_a_draft_that_cannot_be_read_can_be_mended(writer):
    good = draft().document
    JourneyVersion.objects.filter(pk=draft().pk).update(document={"stages": [{"steps": [{}]}]})
    assert "cannot be read" in writer.get("/journeys/api/").content.decode()
    assert writer.get("/journeys/api/changes/").status_code == 200
    page = writer.get(url("rules")).content.decode()
    assert "Field required" in page
    form = {"version": draft().pk, "revision": draft().revision, "text": json.dumps(good)}
    assert writer.post(url("document"), form).status_code == 302
    assert draft().document == good


def test_the_page_of_a_journey_says_what_it_does(writer):
    page = unescaped(writer.get("/journeys/api/").content.decode())
    for words in (
        "v1 draft",
        "Send “API 3: blocked by errors” to whoever can do the next step",
        "5 minutes after the stage began",
        "only if the account is of high value",
        "Expected within 2 hours",
        "At most 1 mail in 20 hours per person",
        'href="/emails/api_blocked/"',
        'href="/journeys/api/edit/"',
        reverse("submit_journey", args=["api"]),
    ):
        assert words in page, words
    assert 'href="/journeys/api/"' in writer.get("/journeys/").content.decode()


def test_what_changed_between_two_versions_is_told_in_words(writer):
    goes_live(draft())
    writer.post("/journeys/api/begin/")
    second = JourneyVersion.objects.get(journey__key="api", number=2)
    form = posted(second, "step.api_started") | {"after_minutes:n": "45"}
    writer.post(url("step.api_started"), form)
    page = writer.get("/journeys/api/changes/?from=1&to=2").content.decode()
    assert "Step api_started" in page
    assert "<del>20</del><ins>45</ins> minutes after the stage began" in page
    assert page.count('class="change"') == 1


def test_a_reviewer_reads_but_is_offered_no_writing(as_role, loaded):
    client = as_role("reviewer")
    page = client.get("/journeys/api/").content.decode()
    assert "after the stage began" in page
    assert "Edit version" not in page
    assert client.post(url("rules"), {}).status_code == 403


def test_a_version_in_review_opens_for_reading_only(writer):
    JourneyVersion.objects.update(status=VersionStatus.IN_REVIEW)
    answer = writer.get(url("rules"), follow=True)
    assert answer.redirect_chain[-1][0] == "/journeys/api/"
    assert "It is in review" in answer.content.decode()
    answer = writer.post(url("rules"), posted(draft(), "rules", name="Too late"))
    assert answer.status_code == 409
    assert "Too late" in answer.content.decode()
    act = {"act": "up", "part": "stage.blocked"}
    assert writer.post("/journeys/api/edit/parts/", act).url == "/journeys/api/"


def new(**values: Any) -> dict[str, Any]:
    sender = Journey.objects.get(key="api").sender_id
    form = {
        "name": "Warehouse",
        "key": "warehouse",
        "integration_type": "warehouse",
        "sender": sender,
    }
    return {**form, **values}


def test_a_journey_is_begun_as_a_copy(writer):
    original = Journey.objects.get(key="api")
    answer = writer.post("/journeys/new/", new(copy_of=original.pk))
    assert answer.url == "/journeys/warehouse/edit/"
    made = draft("warehouse")
    assert changed(draft().document, made.document) == {
        "key", "name", "integration_type", "path.start.0.where.0.value",
    }  # fmt: skip
    assert (made.status, made.created_by.username) == (VersionStatus.DRAFT, "marketer")


def test_a_journey_is_begun_with_a_start_alone(writer):
    writer.post("/journeys/new/", new())
    page = writer.get(url("path", "warehouse")).content.decode()
    assert "A path needs at least one milestone" in page
    assert not drafting.problems(draft("warehouse").document)


@pytest.mark.parametrize("key", ["new", "api", "not a key"])
def test_a_key_that_cannot_be_is_explained(key, writer):
    answer = writer.post("/journeys/new/", new(key=key))
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()


def test_a_second_journey_of_a_type_that_is_live_is_told(writer):
    goes_live(draft())
    writer.post("/journeys/new/", new(integration_type="api"))
    page = unescaped(writer.get("/journeys/warehouse/edit/").content.decode())
    assert "“API setup” is live for “api” already" in page


def test_what_a_colleague_just_saved_is_not_discarded(writer):
    theirs("step.api_started", priority=44)
    answer = writer.post("/journeys/api/discard/", {"revision": "1"}, follow=True)
    assert "Not discarded: bob saved it" in answer.content.decode()
    assert not AuditEntry.objects.filter(act="discarded").exists()


CONDITIONS = [
    {"kind": "always"},
    {"kind": "usable"},
    {"kind": "not", "of": {"kind": "blocked", "error_class": "auth"}},
    {"kind": "blocked", "error_class": ""},
    {"kind": "all", "of": [{"kind": "intent"}]},
    {"kind": "any", "of": [{"kind": "reached", "milestone": "a:b"}, {"kind": "not", "of": {"kind": "intent"}}]},
    {"kind": "provider_in", "providers": ["stripe", "a, b"]},
    {"kind": "trait", "test": {"property": "plan", "op": "in", "value": ["pro", 7, "8", True, None]}},
    {"kind": "trait", "test": {"property": "plan", "op": "eq", "value": "10"}},
    {"kind": "trait", "test": {"property": "plan", "op": "exists"}},
    {"kind": "all", "of": [{"kind": "any", "of": [{"kind": "usable"}]}, {"kind": "always"}]},
    {"kind": "not", "of": {"kind": "not", "of": {"kind": "usable"}}},
]  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_means_the_same_when_it_is_read_back(condition):
    def plain(value: dict[str, Any]) -> dict[str, Any]:
        inner = value.get("of")
        if isinstance(inner, list):
            return (
                plain(inner[0])
                if len(inner) == 1
                else {**value, "of": [plain(one) for one in inner]}
            )
        return {name: one for name, one in value.items() if one != ""}

    back = conditions.read(conditions.show(condition))
    nested = conditions.show(condition)["mode"] == "json"
    assert back == (condition if nested else plain(condition))
    assert not forms.is_touched(Holds(), conditions.show(condition), condition)


@pytest.mark.parametrize(
    "value", ["x", "10", 10, 2.5, True, None, "true", "", '"', "a, b", "[1]", " x "]
)
def test_a_value_is_read_back_as_what_it_was(value):
    assert scalars.scalar(scalars.scalar_text(value)) == value
    assert type(scalars.scalar(scalars.scalar_text(value))) is type(value)
    assert scalars.scalars(scalars.scalars_text([value, "y"])) == [value, "y"]


def test_moving_the_first_further_up_changes_nothing(loaded):
    document = draft().document
    assert structure.moved(document, "stage.usable", up=True) == document
    assert structure.moved(document, "step.api_usable", up=True) == document
    with pytest.raises(Unreadable, match="not there"):
        structure.removed(document, "step.gone")


def test_every_value_of_the_language_has_its_field():
    written = {
        "rules": (language.Journey, {"key", "path", "stages"}),
        "path": (language.Path, {"milestones", "errors"}),
        "milestone": (language.Milestone, {"key"}),
        "error": (language.ErrorClass, {"key"}),
        "stage": (language.Stage, {"key", "steps"}),
        "step": (language.Step, {"key"}),
    }
    for kind, (of, apart) in written.items():
        named = {field.path.split(".")[0] for field in FIELDS[kind]}
        assert named == {field.name for field in dataclasses.fields(of)} - apart, kind
    nested = {"hours": language.Hours, "entry": language.Entry, "exit": language.Exit}
    for name, of in nested.items():
        named = {one.path.split(".")[1] for one in FIELDS["rules"] if one.path.startswith(name)}
        assert named == {field.name for field in dataclasses.fields(of)}, name
    assert {*dict(conditions.facts_of(None))} | {"reached", "always", "not", "all", "any"} == {
        field.default
        for one in get_args(language.Condition)
        for field in dataclasses.fields(one)
        if field.name == "kind"
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_typed_is_answered(writer, data):
    document = tomllib.loads((blueprint.HERE / "journeys" / "api.toml").read_text())
    JourneyVersion.objects.filter(pk=draft().pk).update(document=document, revision=1)
    version = draft()
    part = data.draw(st.sampled_from(list(parts.every(version.document))))
    form = posted(version, part)
    names = st.sampled_from(
        [*form, "when:0.what", "events:1.where.0.op", "caps:7.limit", "usable:x"]
    )
    texts = st.sampled_from(
        ["", "x", "-1", "1e400", "NaN", "[[", "[1", "null", "trait", "json", "provider_in", "in",
         "99999999999999999999", HOSTILE, "\ud7ff\u202e", "{}", "on", "none"]
    )  # fmt: skip
    form |= data.draw(st.dictionaries(names, texts | st.text(max_size=20), max_size=4))
    answer = writer.post(url(part), form)
    assert answer.status_code in (200, 302, 400, 409, 422)
    assert not drafting.problems(draft().document)
    if answer.status_code == 302:
        assert writer.get(answer.url).status_code == 200
