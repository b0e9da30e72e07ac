"""Statements that count for monitoring: each reads an index, and only the part that it counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, literal_column, select

from batchwright.engine.run import ACTIVE, ENDED, WAITING
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import schedule_fire, worker

_SECONDS_LATE = {
    "sqlite": "(julianday(recorded_at) - julianday(nominal_time)) * 86400",
    "postgresql": "EXTRACT(EPOCH FROM recorded_at - nominal_time)",
}


@dataclass(frozen=True, slots=True)
class OfState:
    """The runs in one state: how many, and when the first of them was begun, or made where it still waits."""

    number: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """Runs of one state that began since a time: how many, and their records by what became of them."""

    number: int
    records: dict[str, int]


@dataclass(frozen=True, slots=True)
class Times:
    """Nominal times that were decided on alike: how many, and the seconds by which the latest of them was late."""

    decision: str
    cause: str | None
    number: int
    latest_seconds: float


def live(connection: Connection) -> dict[str, OfState]:
    """The runs that have not ended, by state."""
    begun = run_table.c.begun_at
    statement = select(run_table.c.state, func.count().label("number"), func.min(begun).label("oldest"))
    statement = statement.where(run_table.c.state.in_((*WAITING, *ACTIVE))).group_by(run_table.c.state)
    return {row.state: OfState(row.number, row.oldest) for row in connection.execute(statement)}


def takeovers(connection: Connection) -> int:
    """How often runs at work were taken over from a dead owner without getting on since."""
    counted = select(func.sum(run_table.c.takeovers_without_progress)).where(run_table.c.state.in_(ACTIVE))
    return int(connection.execute(counted).scalar() or 0)


def ended(connection: Connection, since: datetime) -> dict[str, Ended]:
    """The runs that have begun since then and ended, by state."""
    counts = {
        "ok": run_table.c.processed,
        "error": run_table.c.errored,
        "skipped": run_table.c.skipped,
        "not_reached": run_table.c.not_reached,
    }
    sums = [func.coalesce(func.sum(column), 0).label(name) for name, column in counts.items()]
    statement = select(run_table.c.state, func.count().label("number"), *sums)
    statement = statement.where(run_table.c.state.in_(ENDED), run_table.c.begun_at >= since)
    rows = connection.execute(statement.group_by(run_table.c.state))
    return {row.state: Ended(row.number, {name: int(getattr(row, name)) for name in counts}) for row in rows}


def times(connection: Connection, since: datetime) -> list[Times]:
    """The nominal times of schedules that have been recorded since then."""
    late: Any = literal_column(_SECONDS_LATE[connection.dialect.name])
    fire = schedule_fire.c
    statement = select(
        fire.decision, fire.cause, func.sum(fire.count).label("number"), func.max(late).label("latest")
    )
    statement = statement.where(fire.recorded_at >= since).group_by(fire.decision, fire.cause)
    return [_times(row) for row in connection.execute(statement)]


def workers_since(connection: Connection, since: datetime) -> int:
    """How many workers have beaten since then."""
    statement = select(func.count()).select_from(worker).where(worker.c.beat_at >= since)
    return int(connection.execute(statement).scalar_one())


def _times(row: Row[*tuple[Any, ...]]) -> Times:
    return Times(row.decision, row.cause, int(row.number), max(float(row.latest), 0.0))
