"""The queue of runs: those that wait, in their order, and what each waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from batchwright.engine.run import ACTIVE, Control, Run, State
from batchwright.engine.store import controls, queue
from batchwright.engine.store.controls import ControlRequest
from batchwright.engine.store.queue import Waiting
from batchwright.engine.store.workers import StoredWorker
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit
from batchwright.operations.run_view import views_of
from batchwright.operations.runs.progress import progress_of
from batchwright.operations.views import View
from batchwright.operations.workers import why_none_of, workers_there

MOST: Final = 50


def list_waiting(app: Application, limit: int = MOST, *, actor: Actor | None = None) -> list[View]:
    """The runs that wait or are paused, in the order of the queue, as `list_runs` has them and with `place`, `why`.

    `place` is the place among the Holding runs of the same line, `None` where it stands in none; `why` what it waits
    for, as the end of a sentence that begins with the run.
    """
    permit(app, actor, Right.LOOK, "run.list")
    check_limit(limit)
    now = app.clock.now()
    with app.database.read() as connection:
        found = queue.waiting(connection, limit)
        paused = [one.run.id for one in found if one.run.state is State.PAUSED]
        asked = controls.requests_of(connection, paused) if paused else {}
        in_slots = sum(not run.in_caller for run in _queued(app, connection))
        there = workers_there(connection, now) if found else []
        runs = views_of(connection, [one.run for one in found], now)
        return [
            {**view, "place": one.place or None, "why": _why(app, one, asked, in_slots, there)}
            for view, one in zip(runs, found, strict=True)
        ]


def list_at_work(app: Application, limit: int, *, actor: Actor | None = None) -> list[View]:
    """The runs that are at work, the newest first, as `list_runs` has them and with their `progress`, as `run_progress`
    has it; its strip is one cell.
    """
    permit(app, actor, Right.LOOK, "run.list")
    check_limit(limit)
    with app.database.read() as connection:
        found = [run for run in _queued(app, connection) if run.state in ACTIVE]
        found.sort(key=lambda run: (run.started_at or run.created_at, run.id))
        newest = found[::-1][:limit]
        live = app.live_counts(connection, [run.id for run in newest if run.total is not None])
        counted = [replace(run, **live.get(run.id, {})) for run in newest]
        runs = views_of(connection, counted, app.clock.now())
        every = zip(runs, progress_of(connection, counted), strict=True)
        return [{**view, "progress": progress} for view, progress in every]


def _queued(app: Application, connection: Connection) -> list[Run]:
    """The runs that are Queued or at work, read once for all of a page."""
    return app.database.once("queued in order", lambda: queue.queued_in_order(connection))


def _why(
    app: Application,
    waiting: Waiting,
    asked: Mapping[int, ControlRequest],
    in_slots: int,
    there: Sequence[StoredWorker],
) -> str:
    run = waiting.run
    if run.state is State.PAUSED:
        held = asked.get(run.id)
        by = f"held by {held.actor}" if held is not None and held.control is Control.HOLD else "paused"
        return f"{by}, until somebody resumes it"
    if run.in_caller:
        return "its caller drives it"
    none = why_none_of(there, run)
    if none is not None:
        return none
    if waiting.behind_earlier:
        return f"an earlier run of the schedule {run.schedule} has not ended"
    if run.state is State.QUEUED:
        return "next: a worker begins it"
    slots = app.settings.max_active_runs
    if in_slots >= slots:
        return f"all {slots} slots are taken" if slots > 1 else "the one slot is taken"
    return "its turn comes next"
