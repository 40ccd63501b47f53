"""Who may open what: every role on every route."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import URLPattern, get_resolver, reverse
from django.utils import timezone

from accounts.models import User
from accounts.staff import ROLE_NAMES, UnknownPermission, make_roles, put_user
from events.models import Event
from lifecycle.alerts import desk
from lifecycle.journeys.models import JourneyVersion, Setup
from lifecycle.pages import mailbox, urls
from messaging.models import Comment, TemplateVersion
from tests.factories import AccountFactory, MembershipFactory, PersonFactory, UserFactory, created
from tests.messaging import reviewing
from tests.messaging.scenes import a_version
from tests.pages.rows import make
from tests.pages.scenes import journey
from tests.runner import scenes

SUPERUSER = "superuser"
EVERYBODY = {*ROLE_NAMES, SUPERUSER}
# Which roles a route lets in; `home` sends everybody on, so 302 is its yes.
MATRIX = {
    "home": EVERYBODY,
    "status": EVERYBODY,
    "banner": EVERYBODY,
    "mailbox": EVERYBODY,
    "mail": EVERYBODY,
    "mail_html": EVERYBODY,
    "journeys": {"marketer", "reviewer", "administrator", SUPERUSER},
    "reviews": {"marketer", "reviewer", "administrator", SUPERUSER},
    "alerts": {"support", "administrator", SUPERUSER},
    "new_alerts": {"support", "administrator", SUPERUSER},
    "take_alert": {"support", "administrator", SUPERUSER},
    "snooze_alert": {"support", "administrator", SUPERUSER},
    "release_alert": {"support", "administrator", SUPERUSER},
    "resolve_alert": {"support", "administrator", SUPERUSER},
    "numbers": {"analyst", "marketer", "administrator", SUPERUSER},
    "event_health": {"engineer", "administrator", SUPERUSER},
    "traits": {"engineer", "administrator", SUPERUSER},
    "live_events": {"engineer", "administrator", SUPERUSER},
    "make_test_key": {"engineer", "administrator", SUPERUSER},
    "export_events": {"engineer", "analyst", "administrator", SUPERUSER},
    "download_events": {"engineer", "analyst", "administrator", SUPERUSER},
    # Whoever may see the catalogue.
    "what_to_send": EVERYBODY,
    "needed": EVERYBODY,
}
READERS = {"marketer", "reviewer", "administrator", SUPERUSER}
WRITERS = {"marketer", "administrator", SUPERUSER}
OF_A_VERSION = ("compare_email", "email_readers", "frame_email")
MATRIX |= dict.fromkeys(("emails", "email", *OF_A_VERSION), READERS)
WRITING = (
    "edit_email",
    "begin_email",
    "discard_email",
    "preview_email",
    "check_email",
    "try_email_links",
    "send_test",
)
MATRIX |= dict.fromkeys(("new_email", *WRITING), WRITERS)
MATRIX |= dict.fromkeys(("journey", "compare_journey"), READERS)
JOURNEY_POSTS = ("begin_journey", "discard_journey", "arrange_journey")
MATRIX |= dict.fromkeys(("new_journey", "edit_journey", *JOURNEY_POSTS), WRITERS)
MATRIX |= dict.fromkeys(("customer", "customer_why"), EVERYBODY - {"reviewer"})
STEERING = (
    "unblock_setup",
    "stop_setup",
    "restart_setup",
    "place_in_setup",
    "place_in_account",
    "pause_account",
    "resume_account",
    "change_role",
    "withdraw_consent",
    "give_consent",
    "end_membership",
)
PAUSING = {
    "pause_all": {"support", "administrator", SUPERUSER},
    "resume_all": {"support", "administrator", SUPERUSER},
    "pause_journey": {"marketer", "administrator", SUPERUSER},
    "resume_journey": {"marketer", "administrator", SUPERUSER},
}
MATRIX |= {route: {"support", "administrator", SUPERUSER} for route in STEERING} | PAUSING
REVIEWING = {
    "record": {"marketer", "reviewer", "administrator", SUPERUSER},
    "change_set": {"marketer", "reviewer", "administrator", SUPERUSER},
    "change_set_mail": {"marketer", "reviewer", "administrator", SUPERUSER},
    "submit_template": {"marketer", "administrator", SUPERUSER},
    "submit_journey": {"marketer", "administrator", SUPERUSER},
    "submit_again": {"marketer", "administrator", SUPERUSER},
}
REVIEW_MOVES = {
    "withdraw_change_set": {"marketer", "administrator", SUPERUSER},
    "approve_change_set": {"reviewer", "administrator", SUPERUSER},
    "request_changes": {"reviewer", "administrator", SUPERUSER},
    "check_change_set": {"reviewer", "administrator", SUPERUSER},
    "comment_change_set": {"marketer", "reviewer", "administrator", SUPERUSER},
    "resolve_comment": {"marketer", "reviewer", "administrator", SUPERUSER},
}
MATRIX |= REVIEWING | REVIEW_MOVES
MERGING = ("merge_account", "merge_person")
MATRIX |= {route: {"support", "administrator", SUPERUSER} for route in MERGING}
POSTED = {"take_alert", "snooze_alert", "release_alert", "resolve_alert", *STEERING, *PAUSING}
POSTED |= {*REVIEW_MOVES, *JOURNEY_POSTS}
POSTED |= {
    "make_test_key",
    "begin_email",
    "discard_email",
    "preview_email",
    "check_email",
    "try_email_links",
    "send_test",
}
# Decides nothing: it sends whoever comes to `home`.
OPEN = {"admin_front"}
LANDING = {
    "marketer": "journeys",
    "reviewer": "reviews",
    "support": "alerts",
    "analyst": "numbers",
    "engineer": "event_health",
    "administrator": "journeys",
}


@pytest.fixture
def mail(settings, tmp_path):
    settings.MAILBOX_DIR = tmp_path
    (tmp_path / "first.eml").write_bytes(b"Subject: Hello\nTo: a@b.example\n\nHi\n")
    return "first"


def address(route: str, mail: str, alert_id: int) -> str:
    if route in ("mail", "mail_html"):
        return reverse(route, args=[mail])
    if route.startswith("customer"):
        return reverse(route, args=[AccountFactory().pk])
    if route == "needed":
        return reverse(route, args=[live_journey()])
    if route in ("email", *OF_A_VERSION, *WRITING):
        return email_address(route)
    if route in ("journey", "compare_journey", "edit_journey", *JOURNEY_POSTS):
        return reverse(route, args=[live_journey()])
    if route == "new_journey":
        return reverse(route)
    if route in STEERING:
        return steering_address(route)
    if route in REVIEWING | REVIEW_MOVES and route not in ("record", "submit_journey"):
        return review_address(route)
    if route in MERGING:
        factory = AccountFactory if route == "merge_account" else PersonFactory
        return reverse(route, args=[factory().pk])
    if route == "submit_journey":
        return reverse(route, args=[journey(key=f"j{alert_id}").key])
    if route.endswith("_journey"):
        return reverse(route, args=[journey(key=f"j{alert_id}").pk])
    return reverse(route, args=[alert_id] if route.endswith("_alert") else [])


def live_journey() -> str:
    if not JourneyVersion.objects.exists():
        scenes.reference_data()
        scenes.publish(scenes.lean(scenes.API))
    return scenes.API.key


def email_address(route: str) -> str:
    version = TemplateVersion.objects.filter(number=1).first() or a_version()
    number = [version.number] if route in OF_A_VERSION else []
    return reverse(route, args=[version.template.key, *number])


def steering_address(route: str) -> str:
    member = MembershipFactory()
    account = member.account
    if "setup" in route:
        row = created(Setup, account=account, integration_type="api")
        event = [1] if route == "place_in_setup" else []
        return reverse(route, args=[account.pk, *event, row.pk])
    if route == "place_in_account":
        row = make(Event)
        Event.objects.filter(pk=row.pk).update(account=None, person=member.person)
        return reverse(route, args=[account.pk, row.pk, account.pk])
    if route.endswith("_account"):
        return reverse(route, args=[account.pk])
    return reverse(route, args=[account.pk, member.pk])


def review_address(route: str) -> str:
    version = reviewing.submitted()
    change_set = version.change_set
    if route == "submit_template":
        return reverse(route, args=[version.template.key])
    if route == "change_set_mail":
        return reverse(route, args=[change_set.pk, version.pk, 0])
    if route == "resolve_comment":
        said = created(
            Comment, change_set=change_set, by=UserFactory(), at=timezone.now(), text="?"
        )
        return reverse(route, args=[change_set.pk, said.pk])
    return reverse(route, args=[change_set.pk])


def user_of(role: str, staff_user) -> User:
    return UserFactory(is_superuser=True) if role == SUPERUSER else staff_user(role)


def test_every_route_of_our_pages_is_in_the_matrix():
    routes = {pattern.name for pattern in urls.urlpatterns if isinstance(pattern, URLPattern)}
    assert routes == set(MATRIX) | OPEN


def test_every_view_of_our_pages_declares_its_permission():
    missing = [
        pattern.name
        for pattern in urls.urlpatterns
        if pattern.name not in OPEN and not hasattr(pattern.callback, "permission")
    ]
    assert missing == []


@pytest.mark.parametrize("route", MATRIX)
def test_a_role_is_let_in_exactly_where_it_is_declared(route, client, staff_user, mail, now):
    for role in sorted(EVERYBODY):
        alert = desk.open_alert(kind="step", dedupe_key=f"{route}{role}", title="Help", now=now)
        client.force_login(user_of(role, staff_user))
        verb = client.post if route in POSTED else client.get
        # No draft ever stood at revision 0, so whoever may discard one discards nothing here.
        status = verb(address(route, mail, alert.pk), {"revision": "0"}).status_code
        if role in MATRIX[route]:
            assert status in (200, 302), role
        else:
            assert status == 403, role


@pytest.mark.parametrize("route", MATRIX)
def test_a_stranger_is_sent_to_the_login(route, client, db, mail):
    verb = client.post if route in POSTED else client.get
    answer = verb(address(route, mail, 1))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("admin:login"))


@pytest.mark.parametrize("route", MATRIX)
def test_what_a_page_asks_in_the_background_never_takes_a_stranger_away_from_it(
    route, client, db, mail
):
    verb = client.post if route in POSTED else client.get
    answer = verb(address(route, mail, 1), headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "HX-Redirect" not in answer


@pytest.mark.parametrize(
    ("came_from", "leads_to"),
    [
        ("http://testserver/emails/x/edit/?a=1", "/emails/x/edit/?a=1"),
        ("https://elsewhere.example/emails/", "/"),
        ("", "/"),
    ],
)
def test_the_login_leads_back_to_the_page_that_was_clicked_on(came_from, leads_to, client, db):
    headers = {"Referer": came_from} if came_from else {}
    answer = client.post("/emails/x/begin/", headers=headers)
    assert parse_qs(urlsplit(answer.url).query)["next"] == [leads_to]


def test_a_user_who_is_no_staff_is_sent_to_the_login(client, db):
    client.force_login(UserFactory(is_staff=False))
    assert client.get(reverse("status")).status_code == 302


@pytest.mark.parametrize("route", sorted(POSTED))
def test_what_changes_something_is_refused_as_a_get(route, as_superuser, mail):
    assert as_superuser.get(address(route, mail, 1)).status_code == 405


@pytest.mark.parametrize(("role", "route"), LANDING.items())
def test_after_login_each_role_lands_on_its_own_list(role, route, as_role):
    client = as_role(role)
    answer = client.get("/", follow=True)
    assert answer.redirect_chain == [(reverse(route), 302)]
    assert answer.status_code == 200


def test_a_login_leads_to_the_own_list(client, db):
    make_roles()
    put_user("ada", role="support", password="a-long-enough-one")
    form = {"username": "ada", "password": "a-long-enough-one"}
    answer = client.post(reverse("admin:login"), form, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("alerts")


def test_staff_without_a_role_see_whether_all_is_well(client, db):
    client.force_login(UserFactory())
    answer = client.get("/", follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain[-1][0] == reverse("status")


def test_the_admins_front_page_is_home(as_role):
    assert as_role("analyst").get("/admin/").url == "/"


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_every_link_in_the_sidebar_opens(role, as_role):
    client = as_role(role)
    groups = client.get("/status/").context["sidebar_navigation"]
    links = [item["link"] for group in groups for item in group["items"]]
    assert reverse(LANDING[role]) in links
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_making_the_roles_again_changes_nothing(db):
    assert make_roles() == make_roles()


def test_a_permission_that_no_model_declares_is_an_error(db, monkeypatch):
    monkeypatch.setattr("accounts.staff.ROLES", {"typo": frozenset({"accounts.view_acount"})})
    with pytest.raises(UnknownPermission, match="view_acount"):
        make_roles()


def test_nobody_but_the_administrator_may_delete_or_touch_staff(db, staff_user):
    for role in set(ROLE_NAMES) - {"administrator"}:
        held = staff_user(role).get_all_permissions()
        assert not {name for name in held if ".delete_" in name or name.endswith("_user")}


def test_giving_a_user_another_role_takes_the_old_one(db):
    make_roles()
    put_user("ada", role="support", password=None)
    assert put_user("ada", role="analyst", password=None).groups.get().name == "analyst"


def test_the_mailbox_is_not_there_in_production(as_superuser, settings):
    settings.MAILBOX_DIR = None
    for route, arguments in (("mailbox", []), ("mail", ["first"]), ("mail_html", ["first"])):
        assert as_superuser.get(reverse(route, args=arguments)).status_code == 404
    assert mailbox.ANY_STAFF == ""


def test_a_refusal_says_what_to_do(as_role, settings):
    text = as_role("analyst").get("/alerts/").content.decode()
    assert "An administrator can give you another role." in text
    assert "There is nothing here" in as_role("analyst").get("/nowhere/").content.decode()


def test_no_address_is_taken_twice():
    names = [pattern.name for pattern in urls.urlpatterns]
    assert len(names) == len(set(names))
    assert get_resolver().reverse_dict.getlist("home")
