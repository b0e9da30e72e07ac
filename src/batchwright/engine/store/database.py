"""The database of an application: how to open it, and the two ways to talk to it, ``read`` and ``write``.

``joined`` makes one transaction of all that a thread reads and writes, ``snapshot`` of what it reads alone.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import structlog
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError
from sqlalchemy.pool import QueuePool

from batchwright.config.secrets import url_without_password
from batchwright.config.settings import login_name
from batchwright.engine.errors import DatabaseMissing, DatabaseReplaced, NestedWrite, Refused
from batchwright.engine.faults import ReadOnlyDatabase, is_out_of_connections, is_read_only, reason_of
from batchwright.engine.store import migrating
from batchwright.engine.store.engines import (
    CACHE_KILOBYTES,
    CACHE_KILOBYTES_OF_MANY,
    LIMITED,
    SESSION_CHANGED,
    UNLIMITED,
    Pool,
    is_sqlite,
    let_stand,
    let_wait,
    open_engine,
    open_lease_engine,
)
from batchwright.engine.store.migrating import newest_revision
from batchwright.engine.store.read_limit import READ_SECONDS, limited, told_as_too_long
from batchwright.engine.store.side_files import make_database
from batchwright.engine.store.turnstile import LONGEST_SECONDS, Turnstile

Found = TypeVar("Found")
LONGEST_SECONDS_SHORTENED = 3.0
_REVISION = "SELECT version_num FROM alembic_version"
SIDE_FILES = (
    *("-wal", "-shm", "-journal", "-next", "-turn"),
    *("-lease", "-lease-wal", "-lease-shm", "-lease-journal", "-lease-damaged"),
)


class Joined:
    """The transaction that all reads and writes of a thread to one database are part of, see ``Database.joined``."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._when_committed: list[Callable[[], object]] = []
        self._when_ended: list[Callable[[], None]] = []
        self.connection: Connection | None = None
        """Its connection; none when it has ended."""
        self.is_whole = True
        """Whether it goes to the end of the block: it was not ended by ``commit``."""

    def commit(self) -> None:
        """Commit before the end of the block: what the thread does from here on stands for itself."""
        self.is_whole = False
        self._open.close()
        self._committed()

    def _committed(self) -> None:
        acts, self._when_committed = self._when_committed, []
        for act in acts:
            try:
                act()
            except Exception:  # what is committed is done, and is reported so
                log.exception("what follows a transaction has failed")


class _Snapshot:
    """The read transaction that the reads of a thread share, see ``Database.snapshot``; it begins with the first."""

    def __init__(self) -> None:
        self.open = ExitStack()
        self.connection: Connection | None = None
        self.revision: str | None = None
        """The revision of the database, once it was asked for."""
        self.found: dict[Hashable, Any] = {}
        """What was found by a key, see ``Database.once``."""
        self.readers = 0
        """How many blocks of ``Database.read`` are within it now, one in another."""
        self.is_left = False

    def give_back(self) -> None:
        """End the transaction once nobody reads in it any more, and it was left: another needs its connection."""
        if self.is_left and not self.readers:
            self.open.close()


class _Writing(threading.local):
    """Which databases this thread is writing to, and which transactions its reads and writes are part of."""

    def __init__(self) -> None:
        self.to: set[str] = set()
        self.joined: dict[str, Joined] = {}
        self.snapshots: dict[str, _Snapshot] = {}


_writing = _Writing()

log = structlog.get_logger()


