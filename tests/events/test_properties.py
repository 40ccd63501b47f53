"""What a schema in the catalogue checks, and that a wrong one neither passes the form nor refuses an event."""

import json
import tomllib
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from hypothesis import given
from hypothesis import strategies as some

from accounts.staff import make_roles, put_user
from events import catalogue, properties
from events.ingest import ingest
from events.models import Event, EventType

BLUEPRINT = Path("lifecycle/journeys/blueprint/catalogue.toml")
WRONG = [
    ({"type": "object", "required": True}, "required must be a list of names"),
    ({"required": ["a", 5]}, "required must be a list of names"),
    ({"properties": []}, "properties must be an object"),
    ({"properties": {"a": 5}}, "a: its rule must be an object"),
    ({"properties": {"a": {"type": 5}}}, "a: type must be one or a list of"),
    ({"properties": {"a": {"type": [["string"]]}}}, "a: type must be one or a list of"),
    ({"properties": {"a": {"type": "text"}}}, "a: type must be one or a list of"),
    ({"properties": {"a": {"enum": "full"}}}, "a: enum must be a list"),
    ({"properties": {"a": {"minimum": "0"}}}, "a: minimum must be a number"),
    ({"properties": {"a": {"maxLength": -1}}}, "a: maxLength must be a whole number"),
    ({"properties": {"a": {"pattern": "("}}}, "a: pattern cannot be read: unclosed group"),
    ({"properties": {"a": {"pattern": "(?=a)"}}}, "look-around"),
    ({"properties": {"a": {"pattern": "a" * 501}}}, "at most 500 characters"),
    ({"properties": {"a": {"format": "email"}}}, "a: format is not checked here"),
    ({"additionalProperties": False}, "additionalProperties is not checked here"),
    ({"type": [["string"]]}, "type must be"),
    ({"type": "nonsense"}, "type must be"),
    (5, "must be an object"),
    ([], "must be an object"),
]
# Not every database holds these.
UNSTORABLE = [
    ({"required": ["half \ud800"]}, "half a character"),
    ({"required": ["\x00"]}, "a NUL"),
    ({"properties": {"a": {"enum": [float("nan")]}}}, "NaN"),
]


@pytest.mark.parametrize(
    ("rule", "good", "bad", "said"),
    [
        ({"type": "string"}, "x", 5, "must be of type string."),
        ({"type": ["integer", "null"]}, 7.0, 7.5, "must be of type integer or null."),
        ({"type": "number"}, 10**400, True, "must be of type number."),
        ({"enum": ["full", "part"]}, "full", "?", "must be one of: full, part."),
        ({"minimum": 0}, 0, -5, "must be at least 0."),
        ({"maximum": 9.5}, 9, 10**400, "must be at most 9.5."),
        ({"minLength": 1}, "x", "", "must be at least 1 characters long."),
        ({"maxLength": 2}, "xy", "xyz", "must be at most 2 characters long."),
        ({"pattern": "^(test|prod)$"}, "test", "tests", "must match ^(test|prod)$."),
        ({"pattern": "b"}, "abc", "ac", "must match b."),
    ],
)
def test_each_keyword_is_checked(rule, good, bad, said):
    check = properties.read({"properties": {"a": rule}}).check
    assert check({"a": good}) == check({"a": None}) == check({}) == []
    assert check({"a": bad}) == [{"code": "schema", "path": "a", "message": f"a {said}"}]


def test_a_keyword_about_text_leaves_numbers_alone_and_the_other_way_round():
    rule = {"minimum": 5, "minLength": 5, "pattern": "x{5}"}
    check = properties.read({"properties": {"a": rule}}).check
    assert check({"a": 7}) == check({"a": "xxxxx"}) == check({"a": [1]}) == check({"a": True}) == []


def test_no_pattern_takes_longer_than_its_text():
    check = properties.read({"properties": {"a": {"pattern": "^((a|a)*)*$"}}}).check
    assert check({"a": "a" * 100_000 + "b"})


