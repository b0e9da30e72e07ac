"""The books that the tests of the import write in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.billing.importing.books import COMPANY, Books, opened


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
