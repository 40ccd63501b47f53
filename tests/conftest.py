"""What every test may rely on, and which tests this machine cannot run."""

from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SQLite from a file, as it runs for people: in memory all threads of a live server would share one connection,
    and a page that still asks for something would lock out whatever the next test begins with."""
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database.setdefault("TEST", {})["NAME"] = str(
            tmp_path_factory.mktemp("database") / "tests.sqlite3"
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--of-the-database",
        action="store_true",
        help="only what another database could answer otherwise: nothing that uses none, or looks at pages in a browser",
    )


def is_of_the_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("postgres"):
        return True
    uses = item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(
        getattr(item, "fixturenames", ())
    )
    return bool(uses) and not item.get_closest_marker("browser")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs PostgreSQL or Chromium where they are not; the report says so."""
    on_postgres = connection.vendor == "postgresql"
    if config.getoption("--of-the-database"):
        config.hook.pytest_deselected(items=[one for one in items if not is_of_the_database(one)])
        items[:] = [one for one in items if is_of_the_database(one)]
    for item in items:
        if item.get_closest_marker("postgres") and not on_postgres:
            item.add_marker(pytest.mark.skip(reason="NOT RUN: this suite runs on SQLite"))
        if item.get_closest_marker("browser") and not CHROMIUM.exists():
            item.add_marker(
                pytest.mark.skip(
                    reason="NOT RUN: Chromium was not found (apt-get install chromium)"
                )
            )
