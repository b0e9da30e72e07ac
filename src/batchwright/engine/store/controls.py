"""Statements on what somebody asks of an active run, and on the order of those that hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from batchwright.engine.errors import FenceLost
from batchwright.engine.run import ACTIVE, Control, Run, State
from batchwright.engine.store.notify import RUNS, with_notify
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import steering
from batchwright.engine.store.upsert import insert_into


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """What was asked of a run, by whom and when."""

    control: Control
    actor: str
    asked_at: datetime


def read(connection: Connection, run_key: int) -> ControlRequest | None:
    """What is requested of a run and not carried out yet."""
    columns = (steering.c.asked, steering.c.actor, steering.c.asked_at)
    row = connection.execute(select(*columns).where(steering.c.run_id == run_key)).first()
    return None if row is None else ControlRequest(Control(row.asked), row.actor, row.asked_at)


def requests_of(connection: Connection, run_keys: Sequence[int]) -> dict[int, ControlRequest]:
    """What is asked of each of these runs, by its key."""
    columns = (steering.c.run_id, steering.c.asked, steering.c.actor, steering.c.asked_at)
    rows = connection.execute(select(*columns).where(steering.c.run_id.in_(run_keys)))
    return {row.run_id: ControlRequest(Control(row.asked), row.actor, row.asked_at) for row in rows}


Version = tuple[str, str | None]
"""What of a run a waiter waits for a change of: its state, and what is asked of it."""


_VERSIONS = select(run_table.c.run_id, run_table.c.state, steering.c.asked).outerjoin(
    steering, steering.c.run_id == run_table.c.id
)


def versions(connection: Connection, run_ids: Sequence[str]) -> dict[str, Version]:
    """The versions of runs by their ids; an id that there is not has none."""
    statement = _VERSIONS.where(run_table.c.run_id.in_(run_ids))
    return {row.run_id: (row.state, row.asked) for row in connection.execute(statement)}


def request(connection: Connection, run: Run, request: ControlRequest) -> None:
    """Ask an active run, in place of what was asked before.

    The run stays active until this transaction ends: what ends it waits, and then forgets what is asked. Raises
    ``FenceLost`` when it is not active any more.
    """
    stays = select(run_table.c.id).where(run_table.c.id == run.id, run_table.c.state.in_(ACTIVE))
    if connection.execute(stays.with_for_update(read=True)).first() is None:
        raise FenceLost(run.run_id)
    _write(connection, run, request)


def hold(connection: Connection, run: Run, request: ControlRequest) -> None:
    """Have a paused run stay so. The queue is locked: who releases it does so, too."""
    _write(connection, run, request)


def clear(connection: Connection, run_key: int) -> None:
    """The request was carried out, or cannot be any more."""
    forgotten = delete(steering).where(steering.c.run_id == run_key)
    connection.execute(with_notify(connection, forgotten, RUNS))


def _write(connection: Connection, run: Run, request: ControlRequest) -> None:
    values = {"asked": request.control, "actor": request.actor, "asked_at": request.asked_at}
    upsert = insert_into(connection, steering).values(run_id=run.id, **values)
    asked_now = upsert.on_conflict_do_update(index_elements=["run_id"], set_=values)
    connection.execute(with_notify(connection, asked_now, RUNS))


def line(connection: Connection, queue_key: str) -> list[int]:
    """Keys of the runs that hold in the line of a queue key, in their order."""
    return [row.id for row in _places(connection, queue_key)]


def order_line(connection: Connection, queue_key: str, ordered: Sequence[int]) -> None:
    """Give the runs of a line their places in another order; no other run's place changes."""
    standing = _places(connection, queue_key)
    moved = [
        {"moved": key, "place": here.queue_position}
        for key, here in zip(ordered, standing, strict=True)
        if key != here.id
    ]
    if moved:
        statement = update(run_table).where(run_table.c.id == bindparam("moved"))
        connection.execute(statement.values(queue_position=bindparam("place")), moved)


def _places(connection: Connection, queue_key: str) -> Sequence[Row[int, int]]:
    held = select(run_table.c.id, run_table.c.queue_position).where(
        run_table.c.in_caller.is_(False),
        run_table.c.state == State.HOLDING,
        run_table.c.queue_key == queue_key,
    )
    return connection.execute(held.order_by(run_table.c.queue_position)).all()
