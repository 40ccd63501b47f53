"""The admin's read-only rows link only where whoever looks may go."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.readonly import ReadOnlyAdmin
from accounts.staff import ROLE_NAMES, make_roles, put_user
from messaging.models import Message
from tests.messaging.scenes import queued

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ROLE_NAMES)
def test_a_message_links_only_to_what_the_role_may_open(client, role):
    make_roles()
    client.force_login(put_user("sam", role=role, password=None))
    (message,) = queued(1)
    where = reverse("admin:messaging_message_change", args=[message.pk])
    answer = client.get(where)
    if answer.status_code == 403:
        return
    page = answer.content.decode()
    links = set(re.findall(r'href="(/admin/[a-z]+/[a-z]+/\d+/change/)"', page))
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)
    # What is no link is told all the same.
    assert str(message.address) in page
    assert str(message.template_version) in page


def test_whoever_may_see_everything_has_every_link(admin_client):
    (message,) = queued(1)
    page = admin_client.get(reverse("admin:messaging_message_change", args=[message.pk]))
    assert f"/admin/messaging/address/{message.address_id}/change/" in page.content.decode()
    assert isinstance(admin.site.get_model_admin(Message), ReadOnlyAdmin)
