"""The statements of the audit trail, of what became of a record in all runs, and SQLite's check of its own file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from engine.store.tables import run, scope
from operations.tables import audit_entry


def add_audit_entry(connection: Connection, values: Mapping[str, Any]) -> None:
    """Write one entry, in the transaction of the act it is about."""
    connection.execute(insert(audit_entry).values(dict(values)))


def list_audit_entries(connection: Connection, *, limit: int | None = None) -> Iterator[RowMapping]:
    """The entries, newest first, `limit` of them at most."""
    statement = select(audit_entry).order_by(audit_entry.c.id.desc()).limit(limit)
    yield from connection.execute(statement, execution_options={"yield_per": 100}).mappings()


def scopes_around(connection: Connection, jobs: Sequence[str], group: int) -> list[tuple[int, int]]:
    """(scope key, run key) of the scopes of these jobs that may hold records of the group, oldest first."""
    statement = (
        select(scope.c.id, scope.c.run_id)
        .join_from(scope, run, run.c.id == scope.c.run_id)
        .where(run.c.job.in_(jobs), scope.c.first_group <= group, scope.c.last_group >= group)
        .order_by(scope.c.run_id, scope.c.number)
    )
    return [(scope_key, run_key) for scope_key, run_key in connection.execute(statement)]


def sqlite_faults(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its own file: damaged pages and indexes, rows whose foreign key leads nowhere."""
    pages = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    faults = [f"the file is damaged: {line}" for line in pages if line != "ok"]
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        faults.append(f"row {rowid} of table {table} points at a row of {parent} that is not there")
    return faults
