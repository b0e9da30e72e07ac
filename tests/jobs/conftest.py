"""An application on each database, without a record, and for some tests one that they empty by themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchwright.engine.store.database import upgrade
from batchwright.operations.app import Application, make_application
from batchwright.testing.clock import StandingClock
from tests.jobs.company import Company
from tests.support.application import NOW, make_settings
from tests.support.postgres import PostgresServer

Open = Callable[[str], Application]
Write = Callable[[Callable[[Company], object]], None]

WORDS = "postgresql that sorts as words are sorted"

_numbers = itertools.count(1)  # other folders have these fixtures, too, each with applications of its own


@pytest.fixture(scope="session")
def applications(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Opens the application on one kind of database, once for all tests."""
    opened: dict[str, Application] = {}

    def open_once(kind: str) -> Application:
        if kind not in opened:
            folder = tmp_path_factory.mktemp("home")
            url = f"sqlite:///{folder / 'batchwright.db'}"
            if kind != "sqlite":
                server: PostgresServer = request.getfixturevalue("postgres")
                url = server.create_database(f"jobs_{next(_numbers)}", linguistic=kind == WORDS)
            upgrade(url)
            opened[kind] = make_application(make_settings(url, folder), clock=StandingClock(NOW))
        return opened[kind]

    yield open_once
    for application in opened.values():
        application.close()


@pytest.fixture
def app(migrated_url: str, tmp_path: Path) -> Iterator[Application]:
    """An application without a record, on SQLite and then on PostgreSQL."""
    application = make_application(make_settings(migrated_url, tmp_path), clock=StandingClock(NOW))
    yield application
    application.close()


@pytest.fixture
def write(app: Application) -> Write:
    """Calls a function with a `Company` and commits what it wrote."""

    def call(fill: Callable[[Company], object]) -> None:
        with app.database.write() as connection:
            fill(Company(connection))

    return call
