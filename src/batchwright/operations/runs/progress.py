"""How far a run is: how fast it goes, how long it will take, its scopes as a strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Final

from sqlalchemy import Connection

from batchwright.engine.run import ACTIVE, Run
from batchwright.engine.store import runs, scopes
from batchwright.engine.store.scopes import Cell
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.runs.existing import existing_run
from batchwright.operations.views import View, instant, picked

CELLS: Final = 200
SCOPES: Final = 20
TIME: Final = 60.0
"""The pace is that of so many scopes, or of those of so many seconds at work where that is more."""
MOST_SCOPES: Final = 2_000
OWN: Final = 5
"""After so many scopes of its present owner those of earlier ones, on other machines perhaps, do not count any more."""
STANDSTILL: Final = 10.0
"""Where nothing was done for so many seconds, and ten times the usual, it stood still: its machine slept, say."""
USUAL: Final = 10

Done = tuple[datetime, int]
"""When a scope was done, and its records."""


def run_progress(app: Application, run_id: str, *, actor: Actor | None = None) -> View:
    """How far a run is: `records_per_second`, `seconds_left`, `last_done_at`, `claimed_at`, `scopes`, `strip`.

    The pace is that of the newest scopes while somebody worked at them: what lies between the scopes of two owners, a
    pause or a takeover, is left out, and so are times in which it stood still. It is `None` before two of them, and
    `seconds_left` also of a run that is not at work. `strip` has 200 cells at most, each of equally many scopes one
    after another: `first_scope, last_scope, done, first_record, records, ok, errored, skipped`.
    """
    permit(app, actor, Right.LOOK, "run.progress")
    with app.database.read() as connection:
        run = existing_run(app, connection, run_id)
        runs.check_kept(run)
        cells = scopes.strip(connection, run.id, CELLS)
        newest = scopes.newest_done(connection, [run.id], MOST_SCOPES)
    return _progress(run, cells, newest[run.id])


def progress_of(connection: Connection, listed: Sequence[Run]) -> Iterator[View]:
    """The same of runs, in their order, with a strip of one cell."""
    keys = [run.id for run in listed]
    cells = scopes.whole_runs(connection, keys)
    newest = scopes.newest_done(connection, keys, MOST_SCOPES)
    for run in listed:
        yield _progress(run, [cells[run.id]] if run.id in cells else [], newest[run.id])


def _progress(run: Run, cells: Sequence[Cell], newest: Sequence[Done]) -> View:
    pace = records_per_second(newest, run.claimed_at)
    left = sum(cell.records - cell.ok - cell.errored - cell.skipped for cell in cells)
    works = run.state in ACTIVE and run.total is not None
    return {
        "run_id": run.run_id,
        "records_per_second": None if pace is None else round(pace, 3),
        "seconds_left": round(left / pace, 3) if works and pace else None,
        "last_done_at": instant(newest[0][0]) if newest else None,
        "claimed_at": instant(run.claimed_at),
        "scopes": cells[-1].last if cells else 0,
        "strip": list(_strip(cells)),
    }


def records_per_second(newest: Sequence[Done], claimed_at: datetime | None = None) -> float | None:
    """The pace of the newest of these scopes, which are newest first; `None` where no time lies between two of them.

    No work is what lies between the last scope before the run was claimed and the first one after that.
    """
    own = [done for done in newest if claimed_at is None or done[0] >= claimed_at]
    taken = list(_taken(own))
    if len(taken) < OWN:
        taken += _taken(newest[len(own) :])
    if not taken:
        return None
    longest = max(USUAL * median(seconds for seconds, _ in taken[:SCOPES]), STANDSTILL)
    worked, done = 0.0, 0
    for place, (seconds, records) in enumerate(taken):
        if place >= SCOPES and worked >= TIME:
            break
        if seconds <= longest:
            worked, done = worked + seconds, done + records
    return done / worked if worked else None


def _taken(newest: Sequence[Done]) -> Iterator[tuple[float, int]]:
    """The seconds from one scope to the next, and the records of that."""
    for later, earlier in pairwise(newest):
        yield (later[0] - earlier[0]).total_seconds(), later[1]


def _strip(cells: Sequence[Cell]) -> Iterator[View]:
    before = 0
    for cell in cells:
        yield {
            "first_scope": cell.first,
            "last_scope": cell.last,
            "done": cell.done,
            "first_record": before + 1,
            **picked(cell, "records ok errored skipped"),
        }
        before += cell.records
