"""The JSON of runs, with what stands in other rows: the parent's id and the warnings."""

from __future__ import annotations

from sqlalchemy import Connection

from engine.run import Run
from engine.store import runs
from operations import views
from operations.views import View


def view_of(connection: Connection, run: Run) -> View:
    """The JSON of one run."""
    parent = run.parent_id
    parent_run_id = None if parent is None else runs.run_ids(connection, [parent])[parent]
    return views.run(run, parent_run_id=parent_run_id, warnings=runs.warnings(connection, run.id))
