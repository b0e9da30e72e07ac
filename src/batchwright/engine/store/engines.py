"""The SQLAlchemy engines of a database: connections, and how a transaction on SQLite begins."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from batchwright.engine.errors import Refused
from batchwright.engine.faults import READ_ONLY, NoConnectionFree, is_damage, reason_of
from batchwright.engine.store.footprint import application_name
from batchwright.engine.store.lock_holders import end_stopped_writer, shown, write_lock_holder
from batchwright.engine.store.side_files import adjust_side_file, make_side_file
from batchwright.engine.store.tables import heartbeat, lease_metadata
from batchwright.engine.store.turnstile import SECONDS_BEFORE_NAMING, locked_by

SQLITE_BUSY_MILLISECONDS = 60_000
SQLITE_BUSY_MILLISECONDS_AT_ONCE = 1_000
"""Of the wait for the write lock, after which is asked whether it may go on."""
CACHE_KILOBYTES = 64_000
"""Of an SQLite connection: a forecast reads and writes a third less than with SQLite's own 2,000 (docs/bench.md)."""
CACHE_KILOBYTES_OF_MANY = 4_000
"""The same in a process with many connections, each of which reads pages of lists."""
LEASE_BUSY_MILLISECONDS = 200
LEASE_TRIES = 150

log = structlog.get_logger()

FOR_LEASES = 5
"""Connections that a process keeps for heartbeats, apart from all others: no work makes them wait."""


class Pool(NamedTuple):
    """How many connections to PostgreSQL a process has for its work, as SQLAlchemy's pools say it.

    It keeps ``size`` of them and opens ``max_overflow`` more at most, -1 for as many as are needed; whoever finds none
    free waits ``timeout`` seconds, and then gets a fault that passes, ``NoConnectionFree``.
    """

    size: int = 5
    max_overflow: int = -1
    timeout: float = 30.0

    @property
    def for_leases(self) -> Pool:
        """The same for the heartbeats: where the work has a limit, so have they."""
        return Pool(FOR_LEASES, min(self.max_overflow, 0), self.timeout)


UNLIMITED = Pool()


class _QueuePool(QueuePool):
    """Tells of a wait in vain in the log, and raises what every fault of the database is."""

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except NoneFree as error:
            in_use, seconds = self.checkedout(), round(self.timeout(), 1)
            log.warning("no connection to the database was free", in_use=in_use, waited_seconds=seconds)
            text = f"all {in_use} connections of this process to the database were in use for {seconds:g} seconds"
            raise OperationalError("connect", None, NoConnectionFree(text)) from error


def is_sqlite(url: URL) -> bool:
    """True where the database is a file."""
    return url.get_backend_name() == "sqlite"


def open_engine(
    url: URL, longest_wait: Callable[[], float], pool: Pool, cache_kilobytes: int = CACHE_KILOBYTES
) -> Engine:
    """The engine for the work itself. ``longest_wait`` says for how many seconds to wait for SQLite's write lock."""
    if not is_sqlite(url):
        engine = _open_postgresql(url, pool)
        event.listen(engine, "begin", _begin_postgresql)
        event.listen(engine, "do_execute_no_params", _execute_unprepared)
        return engine
    # A process drives several runs at once, each on connections of its own: none may wait for another's.
    engine = create_engine(url, max_overflow=-1, connect_args={"factory": _SQLiteConnection})
    database = Path(url.database or "")
    event.listen(engine, "reset", lambda driver, *_: driver.end_statements())
    event.listen(engine, "connect", lambda driver, _: _prepare_sqlite(driver, cache_kilobytes))
    event.listen(engine, "connect", lambda *_: _narrow_shared_memory(database))
    event.listen(engine, "begin", lambda connection: _begin_sqlite(connection, database, longest_wait))
    return engine


class _SQLiteConnection(sqlite3.Connection):
    """A connection that can end the statements whose rows were not all read: whoever holds such a result, as the
    traceback of an exception does, would keep the state of the database that it was read from beyond the transaction.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, *given: Any) -> Any:
        cursor = super().cursor(*given)
        self._cursors.add(cursor)
        return cursor

    def end_statements(self) -> None:
        """What is read next sees what was committed meanwhile."""
        for cursor in list(self._cursors):
            cursor.close()


# A dead peer is noticed within a minute: after half of it a question is sent, then every ten seconds; what was sent
# and is not acknowledged for a minute ends the connection, too.
def postgresql_arguments() -> dict[str, str | int]:
    """How this process connects, and what the server calls it."""
    return {
        "application_name": application_name(),
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }


# What a server, a database or a role sets for its own sake must not decide what becomes of a record: a lock wait is
# somebody else's scope, and a long silence is arithmetic. Older servers do not know the last two.
OWN_SETTINGS = """
    SELECT set_config(name, value, false) FROM (VALUES
        ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
        ('default_transaction_isolation', 'read committed'), ('transaction_timeout', '0'), ('idle_session_timeout', '0')
    ) AS own (name, value) WHERE current_setting(name, true) IS NOT NULL
