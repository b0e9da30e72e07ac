"""The statements of the audit trail, and SQLite's check of its own file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from operations.tables import audit_entry


def add_audit_entry(connection: Connection, values: Mapping[str, Any]) -> None:
    """Write one entry, in the transaction of the act it is about."""
    connection.execute(insert(audit_entry).values(dict(values)))


def list_audit_entries(connection: Connection, *, limit: int | None = None) -> Iterator[RowMapping]:
    """The entries, newest first, `limit` of them at most."""
    statement = select(audit_entry).order_by(audit_entry.c.id.desc()).limit(limit)
    yield from connection.execute(statement, execution_options={"yield_per": 100}).mappings()


def sqlite_faults(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its own file: damaged pages and indexes, rows whose foreign key leads nowhere."""
    pages = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    faults = [f"the file is damaged: {line}" for line in pages if line != "ok"]
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        faults.append(f"row {rowid} of table {table} points at a row of {parent} that is not there")
    return faults
