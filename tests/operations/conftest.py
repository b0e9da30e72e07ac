"""An application on a fresh database, a clock that stands still, and a way to count audit entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application, make_application
from batchwright.testing.clock import StandingClock
from tests.support.application import NOW, make_settings
from tests.support.records import Books


@pytest.fixture
def clock() -> StandingClock:
    """The clock of `app`."""
    return StandingClock(NOW)


@pytest.fixture
def app(migrated_url: str, tmp_path: Path, clock: StandingClock) -> Iterator[Application]:
    """An application on a migrated database without a record."""
    application = make_application(make_settings(migrated_url, tmp_path), clock=clock)
    yield application
    application.close()


@pytest.fixture
def write(app: Application) -> Callable[[Callable[[Books], Any]], Any]:
    """Calls a function with a `Books` and commits what it wrote."""

    def call(fill: Callable[[Books], Any]) -> Any:
        with app.database.write() as connection:
            return fill(Books(connection))

    return call


@pytest.fixture
def entries(app: Application) -> Callable[[], list[dict[str, Any]]]:
    """The audit entries so far, newest first."""
    return lambda: list(list_audit(app))
