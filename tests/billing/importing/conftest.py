"""The books that the tests of the import write in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.billing.importing.books import COMPANY, Books, opened
from tests.support.postgres import PostgresServer


@pytest.fixture
def books(migrated_url: str, tmp_path: Path) -> Iterator[Books]:
    """Empty books, on each database."""
    with opened(migrated_url, tmp_path) as opened_books:
        yield opened_books


@pytest.fixture
def company(books: Books) -> Books:
    """Books that the small company has been imported into."""
    books.load(COMPANY)
    return books


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def empty_books(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """Empty books, made once for the tests of a file that leave them so."""
    yield from _shared(request, tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def standing_company(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Books]:
    """The small company, made once for the tests of a file that change nothing in it."""
    for shared_books in _shared(request, tmp_path_factory.mktemp("standing")):
        shared_books.load(COMPANY)
        yield shared_books


def _shared(request: pytest.FixtureRequest, folder: Path) -> Iterator[Books]:
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("migrated_sqlite_folder"), folder, dirs_exist_ok=True)
        with opened(f"sqlite:///{folder / 'batchwright.db'}", folder) as opened_books:
            yield opened_books
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("migrated_postgres_template")
    name = f"{folder.parent.parent.name}_{folder.parent.name}_{folder.name}".replace("-", "_")
    with opened(server.create_database(name, template=template), folder) as opened_books:
        yield opened_books
    server.drop_database(name)