"""


def _open_postgresql(url: URL, pool: Pool, **options: Any) -> Engine:
    try:
        engine = create_engine(
            url,
            connect_args=postgresql_arguments(),
            pool_pre_ping=True,
            poolclass=_QueuePool,
            pool_size=pool.size,
            max_overflow=pool.max_overflow,
            pool_timeout=pool.timeout,
            **options,
        )
    except ImportError as error:
        raise Refused(
            f"the driver for PostgreSQL cannot be used: {error}",
            field="database_url",
            remedy="Run `pip install 'batchwright[postgres]'`",
        ) from error
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "handle_error", _leave_read_only_server)
    event.listen(engine, "before_cursor_execute", _note_changed_session)
    return engine


SESSION_CHANGED = "batchwright_session_changed"
_CHANGE = re.compile(r"\s*(SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)|RESET\s)", re.IGNORECASE)


def _note_changed_session(
    connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
) -> None:
    """What a job SETs for its session would outlast its scope, and its run: the session is not used again."""
    local = ", true)" in statement
    if _CHANGE.match(statement) or ("set_config" in statement and not local):
        connection.info[SESSION_CHANGED] = True


# What a short write transaction may cost others, and be kept by them: who is stopped in one, or silently gone,
# loses its session to the server, and who waits for a lock says so, and tries later. In one message with BEGIN.
LIMITED = "batchwright_limited"
MILLISECONDS_FOR_LOCK = 5_000
MILLISECONDS_STANDING_STILL = 10_000


_LET_WAIT = text(
    "SELECT set_config('lock_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
)


def _begin_postgresql(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    limited = options.get(LIMITED, False)
    driver: Any = connection.connection.driver_connection
    if driver.autocommit != limited:
        driver.autocommit = limited  # else the driver sends a BEGIN of its own
    if limited:
        begin = (
            f"BEGIN; SET LOCAL lock_timeout = {MILLISECONDS_FOR_LOCK};"
            f" SET LOCAL idle_in_transaction_session_timeout = {MILLISECONDS_STANDING_STILL}"
        )
        connection.exec_driver_sql(begin, execution_options={"no_parameters": True})


def let_wait(connection: Connection) -> None:
    """Take the limits off a short write transaction: from now on a job works in it."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LET_WAIT)


