"""The administrator makes staff users in the admin or at the terminal, and cannot lock everybody out."""

import io

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import User
from accounts.staff import make_roles, put_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(client) -> User:
    make_roles()
    user = put_user("ada", role="administrator", password=None)
    client.force_login(user)
    return user


def test_a_new_staff_user_gets_a_role_and_may_log_in_at_once(client, administrator):
    role = Group.objects.get(name="support")
    password = "correct-horse-battery"
    form = {
        "username": "sam", "email": "sam@company.example", "groups": [role.pk],
        "usable_password": "true", "password1": password, "password2": password,
    }  # fmt: skip
    assert 'name="groups"' in client.get(reverse("admin:accounts_user_add")).content.decode()
    client.post(reverse("admin:accounts_user_add"), form)
    client.logout()
    client.post(reverse("admin:login"), {"username": "sam", "password": password})
    assert client.get("/alerts/").status_code == 200


def test_nobody_takes_their_own_rights_away(client, administrator):
    other = put_user("bob", role="administrator", password=None)
    for user, stays in ((administrator, True), (other, False)):
        form = {"username": user.username, "email": user.email}
        client.post(reverse("admin:accounts_user_change", args=[user.pk]), form)
        user.refresh_from_db()
        assert user.is_active is stays
        assert user.groups.exists() is stays


def at_the_terminal(*arguments: str) -> None:
    call_command("staff_user", *arguments, "--role", "support", stdout=io.StringIO())


def test_the_command_makes_a_user_and_an_empty_password_keeps_the_old_one():
    at_the_terminal("sam", "--password", "correct-horse-battery")
    at_the_terminal("sam", "--password", "")
    user = User.objects.get()
    assert user.check_password("correct-horse-battery")
    assert user.groups.get().name == "support"


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("sam", "abc", "The password: This password is too short"),
        ("sam", "password123", "The password: This password is too common"),
        ("samantha", "samantha1", "The password: The password is too similar to the username"),
        ("", "correct-horse-battery", "The name '': This field cannot be blank"),
        ("s m", "correct-horse-battery", "The name 's m': Enter a valid username"),
        ("s" * 151, "correct-horse-battery", "at most 150 characters"),
    ],
)
def test_the_command_takes_no_name_and_no_password_that_the_admin_refuses(name, password, said):
    with pytest.raises(CommandError, match=said):
        at_the_terminal(name, "--password", password)
    assert not User.objects.exists()


def test_without_a_terminal_the_command_says_how_to_give_the_password(monkeypatch):
    def nobody(prompt):
        raise EOFError

    monkeypatch.setattr("accounts.management.commands.staff_user.getpass", nobody)
    with pytest.raises(CommandError, match="give it with --password"):
        at_the_terminal("sam")
    assert not User.objects.exists()


def test_making_the_roles_again_corrects_what_they_may_do(django_assert_max_num_queries):
    make_roles()
    support = Group.objects.get(name="support")
    right = set(support.permissions.values_list("codename", flat=True))
    support.permissions.remove(support.permissions.first())
    support.permissions.add(Permission.objects.get(codename="add_group"))
    with django_assert_max_num_queries(30):
        assert make_roles()["support"] == len(right)
    assert set(support.permissions.values_list("codename", flat=True)) == right
