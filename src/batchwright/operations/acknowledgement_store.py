"""Statements on acknowledgements: what somebody has seen of what needs somebody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, select, tuple_

from batchwright.engine.store.upsert import insert_into
from batchwright.operations.tables import acknowledgement


def acknowledgements(
    connection: Connection, of: Collection[tuple[str, str]]
) -> dict[tuple[str, str], RowMapping]:
    """Those of these kinds and subjects, by both."""
    theirs = tuple_(acknowledgement.c.kind, acknowledgement.c.subject)
    rows = connection.execute(select(acknowledgement).where(theirs.in_(of))).mappings()
    return {(row["kind"], row["subject"]): row for row in rows}


def put_acknowledgement(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add one, in place of the one before of the same subject."""
    statement = insert_into(connection, acknowledgement).values(**values)
    again = {name: value for name, value in values.items() if name not in ("kind", "subject")}
    connection.execute(statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=again))
