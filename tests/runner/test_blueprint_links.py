"""The blueprint's e-mails lead every reader, in every state, to a screen that they may use."""

from datetime import timedelta

import pytest

from lifecycle.journeys import blueprint, samples
from lifecycle.runner import link_watch
from messaging.checks.links import check_links
from messaging.models import LinkHealth, TemplateVersion, VersionStatus
from tests.runner.scenes import T0, staff, works_off

pytestmark = pytest.mark.django_db


@pytest.fixture
def live():
    blueprint.load()
    blueprint.publish_all(
        author=staff("author"), reviewer=staff("reviewer"), now=T0, since=T0 - timedelta(days=30)
    )
    return TemplateVersion.objects.filter(status=VersionStatus.LIVE).select_related("template")


def test_no_link_of_the_blueprint_is_in_the_way(live):
    found = {
        (version.template.key, remark.check, remark.message, remark.sample)
        for version in live
        for remark in check_links(
            version.content, version.frozen, samples.samples_of(version.template.key)
        )
        if remark.blocking
    }
    assert found == set()


def test_in_production_its_placeholder_host_is_in_the_way(live):
    version = live.get(template__key="api_started")
    readers = samples.samples_of("api_started")
    found = check_links(version.content, version.frozen, readers, production=True)
    assert {remark.check for remark in found if remark.blocking} == {"link_staging"}


def test_every_screen_of_its_mails_is_watched_and_none_of_them_asked(live):
    for _ in range(20):
        link_watch.begin(T0)
        works_off(T0)
    assert not live.filter(links_listed_at=None).exists()
    rows = LinkHealth.objects.select_related("destination")
    assert {row.verdict for row in rows} == {"cannot_tell"}
    assert all(row.destination for row in rows)
    # Only readers whose colleagues cannot help are led there.
    assert any(row.destination.key == "team_invite" for row in rows)
