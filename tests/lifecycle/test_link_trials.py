"""A dead link is told before anything is live: when words are tried, submitted and approved."""

import pytest
from django.utils import timezone

from accounts import staff
from lifecycle.journeys import blueprint, changes
from lifecycle.journeys.link_trials import try_template
from messaging import drafts
from messaging.models import Host, Template
from messaging.rendering import freeze
from messaging.review import NotAllowed
from tests.messaging.web_server import Web

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(settings):
    settings.PROBE_ALLOW_LOOPBACK = True
    server = Web()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def people(web):
    staff.make_roles()
    found = {
        name: staff.put_user(name, role=name, password=None) for name in ("marketer", "reviewer")
    }
    blueprint.load()
    Host.objects.update(base_url=web.url())
    now = timezone.now()
    blueprint.publish_all(author=found["marketer"], reviewer=found["reviewer"], now=now, since=now)
    return found


def test_a_dead_link_blocks_what_is_submitted_until_it_works(people, web):
    web.otherwise = 404
    template = Template.objects.get(key="api_started")
    version = drafts.begin(template, by=people["marketer"], now=timezone.now())
    told = try_template(template.key, version.content, freeze())
    broken = [remark for remark in told if remark.check == "link_broken"]
    assert broken
    assert all(remark.blocking and remark.line for remark in broken)
    assert {remark.place for remark in broken} <= {
        f"variants.{at}.body" for at in range(len(version.content["variants"]))
    }
    change_set = changes.submit(
        changes.of_template(template), by=people["marketer"], note="", now=timezone.now()
    )
    assert "link_broken" in {remark["check"] for remark in change_set.remarks}

    def approve():
        return changes.approve(
            change_set,
            by=people["reviewer"],
            hash_shown=change_set.content_hash,
            plan_shown=changes.plan(change_set, now=timezone.now()).token(),
            now=timezone.now(),
        )

    with pytest.raises(NotAllowed):
        approve()
    for path in {path for path in web.asked() if "no-such-page" not in path}:
        web.says[path.partition("?")[0]] = 200
    approve()
    version.refresh_from_db()
    assert version.status == "live"


def test_nothing_is_asked_where_probing_is_switched_off(people, web, settings):
    settings.PROBE_LINKS = False
    template = Template.objects.get(key="api_started")
    before = len(web.asked())
    assert try_template(template.key, template.versions.get().content, freeze()) == []
    assert len(web.asked()) == before
