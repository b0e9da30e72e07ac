"""Statements on schedules, on what became of their nominal times, and on the flag that holds them all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    bindparam,
    delete,
    func,
    insert,
    select,
    true,
    update,
)

from batchwright.engine.run import State
from batchwright.engine.schedule import Hold, Misfire, NotRunCause, Overlap, Schedule, ScheduleSpec
from batchwright.engine.store.notify import CHANNEL, with_notify
from batchwright.engine.store.pages import Listing
from batchwright.engine.store.tables import LIVE_OF_SCHEDULE, schedule_fire, scheduling
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import schedule as schedule_table
from batchwright.engine.store.upsert import insert_into

MILLISECONDS_FOR_LOCK = 2_000

Decision = Literal["started", "not_run"]


@dataclass(frozen=True, slots=True)
class Fire:
    """What became of one nominal time, or of a range of them that were not run, with cause and reason."""

    nominal_time: datetime
    last_nominal_time: datetime
    count: int
    decision: Decision
    cause: NotRunCause | None = None
    reason: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFire(Fire):
    """The same in the database."""

    id: int
    schedule_id: int
    recorded_at: datetime


_SPEC = tuple(field.name for field in fields(ScheduleSpec))
_FIRE = tuple(field.name for field in fields(Fire))

# Schedules by key, kept as they are until the transaction ends; without those that somebody else keeps now.
_LOCKED = (
    select(schedule_table)
    .where(schedule_table.c.id.in_(bindparam("keys", expanding=True)))
    .order_by(schedule_table.c.id)
    .with_for_update(skip_locked=True)
)

# The live runs of schedules, the newest of each.
_LIVE = (
    select(run_table.c.schedule, func.max(run_table.c.id).label("newest"))
    .where(run_table.c.schedule.in_(bindparam("names", expanding=True)), LIVE_OF_SCHEDULE)
    .group_by(run_table.c.schedule)
)

# What is recorded after the time up to which all is; PostgreSQL would read all fires, but not once for each schedule.
_AFTER_ALL_RECORDED = schedule_fire.c.nominal_time > func.coalesce(
    schedule_table.c.last_nominal_time, schedule_table.c.created_at
)
_AHEAD = (
    select(schedule_fire.c.schedule_id, schedule_fire.c.nominal_time)
    .join(schedule_table, schedule_table.c.id == schedule_fire.c.schedule_id)
    .where(schedule_table.c.id.in_(bindparam("keys", expanding=True)), _AFTER_ALL_RECORDED)
)
_ahead_of_one = (
    select(schedule_fire.c.schedule_id, schedule_fire.c.nominal_time)
    .where(schedule_fire.c.schedule_id == schedule_table.c.id, _AFTER_ALL_RECORDED)
    .offset(0)
    .lateral()
)
_AHEAD_BY_SCHEDULE = (
    select(_ahead_of_one.c.schedule_id, _ahead_of_one.c.nominal_time)
    .select_from(schedule_table.join(_ahead_of_one, true()))
    .where(schedule_table.c.id.in_(bindparam("keys", expanding=True)))
)

# Up to which nominal time all are recorded.
_ALL_RECORDED = (
    update(schedule_table)
    .where(schedule_table.c.id == bindparam("of_key"))
    .values(last_nominal_time=bindparam("up_to"))
)


def insert_schedule(connection: Connection, spec: ScheduleSpec, now: datetime) -> Schedule:
    """Insert a schedule. Its name is free: the caller holds ``lock_changes`` and has looked."""
    row = {**_row(spec), "created_at": now, "timed_at": now, "paused": False}
    key = connection.execute(insert(schedule_table).values(row).returning(schedule_table.c.id)).scalar_one()
    return by_keys(connection, [key])[0]


def update_schedule(
    connection: Connection, schedule: Schedule, spec: ScheduleSpec, now: datetime
) -> Schedule:
    """Change what people decide of a schedule that the caller has locked.

    With a new expression or zone, times up to now that are not recorded are never due any more: settle them first
    (``batchwright.engine.schedules.firing.settle``).
    """
    timed = (spec.cron, spec.time_zone) != (schedule.cron, schedule.time_zone)
    return _changed(connection, schedule, {**_row(spec), "timed_at": now if timed else schedule.timed_at})


def pause(connection: Connection, schedule: Schedule, now: datetime) -> Schedule:
    """Let a locked schedule fire nothing until it is resumed."""
    return _changed(connection, schedule, {"paused": True, "paused_at": now, "resumed_at": None})


def resume(connection: Connection, schedule: Schedule, now: datetime) -> Schedule:
    """Let a locked schedule fire again; what is due since its pause is for its misfire policy to decide."""
    return _changed(connection, schedule, {"paused": False, "resumed_at": now})


def _changed(connection: Connection, schedule: Schedule, values: dict[str, Any]) -> Schedule:
    connection.execute(update(schedule_table).where(schedule_table.c.id == schedule.id).values(values))
    return by_keys(connection, [schedule.id])[0]


def remove(connection: Connection, schedule: Schedule) -> None:
    """Delete a locked schedule and its fires; its runs stay, and keep its name."""
    connection.execute(delete(schedule_fire).where(schedule_fire.c.schedule_id == schedule.id))
    connection.execute(delete(schedule_table).where(schedule_table.c.id == schedule.id))


def by_name(connection: Connection, name: str, *, lock: bool = False) -> Schedule | None:
    """The schedule of that name; with ``lock`` nobody fires or changes it until the transaction ends."""
    statement = select(schedule_table).where(schedule_table.c.name == name)
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
    return None if row is None else schedule_of(row)


def by_keys(connection: Connection, keys: Iterable[int]) -> list[Schedule]:
    """The schedules of these keys that are there, by key."""
    statement = (
        select(schedule_table).where(schedule_table.c.id.in_(list(keys))).order_by(schedule_table.c.id)
    )
    return list(map(schedule_of, connection.execute(statement).mappings()))


def all_schedules(connection: Connection) -> list[Schedule]:
    """All of them by name."""
    return list(
        map(
            schedule_of, connection.execute(select(schedule_table).order_by(schedule_table.c.name)).mappings()
        )
    )


def listing() -> Listing:
    """All schedules by name; `schedule_of` makes one of a row."""
    return Listing(select(schedule_table), (schedule_table.c.name,))


def fire_listing(schedule_key: int) -> Listing:
    """What became of a schedule's nominal times, newest first; `fire_of` makes one of a row."""
    theirs = select(schedule_fire).where(schedule_fire.c.schedule_id == schedule_key)
    return Listing(theirs, (schedule_fire.c.nominal_time,), newest_first=True)


