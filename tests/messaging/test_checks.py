"""What the checks say of a template: a bad text has its remark, the same text mended has none."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from messaging.checks.remark import Remark, Sample
from messaging.checks.styles import colour, contrast
from messaging.checks.template import RULES, check
from messaging.rendering import default_layout
from tests.messaging.scenes import ABOUT_A_SECOND
from tests.messaging.test_rendering import HOSTILE

FACTS: dict[str, Any] = {
    "person": {"name": "Ann Example", "first_name": "Ann", "role": "admin"},
    "account": {"name": "Initech", "plan": ""},
    "provider": {"key": "stripe", "name": "Stripe"},
    "integration": {"type": "api", "name": "Payments API"},
    "next": {
        "action": "create the API key",
        "destination": "keys",
        "capability": "manage_api_keys",
    },
    "product": {"name": "Acme"},
}
NAMELESS = {**FACTS, "person": {"name": "", "first_name": "", "role": "developer"}}
DESTINATIONS = {
    "keys": {
        "base_url": "https://app.example.com",
        "path": "/keys",
        "name": "API keys",
        "capability": "manage_api_keys",
    },
    "log": {
        "base_url": "https://app.example.com",
        "path": "/log",
        "name": "Request log",
        "capability": "",
    },
}
LAYOUT = default_layout()["mjml"]
KEYS = '{% button "keys" %}Create the API key{% endbutton %}'
GOOD = f"Hi there,\n\nthe Stripe connection needs its API key.\n\n{KEYS}\n"
ABLE = frozenset({"manage_api_keys"})


def reader(name="Ann", facts=FACTS, capabilities=ABLE, purpose="nudge") -> Sample:
    return Sample(name, name, facts, capabilities, purpose)


ANN = reader()
BOB = reader("Bob, whose name nobody knows", NAMELESS)


@dataclass(frozen=True)
class Text:
    """A template, what it refers to, and whom it is tried on."""

    body: str = GOOD
    subject: str = "Next for Stripe: create the API key"
    preheader: str = "Ten minutes, and only the scopes it needs."
    more: tuple[dict[str, str], ...] = ()
    layout: str = LAYOUT
    snippets: dict[str, str] = field(default_factory=dict)
    samples: tuple[Sample, ...] = (ANN, BOB)
    first: dict[str, str] = field(default_factory=dict)


def remarks_on(text: Text) -> list[Remark]:
    first = {
        "subject": text.subject,
        "preheader": text.preheader,
        "body": text.body,
        **text.first,
    }
    frozen = {
        "snippets": text.snippets,
        "destinations": DESTINATIONS,
        "layout": {**default_layout(), "mjml": text.layout},
    }
    return check({"variants": [first, *text.more]}, frozen, text.samples)


def head(style: str) -> str:
    return LAYOUT.replace("<mj-style>", f"<mj-style>{style}")


def around(mjml: str) -> str:
    """The layout with something more above the body's place."""
    return LAYOUT.replace(
        "<!-- body -->", f"<mj-section><mj-column>{mjml}</mj-column></mj-section><!-- body -->"
    )


def line_in(layout: str, words: str) -> int:
    return layout[: layout.index(words)].count("\n") + 1


VARIANT = {"subject": "s", "preheader": "p", "body": GOOD}
GREY = LAYOUT.replace('color="#1f2933"', 'color="#cccccc"')
DIM = LAYOUT.replace('color="#1f2933"', 'color="#888888"')
DARK = LAYOUT.replace(".words a { color: #9db4ff", ".words a { color: #20262e")
ALT = '<mj-image src="https://app.example.com/logo.png" />'
LOST = LAYOUT.replace(
    "<!-- body -->", "<mj-section><mj-column><!-- body --></mj-column></mj-section>"
)
SCRIPT = LAYOUT.replace("<mj-raw>", "<mj-raw><script>alert(1)</script>")

