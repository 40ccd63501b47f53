"""What a template becomes: the right variant, both parts, and nothing that a value or a hostile template adds."""

import contextlib
import re
import time

import pytest

from messaging.content import Content, ContentError, RenderError, choose, read
from messaging.language import variables_of
from messaging.models import Destination, Host, Snippet
from messaging.rendering import freeze, render
from tests.messaging.scenes import ABOUT_A_SECOND

FROZEN = {
    "snippets": {
        "tip-stripe": "Use a *restricted* key.",
        "tip-api": "Keys are shown once.",
        "greeting": "Hello {{ person.first_name }}",
        "endless": '{% snippet "endless" %}',
    },
    "destinations": {
        "keys": {
            "base_url": "https://app.example.com",
            "path": "/keys?provider={{ provider.key }}&account={{ account.name }}",
            "name": "API keys",
        }
    },
}
FACTS = {
    "person": {"first_name": "Ann", "role": "admin", "email": "ann@customer.example"},
    "account": {"name": "Initech"},
    "provider": {"key": "stripe", "name": "Stripe"},
    "integration": {"type": "api", "name": "Payments API"},
    "error": {"class": "auth_failed", "count": 3},
    "next": {"action": "Create the key", "destination": "keys"},
    "product": {"name": "Acme"},
    "unsubscribe_url": "https://mail.example.com/u/?a=1&b=2",
}


def mail(body="Hi", subject="Hi", facts=FACTS, **extra):
    return render({"variants": [{"subject": subject, "body": body, **extra}]}, FROZEN, facts)


def test_no_mail_refers_to_another_host_than_our_destinations():
    """A font or picture from elsewhere would tell its host who reads what, and when."""
    html = mail("{% button 'keys' %}Keys{% endbutton %}").html
    # Names of XML vocabularies look like addresses, but nothing fetches them.
    fetched = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert set(re.findall(r"//([\w.-]+)", fetched)) == {"app.example.com", "mail.example.com"}


# --- which variant ------------------------------------------------------------------------
def content_of(*selectors: dict) -> Content:
    return read({"variants": [{"subject": "s", "body": "b", **one} for one in selectors]})


@pytest.mark.parametrize(
    ("selectors", "winner"),
    [
        ([{}, {"provider": "stripe"}], "provider=stripe"),
        ([{"provider": "stripe"}, {"error_class": "auth_failed"}], "error=auth_failed"),
        ([{"provider": "stripe"}, {"role": "admin"}], "provider=stripe"),
        (
            [{"error_class": "auth_failed"}, {"provider": "stripe", "role": "admin"}],
            "provider=stripe, role=admin",
        ),
        ([{"provider": "paypal", "role": "admin"}, {}], "default"),
    ],
)
def test_the_variant_with_most_matching_selectors_wins_then_error_class_provider_role(
    selectors, winner
):
    assert choose(content_of(*selectors), FACTS).name == winner
    assert choose(content_of(*reversed(selectors)), FACTS).name == winner


def test_no_matching_variant_is_an_error_that_says_what_was_looked_for():
    with pytest.raises(RenderError, match="provider 'stripe'"):
        choose(content_of({"provider": "paypal"}), FACTS)


def test_content_with_a_fault_names_its_place():
    with pytest.raises(ContentError, match=r"variants\.0\.subject: Field required"):
        read({"variants": [{"body": "b"}]})
    with pytest.raises(ContentError, match=r"variants\.1: This variant has the same"):
        content_of({"role": "admin"}, {"role": "admin"})
    with pytest.raises(ContentError, match="variants"):
        read({"variants": []})


# --- both parts ---------------------------------------------------------------------------
def test_both_parts_come_from_the_same_markdown():
    out = mail(
        "# Next\n\nHi **{{ person.first_name }}**, see [the docs](https://docs.example.com/a?b=1&c=2).\n\n"
        "- one\n- two\n\n1. first\n2. second\n\n```\nTXT {{ account.name }}\n  indented\n```"
    )
    assert out.text.startswith(
        "Next\n\nHi Ann, see the docs (https://docs.example.com/a?b=1&c=2).\n\n"
        "- one\n- two\n\n1. first\n2. second\n\n    TXT Initech\n      indented\n"
    )
    assert "<strong>Ann</strong>" in out.html
    assert 'href="https://docs.example.com/a?b=1&amp;c=2"' in out.html
    assert "TXT Initech\n  indented" in out.html
    assert "prefers-color-scheme: dark" in out.html
    assert "https://mail.example.com/u/?a=1&b=2" in out.text
    assert 'href="https://mail.example.com/u/?a=1&amp;b=2"' in out.html


