"""Statements on acknowledgements: what somebody has seen of what needs somebody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from batchwright.engine.store.upsert import insert_into
from batchwright.operations.tables import acknowledgement


def acknowledgements(connection: Connection, kind: str, subjects: Collection[str]) -> dict[str, RowMapping]:
    """Those of these subjects of a kind, by subject."""
    statement = select(acknowledgement).where(
        acknowledgement.c.kind == kind, acknowledgement.c.subject.in_(subjects)
    )
    return {row["subject"]: row for row in connection.execute(statement).mappings()}


def put_acknowledgement(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add one, in place of the one before of the same subject."""
    statement = insert_into(connection, acknowledgement).values(**values)
    again = {name: value for name, value in values.items() if name not in ("kind", "subject")}
    connection.execute(statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=again))