# bad text, the same mended, and what is said of the bad one: check, place, line, blocking.
TABLE: dict[str, tuple[Text, Text, tuple[str, str, int | None, bool]]] = {
    "an if that is not closed": (
        Text(GOOD + "\n{% if person.name %}x"),
        Text(GOOD + "\n{% if person.name %}x{% endif %}"),
        ("syntax", "variants.0.body", 7, True),
    ),
    "a filter that does not exist": (
        Text(subject="{{ provider.name | shout }}"),
        Text(subject="{{ provider.name | upcase }}"),
        ("syntax", "variants.0.subject", 1, True),
    ),
    "a fault in a variant that nobody gets": (
        Text(more=({**VARIANT, "provider": "paypal", "body": "{% endif %}"},)),
        Text(more=({**VARIANT, "provider": "paypal"},)),
        ("syntax", "variants.1.body", 1, True),
    ),
    "a component in a component": (
        Text(GOOD + "{% note %}{% note %}x{% endnote %}{% endnote %}"),
        Text(GOOD + "{% note %}x{% endnote %}\n\n{% note %}x{% endnote %}"),
        ("syntax", "variants.0.body", None, True),
    ),
    "a fault in a snippet": (
        Text(GOOD + '{% snippet "s" %}', snippets={"s": "one\n{{ person.name | date: '%d' }}"}),
        Text(GOOD + '{% snippet "s" %}', snippets={"s": "one\n{{ person.name }}"}, samples=(ANN,)),
        ("syntax", "snippets.s", 2, True),
    ),
    "a misspelt variable": (
        Text("Hi\n{% if persn.name %}x{% endif %}\n" + GOOD),
        Text("Hi\n{% if person.name %}x{% endif %}\n" + GOOD),
        ("unknown_variable", "variants.0.body", 2, True),
    ),
    "a misspelt variable in a snippet": (
        Text(GOOD + '{% snippet "s" %}', snippets={"s": "{{ acount.name }}"}),
        Text(GOOD + '{% snippet "s" %}', snippets={"s": "{{ account.name }}"}),
        ("unknown_variable", "snippets.s", 1, True),
    ),
    "a screen that does not exist": (
        Text(GOOD.replace('"keys"', '"kees"')),
        Text(),
        ("unknown_key", "variants.0.body", 5, True),
    ),
    "a screen that does not exist for one reader": (
        Text(GOOD.replace('"keys"', "next.destination"), samples=(
            reader(facts={**FACTS, "next": {**FACTS["next"], "destination": "gone"}}),)),
        Text(GOOD.replace('"keys"', "next.destination")),
        ("unknown_key", "variants.0.body", 5, True),
    ),
    "a snippet that does not exist": (
        Text(GOOD + '{% snippet "tipp" %}', snippets={"tip": "x"}),
        Text(GOOD + '{% snippet "tip" %}', snippets={"tip": "x"}),
        ("unknown_key", "variants.0.body", 6, True),
    ),
    "a name that one reader lacks": (
        Text("Hi {{ person.first_name }},\n\n" + GOOD),
        Text('Hi {{ person.first_name | default: "there" }},\n\n' + GOOD),
        ("blank_variable", "variants.0.body", 1, True),
    ),
    "a name that one reader lacks, asked for first": (
        Text(subject="{{ person.first_name }}, the API key for Stripe"),
        Text(subject="{% if person.first_name %}{{ person.first_name }}, t{% else %}T{% endif %}he API key"),
        ("blank_variable", "variants.0.subject", 1, True),
    ),
    "a group of facts that one reader lacks": (
        Text("Ask {{ helper.name }}.\n" + GOOD),
        Text("{% if helper.name %}Ask {{ helper.name }}.{% endif %}\n" + GOOD),
        ("blank_variable", "variants.0.body", 1, True),
    ),
    "a loop in a loop": (
        Text(HOSTILE["silent loop"]),
        Text("{% for a in (1..3) %}{% assign b = a %}{{ b }}{% endfor %}" + GOOD),
        ("too_slow", "variants.0.body", 1, True),
    ),
    "a reader whom no variant is for": (
        Text(first={"provider": "paypal"}, samples=(ANN,)),
        Text(first={"provider": "stripe"}),
        ("no_variant_fits", "variants", None, True),
    ),
    "a variant for nobody": (
        Text(more=({**VARIANT, "provider": "strpe"},)),
        Text(more=({**VARIANT, "role": "developer"},)),
        ("variant_never_used", "variants.1", None, False),
    ),
    "two variants with the same words": (
        Text(first=VARIANT, more=({**VARIANT, "role": "developer"},)),
        Text(first=VARIANT, more=({**VARIANT, "role": "developer", "subject": "t"},)),
        ("same_words_twice", "variants.1", None, False),
    ),
    "no subject": (
        Text(subject='{{ person.first_name | default: "" }}'),
        Text(subject='{{ person.first_name | default: "Your API key" }}'),
        ("subject_length", "variants.0.subject", None, True),
    ),
    "a subject longer than an inbox shows": (
        Text(subject="Create the API key for Stripe " * 3),
        Text(subject="Create the API key for Stripe"),
        ("subject_length", "variants.0.subject", None, False),
    ),
    "a subject that is cut off": (
        Text(subject="Create the API key for Stripe " * 10),
        Text(subject="Create the API key for Stripe"),
        ("subject_length", "variants.0.subject", None, True),
    ),
    "no preheader": (
        Text(preheader=""),
        Text(preheader="Ten minutes."),
        ("preheader", "variants.0.preheader", None, False),
    ),
    "a preheader that repeats the subject": (
        Text(subject="Create the key", preheader="create the key"),
        Text(subject="Create the key", preheader="Ten minutes."),
        ("preheader", "variants.0.preheader", None, False),
    ),
    "a preheader longer than an inbox shows": (
        Text(preheader="Ten minutes, and only the scopes it needs. " * 3),
        Text(preheader="Ten minutes, and only the scopes it needs. " * 2),
        ("preheader", "variants.0.preheader", None, False),
    ),
    "a subject in capitals": (
        Text(subject="CREATE THE API KEY"),
        Text(subject="Create the API KEY"),
        ("shouting", "variants.0.subject", None, False),
    ),
    "a subject with exclamation marks": (
        Text(subject="The key! Now!"),
        Text(subject="The key, now!"),
        ("shouting", "variants.0.subject", None, False),
    ),
    "two buttons": (
        Text(GOOD + '\n{% button "log" %}Log{% endbutton %}'),
        Text(GOOD + '\n[Log]({% link "log" %})'),
        ("one_main_action", "variants.0.body", 7, True),
    ),
    "no button": (
        Text("Stripe: [create the API key]({% link 'keys' %})"),
        Text("Stripe is connected, all is well.", samples=(reader(purpose="confirmation"),)),
        ("one_main_action", "variants.0.body", None, True),
    ),
    "another thing than the next step": (
        Text('Stripe says hello to you.\n\n{% button "log" %}Look{% endbutton %}', subject="Hello"),
        Text('{{ next.action }} for Stripe\n\n{% button "log" %}Look{% endbutton %}'),
        ("next_action", "variants.0.body", None, False),
    ),
    "a provider that is not named": (
        Text(GOOD.replace("Stripe", "API"), subject="The API key"),
        Text(GOOD.replace("Stripe", "{{ provider.name }}"), subject="The API key"),
        ("provider_named", "variants.0.body", None, False),
    ),
    "a task for somebody who may not do it": (
        Text(samples=(reader(capabilities=frozenset()),)),
        Text(samples=(reader(capabilities=ABLE),)),
        ("capability", "variants.0.body", 5, True),
    ),
    "a link to a screen that somebody may not use": (
        Text(
            'The API key of Stripe is at {% link "keys" %}.\n\n{% button "log" %}x{% endbutton %}',
            samples=(reader(capabilities=frozenset()),),
        ),
        Text(samples=(reader(capabilities=ABLE),)),
        ("capability", "variants.0.body", 1, False),
    ),
    "no words but a button": (
        Text("***"),
        Text("The Stripe connection needs an API key."),
        ("text_part", "variants.0.body", None, True),
    ),
    "a brace too few": (
        Text("Hi { person.name }},\n\n" + GOOD),
        Text('Hi {{ person.name | default: "there" }},\n\n' + GOOD),
        ("leftovers", "variants.0.body", 1, True),
    ),
    "a star too many": (
        Text("It is ** bold**.\n\n" + GOOD),
        Text("It is **bold**.\n\n" + GOOD),
        ("leftovers", "variants.0.body", None, False),
    ),
    "another product's variable in the subject": (
        Text(subject="Hello *|FNAME|*"),
        Text(subject="Hello"),
        ("leftovers", "variants.0.subject", 1, True),
    ),
    "HTML that Gmail hides the end of": (
        Text("{% for a in (1..60) %}{% note %}Stripe{% endnote %}{% endfor %}" + GOOD),
        Text("{% for a in (1..6) %}{% note %}Stripe{% endnote %}{% endfor %}" + GOOD),
        ("size", "variants.0.body", None, True),
    ),
    "a tag of MJML that does not exist": (
        Text(layout=around("\n<mj-picture />")),
        Text(layout=around("\n<mj-divider />")),
        ("layout", "layout.mjml", line_in(LAYOUT, "<!-- body -->") + 1, True),
    ),
    "words outside a column": (
        Text(layout=LAYOUT.replace("<!-- body -->", "<mj-text>x</mj-text><!-- body -->")),
        Text(layout=around("<mj-text>x</mj-text>")),
        ("layout", "layout.mjml", line_in(LAYOUT, "<!-- body -->"), True),
    ),
    "MJML that is not closed": (
        Text(layout=LAYOUT.replace("</mj-head>", "")),
        Text(),
        ("layout", "layout.mjml", LAYOUT.rstrip().count("\n") + 1, True),
    ),
    "a layout without a place for the body": (
        Text(layout=LAYOUT.replace("<!-- body -->", "")),
        Text(),
        ("layout", "layout.mjml", None, True),
    ),
    "the body's place inside a column": (
        Text(layout=LOST),
        Text(),
        ("layout", "layout.mjml", line_in(LAYOUT, "<!-- body -->"), True),
    ),
    "a picture without words": (
        Text(layout=around(ALT)),
        Text(layout=around(ALT.replace(" />", ' alt="Acme" />'))),
        ("image_alt", "layout.mjml", line_in(LAYOUT, "<!-- body -->"), True),
    ),
    "light grey on white": (
        Text(layout=GREY),
        Text(),
        ("contrast", "layout.mjml", line_in(GREY, "#cccccc"), True),
    ),
    "grey on white": (
        Text(layout=DIM),
        Text(),
        ("contrast", "layout.mjml", line_in(DIM, "#888888"), False),
    ),
    "dark links in dark mode": (
        Text(GOOD + "[more](https://docs.example.com)", layout=DARK),
        Text(GOOD + "[more](https://docs.example.com)"),
        ("contrast", "layout.mjml", line_in(DARK, "#20262e"), True),
    ),
    "a script": (
        Text(layout=SCRIPT),
        Text(),
        ("mail_clients", "layout.mjml", line_in(SCRIPT, "<script"), True),
    ),
    "a layout by flex": (
        Text(layout=head(".card { display: flex }")),
        Text(layout=head(".card { display: block }")),
        ("mail_clients", "layout.mjml", line_in(LAYOUT, "<mj-style>"), False),
    ),
    "a web font": (
        Text(layout=head("@font-face { font-family: X }")),
        Text(),
        ("mail_clients", "layout.mjml", line_in(LAYOUT, "<mj-style>"), False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_text_has_its_remark_and_the_mended_one_has_none(name):
    bad, mended, (key, place, line, blocking) = TABLE[name]
    said = remarks_on(bad)
    mine = [one for one in said if one.check == key and one.place == place]
    assert [(one.line, one.blocking) for one in mine] == [(line, blocking)], said
    assert mine[0].message and mine[0].mend
    assert key not in {one.check for one in remarks_on(mended)}


def test_every_rule_has_an_example_that_fails_it():
    assert {key for _, _, (key, *_) in TABLE.values()} == {rule.__name__ for rule in RULES}


def test_a_good_text_has_no_remarks():
    assert remarks_on(Text()) == []


def test_a_misspelt_name_is_told_the_nearest():
    (variable,) = (one for one in remarks_on(Text("{{ person.frist_name }}" + GOOD)))
    assert variable.mend == "Did you mean person.first_name?"
    said = remarks_on(Text(GOOD.replace('"keys"', '"kees"')))
    assert "Did you mean “keys”?" in {one.mend for one in said}


def test_a_remark_names_the_reader_and_how_many_more():
    everybody = [reader(f"reader {number}", NAMELESS) for number in range(4)]
    (remark,) = remarks_on(Text("Hi {{ person.name }},\n" + GOOD, samples=(ANN, *everybody)))
    assert remark.sample == "reader 0 and 3 more"


def test_blocking_remarks_come_first():
    said = remarks_on(Text(preheader="", body="{{ nobody }}"))
    assert [one.blocking for one in said] == sorted((one.blocking for one in said), reverse=True)


def test_a_document_that_cannot_be_read_has_a_remark_at_each_bad_field():
    said = check({"variants": [{"body": "b"}, {"subject": "s", "body": "x" * 30_000}]}, {}, [ANN])
    assert {(one.place, one.blocking) for one in said} == {
        ("variants.0.subject", True),
        ("variants.1.body", True),
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_costs_at_most_a_second_for_all_readers_together(name):
    readers = [reader(f"reader {number}") for number in range(24)]
    began = time.thread_time()
    said = remarks_on(
        Text(HOSTILE[name], samples=tuple(readers), snippets={"endless": '{% snippet "endless" %}'})
    )
    assert time.thread_time() - began < ABOUT_A_SECOND
    assert said[0].blocking


def test_a_hundred_hostile_variants_cost_no_more_than_one():
    variants = tuple(
        {**VARIANT, "provider": str(number), "body": HOSTILE["wide loop"] + str(number)}
        for number in range(99)
    )
    began = time.thread_time()
    said = remarks_on(Text(more=variants))
    assert time.thread_time() - began < ABOUT_A_SECOND
    assert said[0].check == "too_slow"


# --- colours ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000", "#ffffff", 21), ("#777777", "white", 4.48), ("rgb(255, 0, 0)", "#fff", 4.0)],
)
def test_contrast_is_what_wcag_says_it_is(one, other, ratio):
    assert contrast(colour(one), colour(other)) == pytest.approx(ratio, abs=0.01)
