"""Journey documents at the border: what cannot work is refused with its place and its reason."""

import copy
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lifecycle.journeys import documents
from lifecycle.journeys.blueprint import HERE
from lifecycle.journeys.documents import BadDocument, World

API = tomllib.loads((HERE / "journeys" / "api.toml").read_text())
WORLD = World(
    events=frozenset(
        entry["name"]
        for entry in tomllib.loads((HERE / "catalogue.toml").read_text())["event_types"]
    ),
    capabilities_held=frozenset({"manage_api_keys"}),
    templates=frozenset(path.stem for path in (HERE / "emails").glob("*.toml")),
    destinations=frozenset(
        entry["key"]
        for entry in tomllib.loads((HERE / "destinations.toml").read_text())["destinations"]
    ),
)


def problems(change: Callable[[dict[str, Any]], object], world: World = WORLD) -> list[str]:
    document = copy.deepcopy(API)
    change(document)
    try:
        return [str(problem) for problem in documents.check(documents.read(document), world)]
    except BadDocument as bad:
        return [str(problem) for problem in bad.problems]


def test_the_blueprint_has_no_problem():
    assert problems(dict) == []


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (lambda d: d["path"]["milestones"][0].update(events=[{"event": "key_made"}]),
         "path.milestones.0.events", "“key_made” is not in the catalogue"),
        (lambda d: d["path"]["milestones"][0].update(capability="fly"),
         "path.milestones.0.capability", "No role holds “fly”"),
        (lambda d: d["path"].update(usable=["credentials", "nowhere"]),
         "path.usable.1", "There is no milestone “nowhere”"),
        (lambda d: d["path"].update(usable=[]), "path.usable", "Say which milestones"),
        (lambda d: d["stages"][0]["steps"][0]["do"].update(template="missing"),
         "stages.0.steps.0.do.template", "There is no template “missing”"),
        (lambda d: d["stages"].insert(0, {"key": "all", "name": "All", "when": {"kind": "always"}}),
         "stages.1.when", "can never hold"),
        (lambda d: d["stages"][3].update(when={"kind": "all", "of": [
            {"kind": "usable"}, {"kind": "not", "of": {"kind": "usable"}}]}),
         "stages.3.when", "can never hold"),
        (lambda d: d["stages"].insert(3, {"key": "x", "name": "X", "when": {"kind": "all", "of": [
            {"kind": "reached", "milestone": "credentials"},
            {"kind": "reached", "milestone": "first_success"}]}}),
         "stages.3.when", "“X” can never hold: in every product state"),
        (lambda d: d["stages"].pop(), "stages.3.when", "The last stage must always hold"),
        (lambda d: d["stages"][3].update(when={"kind": "reached", "milestone": "moon"}),
         "stages.3.when", "There is no milestone “moon”"),
        (lambda d: d["stages"][1]["steps"][0].update(purpose="nudge"),
         "stages.1.steps.0.purpose", "While a setup is blocked, reminders are silent"),
        (lambda d: d["stages"][0]["steps"][0].update(purpose="nudge"),
         "stages.0.steps.0.purpose", "only a confirmation"),
        (lambda d: d["stages"][4]["steps"].append(d["stages"][4]["steps"][0]),
         "stages.4.steps.3.key", "is used twice"),
        (lambda d: d["hours"].update(days=[]), "hours.days", "Choose at least one weekday"),
        (lambda d: d["hours"].update(start="nine"), "hours.start", "HH:MM"),
        (lambda d: d.update(holdout_percent=120), "holdout_percent", "between 0 and 100"),
        (lambda d: d["stages"][3].update(when={"kind": "reached", "milestne": "credentials"}),
         "stages.3.when.milestone", "Field required"),
        (lambda d: d["stages"][3].update(when={"kind": "sometimes"}), "stages.3.when", ""),
        (lambda d: d.update(colour="blue"), "colour", "Unexpected keyword argument"),
        (lambda d: d.pop("path"), "path", "Field required"),
        (lambda d: d["path"]["errors"][0].update(threshold=0), "path.errors.0", "at least 1"),
        (lambda d: d["path"]["errors"][0].update(threshold="many"), "path.errors.0.threshold", "integer"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_place_and_its_reason(change, place, words):
    found = problems(change)
    assert any(problem.startswith(f"{place}") and words in problem for problem in found), found


def test_a_capability_that_nobody_holds_any_more_is_found():
    nobody = replace(WORLD, capabilities_held=frozenset())
    assert "manage_api_keys" in problems(dict, nobody)[0]


def test_equal_documents_have_equal_hashes_whatever_the_order_of_their_keys():
    turned = dict(reversed(list(API.items())))
    assert documents.content_hash(turned) == documents.content_hash(API)
    assert documents.content_hash({**API, "name": "Other"}) != documents.content_hash(API)


def test_what_is_most_likely_not_meant_is_said():
    document = copy.deepcopy(API)
    document["stages"][4]["steps"][0]["do"]["to"] = "starter"
    del document["stages"][2]  # nobody waits for another role any more, so nobody is asked
    said = [str(problem) for problem in documents.advice(documents.read(document), WORLD)]
    assert said == [
        "stages.0.steps.1: In no state that was tried does the step “api_usable_asked” become due.",
        "stages.3.steps.0: Nobody is given a task that their role does not allow. But: Dana (nobody) "
        "started with Stripe; In the account too: Ada (somebody), Otto (somebody), Vera (nobody); "
        "20 min passed.",
    ]


def test_of_the_blueprint_nothing_is_to_be_said():
    assert documents.advice(documents.read(API), WORLD) == []


def test_a_definition_of_done_that_proves_nothing_is_pointed_out():
    document = copy.deepcopy(API)
    document["path"]["usable"] = ["credentials"]
    said = documents.advice(documents.read(document), WORLD)
    assert any(
        one.place == "path.usable"
        and "before “First request succeeded in production”" in one.message
        for one in said
    )


@pytest.mark.timeout(30)
@pytest.mark.parametrize("innermost", [{"kind": "always"}, {"kind": "nonsense"}, {"of": 1}])
def test_a_condition_however_deep_is_read_level_by_level(innermost):
    """Trying every kind at every level would not end in this life."""
    condition: dict[str, Any] = innermost
    for _ in range(60):
        condition = {"kind": "all", "of": [condition]}
    said = problems(lambda d: d["stages"][3].update(when=condition))
    assert any("stages.3.when.of.0" in one for one in said) == (innermost != {"kind": "always"})
