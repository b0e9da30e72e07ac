"""The whole run log at once."""

from __future__ import annotations

from sqlalchemy import Connection

from batchwright.engine.run import Run
from batchwright.engine.store.run_log import RunQuery, page


def every_run(connection: Connection, wanted: RunQuery | None = None) -> list[Run]:
    """The runs, newest first."""
    return page(connection, wanted or RunQuery(), 1_000_000)[0]
