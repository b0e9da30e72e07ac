"""A database with tables, and a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from batchwright.engine.store.database import Database
from tests.notifications.making import HandClock


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    opened = Database(migrated_url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()
