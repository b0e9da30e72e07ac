"""Throw-away databases on our own PostgreSQL, for the tests that ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from batchwright.testing.databases import PostgresDatabases
from batchwright.testing.fork_server import ForkServer
from batchwright.testing.restart import RestartCheck
from batchwright.testing.sandbox import Sandbox
from tests.support.postgres import PostgresServer

Check = Callable[..., None]


@pytest.fixture(scope="session")
def postgres_databases(postgres: PostgresServer) -> Iterator[PostgresDatabases]:
    """Throw-away databases on the server of the tests."""
    databases = PostgresDatabases(postgres.url("postgres"))
    yield databases
    databases.close()


@pytest.fixture
def postgres_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_databases: PostgresDatabases,
    batchwright_fork_server: ForkServer,
) -> Iterator[Sandbox]:
    """A throw-away database on it."""
    folder = tmp_path_factory.mktemp("sandbox")
    sandbox = Sandbox(folder, postgres_databases, batchwright_fork_server)
    yield sandbox
    sandbox.close()


@pytest.fixture
def assert_restart_safe_on_postgres(postgres_sandbox: Sandbox) -> Check:
    """The check of the plugin, on PostgreSQL."""
    return lambda job, data: RestartCheck(postgres_sandbox, job, data).run()
