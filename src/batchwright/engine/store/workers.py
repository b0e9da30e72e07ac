"""Statements on what workers say of themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from batchwright.engine.run import ACTIVE, State
from batchwright.engine.store.footprint import UNKNOWN, Footprint
from batchwright.engine.store.pages import Listing
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import worker as worker_table

_NEWEST = select(worker_table).order_by(worker_table.c.started_at.desc(), worker_table.c.id.desc())


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWorker:
    """A worker as it starts. ``revision`` is that of the database which it needs."""

    host: str
    process: int
    version: str
    revision: str
    jobs: Sequence[str]
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWorker(NewWorker):
    """A worker as it last said. ``left_runs`` are ids of runs that it leaves to others, with the reason."""

    left_runs: Mapping[str, str]
    beat_at: datetime
    clock_ahead_seconds: float | None
    """Of the clock of its host, of that of the database's server; ``None`` where that has none."""
    footprint: Footprint


def insert_worker(connection: Connection, new: NewWorker) -> int:
    """The worker's row; returns its key."""
    values = {
        "host": new.host,
        "process": new.process,
        "version": new.version,
        "revision": new.revision,
        "jobs": json.dumps(list(new.jobs)),
        "left_runs": "{}",
        "started_at": new.started_at,
        "beat_at": new.started_at,
    }
    return int(
        connection.execute(insert(worker_table).values(values).returning(worker_table.c.id)).scalar_one()
    )


def beat(
    connection: Connection,
    key: int,
    left_runs: Mapping[str, str],
    now: datetime,
    clock_ahead_seconds: float | None = None,
    footprint: Footprint = UNKNOWN,
) -> bool:
    """Say that the worker is there; False when its row is gone."""
    said = update(worker_table).where(worker_table.c.id == key)
    said = said.values(
        beat_at=now,
        left_runs=json.dumps(dict(left_runs)),
        clock_ahead_seconds=clock_ahead_seconds,
        **asdict(footprint),
    )
    return connection.execute(said).rowcount == 1


def remove(connection: Connection, key: int) -> None:
    """The worker has ended."""
    connection.execute(delete(worker_table).where(worker_table.c.id == key))


def remove_silent(connection: Connection, since: datetime) -> None:
    """Remove the rows that have stood still since then."""
    connection.execute(delete(worker_table).where(worker_table.c.beat_at < since))


def listing(connection: Connection, limit: int | None = None) -> list[StoredWorker]:
    """The workers, newest first; at most ``limit``."""
    newest = _NEWEST if limit is None else _NEWEST.limit(limit)
    return [worker_of(row._mapping) for row in connection.execute(newest)]


def pages_of() -> Listing:
    """The same for pages; `worker_of` makes one of a row."""
    return Listing(select(worker_table), (worker_table.c.started_at, worker_table.c.id), newest_first=True)


def driving(connection: Connection) -> dict[str, list[str]]:
    """Ids of the runs at work, by the name of their owner."""
    active_runs = select(run_table.c.owner, run_table.c.run_id).where(run_table.c.state.in_(ACTIVE))
    found: dict[str, list[str]] = {}
    for row in connection.execute(active_runs.order_by(run_table.c.id)):
        found.setdefault(row.owner or "", []).append(row.run_id)
    return found


def waiting_jobs(connection: Connection) -> dict[str, tuple[int, str]]:
    """Of each job with runs that wait their number, and the id of the first."""
    counted = (
        select(run_table.c.job, func.count().label("number"), func.min(run_table.c.run_id).label("first"))
        .where(run_table.c.state.in_((State.HOLDING, State.QUEUED)))
        .group_by(run_table.c.job)
    )
    return {row.job: (row.number, row.first) for row in connection.execute(counted)}


def worker_of(row: RowMapping) -> StoredWorker:
    """The worker that a row holds."""
    return StoredWorker(
        host=row["host"],
        process=row["process"],
        version=row["version"],
        revision=row["revision"],
        jobs=json.loads(row["jobs"]),
        left_runs=json.loads(row["left_runs"]),
        started_at=row["started_at"],
        beat_at=row["beat_at"],
        clock_ahead_seconds=row["clock_ahead_seconds"],
        footprint=Footprint(**{one.name: row[one.name] for one in fields(Footprint)}),
    )
