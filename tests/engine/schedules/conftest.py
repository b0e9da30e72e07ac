"""A migrated database on each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.store.database import Database


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """Without a schedule."""
    opened = Database(migrated_url)
    yield opened
    opened.close()