def test_components_render_in_both_parts():
    out = mail(
        "{% button next.destination %}{{ next.action }}{% endbutton %}\n"
        "{% checklist %}\n- Look at `key`\n- Ask **Bob**\n{% endchecklist %}\n"
        "{% tip %}\n{% note %}Mind the gap.{% endnote %}\n"
        '{% snippet "greeting" %}, [keys]({% link "keys" %})'
    )
    url = "https://app.example.com/keys?provider=stripe&account=Initech"
    assert f"Create the key:\n{url}\n\n[ ] Look at key\n[ ] Ask Bob\n\n" in out.text
    assert "Tip: Use a restricted key.\n\nNote: Mind the gap.\n\n" in out.text
    assert f"Hello Ann, keys ({url})" in out.text
    assert out.html.count(f'href="{url.replace("&", "&amp;")}"') == 2
    assert ">Create the key</a>" in out.html
    assert out.html.count("&#9744;") == 2


def test_a_provider_without_a_tip_of_its_own_gets_the_one_of_its_integration_type():
    facts = {**FACTS, "provider": {"key": "other", "name": "Other"}}
    assert "Tip: Keys are shown once." in mail("{% tip %}", facts=facts).text
    with pytest.raises(RenderError, match=r"neither snippet 'tip-other' nor 'tip-dns'"):
        mail("{% tip %}", facts={**facts, "integration": {"type": "dns"}})


# --- what a value cannot do ---------------------------------------------------------------
def test_a_value_is_never_mark_up():
    facts = {
        **FACTS,
        "person": {
            "first_name": "[win](http://bad.example) <script>x</script> **b** {{ account }}"
        },
    }
    out = mail("Hi {{ person.first_name }}", facts=facts)
    assert "Hi [win](http://bad.example) <script>x</script> **b** {{ account }}\n" in out.text
    assert "<script" not in out.html
    assert 'href="http://bad.example"' not in out.html
    assert (
        "[win](http://bad.example) &lt;script&gt;x&lt;/script&gt; **b** {{ account }}" in out.html
    )


def test_a_value_cannot_leave_its_place_in_an_address():
    facts = {**FACTS, "account": {"name": 'a/../b?x=1&y="><img>'}}
    out = mail('[k]({% link "keys" %}) [l](https://x.example/{{ account.name }}/z)', facts=facts)
    quoted = "a%2F..%2Fb%3Fx%3D1%26y%3D%22%3E%3Cimg%3E"
    assert f"account={quoted})" in out.text
    assert f"(https://x.example/{quoted}/z)" in out.text
    assert "<img" not in out.html


@pytest.mark.parametrize("scheme", ["javascript:alert(1)", "data:text/html,x", "/relative"])
def test_a_link_needs_a_web_address_wherever_it_comes_from(scheme):
    with pytest.raises(RenderError, match="must begin with https"):
        mail(f"[x]({scheme})")
    with pytest.raises(RenderError, match="must begin with https"):
        mail("[x]({{ account.name }})", facts={**FACTS, "account": {"name": scheme}})


def test_a_subject_is_one_line_without_control_characters():
    facts = {**FACTS, "account": {"name": "A\r\nBcc: all@bad.example\x00\u2028 B"}}
    out = mail(subject="About {{ account.name }}", preheader="{{ account.name }}", facts=facts)
    assert out.subject == "About A Bcc: all@bad.example B"
    assert out.preheader == "A Bcc: all@bad.example B"
    assert (
        len(mail(subject="{{ account.name }}", facts={"account": {"name": "x" * 900}}).subject)
        == 250
    )


# --- what is missing ----------------------------------------------------------------------
def test_a_variable_without_a_value_is_false_takes_a_default_and_cannot_be_printed():
    assert "\nnobody\n" in "\n" + mail("{% if helper.name %}x{% else %}nobody{% endif %}").text
    assert "Hi there" in mail("Hi {{ helper.first_name | default: 'there' }}").text
    empty = {**FACTS, "helper": {"name": ""}}
    assert "nobody" in mail("{% if helper.name %}x{% else %}nobody{% endif %}", facts=empty).text
    with pytest.raises(RenderError, match=r"helper.* is undefined"):
        mail("Ask {{ helper.name }}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{% if persn.name %}x{% endif %}", r"no variable persn\.name"),
        ("{{ person.frist_name | default: 'x' }}", r"no variable person\.frist_name"),
        ("{{ person.name | shout }}", "unknown filter"),
        ("{% include 'x' %}", "unexpected tag|unknown tag|include"),
        ("{% if person.name %}x", "endif"),
        ("{% button 'nowhere' %}Go{% endbutton %}", "no destination 'nowhere'"),
        ("{% button 'keys' %} {% endbutton %}", "needs a label"),
        ("{% snippet 'nothing' %}", "no snippet 'nothing'"),
        ("{% checklist %}words{% endchecklist %}", "checklist"),
        ("{% note %}{% note %}x{% endnote %}{% endnote %}", "cannot stand inside"),
        ("   ", "body is empty"),
        ("{{ setup.started_at | date: '%d' }}", "date"),
        ("\ue000t0\ue001", "private-use"),
    ],
)
def test_a_fault_in_a_template_says_what_and_where(body, message):
    facts = {**FACTS, "setup": {"started_at": "tomorrow"}}
    with pytest.raises(RenderError, match=message):
        mail(body, facts=facts)


