"""The database of an application: how to open it, and the two ways to talk to it, ``read`` and ``write``."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

from batchwright.engine.errors import DatabaseMissing, Refused
from batchwright.engine.faults import reason_of
from batchwright.engine.store.lock_holders import end_stopped_writer
from batchwright.engine.store.tables import lease_metadata
from batchwright.engine.store.turnstile import Turnstile

SQLITE_BUSY_MILLISECONDS = 60_000
BESIDE_BUSY_MILLISECONDS = 200
BESIDE_TRIES = 150


class Database:
    """One database, SQLite or PostgreSQL. Making the object opens nothing."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine: Engine | None = None
        self._beside: Engine | None = None
        self._opening = threading.Lock()
        self._turnstile = Turnstile(Path(self.url.database or "")) if self.is_sqlite else None

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, made at first use."""
        with self._opening:
            if self._engine is None:
                self._engine = _open(self.url, self.is_sqlite)
            return self._engine

    @property
    def beside(self) -> Engine:
        """An engine for what stands beside the work (engine/store/leases.py): no commit of it waits for the disk.

        On SQLite a small file of its own, made at first use; on PostgreSQL connections of its own.
        """
        with self._opening:
            if self._beside is None:
                self._beside = _open_beside(self.url, self.is_sqlite)
            return self._beside

    @property
    def place(self) -> str:
        """Where it is, for people: no password."""
        if self.is_sqlite:
            return f"sqlite:///{Path(self.url.database or '').resolve()}"
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database and changes nothing."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection = connection.execution_options(batchwright_read=True)
            else:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin() as transaction:
                yield connection
                transaction.rollback()

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """A connection to read by a single statement: on PostgreSQL it saves the way there and back for a transaction
        around it, twice.
        """
        if self.is_sqlite:
            with self.read() as connection:
                yield connection
            return
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: commits at the end of the block, rolls back on an exception."""
        with self.engine.connect() as connection, self.transaction(connection):
            yield connection

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[Connection]:
        """A write transaction on a connection at hand. On SQLite it waits its turn at the turnstile first."""
        if self._turnstile is None:
            with connection.begin():
                yield connection
            return
        with self._turnstile.turn(), connection.begin():
            yield connection

    def exists(self) -> bool:
        """True when a Batchwright database is there. Raises ``Refused`` when nobody answers at the address."""
        return self._revision_there() is not None

    def require(self) -> None:
        """Raise ``DatabaseMissing`` unless there is a database at the newest revision."""
        there = self._revision_there()
        if there is None:
            raise DatabaseMissing(
                f"there is no Batchwright database at {self.place}",
                field="database_url",
                remedy="Make it with `batchwright db upgrade`, or correct BATCHWRIGHT_DATABASE_URL",
            )
        if there != newest_revision():
            raise DatabaseMissing(
                f"the database {self.place} is at revision {there}; needed is {newest_revision()}",
                field="database_url",
                remedy="Bring it up with `batchwright db upgrade`, or install the program that made it",
            )

    def _revision_there(self) -> str | None:
        if self.is_sqlite and not Path(self.url.database or "").is_file():
            return None
        try:
            return self._revision_noted() or self.revision()
        except DatabaseError as error:  # nobody answers, or the file is something else
            raise Refused(
                f"cannot use the database {self.place}: {reason_of(error)}",
                field="database_url",
                remedy=f"{'Name another file' if self.is_sqlite else 'Start the server'}, or correct"
                " BATCHWRIGHT_DATABASE_URL",
            ) from error

    def _revision_noted(self) -> str | None:
        """As ``revision``, in one statement; ``None`` when there is no such table."""
        try:
            with self.glance() as connection:
                return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        except (OperationalError, ProgrammingError):
            return None

    def revision(self) -> str | None:
        """The migration the database stands at; ``None`` before the first."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def upgrade(self) -> None:
        """Make the database if it is embedded and missing, and bring it to the newest revision."""
        if self.is_sqlite:
            self._make_folder()
        with self.write() as connection:
            config = _alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _make_folder(self) -> None:
        folder = Path(self.url.database or "").resolve().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(
                f"cannot make the folder {folder} for the database: {error.strerror}",
                field="database_url",
                remedy="Name a place you may write to in BATCHWRIGHT_DATABASE_URL",
            ) from error

    def close(self) -> None:
        """Close every pooled connection."""
        for engine in (self._engine, self._beside):
            if engine is not None:
                engine.dispose()
        self._engine = self._beside = None


def upgrade(url: str) -> None:
    """Make or upgrade the database at ``url``."""
    database = Database(url)
    try:
        database.upgrade()
    finally:
        database.close()


@cache
def newest_revision() -> str | None:
    """The revision that this program needs."""
    return ScriptDirectory.from_config(_alembic()).get_current_head()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", os.fspath(Path(str(files("batchwright.migrations")))))
    config.set_main_option("path_separator", "os")
    return config


def _open(url: URL, is_sqlite: bool) -> Engine:
    if not is_sqlite:
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


def _open_beside(url: URL, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        # Each statement is a transaction: none of those on leases needs another's.
        engine = _open_postgresql(url, isolation_level="AUTOCOMMIT")
        event.listen(engine, "connect", _prepare_postgresql_beside)
        return engine
    file = Path(url.database or "").resolve()
    engine = create_engine(f"sqlite:///{file}-lease", max_overflow=-1)
    event.listen(engine, "connect", _prepare_sqlite_beside)
    event.listen(engine, "begin", lambda connection: _begin_sqlite_beside(connection, Path(f"{file}-lease")))
    lease_metadata.create_all(engine)
    return engine


def _begin_sqlite_beside(connection: Connection, file: Path) -> None:
    """Wait for the lock half a minute at most, and for a process that is stopped and has it not at all."""
    for _ in range(BESIDE_TRIES):
        try:
            connection.connection.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
            return
        except sqlite3.OperationalError:
            end_stopped_writer(file)
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_postgresql_beside(connection: Any, _record: Any) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute("SET synchronous_commit = off")
    connection.autocommit = before


def _prepare_sqlite_beside(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    pragmas = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL")
    for pragma in (*pragmas, f"busy_timeout={BESIDE_BUSY_MILLISECONDS}"):
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


def sqlite_faults(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its own file: damaged pages and indexes, rows whose foreign key leads nowhere."""
    pages = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    faults = [f"the file is damaged: {line}" for line in pages if line != "ok"]
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        faults.append(f"row {rowid} of table {table} points at a row of {parent} that is not there")
    return faults
