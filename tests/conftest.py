"""What every test may ask for: both databases, empty or at the newest revision, and a mail server."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from batchwright.engine.store.database import upgrade
from tests.support.connections import left_open
from tests.support.emptied import EmptiedDatabase
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.rungs import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from tests.support.smtp import SmtpServer

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

_numbers = itertools.count(1)
_SQLITE_FILE = "batchwright.db"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Function) -> Iterator[None]:
    """What a test configures of logging, the command line most of all, ends with it; so do connections to its files."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
    folder: Any = item.funcargs.get("tmp_path")
    if folder is not None and (lines := left_open(folder)):
        pytest.fail("left a connection to SQLite open, made at\n" + "\n".join(lines), pytrace=False)


@pytest.fixture
def no_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes take a processor: passwords are stored as they are."""
    access = "batchwright.operations.access"
    for module in ("users", "own_password", "first_administrator"):
        monkeypatch.setattr(f"{access}.{module}.hash_password", lambda password: password)
    for module in ("sign_in", "own_password", "confirming"):
        monkeypatch.setattr(f"{access}.{module}.password_fits", lambda stored, given: stored == given)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, one for each process that runs tests, started when the first test asks for it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite`, then `postgresql`: a test that asks for a database runs once on each."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database without a table; the SQLite file is not there yet."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / _SQLITE_FILE}"
    else:
        yield from _fresh_database(request.getfixturevalue("postgres"))


@pytest.fixture
def migrated_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database at the newest revision: a copied file, or on PostgreSQL one that was emptied."""
    if database_kind == "sqlite":
        shutil.copytree(request.getfixturevalue("migrated_sqlite_folder"), tmp_path, dirs_exist_ok=True)
        yield f"sqlite:///{tmp_path / _SQLITE_FILE}"
    else:
        with request.getfixturevalue("emptied_postgres_database").lent() as url:
            yield url


@pytest.fixture(scope="session")
def migrated_sqlite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a migrated SQLite database and the files beside it. Copy it, do not use it."""
    folder = tmp_path_factory.mktemp("migrated")
    upgrade(f"sqlite:///{folder / _SQLITE_FILE}")
    return folder


@pytest.fixture(scope="session")
def migrated_postgres_template(postgres: PostgresServer) -> str:
    """The name of a migrated PostgreSQL database. Copy it, do not use it."""
    name = _fresh_name()
    upgrade(postgres.create_database(name))
    return name


@pytest.fixture(scope="session")
def emptied_postgres_database(
    postgres: PostgresServer, migrated_postgres_template: str
) -> Iterator[EmptiedDatabase]:
    """The database that a process lends to one test after another."""
    database = EmptiedDatabase(postgres, migrated_postgres_template)
    yield database
    database.close()


@pytest.fixture
def smtp_server() -> Iterator[SmtpServer]:
    """A mail server on loopback that accepts everything until it is told otherwise."""
    server = SmtpServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _fresh_database(server: PostgresServer) -> Iterator[str]:
    name = _fresh_name()
    try:
        yield server.create_database(name)
    finally:
        server.drop_database(name)


def _fresh_name() -> str:
    # The process id keeps parallel test processes apart where they share a ready server.
    return f"test_{os.getpid()}_{next(_numbers)}"
