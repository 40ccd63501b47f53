"""What e-mails state as fact is true wherever a journey sends them, or is refused with the story that shows it."""

import copy
import tomllib
from typing import Any

import pytest

from lifecycle.engine.journey import Journey
from lifecycle.engine.worlds import Cast
from lifecycle.journeys import documents
from lifecycle.journeys.blueprint import HERE
from lifecycle.journeys.claims import check_claims
from lifecycle.journeys.samples import templates_of
from messaging.checks.remark import Remark
from messaging.content import read

CAST = Cast.of(
    {
        role["key"]: frozenset(role["capabilities"])
        for role in tomllib.loads((HERE / "roles.toml").read_text())["roles"]
    }
)
EMAILS = {
    path.stem: tomllib.loads(path.read_text()) for path in sorted((HERE / "emails").glob("*.toml"))
}
DOCUMENTS = {
    path.stem: tomllib.loads(path.read_text())
    for path in sorted((HERE / "journeys").glob("*.toml"))
}


def journey(key: str = "api") -> Journey:
    return documents.read(DOCUMENTS[key])


def remarks(template: str, *claims: Any, of: Journey | None = None) -> list[Remark]:
    content = read({"variants": EMAILS[template]["variants"], "claims": list(claims)})
    return check_claims(template, content, of or journey(template.partition("_")[0]), CAST)


def reached(milestone: str) -> dict[str, Any]:
    return {"kind": "reached", "milestone": milestone}


def claim(holds: dict[str, Any], says: str = "It is so") -> dict[str, Any]:
    return {"says": says, "holds": holds}


@pytest.mark.parametrize("template", EMAILS)
def test_every_claim_of_the_blueprint_holds_wherever_it_is_sent(template):
    claims = EMAILS[template]["claims"]
    assert claims
    assert template in templates_of(journey(template.partition("_")[0]))
    assert remarks(template, *claims) == []


def test_a_false_claim_is_found_with_the_shortest_story_that_shows_it():
    planted = claim(reached("first_success"), "A request has succeeded")
    [remark] = remarks("api_stalled_finish", claim(reached("credentials")), planted)
    assert (remark.check, remark.place, remark.blocking) == ("claim", "claims.1", True)
    assert remark.message == (
        "“A request has succeeded” is not true of everybody it is sent to. In “API setup”: Dana "
        "(developer) started with Stripe; In the account too: Ada (admin), Otto (owner), Vera "
        "(marketer); Credentials created; 1 day passed; then the e-mail goes to Dana (developer)."
    )
    assert "take the sentence and its claim out" in remark.mend
    assert remark.sample == "Dana (developer)"


def test_a_claim_that_only_a_rare_account_belies_is_found_too():
    """What the first draft of the blueprint got wrong: whoever started leaves when the key exists."""
    document = copy.deepcopy(DOCUMENTS["api"])
    document["stages"][2]["when"] = {"kind": "starter_lacks"}
    no_key = claim({"kind": "not", "of": reached("credentials")}, "There is no key")
    [remark] = remarks("api_ask_admin", no_key, of=documents.read(document))
    assert "Dana (developer), who has left since, started with Stripe" in remark.message
    assert "Credentials created, by Ada (admin); 1 h passed" in remark.message
    assert remarks("api_ask_admin", no_key) == []


@pytest.mark.parametrize(
    ("holds", "shows"),
    [
        ({"kind": "provider_in", "providers": ["stripe", "salesforce", "hubspot", "rest"]},
         "started with some provider"),
        ({"kind": "not", "of": {"kind": "intent"}}, "Dana"),
        ({"kind": "trait", "test": {"property": "plan", "op": "eq", "value": "pro"}}, "Dana"),
        ({"kind": "not", "of": {"kind": "trait",
                                "test": {"property": "plan", "op": "eq", "value": "pro"}}},
         "The account's plan is pro"),
        ({"kind": "not", "of": {"kind": "high_value"}}, "The account's value is 10000"),
    ],
)  # fmt: skip
def test_what_the_journey_does_not_tell_apart_is_tried_all_the_same(holds, shows):
    [remark] = remarks("api_started", claim(holds))
    assert shows in remark.message


@pytest.mark.parametrize(
    "holds",
    [
        {"kind": "always"},
        {"kind": "not", "of": {"kind": "blocked_again"}},
        {"kind": "any", "of": [{"kind": "starter_lacks"}, {"kind": "not", "of": {"kind": "blocked"}}]},
    ],
)  # fmt: skip
def test_a_claim_that_always_holds_is_fine(holds):
    assert remarks("api_started", claim(holds)) == []


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("not_usable", "Say what it claims."),
        ("not_usable", "“not_usable” is no condition."),
        ({"says": "It is so"}, "Choose when it is true."),
        ({"says": "It is so", "holds": ""}, "Choose when it is true."),
        ({"says": "It is so", "holds": ["usable"]}, "is no condition."),
        ({"says": " ", "holds": {"kind": "usable"}}, "Say what it claims."),
        (claim({"kind": "sometimes"}), "holds"),
        (claim({"kind": "reached", "milestne": "credentials"}), "milestone"),
        ({**claim({"kind": "usable"}), "variant": "x"}, "variant"),
        (claim(reached("moon")), "There is no milestone “moon”."),
        (claim({"kind": "blocked", "error_class": "rain"}), "There is no error class “rain”."),
    ],
)
def test_a_malformed_claim_is_refused_with_its_place(document, words):
    found = remarks("api_started", document)
    assert {(remark.place, remark.blocking) for remark in found} == {("claims.0", True)}
    assert any(words in remark.message for remark in found)


@pytest.mark.parametrize(
    "document", [{"says": "", "holds": {"kind": "usable"}}, {"kind": "usable"}]
)
def test_a_condition_without_words_is_told_once(document):
    assert [remark.message for remark in remarks("api_started", document)] == [
        "Say what it claims."
    ]
