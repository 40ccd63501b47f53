"""The development mailbox shows what arrived, and what arrived cannot do anything here."""

import os
from email.message import EmailMessage

import pytest

pytestmark = pytest.mark.django_db
HOSTILE = "<script>fetch('/admin/')</script><img src='https://tracker.example/x.gif'><b>Hi</b>"


@pytest.fixture
def mailbox(settings, tmp_path):
    settings.MAILBOX_DIR = tmp_path
    return tmp_path


def arrives(folder, name, *, subject="Hello", html=HOSTILE, at=1_000_000):
    mail = EmailMessage()
    mail["Subject"], mail["To"], mail["From"] = subject, "c@customer.example", "us@company.example"
    mail.set_content("Hello in words")
    if html:
        mail.add_alternative(html, subtype="html")
    path = folder / f"{name}.eml"
    path.write_bytes(mail.as_bytes())
    os.utime(path, (at, at))


def test_the_newest_mail_stands_first(mailbox, as_role):
    arrives(mailbox, "old", subject="The first one", at=1_000)
    arrives(mailbox, "new", subject="The second one", at=2_000)
    text = as_role("analyst").get("/mailbox/").content.decode()
    assert text.index("The second one") < text.index("The first one")


def test_an_empty_mailbox_says_so(mailbox, as_role):
    assert "No mail yet" in as_role("support").get("/mailbox/").content.decode()


def test_a_mailbox_whose_folder_is_not_there_yet_is_empty(settings, tmp_path, as_role):
    settings.MAILBOX_DIR = tmp_path / "not-yet"
    assert "No mail yet" in as_role("support").get("/mailbox/").content.decode()


def test_a_mail_is_shown_in_every_form(mailbox, as_role):
    arrives(mailbox, "one")
    client = as_role("support")
    assert "Hello in words" in client.get("/mailbox/one/?tab=text").content.decode()
    assert "us@company.example" in client.get("/mailbox/one/?tab=headers").content.decode()
    assert "multipart/alternative" in client.get("/mailbox/one/?tab=raw").content.decode()
    assert "<b>Hi</b>" in client.get("/mailbox/one/html/").content.decode()


def test_a_mail_without_html_opens_as_text(mailbox, as_role):
    arrives(mailbox, "one", html="")
    assert "Hello in words" in as_role("support").get("/mailbox/one/").content.decode()


def test_a_mails_html_is_in_a_sandbox_of_its_own(mailbox, as_role):
    arrives(mailbox, "one")
    policy = as_role("support").get("/mailbox/one/html/")["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("tab", ["html", "text", "headers", "raw", "nonsense"])
def test_hostile_mail_is_text_on_the_page_around_it(tab, mailbox, as_role):
    arrives(mailbox, "one", subject=f"Hi {HOSTILE}")
    text = as_role("support").get(f"/mailbox/one/?tab={tab}").content.decode()
    assert "<script>fetch" not in text


@pytest.mark.parametrize("name", ["..%2Fsecret", "%2Fetc%2Fpasswd", "*", "missing"])
def test_only_what_the_folder_lists_is_opened(name, mailbox, as_role):
    (mailbox.parent / "secret.eml").write_text("Subject: secret\n\nx")
    assert as_role("support").get(f"/mailbox/{name}/").status_code == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00garbage",
        b"Subject: =?utf-8?b?////?=\nContent-Type: text/html; charset=nonsense\n\n<p>\xe9",
        b'To: "unterminated\nContent-Type: multipart/mixed\n\nno parts',
    ],
)
def test_a_mail_that_cannot_be_read_is_shown_as_far_as_possible(raw, mailbox, as_role):
    (mailbox / "odd.eml").write_bytes(raw)
    client = as_role("support")
    assert client.get("/mailbox/").status_code == 200
    for tab in ("html", "text", "headers", "raw"):
        assert client.get(f"/mailbox/odd/?tab={tab}").status_code == 200
    assert client.get("/mailbox/odd/html/").status_code == 200
