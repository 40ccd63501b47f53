"""The administrator makes staff users in the admin, and cannot lock everybody out."""

import pytest
from django.contrib.auth.models import Group
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
