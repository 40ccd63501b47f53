"""Staff users, one per role, and pages that ask the database anew for every test."""

from datetime import UTC, datetime

import pytest
from django.conf import settings as project
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from accounts.models import User
from accounts.staff import make_roles, put_user
from lifecycle.pages import work
from lifecycle.runner.look import look_at
from tests.conftest import CHROMIUM
from tests.factories import UserFactory
from tests.runner import scenes

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What is expected of a page comes in its own time, which is long on a machine that is busy.
expect.set_options(timeout=30_000)


@pytest.fixture(autouse=True)
def no_kept_health():
    work.forget()


@pytest.fixture
def now() -> datetime:
    """A Tuesday morning."""
    return datetime(2026, 3, 10, 10, 50, tzinfo=UTC)


@pytest.fixture
def staff_user(db):
    """Makes the staff user of a role."""
    make_roles()
    return lambda role: put_user(role, role=role, password=None)


@pytest.fixture
def as_role(client, staff_user):
    """Logs the client in as a role's staff user."""

    def log_in(role: str):
        client.force_login(staff_user(role))
        return client

    return log_in


@pytest.fixture
def as_superuser(client, db) -> object:
    client.force_login(UserFactory(username="root", is_superuser=True))
    return client


@pytest.fixture
def superuser(db) -> User:
    return UserFactory(username="root", is_superuser=True)


@pytest.fixture
def started(db) -> str:
    """A real account whose setup has begun on a live journey; the key of an e-mail it may get."""
    scenes.reference_data()
    scenes.publish(scenes.lean(scenes.API))
    backend = scenes.backend()
    backend.joins("dev")
    backend.starts(0)
    look_at([scenes.account().pk], now=scenes.at(1))
    return "start_stalled"


@pytest.fixture(scope="module")
def browser(django_db_setup):
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        # The browser's driver keeps an event loop in this thread, where Django would not query.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield running
        running.close()


@pytest.fixture
def session(client, browser) -> str:
    client.force_login(UserFactory(is_superuser=True))
    return client.cookies[project.SESSION_COOKIE_NAME].value


@pytest.fixture
def opened(browser, live_server, session):
    """Opens a page for a logged-in superuser; what it still asks for ends with the test."""
    places: list[BrowserContext] = []

    def open_page(**context) -> Page:
        place = browser.new_context(**context)
        places.append(place)
        cookie = {"name": project.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
        place.add_cookies([cookie])
        return place.new_page()

    yield open_page
    for place in places:
        place.close()