def lock_free(connection: Connection, keys: Sequence[int]) -> list[Schedule]:
    """The schedules of these keys, kept until the transaction ends; those that somebody else keeps are left out.

    A process that is stopped (SIGSTOP, a suspended machine) while it keeps them loses its session to the server: that
    is a limit of every short write transaction.
    """
    return list(map(schedule_of, connection.execute(_LOCKED, {"keys": list(keys)}).mappings()))


def wait_shortly(connection: Connection) -> None:
    """Let the transaction wait no longer than two seconds for a lock: on a run's dedup key, say, that somebody's own
    transaction keeps. On SQLite nobody waits for one within a transaction.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {MILLISECONDS_FOR_LOCK}")


def server_time(connection: Connection) -> datetime | None:
    """What the server's clock shows; ``None`` on SQLite, which has none."""
    if connection.dialect.name != "postgresql":
        return None
    time: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return time


def fires_ahead(connection: Connection, schedule: Schedule, now: datetime) -> list[StoredFire]:
    """What is recorded of times of a schedule that have not come yet; a range may have begun."""
    statement = select(schedule_fire).where(
        schedule_fire.c.schedule_id == schedule.id, schedule_fire.c.last_nominal_time > now
    )
    return list(map(fire_of, connection.execute(statement).mappings()))


def forget_ahead(connection: Connection, schedule: Schedule, now: datetime) -> list[StoredFire]:
    """Take away what is recorded of times of a locked schedule that have not come yet: those records, as they were.

    Of a range that has begun what has come of it stays.
    """
    ahead = fires_ahead(connection, schedule, now)
    connection.execute(delete(schedule_fire).where(schedule_fire.c.id.in_([fire.id for fire in ahead])))
    times = {
        name: min(at, now)
        for name in ("created_at", "timed_at", "paused_at", "resumed_at", "last_nominal_time")
        if (at := getattr(schedule, name)) is not None
    }
    values = {**times, "ahead_told": None}
    connection.execute(update(schedule_table).where(schedule_table.c.id == schedule.id).values(values))
    return ahead


def note_ahead_notified(connection: Connection, schedule: Schedule, at: datetime) -> bool:
    """Note that this was notified; ``False`` where somebody else did."""
    statement = update(schedule_table).where(
        schedule_table.c.id == schedule.id, schedule_table.c.ahead_told.is_distinct_from(at)
    )
    return connection.execute(statement.values(ahead_told=at)).rowcount == 1


