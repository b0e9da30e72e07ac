"""The run that an operation is about."""

from __future__ import annotations

from sqlalchemy import Connection

from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.operations.app import Application


def existing_run(app: Application, connection: Connection, run_id: str) -> Run:
    """The run, with live counts, read once for all of a page. Raises ``Refused`` for an unknown one."""
    return app.database.once(("run", run_id), lambda: runs.by_id(connection, run_id, app.live_counts))
