"""The JSON of runs, with what stands in other rows: the parent's id and the warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from batchwright.engine.job import Warn
from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.operations import views
from batchwright.operations.views import View

PAGE = 1_000
"""Runs whose other rows are read together: a database takes only so many keys in one statement."""


def view_of(connection: Connection, run: Run, now: datetime, *, has_warnings: bool = True) -> View:
    """The JSON of one run; `now` is what the duration of a run that works counts up to. Its warnings are read unless
    it is known to have none.
    """
    parents = runs.run_ids(connection, [] if run.parent_id is None else [run.parent_id])
    warnings = runs.warnings(connection, run.id) if has_warnings else ()
    return _view(run, parents, warnings, now)


def views_of(connection: Connection, listed: Sequence[Run], now: datetime) -> Iterator[View]:
    """The JSON of runs, in their order; what stands in other rows is read for a thousand at a time."""
    rest = iter(listed)
    while page := list(islice(rest, PAGE)):
        parents = runs.run_ids(connection, {run.parent_id for run in page if run.parent_id is not None})
        warnings = runs.warnings_of(connection, [run.id for run in page])
        for run in page:
            yield _view(run, parents, warnings.get(run.id, ()), now)


def _view(run: Run, parents: Mapping[int, str], warnings: Sequence[Warn], now: datetime) -> View:
    parent_run_id = None if run.parent_id is None else parents[run.parent_id]
    return views.run(run, parent_run_id=parent_run_id, warnings=warnings, now=now)