def version(connection: Connection) -> int:
    """Raised by every change of a schedule and of the hold; 0 before the first."""
    return connection.execute(select(scheduling.c.version)).scalar() or 0


def lock_changes(connection: Connection) -> None:
    """Let one transaction at a time change schedules, and notify the schedulers when it commits.

    Called first by whoever changes one, by hand or from a file; not by who fires.
    """
    counted = insert_into(connection, scheduling).values(id=1, version=1)
    counted = counted.on_conflict_do_update(index_elements=["id"], set_={"version": scheduling.c.version + 1})
    connection.execute(with_notify(connection, counted.returning(scheduling.c.id), CHANNEL)).all()


def read_hold(connection: Connection) -> Hold:
    """Whether nothing fires now, and since when."""
    row = connection.execute(select(scheduling.c.held_at, scheduling.c.released_at)).first()
    return Hold() if row is None else Hold(row.held_at, row.released_at)


def hold_all(connection: Connection, now: datetime) -> None:
    """Let nothing fire until ``release_all``; the caller holds ``lock_changes``."""
    connection.execute(update(scheduling).values(held_at=now, released_at=None))


def release_all(connection: Connection, now: datetime) -> None:
    """Let schedules fire again; what is due since is for the misfire policy of each."""
    connection.execute(update(scheduling).values(released_at=now))


