"""The SQLAlchemy engines of a database: connections, and how a transaction on SQLite begins."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from batchwright.engine.store.lock_holders import end_stopped_writer
from batchwright.engine.store.tables import lease_metadata

SQLITE_BUSY_MILLISECONDS = 60_000
LEASE_BUSY_MILLISECONDS = 200
LEASE_TRIES = 150


def is_sqlite(url: URL) -> bool:
    """True where the database is a file."""
    return url.get_backend_name() == "sqlite"


def open_engine(url: URL) -> Engine:
    """The engine for the work itself."""
    if not is_sqlite(url):
        return _open_postgresql(url)
    # A process drives several runs at once, each on connections of its own: none may wait for another's.
    engine = create_engine(url, max_overflow=-1)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_postgresql(url: URL, **options: Any) -> Engine:
    # A dead peer is noticed within a minute, and a lock wait is somebody else's scope, not a fault.
    arguments = {"connect_timeout": 10, "keepalives_idle": 30, "application_name": "batchwright"}
    return create_engine(url, connect_args=arguments, pool_pre_ping=True, max_overflow=-1, **options)


def open_lease_engine(url: URL) -> Engine:
    """The engine for leases: on SQLite of a small file of its own, which is made; no commit waits for the disk."""
    if not is_sqlite(url):
        # Each statement is a transaction: none of those on leases needs another's.
        engine = _open_postgresql(url, isolation_level="AUTOCOMMIT")
        event.listen(engine, "connect", _prepare_postgresql_lease)
        return engine
    file = Path(url.database or "").resolve()
    engine = create_engine(f"sqlite:///{file}-lease", max_overflow=-1)
    event.listen(engine, "connect", _prepare_sqlite_lease)
    event.listen(engine, "begin", lambda connection: _begin_sqlite_lease(connection, Path(f"{file}-lease")))
    lease_metadata.create_all(engine)
    return engine


def _begin_sqlite_lease(connection: Connection, file: Path) -> None:
    """Wait for the lock half a minute at most, and for a process that is stopped and has it not at all."""
    for _ in range(LEASE_TRIES):
        try:
            connection.connection.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
            return
        except sqlite3.OperationalError:
            end_stopped_writer(file)
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_postgresql_lease(connection: Any, _record: Any) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute("SET synchronous_commit = off")
    connection.autocommit = before


def _prepare_sqlite_lease(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    pragmas = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL")
    for pragma in (*pragmas, f"busy_timeout={LEASE_BUSY_MILLISECONDS}"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would open a transaction only at the first write, leaving the reads before it outside.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={SQLITE_BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-16000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("batchwright_read", False)
    # A job that writes while it should only read is told so, instead of waiting for a lock that its own run holds.
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reading else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
