"""The command line as a test calls it: in this process, or as a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchwright.billing.sample import folder
from batchwright.cli.main import main
from batchwright.engine.store.database import Database, upgrade
from tests.support.postgres import PostgresServer

PROGRAM = Path(sys.executable).parent / "batchwright"

Batchwright = Callable[..., Result]
Program = Callable[..., "subprocess.CompletedProcess[str]"]

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no setting of whoever runs the tests."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    for variable in [name for name in os.environ if name.startswith("BATCHWRIGHT_")]:
        monkeypatch.delenv(variable)
    return place


@pytest.fixture
def batchwright() -> Batchwright:
    """Runs a command line in this process; stdout and stderr apart."""

    def run(*arguments: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(main, list(arguments), input=stdin)

    return run


@pytest.fixture
def program() -> Program:
    """Runs a command line as a process of its own."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def database(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh database, without a record, that commands find by the environment. Its URL."""
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", migrated_url)
    return migrated_url


@pytest.fixture
def company(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database with the sample company that commands find; their actor has a mail address. Its URL."""
    monkeypatch.setenv("BATCHWRIGHT_ACTOR", "erika")
    monkeypatch.setenv("BATCHWRIGHT_ACTORS__ERIKA", "erika@example.com")
    if database_kind == "sqlite":
        shutil.copytree(request.getfixturevalue("company_folder"), tmp_path / "company")
        url = f"sqlite:///{tmp_path / 'company' / 'batchwright.db'}"
        monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", url)
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"company_{os.getpid()}_{next(_numbers)}"
    url = server.create_database(name, template=request.getfixturevalue("company_template"))
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", url)
    yield url
    server.drop_database(name)


@pytest.fixture(scope="session")
def company_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an SQLite database with the sample company. Copy it, or only look at it."""
    made = tmp_path_factory.mktemp("company")
    _import_company(f"sqlite:///{made / 'batchwright.db'}")
    return made


@pytest.fixture(scope="session")
def company_template(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with the sample company. Copy it, do not use it."""
    name = f"company_{os.getpid()}"
    url = postgres.create_database(name)
    upgrade(url)
    _import_company(url)
    return name


def _import_company(url: str) -> None:
    words = ["import", str(folder())]
    imported = CliRunner(env={"BATCHWRIGHT_DATABASE_URL": url}).invoke(main, words)
    assert imported.exit_code == 0, imported.stderr


@pytest.fixture
def rated(company: str, batchwright: Batchwright) -> str:
    """The sample company after its first draft rating. The id of that run."""
    ran = batchwright("run", "draft-usage-rating", "--json")
    assert ran.exit_code == 3, ran.stderr
    run_id: str = json.loads(ran.stdout)["run_id"]
    return run_id


def place_of(url: str) -> str:
    """How messages name the database of a URL."""
    return Database(url).display_url


def error_of(result: Result) -> dict[str, Any]:
    """The error of a refusal in JSON, after checking that it is all there is on stdout."""
    document = json.loads(result.stdout)
    assert list(document) == ["error"]
    assert list(document["error"]) == ["message", "field", "remedy"]
    error: dict[str, Any] = document["error"]
    return error
