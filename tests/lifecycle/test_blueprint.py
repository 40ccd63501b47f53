"""The blueprint that ships: it loads, can be published, and is never published over somebody's work."""

from datetime import UTC, datetime

import pytest
from django.core.management import call_command

from accounts import staff
from accounts.models import Role
from lifecycle.engine.fold import fold
from lifecycle.engine.routing import Router
from lifecycle.engine.state import Event
from lifecycle.journeys import blueprint, documents, publishing
from lifecycle.journeys.models import Journey, JourneyVersion
from messaging.models import Snippet, Template, TemplateVersion, VersionStatus
from messaging.review import NotAllowed

pytestmark = pytest.mark.django_db
NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


@pytest.fixture
def people():
    staff.make_roles()
    return [staff.put_user(name, role=name, password=None) for name in ("marketer", "reviewer")]


def test_loading_it_gives_three_journeys_as_drafts():
    blueprint.load()
    assert sorted(Journey.objects.values_list("key", flat=True)) == ["api", "data", "domain"]
    assert set(JourneyVersion.objects.values_list("status", flat=True)) == {VersionStatus.DRAFT}
    assert set(TemplateVersion.objects.values_list("status", flat=True)) == {VersionStatus.DRAFT}


def test_loading_it_again_changes_nothing_and_keeps_what_was_edited():
    blueprint.load()
    Snippet.objects.filter(key="tip-stripe").update(body="Ours\n")
    Role.objects.get(key="admin").capabilities.clear()
    assert not any(blueprint.load().created.values())
    assert Snippet.objects.get(key="tip-stripe").body == "Ours\n"
    assert not Role.objects.get(key="admin").capabilities.exists()


def test_its_journeys_can_work_with_everything_they_refer_to(people):
    author, reviewer = people
    blueprint.load()
    blueprint.publish_all(author=author, reviewer=reviewer, now=NOW, since=NOW)
    world = publishing.world()
    for version in JourneyVersion.objects.all():
        assert documents.check(documents.read(version.document), world) == []
    live = TemplateVersion.objects.filter(status=VersionStatus.LIVE)
    assert live.count() == Template.objects.count()


@pytest.mark.parametrize(
    ("kind", "done", "said"),
    [
        ("api", "first_api_call_success", {"environment": "production"}),
        ("data", "sync_completed", {}),
        ("domain", "sending_enabled", {}),
        ("domain", "authentication_check_passed", {}),
    ],
)
def test_what_the_product_calls_done_is_done_whatever_was_not_told_before(kind, done, said):
    blueprint.load()
    version = JourneyVersion.objects.get(journey__key=kind)
    router = Router({kind: documents.read(version.document).path})
    start = Event(1, "integration_started", NOW, NOW, properties={"integration_type": kind})
    end = Event(2, done, NOW, NOW, properties=said)
    (setup,) = fold(router, [start, end]).setups
    assert setup.usable is not None


def test_a_success_in_the_sandbox_is_not_done_and_proves_no_production_key():
    blueprint.load()
    version = JourneyVersion.objects.get(journey__key="api")
    router = Router({"api": documents.read(version.document).path})
    start = Event(1, "integration_started", NOW, NOW, properties={"integration_type": "api"})
    end = Event(2, "first_api_call_success", NOW, NOW, properties={"environment": "test"})
    (setup,) = fold(router, [start, end]).setups
    assert setup.usable is None
    assert not setup.reached


def test_a_journey_that_names_an_unknown_event_is_not_published(people):
    author, reviewer = people
    blueprint.load()
    version = JourneyVersion.objects.get(journey__key="api")
    version.document["path"]["start"] = [{"event": "setup_begun"}]
    version.created_by = author
    version.save()
    with pytest.raises(documents.BadDocument, match="“setup_begun” is not in the catalogue"):
        publishing.publish(version, by=reviewer, now=NOW)
    assert not JourneyVersion.objects.filter(status=VersionStatus.LIVE).exists()


def test_nobody_publishes_their_own_work(people):
    author, _ = people
    author.is_superuser = True
    author.save()
    blueprint.load()
    version = JourneyVersion.objects.get(journey__key="api")
    version.created_by = author
    with pytest.raises(NotAllowed, match="your own work"):
        publishing.publish(version, by=author, now=NOW)


def test_it_says_what_to_make_your_own(capsys, people):
    call_command("load_blueprint")
    said = capsys.readouterr().out
    for words in (
        "Host “app”",
        "Sender “setup”",
        "Destinations",
        "name a second one",
        "3 are drafts",
    ):
        assert words in said
