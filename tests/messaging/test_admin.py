"""The admin of our mails: useful lists without a query per row, and actions that call one verb."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_q.models import OrmQ

from accounts.models import Account
from messaging import outbox, probing, suppression
from messaging.models import (
    Destination,
    Finding,
    Host,
    LinkHealth,
    Message,
    Sender,
    SendingDomain,
    Snippet,
    Suppression,
)
from tests.factories import UserFactory
from tests.messaging.scenes import NOW, a_version, claimed, queued

pytestmark = pytest.mark.django_db
MODELS = [
    "address", "destination", "finding", "host", "linkhealth", "message", "providerevent", "sender",
    "sendingdomain", "snippet", "suppression", "template", "templateversion",
]  # fmt: skip


@pytest.fixture
def boss(client):
    user = UserFactory(is_superuser=True)
    client.force_login(user)
    return client


def some_of_everything(count):
    host = Host.objects.create(key=f"h{count}", base_url="https://app.example.com")
    for number in range(count):
        account = Account.objects.create(external_id=f"x{count}-{number}")
        (message,) = queued(account=account)
        suppression.unsubscribe(message.address.value, source="test", now=NOW)
        Destination.objects.create(key=f"d{count}-{number}", name="D", host=host, path="/")
        Snippet.objects.create(key=f"s{count}-{number}", name="S", body="x")
        Finding.objects.create(kind="k", subject=f"{count}-{number}", detail="d", opened_at=NOW)
        LinkHealth.objects.create(url=f"https://app.acme.com/{count}-{number}")


def queries(client, url):
    """The queries of the list itself: every few seconds the page's frame asks whether all is well."""
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url).status_code == 200
        counts.append(len(seen))
    return min(counts)


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_queries_however_many_rows_it_has(boss, model):
    url = reverse(f"admin:messaging_{model}_changelist")
    some_of_everything(2)
    boss.get(url)
    few = queries(boss, url)
    some_of_everything(8)
    assert queries(boss, url) <= few


@pytest.mark.parametrize("model", MODELS)
def test_a_list_can_be_searched(boss, model):
    some_of_everything(1)
    page = boss.get(reverse(f"admin:messaging_{model}_changelist"), {"q": "customer"})
    assert page.status_code == 200


def test_a_message_shows_its_tries_and_its_mail(boss):
    (message,) = queued()
    claimed([message])
    outbox.settle(
        [outbox.Settlement(message.pk, "failed", NOW, reason="refused", detail="550 no")],
        owner="one",
    )
    page = boss.get(reverse("admin:messaging_message_change", args=[message.pk]))
    assert page.status_code == 200
    assert b"550 no" in page.content
    assert f"/admin/messaging/message/{message.pk}/preview/?part=html".encode() in page.content
    frame = boss.get(reverse("admin:messaging_message_preview", args=[message.pk]))
    assert b"Keys are shown <em>once</em>" in frame.content
    assert "sandbox" in frame["Content-Security-Policy"]
    assert "script-src" not in frame["Content-Security-Policy"]
    text = boss.get(reverse("admin:messaging_message_preview", args=[message.pk]), {"part": "text"})
    assert b"Note: Keys are shown once." in text.content


def test_a_version_shows_every_variant_as_an_example_reader_gets_it(boss):
    content = {
        "variants": [
            {"subject": "All", "body": "Hi {{ person.first_name }}"},
            {"subject": "Pay", "provider": "paypal", "body": "Use {{ provider.name }}"},
        ]
    }
    version = a_version(content)
    page = boss.get(reverse("admin:messaging_templateversion_change", args=[version.pk]))
    assert b"provider=paypal" in page.content
    url = reverse("admin:messaging_version_preview", args=[version.pk, 1])
    assert b"Use Paypal" in boss.get(url).content
    assert b"no variant 7" in boss.get(url.replace("preview/1/", "preview/7/")).content


def test_a_mail_that_cannot_be_rendered_says_why(boss):
    version = a_version(
        {"variants": [{"subject": "x", "body": "{% button 'nowhere' %}x{% endbutton %}"}]}
    )
    answer = boss.get(reverse("admin:messaging_version_preview", args=[version.pk, 0]))
    assert b"no destination" in answer.content
    assert answer["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("name", "status"), [("settle_as_sent", "sent"), ("settle_as_not_sent", "failed")]
)
def test_a_person_settles_uncertain_messages_and_hears_what_was_skipped(boss, name, status):
    uncertain, waiting = queued(2)
    claimed([uncertain])
    outbox.reap(NOW.replace(year=2027))
    page = boss.post(
        reverse("admin:messaging_message_changelist"),
        {"action": name, "_selected_action": [uncertain.pk, waiting.pk]},
        follow=True,
    )
    assert b"1 settled, 1 skipped: the outcome is not unknown." in page.content
    assert Message.objects.get(pk=uncertain.pk).status == status
    assert Message.objects.get(pk=waiting.pk).status == "queued"


