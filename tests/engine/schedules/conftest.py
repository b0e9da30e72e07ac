"""A migrated database on each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from batchwright.engine.store.database import Database
from tests.engine.rig import Rig
from tests.engine.schedules.making import Bench


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """Without a schedule."""
    opened = Database(migrated_url)
    yield opened
    opened.close()


@pytest.fixture
def bench(rig: Rig) -> Bench:
    """Schedules on a migrated database with a parcel."""
    rig.fill(1)
    return Bench(rig)
