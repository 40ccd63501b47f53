"""The published world, a backend that tells us things, and a provider that takes our mail."""

import pytest

from events import catalogue
from tests.runner import inbox, scenes


@pytest.fixture(autouse=True)
def provider(settings) -> inbox.Provider:
    settings.EMAIL_BACKEND = "tests.runner.inbox.Backend"
    settings.ADMIN_OUTREACH = "yes"
    settings.HANDOFF_WEBHOOK_URL = ""
    catalogue.forget()
    inbox.PROVIDER.__init__()
    yield inbox.PROVIDER
    catalogue.forget()


@pytest.fixture
def tell(db) -> scenes.Backend:
    """A company with the API journey live, and Dev, a developer, in the account acme."""
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    return backend