@pytest.mark.parametrize(("schema", "said"), WRONG + UNSTORABLE)
def test_what_is_wrong_with_a_schema_is_named(schema, said):
    assert said in " ".join(properties.read(schema).faults)


def test_beside_a_wrong_rule_the_others_are_checked():
    read = properties.read({"required": ["b"], "properties": {"a": {"type": 5}}})
    assert read.faults
    assert read.check({"a": 1})[0]["message"] == "b is missing."


def test_every_schema_of_the_blueprint_is_checked_to_the_last_word():
    for entry in tomllib.loads(BLUEPRINT.read_text())["event_types"]:
        read = properties.read(entry["schema"])
        assert not read.faults, entry["name"]
        assert not (read.check and read.check(entry["example"])), entry["name"]


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5)
    | some.sampled_from(["type", "object", "string", "required", "properties", "(", "a"]),
    lambda inner: some.lists(inner, max_size=3)
    | some.dictionaries(
        some.sampled_from(["type", "required", "properties", "enum", "pattern", "minimum", "a"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(schema=anything, value=anything)
def test_no_schema_raises_whatever_it_says(schema, value):
    check = properties.read(schema).check
    if check is not None:
        for problem in check({"a": value, "type": value}):
            json.dumps(problem, allow_nan=False)


@pytest.mark.django_db
@pytest.mark.parametrize(("schema", "said"), WRONG)
class TestAWrongSchema:
    def test_is_refused_by_the_form(self, client, schema, said):
        make_roles()
        client.force_login(put_user("eng", role="engineer", password=None))
        data = {"name": "docs_viewed", "kind": "activity", "schema": json.dumps(schema)}
        page = client.post(reverse("admin:events_eventtype_add"), {**data, "example": ""})
        assert said in " ".join(page.context["adminform"].form.errors["schema"])
        assert not EventType.objects.exists()

    def test_already_in_the_catalogue_refuses_no_event_and_is_shown(
        self, client, key, schema, said
    ):
        row = EventType.objects.create(name="docs_viewed", schema=schema)
        catalogue.forget()
        sent = [{"type": "track", "event": name} for name in ("docs_viewed", "other")]
        assert ingest(sent, key=key[0], now=timezone.now()).stored == 2
        assert Event.objects.count() == 2
        make_roles()
        client.force_login(put_user("eng", role="engineer", password=None))
        assert (
            "not all of it"
            in client.get(reverse("admin:events_eventtype_changelist")).content.decode()
        )
        page = client.get(reverse("admin:events_eventtype_change", args=[row.pk]))
        assert said.partition(":")[0] in page.content.decode()


@pytest.mark.django_db
def test_a_schema_left_empty_checks_nothing(client):
    make_roles()
    client.force_login(put_user("eng", role="engineer", password=None))
    data = {"name": "docs_viewed", "kind": "activity", "schema": "", "example": ""}
    client.post(reverse("admin:events_eventtype_add"), data)
    assert EventType.objects.get().schema == {}


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["schema", "example", "fields"])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ('{"rows": NaN}', "NaN"),
        (r'{"rows": "\u0000"}', "NUL character"),
        (r'{"rows": "\ud800"}', "Half of a character"),
        ("[" * 100_000, "nested too deeply"),
        ("{", "valid JSON"),
    ],
)
def test_what_no_database_takes_is_refused_and_shown_as_it_was_typed(client, field, typed, said):
    make_roles()
    client.force_login(put_user("eng", role="engineer", password=None))
    data = {"name": "docs_viewed", "kind": "activity", field: typed}
    model = "eventname" if field == "fields" else "eventtype"
    page = client.post(reverse(f"admin:events_{model}_add"), data)
    assert page.status_code == 200
    assert said in " ".join(page.context["adminform"].form.errors[field])
    assert escape(typed) in page.content.decode()
    assert not EventType.objects.exists()
