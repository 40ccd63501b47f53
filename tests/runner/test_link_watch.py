"""A broken link holds the steps whose mails lead there, opens an alert, and lets go when it works again."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from lifecycle.alerts import mail_trouble
from lifecycle.alerts.models import Alert
from lifecycle.runner import link_watch
from lifecycle.runner.definition import current
from messaging import probing, review
from messaging.models import Destination, Host, LinkHealth, Template, TemplateVersion
from tests.messaging.web_server import Web
from tests.runner.scenes import (
    account,
    at,
    look,
    mails,
    send,
    staff,
    turn,
    verdicts,
    works_off,
)  # fmt: skip

pytestmark = pytest.mark.django_db
# The e-mail, and the step, that a new setup gets first.
TEMPLATE = "hello"


@pytest.fixture
def web(settings):
    settings.PROBE_ALLOW_LOOPBACK = True
    server = Web()
    server.says["/keys"] = 200
    host = Host.objects.create(key="app", base_url=server.url())
    Destination.objects.create(
        key="keys", name="Keys", host=host, path='/keys?p={{ provider.key | default: "" }}'
    )
    yield server
    server.shutdown()
    server.server_close()


def rewritten(key, body='{% button "keys" %}Create it{% endbutton %}\n', minutes=-60):
    """A new live version of the e-mail with this body."""
    template = Template.objects.get(key=key)
    version = TemplateVersion.objects.create(
        template=template,
        number=template.versions.count() + 1,
        created_by=staff("author"),
        content={"variants": [{"subject": key, "body": body}]},
    )
    review.publish_template(version, by=staff("reviewer"), now=at(minutes))
    return version


def watch(minutes):
    """What the supervisor, the queue and the sweep do about links at that moment."""
    link_watch.begin(at(minutes))
    while works_off(at(minutes)):
        link_watch.begin(at(minutes))
    mail_trouble.follow(at(minutes))


def watched(minutes, start):
    for minute in range(start, minutes + 1):
        watch(minute)


def alerts():
    return list(Alert.objects.filter(kind=Alert.Kind.FINDING).values_list("title", "status"))


def test_the_links_of_live_mails_are_found_for_every_provider_and_probed(tell, web):
    rewritten(TEMPLATE)
    watch(0)
    rows = LinkHealth.objects.order_by("url")
    assert all(row.verdict == "ok" and row.destination.key == "keys" for row in rows)
    assert {row.url for row in rows} >= {web.url("/keys?p=")}
    assert not TemplateVersion.objects.filter(status="live", links_listed_at=None).exists()


def test_a_broken_link_holds_the_step_opens_an_alert_and_recovery_releases(tell, web):
    rewritten(TEMPLATE)
    web.otherwise = 503
    del web.says["/keys"]
    watched(20, start=0)
    assert LinkHealth.objects.broken().exists()
    assert alerts() == [(f"A link in e-mails does not work: {web.url('/keys')}", "open")]

    tell.joins("dev")
    tell.starts(21, provider="stripe")
    for minute in range(22, 22 + 60):
        turn(minute)
    assert mails() == []
    assert verdicts(TEMPLATE)[-1] == ("wait", "link_broken")

    web.says["/keys"] = 200
    watched(90, start=82)
    assert not LinkHealth.objects.broken().exists()
    assert [status for _, status in alerts()] == ["resolved"]
    assert not LinkHealth.objects.filter(released_at__isnull=False).exists()
    turn(91)
    assert [mail[:2] for mail in mails()] == [(TEMPLATE, "sent")]


def test_a_link_that_breaks_between_the_look_and_the_claim_holds_the_mail(tell, web):
    rewritten(TEMPLATE)
    watch(0)
    tell.joins("dev")
    tell.starts(0, provider="stripe")
    queued, minute = [], 0
    while not queued:
        minute += 5
        queued = look(minute)
    LinkHealth.objects.update(verdict="broken", trouble="x", failing_since=at(minute))
    send(queued, minute)
    assert mails() == [(TEMPLATE, "cancelled", "link_broken")]
    LinkHealth.objects.update(verdict="ok", trouble="")
    turn(minute + 5)
    assert mails()[0][1:] == ("cancelled", "link_broken")
    account().refresh_from_db()
    LinkHealth.objects.update(released_at=at(minute + 5))
    link_watch.release(at(minute + 6))
    turn(minute + 7)
    assert [mail[1] for mail in mails()] == ["cancelled", "sent"]


def test_a_mail_of_an_older_version_is_held_by_that_versions_links(tell, web):
    rewritten(TEMPLATE)
    watch(0)
    tell.joins("dev")
    tell.starts(0, provider="stripe")
    queued, minute = [], 0
    while not queued:
        minute += 5
        queued = look(minute)
    rewritten(TEMPLATE, body="No link at all.\n", minutes=minute)
    LinkHealth.objects.update(verdict="broken", trouble="x", failing_since=at(minute))
    send(queued, minute)
    assert mails() == [(TEMPLATE, "cancelled", "link_broken")]


def test_other_mails_go_on_while_one_is_held(tell, web):
    rewritten(TEMPLATE)
    watch(0)
    LinkHealth.objects.update(verdict="broken", trouble="x", failing_since=at(0))
    assert current().broken_templates == {TEMPLATE}


def test_a_new_version_without_the_link_lets_the_mails_go(tell, web):
    rewritten(TEMPLATE)
    del web.says["/keys"]
    watched(20, start=0)
    tell.joins("dev")
    tell.starts(21, provider="stripe")
    for minute in range(22, 22 + 60):
        turn(minute)
    assert mails() == []
    rewritten(TEMPLATE, body="Go to your settings.\n", minutes=82)
    watch(83)
    assert [status for _, status in alerts()] == ["resolved"]
    turn(84)
    assert [mail[:2] for mail in mails()] == [(TEMPLATE, "sent")]


def test_with_probing_switched_off_nothing_is_asked_and_nothing_is_held(tell, web, settings):
    rewritten(TEMPLATE)
    del web.says["/keys"]
    watched(20, start=0)
    assert current().broken_templates
    seen = len(web.seen)
    settings.PROBE_LINKS = False
    watch(21)
    watched(40, start=22)
    assert len(web.seen) == seen
    assert not current().broken_templates
    assert [status for _, status in alerts()] == ["resolved"]


def test_links_cost_a_look_one_query_whatever_there_is_of_them(tell, web):
    rewritten(TEMPLATE)
    watch(0)
    with CaptureQueriesContext(connection) as few:
        current(fresh=True)
    LinkHealth.objects.update(verdict="broken", trouble="x", failing_since=at(0))
    with CaptureQueriesContext(connection) as many:
        current(fresh=True)
    assert len(few) == len(many)
    assert sum("linkhealth" in query["sql"] for query in many) == 1


def test_a_lost_task_leaves_its_links_due_again(tell, web):
    rewritten(TEMPLATE)
    watch(0)
    LinkHealth.objects.update(next_check_at=at(1))
    link_watch.begin(at(1))
    assert OrmQ.objects.count() == 1
    OrmQ.objects.all().delete()
    link_watch.begin(at(1))
    assert OrmQ.objects.count() == 0
    link_watch.begin(at(1) + link_watch.LEASE)
    assert OrmQ.objects.count() == 1


def test_page_events_of_customers_confirm_a_screen(tell, web):
    web.otherwise = "<html>one page for everything</html>"
    web.says["/keys"] = web.otherwise
    rewritten(TEMPLATE)
    watch(0)
    assert set(LinkHealth.objects.values_list("verdict", flat=True)) == {"cannot_tell"}
    tell.joins("dev")
    page = {
        "type": "page", "userId": "dev", "groupId": "acme", "name": "Keys",
        "timestamp": at(5).isoformat(),
        "properties": {"path": "/keys", "url": web.url("/keys?p=stripe"), "title": "Keys"},
    }  # fmt: skip
    elsewhere = {**page, "properties": {"path": "/keys", "url": "https://blog.acme.com/keys"}}
    tell.send(elsewhere, received=5)
    assert link_watch.confirm(at(6)) == 0
    tell.send(page, received=5)
    assert link_watch.confirm(at(6)) == LinkHealth.objects.count()
    assert set(LinkHealth.objects.values_list("verdict", flat=True)) == {"confirmed"}
    assert link_watch.confirm(at(5) + link_watch.SEEN_WITHIN + timedelta(seconds=1)) == 0


def test_publishing_again_with_the_same_broken_link_holds_as_before(tell, web):
    rewritten(TEMPLATE)
    del web.says["/keys"]
    watched(20, start=0)
    rewritten(TEMPLATE, minutes=21)
    watch(22)
    assert current().broken_templates == {TEMPLATE}
    assert probing.watched()
