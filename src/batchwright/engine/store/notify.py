"""LISTEN and NOTIFY: wakes those who wait for something to do once a transaction that gives it to them has committed.

On PostgreSQL such a transaction notifies, and those who wait listen. On SQLite every commit changes ``data_version``,
which takes microseconds to read.
"""

from __future__ import annotations

import os
import select
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection, func
from sqlalchemy import select as select_of

from batchwright.engine.errors import DatabaseReplaced
from batchwright.engine.store.database import Database, inode_of

CHANNEL = "batchwright"
"""Notified when there is something to do."""
RUNS = "batchwright_runs"
"""Notified at each change of a run, for those who follow it; several times as often."""
SECONDS_BETWEEN_SQLITE_LOOKS = 0.01
SECONDS_BEFORE_NEXT_CONNECTION = 1.0

_NOTIFIED = {channel: func.pg_notify(channel, "") for channel in (CHANNEL, RUNS)}

log = structlog.get_logger()


def with_notify(connection: Connection, statement: Any, *channels: str) -> Any:
    """The statement, notifying the channels' listeners once it has changed a row and committed."""
    if connection.dialect.name == "sqlite":
        return statement
    return statement.returning(*(_NOTIFIED[channel] for channel in channels))


def notify(connection: Connection) -> None:
    """Notify the listeners when this transaction has committed."""
    if connection.dialect.name != "sqlite":
        connection.execute(select_of(_NOTIFIED[CHANNEL]))


class Listener(Protocol):
    """Waits for notifications of one database, in one thread."""

    def wait(self, seconds: float) -> None:
        """Return after a notification since the last wait, when ``wake`` was called, or after so many seconds."""

    def wake(self) -> None:
        """End the wait under way, or the next; from any thread or signal handler."""

    def close(self) -> None:
        """Close what it waits on."""


def listener_for(database: Database, channel: str = CHANNEL) -> Listener:
    """A listener of the database, on PostgreSQL of one channel."""
    return SqliteListener(database) if database.is_sqlite else PostgresListener(database, channel)


def _ready(sources: Sequence[int], seconds: float) -> set[int]:
    """Those of the descriptors that have something to read, after so many seconds at most.

    By `poll`: `select` takes no descriptor above 1,023, which a process with many connections has.
    """
    poll = select.poll()
    for source in sources:
        poll.register(source, select.POLLIN)
    return {source for source, _ in poll.poll(seconds * 1000)}


class _Pipe:
    """A pipe to oneself: what a ``select`` can wait on and anybody may write to."""

    def __init__(self) -> None:
        self.end, self._start = os.pipe()
        os.set_blocking(self.end, False)
        os.set_blocking(self._start, False)

    def wake(self) -> None:
        with suppress(BlockingIOError):  # full of bytes nobody has read yet: one is enough
            os.write(self._start, b".")

    def emptied(self) -> bool:
        """Whether it was woken."""
        try:
            return bool(os.read(self.end, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self.end)
        os.close(self._start)


class PostgresListener:
    """Listens on a connection of its own; without one it wakes up every second and tries to connect again."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._pipe = _Pipe()
        self._connection: Any = None
        self._tried = -SECONDS_BEFORE_NEXT_CONNECTION

    def wait(self, seconds: float) -> None:
        """Return when somebody notified, when ``wake`` was called, or after so many seconds."""
        if self._connection is None and self._connect():
            return  # something may have happened while nobody listened
        sources = [self._pipe.end]
        if self._connection is not None:
            sources.append(self._connection.fileno())
        else:
            seconds = min(seconds, SECONDS_BEFORE_NEXT_CONNECTION)
        ready = _ready(sources, seconds)
        if self._pipe.end in ready:
            self._pipe.emptied()
        if len(ready) > (self._pipe.end in ready):
            self._hear()

    def wake(self) -> None:
        """End the wait under way, or the next."""
        self._pipe.wake()

    def close(self) -> None:
        """Close the connection and the pipe."""
        self._drop()
        self._pipe.close()

    def _connect(self) -> bool:
        if time.monotonic() - self._tried < SECONDS_BEFORE_NEXT_CONNECTION:
            return False
        self._tried = time.monotonic()
        try:
            pooled = self._database.lease_engine.raw_connection()
            self._connection = pooled.driver_connection
            pooled.detach()
            self._connection.autocommit = True
            self._connection.execute(f"LISTEN {self._channel}")
        except Exception as error:
            log.warning("cannot listen for notifications; polling instead", reason=str(error).strip())
            self._drop()
            return False
        return True

    def _hear(self) -> None:
        try:
            for _ in self._connection.notifies(timeout=0):
                pass
        except Exception as error:
            log.warning("connection for notifications lost; connecting again", reason=str(error).strip())
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class SqliteListener:
    """Looks a hundred times a second at a number in shared memory that every commit changes, and at the file's place:
    who goes on with a file that was replaced works on two databases at once. ``wait`` raises ``DatabaseReplaced`` then.
    """

    def __init__(self, database: Database) -> None:
        self._pipe = _Pipe()
        file = Path(database.url.database or "").resolve()
        self._file, self._inode = file, inode_of(file)
        self._place = database.display_url
        self._connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._seen: int | None = None

    def wait(self, seconds: float) -> None:
        """Return when somebody committed, when ``wake`` was called, or after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            if inode_of(self._file) != self._inode:
                raise DatabaseReplaced(self._place)
            if self._changed():
                return
            left = until - time.monotonic()
            if _ready([self._pipe.end], max(0, min(SECONDS_BETWEEN_SQLITE_LOOKS, left))):
                self._pipe.emptied()
                return
            if left <= 0:
                return

    def wake(self) -> None:
        """End the wait under way, or the next."""
        self._pipe.wake()

    def close(self) -> None:
        """Close the connection and the pipe."""
        self._connection.close()
        self._pipe.close()

    def _changed(self) -> bool:
        before, (self._seen,) = self._seen, self._connection.execute("PRAGMA data_version").fetchone()
        return self._seen != before
