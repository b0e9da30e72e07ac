"""Throw-away databases on our own PostgreSQL, for the tests that ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from batchwright.testing.databases import PostgresDatabases
from batchwright.testing.nursery import Nursery
from batchwright.testing.restart import RestartCheck
from batchwright.testing.workshop import Workshop
from tests.support.postgres import PostgresServer

Check = Callable[..., None]


@pytest.fixture(scope="session")
def postgres_databases(postgres: PostgresServer) -> Iterator[PostgresDatabases]:
    """Throw-away databases on the server of the tests."""
    databases = PostgresDatabases(postgres.url("postgres"))
    yield databases
    databases.close()


@pytest.fixture
def postgres_workshop(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_databases: PostgresDatabases,
    batchwright_nursery: Nursery,
) -> Iterator[Workshop]:
    """A throw-away database on it."""
    folder = tmp_path_factory.mktemp("workshop")
    workshop = Workshop(folder, postgres_databases, batchwright_nursery)
    yield workshop
    workshop.close()


@pytest.fixture
def assert_restart_safe_on_postgres(postgres_workshop: Workshop) -> Check:
    """The check of the plugin, on PostgreSQL."""
    return lambda job, data: RestartCheck(postgres_workshop, job, data).run()
