"""The run that an operation is about."""

from __future__ import annotations

from sqlalchemy import Connection

from batchwright.engine.errors import NotFound
from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.engine.store.controls import Version
from batchwright.operations.app import Application


def existing_run(app: Application, connection: Connection, run_id: str) -> Run:
    """The run, with live counts, read once for all of a page. Raises ``Refused`` for an unknown one."""
    return look_at_run(app, connection, run_id).run


def look_at_run(app: Application, connection: Connection, run_id: str) -> runs.Look:
    """The same, with what is asked of it."""
    return app.database.once(("run", run_id), lambda: runs.look(connection, run_id, app.live_counts))


def run_version(app: Application, run_id: str) -> Version | None:
    """The version of a run, of the same look; ``None`` where there is none of that id."""
    with app.database.read_autocommit() as connection:
        try:
            look = look_at_run(app, connection, run_id)
        except NotFound:
            return None
    return look.run.state, look.asked