def newest_live(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """The newest run that has not ended, by schedule; one without such a run is left out."""
    found = connection.execute(_LIVE, {"names": list(names)}).all()
    if not found:
        return {}
    statement = select(run_table.c.schedule, run_table.c.run_id).where(
        run_table.c.id.in_([row.newest for row in found])
    )
    return {row.schedule: row.run_id for row in connection.execute(statement)}


def insert_fires(connection: Connection, fires: Sequence[tuple[int, Fire]], now: datetime) -> None:
    """Record what became of nominal times, by the key of their schedule. The unique key refuses a second record."""
    if fires:
        rows = [
            {"schedule_id": key, "recorded_at": now, **{name: getattr(fire, name) for name in _FIRE}}
            for key, fire in fires
        ]
        connection.execute(insert(schedule_fire), rows)


def extend_fire(connection: Connection, stored: StoredFire, more: Fire, now: datetime) -> None:
    """Add times to the range that ends right before them."""
    values = {
        "last_nominal_time": more.last_nominal_time,
        "count": stored.count + more.count,
        "recorded_at": now,
    }
    connection.execute(update(schedule_fire).where(schedule_fire.c.id == stored.id).values(values))


def replace_fire(connection: Connection, stored: StoredFire, fires: Sequence[Fire], now: datetime) -> None:
    """Put finer records in the place of a range."""
    connection.execute(delete(schedule_fire).where(schedule_fire.c.id == stored.id))
    insert_fires(connection, [(stored.schedule_id, fire) for fire in fires], now)


def mark_recorded(connection: Connection, up_to: Mapping[int, datetime]) -> None:
    """Note by key of schedule up to which nominal time all are recorded."""
    if up_to:
        connection.execute(_ALL_RECORDED, [{"of_key": key, "up_to": at} for key, at in up_to.items()])


def last_fire(connection: Connection, schedule_key: int) -> StoredFire | None:
    """The record that reaches furthest."""
    return next(iter(fires(connection, schedule_key, 1)), None)


def fire_covering(connection: Connection, schedule_key: int, nominal_time: datetime) -> StoredFire | None:
    """The record of that nominal time."""
    begun = schedule_fire.c.nominal_time <= nominal_time
    found = next(iter(fires(connection, schedule_key, 1, begun)), None)
    return None if found is None or found.last_nominal_time < nominal_time else found


def recorded_ahead(connection: Connection, schedule_keys: Sequence[int]) -> dict[int, set[datetime]]:
    """By key of schedule, the nominal times that a backfill recorded before the schedulers came to them."""
    found: dict[int, set[datetime]] = {}
    statement = _AHEAD if connection.dialect.name == "sqlite" else _AHEAD_BY_SCHEDULE
    for row in connection.execute(statement, {"keys": list(schedule_keys)}):
        found.setdefault(row.schedule_id, set()).add(row.nominal_time)
    return found


def fires(
    connection: Connection, schedule_key: int, limit: int | None = None, *conditions: ColumnElement[bool]
) -> list[StoredFire]:
    """What became of a schedule's nominal times, newest first."""
    statement = fire_listing(schedule_key).page(None, limit).where(*conditions)
    return list(map(fire_of, connection.execute(statement).mappings()))


def started_between(
    connection: Connection, schedule_key: int, begin: datetime, end: datetime
) -> set[datetime]:
    """The nominal times from `begin` to `end` that started a run."""
    statement = select(schedule_fire.c.nominal_time).where(
        schedule_fire.c.schedule_id == schedule_key,
        schedule_fire.c.decision == "started",
        schedule_fire.c.nominal_time.between(begin, end),
    )
    return set(connection.execute(statement).scalars())


def not_run_between(
    connection: Connection, schedule_key: int, begin: datetime, end: datetime
) -> list[StoredFire]:
    """The records, newest first, of nominal times from `begin` to `end` that were not run."""
    return fires(
        connection,
        schedule_key,
        None,
        schedule_fire.c.decision == "not_run",
        schedule_fire.c.nominal_time <= end,
        schedule_fire.c.last_nominal_time >= begin,
    )


def last_durations(connection: Connection, schedule: Schedule, number: int) -> list[timedelta]:
    """How long the schedule's runs of its job took, as far as the last `number` have completed."""
    columns = run_table.c.state, run_table.c.job, run_table.c.started_at, run_table.c.ended_at
    statement = (
        select(*columns)
        .where(run_table.c.schedule == schedule.name)
        .order_by(run_table.c.begun_at.desc(), run_table.c.id.desc())
        .limit(number)
    )
    return [
        ended_at - started_at
        for state, job, started_at, ended_at in connection.execute(statement)
        if state == State.COMPLETED and job == schedule.job and started_at is not None
    ]


def last_started(connection: Connection, schedule_keys: Iterable[int] | None = None) -> dict[int, datetime]:
    """By key of schedule, the newest nominal time that started a run; of all schedules where none are named."""
    # The newest of each by its index, not the greatest of all that there are.
    newest = (
        select(schedule_fire.c.nominal_time)
        .where(schedule_fire.c.schedule_id == schedule_table.c.id, schedule_fire.c.decision == "started")
        .order_by(schedule_fire.c.nominal_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = select(schedule_table.c.id, newest.label("at"))
    if schedule_keys is not None:
        statement = statement.where(schedule_table.c.id.in_(list(schedule_keys)))
    return {row.id: row.at for row in connection.execute(statement) if row.at is not None}


def last_fires(connection: Connection) -> dict[int, StoredFire]:
    """By key of schedule, the record that reaches furthest."""
    newest = (
        select(schedule_fire.c.id)
        .where(schedule_fire.c.schedule_id == schedule_table.c.id)
        .order_by(schedule_fire.c.nominal_time.desc())
        .limit(1)
        .scalar_subquery()
    )
    keys = select(newest.label("id")).select_from(schedule_table).subquery()
    statement = select(schedule_fire).join(keys, keys.c.id == schedule_fire.c.id)
    return {row["schedule_id"]: fire_of(row) for row in connection.execute(statement).mappings()}


def results(connection: Connection, run_ids: Iterable[str]) -> dict[str, tuple[str, int]]:
    """By id of run, its state and how many records errored, as far as runs are there."""
    columns = run_table.c.run_id, run_table.c.state, run_table.c.errored
    wanted = list(run_ids)
    if not wanted:
        return {}
    statement = select(*columns).where(run_table.c.run_id.in_(wanted))
    return {row.run_id: (row.state, row.errored or 0) for row in connection.execute(statement)}


def _row(spec: ScheduleSpec) -> dict[str, Any]:
    row = {name: getattr(spec, name) for name in _SPEC}
    return row | {
        "parameters": json.dumps(spec.parameters),
        "notify": json.dumps(spec.notify),
        "misfire": str(spec.misfire),
        "overlap": str(spec.overlap),
    }


def schedule_of(row: RowMapping) -> Schedule:
    """The schedule that a row holds."""
    values = dict(row)
    return Schedule(
        **values
        | {
            "parameters": json.loads(values["parameters"]),
            "notify": tuple(json.loads(values["notify"])),
            "misfire": Misfire(values["misfire"]),
            "overlap": Overlap(values["overlap"]),
        }
    )


def fire_of(row: RowMapping) -> StoredFire:
    """What a row of fires says."""
    cause = None if row["cause"] is None else NotRunCause(row["cause"])
    return StoredFire(**{**row, "cause": cause})