class Database:
    """One database, SQLite or PostgreSQL. Making the object opens nothing.

    Args:
        many_readers: whether many threads of this process read a little each.
        pool: how many connections to PostgreSQL this process has; to a file as many as it needs.
    """

    def __init__(self, url: str, *, many_readers: bool = False, pool: Pool = UNLIMITED) -> None:
        self.url = make_url(url)
        self._pool = pool
        self._cache_kilobytes = CACHE_KILOBYTES_OF_MANY if many_readers else CACHE_KILOBYTES
        self.is_sqlite = is_sqlite(self.url)
        self._engine: Engine | None = None
        self._lease_engine: Engine | None = None
        self._opening = threading.Lock()
        self._waits_shortened = False
        self._longest = LONGEST_SECONDS
        self._inode: tuple[int, int] | None = None
        self._file = Path(self.url.database or "")
        self._turnstile = Turnstile(self._file, self._longest_wait) if self.is_sqlite else None

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, made at first use."""
        with self._opening:
            if self._engine is None:
                self._engine = open_engine(self.url, self._longest_wait, self._pool, self._cache_kilobytes)
            return self._engine

    @property
    def lease_engine(self) -> Engine:
        """The engine for leases (engine/store/leases.py), made at first use: no commit of it waits for the disk.

        On SQLite of a small file of its own; on PostgreSQL with connections of its own.
        """
        with self._opening:
            if self._lease_engine is None:
                self._lease_engine = open_lease_engine(self.url, self._pool)
            return self._lease_engine

    def shorten_waits(self) -> None:
        """From now on no write waits on SQLite for others longer than some seconds: this process is about to end.

        On PostgreSQL none does but a ``patient`` one. Also from a signal handler.
        """
        self._waits_shortened = True

    def wait_at_most(self, seconds: float) -> None:
        """From now on no write waits on SQLite for others longer than this."""
        self._longest = min(seconds, LONGEST_SECONDS)

    def _longest_wait(self) -> float:
        return min(self._longest, LONGEST_SECONDS_SHORTENED) if self._waits_shortened else self._longest

    @property
    def display_url(self) -> str:
        """Where it is, for people: no password."""
        if self.is_sqlite:
            return f"sqlite:///{Path(self.url.database or '').resolve()}"
        return url_without_password(self.url.render_as_string(hide_password=True))

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of an SQLite database and all that may stand beside it, whether it is there now or not."""
        file = Path(self.url.database or "").resolve()
        return tuple(file.with_name(file.name + ending) for ending in ("", *SIDE_FILES))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database and changes nothing.

        Raises ``ReadTooLong`` where it takes longer than ``READ_SECONDS``, if that is set. Where this thread has
        ``joined`` a transaction it gives that one's, which has no limit and sees what was committed meanwhile, too.
        """
        if (joined := self._joined_connection) is not None:
            self._require_same_file()
            yield joined
        elif (snapshot := _writing.snapshots.get(self._place)) is not None:
            with self._in_snapshot(snapshot) as connection:
                yield connection
        else:
            with self._read() as connection:
                yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._require_same_file()
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection = connection.execution_options(batchwright_read=True)
            else:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            with connection.begin() as transaction, limited(connection):
                yield connection
                transaction.rollback()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread reads until the end of the block is of one state of the database, and costs one
        transaction: for some short reads, whose time limit is that of one.

        What it reads after it began to write, or after a read that raised, is of a later state.
        """
        if self._place in _writing.snapshots:
            yield
            return
        snapshot = _writing.snapshots[self._place] = _Snapshot()
        try:
            with snapshot.open:
                yield
        finally:
            self._leave_snapshot()

    @contextmanager
    def _in_snapshot(self, snapshot: _Snapshot) -> Iterator[Connection]:
        if snapshot.connection is None:
            snapshot.connection = snapshot.open.enter_context(self._read())
        snapshot.readers += 1
        try:
            with told_as_too_long():
                yield snapshot.connection
        except BaseException:
            self._leave_snapshot()
            raise
        finally:
            snapshot.readers -= 1
            snapshot.give_back()

    def once(self, key: Hashable, read: Callable[[], Found]) -> Found:
        """What ``read`` finds; within a ``snapshot``, where that cannot change, it is called once for a key."""
        snapshot = _writing.snapshots.get(self._place)
        if snapshot is None or self._joined_connection is not None:
            return read()
        if key not in snapshot.found:
            snapshot.found[key] = read()
        found: Found = snapshot.found[key]
        return found

    def _leave_snapshot(self) -> None:
        """What this thread reads from now on is of a later state. Who has a connection never waits for a second one,
        where the pool has a limit: many such would wait for each other.
        """
        snapshot = _writing.snapshots.pop(self._place, None)
        if snapshot is not None:
            snapshot.is_left = True
            snapshot.give_back()

    @contextmanager
    def read_autocommit(self) -> Iterator[Connection]:
        """A connection to read by a single statement: on PostgreSQL it saves the way there and back for a transaction
        around it, twice.
        """
        if (
            self.is_sqlite
            or READ_SECONDS.get() is not None
            or self._joined_connection is not None
            or self._place in _writing.snapshots
        ):
            with self.read() as connection:
                yield connection
            return
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def write(self, *, patient: bool = False) -> Iterator[Connection]:
        """A write transaction: commits at the end of the block, rolls back on an exception.

        On PostgreSQL it waits five seconds for a lock at most, a fault that passes, and loses its session when it
        stands still for ten; not when it is ``patient``: what waits for scopes, or calls a job.

        Where this thread has ``joined`` a transaction it is a part of that; an exception takes back this part alone.
        """
        self._require_same_file()  # before a connection leads to another
        if (joined := self._joined_connection) is not None:
            if patient:
                let_wait(joined)
            with self._alone(), joined.begin_nested():
                yield joined
            return
        self._leave_snapshot()
        with self.engine.connect() as connection, self.transaction(connection, patient=patient):
            yield connection

    @contextmanager
    def transaction(self, connection: Connection, *, patient: bool = False) -> Iterator[Connection]:
        """As ``write``, on an open connection. On SQLite it waits its turn at the turnstile first.

        Raises ``ReadOnlyDatabase``, a transient fault, and connects again the next time, where it may only read;
        on SQLite ``NestedWrite`` in the middle of another one of this thread, ``DatabaseReplaced`` for another file.
        """
        if self._joined_connection is not None:
            raise NestedWrite(self.display_url)  # on SQLite it would wait for itself
        with self._alone(), self._begun(connection, patient=patient):
            yield connection

    @contextmanager
    def _begun(self, connection: Connection, *, patient: bool) -> Iterator[None]:
        self._leave_snapshot()
        turn = nullcontext() if self._turnstile is None else self._turnstile.turn()
        connection = connection.execution_options(**{LIMITED: not patient})
        try:
            with turn:
                self._require_same_file()
                with connection.begin():
                    yield
            if SESSION_CHANGED in connection.info:
                connection.invalidate()
        except Exception as error:
            if not is_read_only(error):
                raise
            connection.invalidate()
            raise ReadOnlyDatabase(reason_of(error)) from error

    @contextmanager
    def joined(self) -> Iterator[Joined]:
        """One transaction of all that this thread reads and writes until the end of the block, also by other objects
        of the same database. It commits there, or at ``Joined.commit``; an exception takes all of it back.

        It waits for locks as ``write`` does, but may stand still: whatever is read is part of it. What works on a
        connection of its own (scopes of a run) has to come after ``Joined.commit``; else it raises ``NestedWrite``.
        """
        self._require_same_file()
        self.refuse_nested_write()
        if self._place in _writing.joined:
            raise NestedWrite(self.display_url)
        joined = Joined()
        try:
            self._leave_snapshot()
            with joined._open as block:
                connection = block.enter_context(self.engine.connect())
                block.enter_context(self._begun(connection, patient=False))
                let_stand(connection)
                block.callback(self._part, joined)
                joined.connection, _writing.joined[self._place] = connection, joined
                yield joined
            joined._committed()
        finally:
            for act in joined._when_ended:
                act()

    def _part(self, joined: Joined) -> None:
        joined.connection = None
        del _writing.joined[self._place]

    @property
    def _joined_connection(self) -> Connection | None:
        joined = _writing.joined.get(self._place) if _writing.joined else None
        return None if joined is None else joined.connection

    def when_committed(self, act: Callable[[], object]) -> None:
        """Call it now; where this thread has ``joined`` a transaction when that has committed: what nobody can take
        back, or what must not be kept waiting for, such as mail to be sent.
        """
        joined = _writing.joined.get(self._place)
        if joined is None:
            act()
        else:
            joined._when_committed.append(act)

    def when_ended(self, act: Callable[[], None]) -> None:
        """The same, but also when the transaction was taken back: what stays on record of an act that was refused."""
        joined = _writing.joined.get(self._place)
        if joined is None:
            act()
        else:
            joined._when_ended.append(act)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """On SQLite a nested write would wait for itself forever."""
        writing = _writing.to
        if self.is_sqlite:
            self.refuse_nested_write()
        outermost = self._place not in writing
        writing.add(self._place)
        try:
            yield
        finally:
            if outermost:
                writing.discard(self._place)

    def _require_same_file(self) -> None:
        """Who goes on after the file was replaced works on two databases at once, whose runs have the same keys."""
        if not self.is_sqlite:
            return
        found = inode_of(self._file)
        if self._inode not in (None, found):
            raise DatabaseReplaced(self.display_url)
        self._inode = found

    def refuse_nested_write(self) -> None:
        """Raise ``NestedWrite`` in the middle of a write of this thread; for what must be alike on both databases."""
        if self._place in _writing.to:
            raise NestedWrite(self.display_url)

    @cached_property
    def _place(self) -> str:
        """The same for all objects of one database."""
        if self.is_sqlite:
            return self.display_url
        url = self.url
        return f"{url.host}:{url.port}/{url.database}?{sorted(url.query.items())}"

    def connections_in_use(self) -> int:
        """How many connections of this object's pool are at work."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def exists(self) -> bool:
        """True when a Batchwright database is there. Raises ``Refused`` when nobody answers at the address."""
        return self._revision_there() is not None

    def require(self) -> None:
        """Raise ``DatabaseMissing`` unless there is a database at the newest revision."""
        there = self._revision_there()
        if there is None:
            raise DatabaseMissing(
                f"there is no Batchwright database at {self.display_url}",
                field="database_url",
                remedy="It is a database of something else: correct BATCHWRIGHT_DATABASE_URL"
                if self.is_sqlite and self._is_foreign
                else "Make it with `batchwright db upgrade`, or correct BATCHWRIGHT_DATABASE_URL",
            )
        if there != newest_revision():
            can_be_upgraded = there in migrating.known_revisions()
            raise DatabaseMissing(
                f"the database {self.display_url} is at revision {there}; needed is {newest_revision()}",
                field="database_url",
                remedy="Bring it up with `batchwright db upgrade`, or install the program that made it"
                if can_be_upgraded
                else "Install the program that made it: this one is older, or another",
            )

    def _revision_there(self) -> str | None:
        snapshot = _writing.snapshots.get(self._place) or _Snapshot()
        if snapshot.revision is not None:
            return snapshot.revision
        if self.is_sqlite and (not Path(self.url.database or "").is_file() or self._is_foreign):
            return None
        try:
            snapshot.revision = self.revision_noted() or self.revision()
            return snapshot.revision
        except DatabaseError as error:  # nobody answers, or the file is something else
            if is_out_of_connections(error):
                raise
            self._refuse_who_only_reads(error)
            raise Refused(
                f"cannot use the database {self.display_url}: {reason_of(error)}",
                field="database_url",
                remedy=f"{'Name another file' if self.is_sqlite else 'Start the server'}, or correct"
                " BATCHWRIGHT_DATABASE_URL",
            ) from error

    def _refuse_who_only_reads(self, error: DatabaseError) -> None:
        file = Path(self.url.database or "")
        if not self.is_sqlite or (_may_write(file) and _may_write(file.parent)):
            return
        raise Refused(
            f"you may not write to the file of the database {self.display_url} and its folder, which SQLite needs even"
            f" for looking: {reason_of(error)}",
            field="database_url",
            remedy=f"Ask {login_name(file.stat().st_uid)}, its owner, to let you or a group of yours write to both,"
            " or look at a copy that is yours",
        ) from error

    def revision_noted(self) -> str | None:
        """As ``revision``, in one statement; ``None`` when there is no such table, or nobody answers."""
        try:
            with self.read_autocommit() as connection:
                if self.is_sqlite:
                    return _revision_of_file(connection)
                return connection.exec_driver_sql(_REVISION).scalar()
        except (OperationalError, ProgrammingError) as error:
            if is_out_of_connections(error):
                raise
            return None

    def revision(self) -> str | None:
        """The migration the database stands at; ``None`` before the first."""
        with self.read() as connection:
            return migrating.revision(connection)

    def upgrade(self) -> None:
        """Make the database if it is embedded and missing, and bring it to the newest revision."""
        if self.is_sqlite:
            self._make_folder()
            self._make_file()
            self._refuse_foreign()
        with self.write(patient=True) as connection:
            there = migrating.revision(connection)
            if there is not None and there not in migrating.known_revisions():
                raise Refused(
                    f"the database {self.display_url} is at revision {there}, {migrating.advice(there)}",
                    field="database_url",
                    remedy="Use the program that made it, or name another database",
                )
            migrating.upgrade(connection)

    def _refuse_foreign(self) -> None:
        if self._is_foreign:
            raise Refused(
                f"the file {self.url.database} is a database of something else: it has tables, and none of ours",
                field="database_url",
                remedy="Name another file in BATCHWRIGHT_DATABASE_URL",
            )

    @cached_property
    def _is_foreign(self) -> bool:
        """Whether an SQLite file has tables of something else alone. Nothing in it is changed for that, as our own
        connections would: they put it into WAL mode. What this cannot decide, those do.
        """
        if not Path(self.url.database or "").is_file():
            return False  # opening a pipe would block forever
        file = f"file:{quote(self.url.database or '')}?mode=ro"
        # A look that does without locks leaves no file behind, but may meet a checkpoint half done.
        return _has_foreign_tables(f"{file}&immutable=1") and _has_foreign_tables(file)

    def _make_file(self) -> None:
        try:
            make_database(Path(self.url.database or ""))
        except OSError as error:
            raise Refused(
                f"cannot make the database {self.display_url}: {error.strerror}",
                field="database_url",
                remedy="Name a place you may write to in BATCHWRIGHT_DATABASE_URL",
            ) from error

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

    def disconnect(self) -> None:
        """Close the pooled connections, but for those for leases, and keep what was compiled. The file may be another
        after that.
        """
        self.engine.dispose()
        self._inode = None

    def close(self) -> None:
        """Close every pooled connection."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._inode = None
        self.close_leases()

    def close_leases(self) -> None:
        """Close the pooled connections for leases."""
        if self._lease_engine is not None:
            self._lease_engine.dispose()
        self._lease_engine = None


def _revision_of_file(connection: Connection) -> str | None:
    """By the driver itself: it is asked for before each act. Errors are those of whoever asks next."""
    driver: Any = connection.connection.driver_connection
    with suppress(sqlite3.Error):
        row = driver.execute(_REVISION).fetchone()
        return None if row is None else str(row[0])
    return None


def inode_of(file: Path) -> tuple[int, int] | None:
    """Which file is there; ``None`` where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def upgrade(url: str) -> None:
    """Make or upgrade the database at ``url``."""
    database = Database(url)
    try:
        database.upgrade()
    finally:
        database.close()


def _has_foreign_tables(file: str) -> bool:
    try:
        with closing(sqlite3.connect(file, uri=True)) as look:
            tables = {row[0] for row in look.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return False
    return bool(tables - {"alembic_version"}) and not {"alembic_version", "run"} <= tables


def _may_write(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=True)


def sqlite_faults(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its own file: damaged pages and indexes, rows whose foreign key leads nowhere."""
    pages = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    faults = [f"the file is damaged: {line}" for line in pages if line != "ok"]
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        faults.append(f"row {rowid} of table {table} points at a row of {parent} that is not there")
    return faults
