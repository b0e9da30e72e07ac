"""The workers there are, as they say themselves, and what none of them can do. Nothing is decided by it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from importlib.metadata import version

import structlog
from sqlalchemy import Connection, RowMapping

from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store import schedules, workers
from batchwright.engine.store.footprint import footprint
from batchwright.engine.store.migrating import newest_revision
from batchwright.engine.store.workers import NewWorker, StoredWorker
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View, picked

SILENT_AFTER = timedelta(minutes=1)
"""A worker that has said nothing for so long is not counted on: it beats each ten seconds."""
KEPT = timedelta(days=1)
"""How long the row of a worker stays that does not beat any more."""

log = structlog.get_logger()


def list_workers(app: Application, limit: int | None = None, *, actor: Actor | None = None) -> list[View]:
    """The workers of the last day, newest first.

    Each as `host, process, version, revision, jobs, runs, left_runs, silent, started_at, beat_at, clock_ahead_seconds,
    processes, rss_bytes, pss_bytes, connections`: `runs` are ids of the runs that it drives, `left_runs` of those that
    it leaves to others with the reason; `silent` means that it has not beaten for a minute; `clock_ahead_seconds` is
    how far its clock is ahead of the database server's, `None` on SQLite; what follows is of the worker with its
    children, see `Footprint`. Those that ended by themselves are not there.
    """
    permit(app, actor, Right.LOOK, "worker.list")
    check_limit(limit)
    with app.database.read() as connection:
        driving = workers.driving(connection)
        return [_view(one, driving, app.clock.now()) for one in workers.listing(connection, limit)]


def workers_page(
    app: Application, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of the workers of the last day, newest first."""
    permit(app, actor, Right.LOOK, "worker.list")
    with app.database.read() as connection:
        driving = workers.driving(connection)

    def view(row: RowMapping) -> View:
        return _view(workers.worker_of(row), driving, app.clock.now())

    return page_of(app.database, "workers", workers.pages_of(), {}, view, limit=limit, after=after)


def _view(one: StoredWorker, driving: dict[str, list[str]], now: datetime) -> View:
    return {
        **picked(one, "host process version revision"),
        "jobs": list(one.jobs),
        "runs": driving.get(f"{one.host}/{one.process}", []),
        "left_runs": dict(one.left_runs),
        "silent": not _is_there(one, now),
        **picked(one, "started_at beat_at clock_ahead_seconds"),
        **asdict(one.footprint),
    }


def missing_parts(app: Application, *, worker_expected: bool) -> list[str]:
    """What the service lacks to do its work, of `database`, `schema`, `worker`; asks for no right and names nothing."""
    if not app.database.exists():
        return ["database"]
    if app.database.revision() != newest_revision():
        return ["schema"]
    with app.database.read() as connection:
        there = any(_is_there(one, app.clock.now()) for one in workers.listing(connection))
    return [] if there or not worker_expected else ["worker"]


def worked_on(connection: Connection, run: Run, now: datetime) -> View:
    """By whom: of a run at work the `owner`, and the age of its beat, `owner_beat_seconds`: `None` where it is not a
    worker. Of a run that needs a worker `no_worker`, why none that is there can do it, unless one can.
    """
    if run.state not in (State.HOLDING, State.QUEUED, *ACTIVE):
        return {}
    listed = workers.listing(connection)
    no_worker = why_none_of([one for one in listed if _is_there(one, now)], run)
    owner = {} if run.owner is None or run.state not in ACTIVE else _owner(listed, run.owner, now)
    return {**owner, **({} if no_worker is None else {"no_worker": no_worker})}


def _owner(listed: Sequence[StoredWorker], owner: str, now: datetime) -> View:
    beats = [one.beat_at for one in listed if f"{one.host}/{one.process}" == owner]
    # Never negative: the clocks of two machines differ.
    age = max(round((now - max(beats)).total_seconds(), 3), 0.0) if beats else None
    return {"owner": owner, "owner_beat_seconds": age}


def workers_there(connection: Connection, now: datetime) -> list[StoredWorker]:
    """The workers that have beaten within the last minute."""
    return [one for one in workers.listing(connection) if _is_there(one, now)]


def why_none_of(there: Sequence[StoredWorker], run: Run) -> str | None:
    """Why none of these workers can do a run that waits or is at work; `None` where one can."""
    left = [one.left_runs[run.run_id] for one in there if run.run_id in one.left_runs]
    if run.state in ACTIVE and not left:  # its owner is alive, or nobody knows better
        return None
    with_job = [one for one in there if run.job in one.jobs]
    if any(run.run_id not in one.left_runs for one in with_job):
        return None
    if not there:
        return "no worker is there"
    return f"no worker takes its parameters: {left[0]}" if with_job else f"no worker has the job {run.job!r}"


def _is_there(one: StoredWorker, now: datetime) -> bool:
    return now - one.beat_at + timedelta(seconds=one.clock_ahead_seconds or 0.0) < SILENT_AFTER


def clock_ahead_seconds(app: Application, connection: Connection) -> float | None:
    """How far this machine's clock is ahead of the database server's; `None` on SQLite, which has none."""
    if app.database.is_sqlite:
        return None

    def server_time() -> datetime:
        time = schedules.server_time(connection)
        assert time is not None
        return time

    return round(app.clock.ahead_of(server_time).total_seconds(), 3)


class Presence:
    """The row of this process among the workers."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._key: int | None = None
        self._new = NewWorker(
            host=socket.gethostname(),
            process=os.getpid(),
            version=version("batchwright"),
            revision=newest_revision() or "",
            jobs=app.registry.names(),
            started_at=app.clock.now(),
        )
        self._logged: set[str] = set()

    def beat(self) -> None:
        """Say that this worker is there, and log once which jobs with waiting runs no worker has."""
        left, now = self._app.dispatcher.claims.capabilities.left(), self._app.clock.now()
        with self._app.database.read_autocommit() as connection:
            ahead = clock_ahead_seconds(self._app, connection)
            database = self._app.database
            taken = footprint(connection, database.files[0] if database.is_sqlite else None)
        with self._app.database.write() as connection:
            if self._key is None or not workers.beat(connection, self._key, left, now, ahead, taken):
                self._key = workers.insert_worker(connection, self._new)
                workers.beat(connection, self._key, left, now, ahead, taken)
            workers.remove_silent(connection, now - KEPT)
        with self._app.database.read() as connection:
            waiting = workers.waiting_jobs(connection)
            there = [one for one in workers.listing(connection) if _is_there(one, now)]
        self._log(waiting, there)

    def end(self) -> None:
        """Take the row away."""
        if self._key is not None:
            with self._app.database.write() as connection:
                workers.remove(connection, self._key)

    def _log(self, waiting: dict[str, tuple[int, str]], there: Sequence[StoredWorker]) -> None:
        missing = waiting.keys() - {job for one in there for job in one.jobs}
        for job in sorted(missing - self._logged):
            number, first = waiting[job]
            log.warning("no worker has the job", job=job, runs=number, run_id=first)
        self._logged = set(missing)
