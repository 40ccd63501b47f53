"""Scenes of review: a world to refer to, drafts, and what was submitted."""

from itertools import count
from typing import Any

from accounts.models import User
from messaging import drafts, review
from messaging.checks.remark import Remark
from messaging.models import ChangeSet, Destination, Host, Snippet, Template, TemplateVersion
from tests.factories import UserFactory
from tests.messaging.scenes import NOW

BODY = 'Hello.\n\n{% snippet "offer" %}\n\n{% button "keys" %}Go{% endbutton %}\n'
BAD = Remark("links", "templates.started.variants.0.body", "It leads nowhere.", "Mend it.", True)
NUMBERS = count(1)


def world() -> None:
    """A screen and a shared text."""
    host, _ = Host.objects.get_or_create(
        key="app", defaults={"base_url": "https://app.example.com"}
    )
    screen = {"name": "Keys", "host": host, "path": "/keys"}
    Destination.objects.get_or_create(key="keys", defaults=screen)
    Snippet.objects.get_or_create(key="offer", defaults={"name": "Offer", "body": "We help.\n"})


def words(subject: str = "Start", body: str = BODY) -> dict[str, Any]:
    return {"variants": [{"subject": subject, "preheader": "", "body": body}], "claims": []}


def a_draft(by: User, *, key: str = "started", **said: str) -> TemplateVersion:
    template, _ = Template.objects.get_or_create(key=key, defaults={"name": key.title()})
    version: TemplateVersion = drafts.begin(template, by=by, now=NOW)
    saved = drafts.save(version.pk, words(**said), revision=version.revision, by=by, now=NOW)
    assert isinstance(saved, drafts.Saved)
    version.refresh_from_db()
    return version


def submit(version: TemplateVersion, by: User, *, remarks: tuple[Remark, ...] = ()) -> ChangeSet:
    proposal = review.propose(str(version.template), [version])
    return review.submit(proposal, by=by, note="Shorter.", remarks=remarks, now=NOW)


def submitted() -> TemplateVersion:
    """Somebody's first version of an e-mail of its own, in review."""
    world()
    author = UserFactory()
    version = a_draft(author, key=f"mail-{next(NUMBERS)}")
    submit(version, author)
    version.refresh_from_db()
    return version