def test_lifting_a_suppression_keeps_who_did_it(boss):
    suppression.unsubscribe("a@x.example", source="link", now=NOW)
    row = Suppression.objects.get()
    data = {"action": "lift", "_selected_action": [row.pk]}
    boss.post(reverse("admin:messaging_suppression_changelist"), data)
    row.refresh_from_db()
    assert row.lifted_by is not None


def test_who_may_only_look_can_neither_settle_nor_see_without_permission(client):
    user = UserFactory()
    client.force_login(user)
    (message,) = queued()
    claimed([message])
    outbox.reap(NOW.replace(year=2027))
    preview = reverse("admin:messaging_message_preview", args=[message.pk])
    assert client.get(preview).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_message"))
    assert client.get(preview).status_code == 200
    client.post(
        reverse("admin:messaging_message_changelist"),
        {"action": "settle_as_sent", "_selected_action": [message.pk]},
    )
    assert Message.objects.get().status == "uncertain"


def test_a_screen_shows_its_worst_link_and_may_be_probed_now(boss):
    host = Host.objects.create(key="app", base_url="https://app.example.com")
    screen = Destination.objects.create(key="keys", name="Keys", host=host, path="/keys")
    url = reverse("admin:messaging_destination_changelist")
    assert b"Not probed yet" in boss.get(url).content
    for verdict in ("ok", "failing"):
        LinkHealth.objects.create(
            url=f"https://app.example.com/keys?{verdict}",
            destination=screen,
            verdict=verdict,
            checked_at=NOW,
            next_check_at=NOW,
        )
    assert b"Failed lately" in boss.get(url).content
    form = {"action": "probe_now", "_selected_action": [screen.pk]}
    page = boss.post(url, form, follow=True)
    assert b"2 links are being probed" in page.content
    assert b"Being probed" in page.content
    [task] = OrmQ.objects.all()
    assert task.func() == "messaging.probing.probe_asked"
    probing.probe_asked(list(LinkHealth.objects.values_list("pk", flat=True)))
    assert b"Cannot tell" in boss.get(url).content


def test_a_link_shows_its_way_and_who_leads_there(boss):
    link = LinkHealth.objects.create(
        url="https://app.acme.com/keys", chain=[["https://app.acme.com/keys", 404]], status=404
    )
    link.versions.add(a_version())
    page = boss.get(reverse("admin:messaging_linkhealth_change", args=[link.pk]))
    assert b"app.acme.com/keys \xe2\x86\x92 404" in page.content
    assert b"Started v1" in page.content


def test_only_who_may_change_a_screen_may_have_it_probed(client):
    reviewer = UserFactory(is_staff=True)
    reviewer.user_permissions.set(Permission.objects.filter(codename="view_linkhealth"))
    client.force_login(reviewer)
    LinkHealth.objects.create(url="https://app.acme.com/keys")
    page = client.get(reverse("admin:messaging_linkhealth_changelist"))
    assert page.status_code == 200
    assert b"probe_now" not in page.content


def test_with_probing_switched_off_the_button_says_so(boss, settings):
    settings.PROBE_LINKS = False
    link = LinkHealth.objects.create(url="https://app.acme.com/keys")
    form = {"action": "probe_now", "_selected_action": [link.pk]}
    page = boss.post(reverse("admin:messaging_linkhealth_changelist"), form, follow=True)
    assert b"switched off" in page.content
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "<script>alert(1)</script>"),
        ("name", "javascript:alert(1)"),
        ("name", "ab"),
        ("rate_per_second", 0),
        ("dkim_selectors", "<b>"),
    ],
)
def test_what_is_no_domain_of_ours_is_refused_beside_its_field(boss, field, value):
    form = {"name": "mail.example.com", "rate_per_second": 20, "burst": 40, field: value}
    page = boss.post(reverse("admin:messaging_sendingdomain_add"), form)
    assert list(page.context["adminform"].form.errors) == [field]
    assert not SendingDomain.objects.exists()


def test_a_sender_writes_from_its_own_domain(boss):
    form = {
        "name": "Mail.Example.com",
        "rate_per_second": 20,
        "burst": 40,
        "dkim_selectors": "a, b",
    }
    boss.post(reverse("admin:messaging_sendingdomain_add"), form)
    domain = SendingDomain.objects.get(name="mail.example.com")
    form = {"key": "setup", "name": "Setup", "address": "a@else.example", "domain": domain.pk}
    page = boss.post(reverse("admin:messaging_sender_add"), form)
    said = page.context["adminform"].form.errors
    assert said == {"address": ["It has to be an address at mail.example.com."]}
    boss.post(reverse("admin:messaging_sender_add"), form | {"address": "a@MAIL.example.com"})
    assert Sender.objects.get().domain == domain
