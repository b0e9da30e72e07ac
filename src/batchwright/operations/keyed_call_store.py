"""Statements on what calls with an `Idempotency-Key` were answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, select, update

from batchwright.engine.store.upsert import insert_into
from batchwright.operations.tables import keyed_call


def read(connection: Connection, user_id: int, key: str, since: datetime) -> RowMapping | None:
    """The row of that user's key, unless it is older."""
    statement = select(keyed_call).where(
        keyed_call.c.user_id == user_id, keyed_call.c.key == key, keyed_call.c.created_at >= since
    )
    return connection.execute(statement).mappings().one_or_none()


def claim(connection: Connection, values: dict[str, Any], since: datetime) -> int | None:
    """Take a key, also one of an older row: the id of its row; `None` where another call has it. Waits, on PostgreSQL,
    for a transaction that has taken it, as long as for any lock.
    """
    mine = (keyed_call.c.user_id == values["user_id"]) & (keyed_call.c.key == values["key"])
    connection.execute(delete(keyed_call).where(mine, keyed_call.c.created_at < since))
    statement = insert_into(connection, keyed_call).values(values).on_conflict_do_nothing()
    return connection.execute(statement.returning(keyed_call.c.id)).scalar_one_or_none()


def note_run(connection: Connection, row_id: int, run_id: str) -> None:
    """Note which synchronous run was begun for it."""
    connection.execute(update(keyed_call).where(keyed_call.c.id == row_id).values(run_id=run_id))


def complete(connection: Connection, row_id: int, values: dict[str, Any]) -> bool:
    """Keep the answer, its `status, headers, body`; False where one is kept already, or the row is gone."""
    statement = update(keyed_call).where(keyed_call.c.id == row_id, keyed_call.c.status.is_(None))
    return connection.execute(statement.values(values)).rowcount == 1


def any_before(connection: Connection, before: datetime) -> bool:
    """Whether there are rows that are older."""
    return bool(connection.scalar(select(exists().where(keyed_call.c.created_at < before))))


def prune(connection: Connection, before: datetime) -> None:
    """Delete what is older."""
    connection.execute(delete(keyed_call).where(keyed_call.c.created_at < before))