def test_dates_are_laid_out():
    facts = {**FACTS, "setup": {"started_at": "2026-03-04T05:06:07+00:00"}}
    assert (
        "since 4 March" in mail("since {{ setup.started_at | date: '%-d %B' }}", facts=facts).text
    )


def test_the_variables_of_a_text_are_known_before_it_is_rendered():
    source = "{% if person.name %}{{ next.action }}{% button next.destination %}x{% endbutton %}{% endif %}"
    assert set(variables_of("body", source)) == {"person.name", "next.action", "next.destination"}


# --- hostile ------------------------------------------------------------------------------
BOMB = "{% assign a = 'x' %}" + "{% assign a = a | append: a %}" * 60 + "{{ a }}"
REPLACE = "{{ 'aaaaaaaaaa'" + " | replace: 'a', 'aaaaaaaaaa'" * 12 + " }}"
NUMBER = "{% assign a = 9 %}" + "{% assign a = a | times: a %}" * 60 + "{{ a }}"
HOSTILE = {
    "loop": "{% for a in (1..100000000) %}x{% endfor %}",
    "hidden range": "{% assign n = 999999999 %}{% for a in (1..n) reversed %}x{% endfor %}",
    "joined range": "{{ (1..999999999) | join: '-' }}",
    "nested loops": "{% for a in (1..999) %}" * 6 + "x" + "{% endfor %}" * 6,
    "wide loop": "{% for a in (1..1000) %}" + "{{ 1 }}" * 2800 + "{% endfor %}",
    "silent loop": "{% for a in (1..1000) %}" + "{% assign b = a %}" * 1000 + "{% endfor %}",
    "memory": BOMB,
    "replace": REPLACE,
    "number": NUMBER,
    "snippets": "{% for a in (1..1000) %}{% snippet 'endless' %}{% endfor %}",
    "deep blocks": "{% if true %}" * 1500 + "{% endif %}" * 1500,
    "deep path": "{{ " + "a[" * 9000 + "b" + "]" * 9000 + " }}",
    "strftime": "{{ '2026-01-01' | date: '%999999999d' }}",
    "output": "{% for a in (1..1000) %}" + "y" * 5000 + "{% endfor %}",
    "too long": "x" * 30_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_costs_at_most_a_second_and_is_refused(name):
    start = time.thread_time()
    with pytest.raises((RenderError, ContentError)):
        mail(HOSTILE[name])
    assert time.thread_time() - start < ABOUT_A_SECOND


@pytest.mark.parametrize(
    "body",
    [">" * 15_000 + " x", "\n".join("  " * level + "- x" for level in range(120)), "[" * 15_000, "*a **a " * 2500, "`" * 15_000, "![[]()" * 3000, "<" * 15_000, "a\n" * 7_000, "- " * 7_000,
     "[a](" * 4000, "_a__" * 4000, "[a]" * 5000, "(" * 15_000, "&" * 15_000, "\\" * 15_000, "1. " * 4000,
     "> - " * 4000, "```\n" * 4000, "* * * *\n" * 2000, "<http://a" * 2000],
)  # fmt: skip
def test_hard_markdown_costs_at_most_a_second(body):
    start = time.thread_time()
    with contextlib.suppress(RenderError):
        mail(body)
    assert time.thread_time() - start < ABOUT_A_SECOND


# --- freezing -----------------------------------------------------------------------------
@pytest.mark.django_db
def test_freezing_takes_the_rows_as_they_are_now(django_assert_num_queries):
    host = Host.objects.create(key="app", base_url="https://app.example.com")
    Destination.objects.create(key="keys", name="API keys", host=host, path="/keys")
    snippet = Snippet.objects.create(key="hello", name="Hello", body="old words")
    with django_assert_num_queries(2):
        frozen = freeze()
    snippet.body = "new words"
    snippet.save()
    out = render(
        {"variants": [{"subject": "s", "body": "{% snippet 'hello' %} {% link 'keys' %}"}]},
        frozen,
        FACTS,
    )
    assert "old words https://app.example.com/keys" in out.text
