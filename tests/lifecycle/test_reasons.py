"""The vocabulary of reasons: every one can be said, and every one is used."""

import re
from pathlib import Path

import pytest

from lifecycle.engine import reasons
from lifecycle.engine.reasons import ENDS, SENTENCES, Reason, sentence

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason):
    assert SENTENCES[reason].endswith(".")
    assert SENTENCES[reason][0].isupper()


def test_no_two_reasons_say_the_same():
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_every_reason_is_given_somewhere():
    code = "".join(
        path.read_text()
        for path in (ROOT / "lifecycle").rglob("*.py")
        if path != Path(reasons.__file__)
    )
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in code] == []


def test_a_reason_from_elsewhere_is_shown_as_words():
    assert sentence("something_new") == "Something new."


def test_every_end_that_messaging_gives_a_mail_has_a_sentence():
    source = "".join(
        (ROOT / "messaging" / name).read_text()
        for name in ("refusals.py", "sending.py", "outbox.py")
    )
    said = re.findall(r'Verdict\(\s*"?\w+"?, "(\w+)"|failed\("(\w+)"|return "(\w+)", "', source)
    ends = {word for group in said for word in group if word}
    assert {"test_environment", "not_on_allow_list", "refused", "render_error"} <= ends
    assert ends - set(ENDS) == set()