def let_stand(connection: Connection) -> None:
    """Let a short write transaction stand still for as long as its thread calculates; it still waits for no lock."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _execute_unprepared(cursor: Any, statement: str, _context: Any) -> bool:
    """Several statements in one message cannot be prepared, as the driver does with what comes often."""
    cursor.execute(statement, prepare=False)
    return True


def _leave_read_only_server(context: ExceptionContext) -> None:
    """After a failover new connections lead to the new primary, and the pooled ones to the old server, forever."""
    connection, state = context.connection, getattr(context.original_exception, "sqlstate", None)
    if connection is None or connection.get_execution_options().get("postgresql_readonly"):
        return  # whoever writes there should only read
    if state == READ_ONLY:
        context.is_disconnect = True  # all connections of the pool are renewed


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute(OWN_SETTINGS)
    connection.autocommit = before


def open_lease_engine(url: URL, pool: Pool) -> Engine:
    """The engine for leases: on SQLite of a small file of its own, which is made; no commit waits for the disk."""
    if not is_sqlite(url):
        # Each statement is a transaction: none of those on leases needs another's.
        engine = _open_postgresql(url, pool.for_leases, isolation_level="AUTOCOMMIT")
        event.listen(engine, "connect", _prepare_postgresql_lease)
        return engine
    file = Path(f"{Path(url.database or '').resolve()}-lease")
    engine = create_engine(f"sqlite:///{file}", max_overflow=-1)
    event.listen(engine, "connect", _prepare_sqlite_lease)
    event.listen(engine, "begin", lambda connection: _begin_sqlite_lease(connection, file))
    try:
        make_side_file(file, Path(url.database or ""))
        _make_lease_tables(engine)
    except OSError as error:
        engine.dispose()
        raise Refused(
            f"cannot use the file of heartbeats {file}: {error.strerror}",
            field="database_url",
            remedy="Take away what is in its place",
        ) from error
    except DatabaseError as error:
        engine.dispose()
        if not is_damage(error):
            raise Refused(
                f"cannot use the file of heartbeats {file}: {reason_of(error)}",
                field="database_url",
                remedy="Give it the owner and the mode of the database; or, while no process works on that, delete it",
            ) from error
        _set_aside(file)
        _make_lease_tables(engine)
    return engine


def _make_lease_tables(engine: Engine) -> None:
    """Make the tables, or add columns that a file of an older version has not: processes of that may be at work."""
    lease_metadata.create_all(engine)
    with engine.begin() as connection:
        known = {row.name for row in connection.exec_driver_sql("PRAGMA table_info(heartbeat)")}
        for column in heartbeat.c:
            if column.name not in known:
                kind = column.type.compile(engine.dialect)
                connection.exec_driver_sql(f"ALTER TABLE heartbeat ADD COLUMN {column.name} {kind}")


def _set_aside(file: Path) -> None:
    """Nothing in it is needed once its processes are gone; one that has it open still is overtaken by the fence."""
    log.warning("the file of heartbeats is damaged; set aside, and made again", file=os.fspath(file))
    os.replace(file, file.with_name(f"{file.name}-damaged"))
    for ending in ("-wal", "-shm"):
        file.with_name(f"{file.name}{ending}").unlink(missing_ok=True)


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
    # Nobody of ours keeps such a row for longer than a statement.
    connection.execute("SET synchronous_commit = off; SET lock_timeout = '2s'")
    connection.autocommit = before


def _prepare_sqlite_lease(connection: Any, _record: Any) -> None:
    pragmas = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL")
    _set_up(connection, *pragmas, f"busy_timeout={LEASE_BUSY_MILLISECONDS}")


def _prepare_sqlite(connection: Any, cache_kilobytes: int) -> None:
    _set_up(
        connection,
        f"busy_timeout={SQLITE_BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{cache_kilobytes}",
        # Pages that change often are written back once. The file is cut again after.
        "wal_autocheckpoint=20000",
        "journal_size_limit=67108864",
    )


def _narrow_shared_memory(database: Path) -> None:
    """SQLite makes the file of its locks as open as the database; to lock, and keep writers out, reading is enough."""
    with contextlib.suppress(OSError):  # gone with the last connection of another process, which made it
        file = database.resolve()
        adjust_side_file(file.with_name(f"{file.name}-shm"), file)


def _set_up(connection: Any, *pragmas: str) -> None:
    """Prepare a connection of the driver; one that cannot be used is closed, which the pool leaves to us."""
    try:
        # The driver would open a transaction only at the first write, leaving the reads before it outside.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
    except sqlite3.Error:
        connection.close()
        raise


def _begin_sqlite(connection: Connection, database: Path, longest_wait: Callable[[], float]) -> None:
    reading = connection.get_execution_options().get("batchwright_read", False)
    driver = connection.connection.driver_connection
    # A job that writes while it should only read gets an error, instead of waiting for a lock that its own run holds.
    driver.execute(f"PRAGMA query_only={'ON' if reading else 'OFF'}")  # type: ignore[union-attr]
    if reading:
        driver.execute("BEGIN")  # type: ignore[union-attr]
        return
    began = time.monotonic()
    longest = min(longest_wait(), SQLITE_BUSY_MILLISECONDS / 1000)
    at_once = min(SQLITE_BUSY_MILLISECONDS_AT_ONCE, int(longest * 1000))
    driver.execute(f"PRAGMA busy_timeout={at_once}")  # type: ignore[union-attr]
    named = False
    try:
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
            seconds, holder = time.monotonic() - began, write_lock_holder(database)
            who = "this process" if holder == os.getpid() else shown(holder)
            if seconds >= min(longest_wait(), SQLITE_BUSY_MILLISECONDS / 1000):
                if holder == os.getpid():
                    break  # SQLite's own words will do
                raise OperationalError("BEGIN IMMEDIATE", None, locked_by(who))
            if seconds >= SECONDS_BEFORE_NAMING and not named:
                log.warning("waiting for the turn to write", held_by=who, seconds=round(seconds))
                named = True
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MILLISECONDS}")  # type: ignore[union-attr]
