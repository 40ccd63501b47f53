"""What a worker keeps of the definition for a second, and what it never keeps."""

import pytest
from django.utils import timezone

from accounts.models import Capability, Role
from lifecycle.runner import definition, pausing

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept(settings):
    settings.DEFINITION_KEPT_SECONDS = 60.0
    definition._kept = None
    yield
    definition._kept = None


def grant() -> None:
    role, _ = Role.objects.get_or_create(key="keeper", defaults={"name": "Keeper"})
    capability, _ = Capability.objects.get_or_create(key="keep", defaults={"name": "Keep"})
    role.capabilities.add(capability)


def test_what_changes_rarely_is_read_once_then_only_pauses_and_broken_links(
    kept, django_assert_num_queries
):
    definition.current()
    grant()
    with django_assert_num_queries(3):
        assert "keeper" not in definition.current().capabilities


def test_after_its_time_it_is_read_again(kept, settings):
    definition.current()
    grant()
    settings.DEFINITION_KEPT_SECONDS = 0.0
    assert definition.current().capabilities["keeper"] == {"keep"}


def test_a_pause_is_seen_at_once(kept):
    assert not definition.current().paused
    pausing.pause_all(by="ada", now=timezone.now())
    assert definition.current().paused
    pausing.resume_all(now=timezone.now())
    assert not definition.current().paused
