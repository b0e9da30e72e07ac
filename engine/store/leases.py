"""Statements on heartbeats and on the sessions of a run's owner.

They stand beside the work: on PostgreSQL on connections of their own, on SQLite in a small file of their own, so that
a scope that holds the write lock keeps no heartbeat waiting. Nothing here is needed after a power cut, so a beat is
not synced; only a checkpoint is, for a power cut must not spoil the file either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from engine.store.database import Database
from engine.store.tables import heartbeat, lease_metadata, lease_session


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a heartbeat row shows at one look."""

    fence: int
    counter: int


@dataclass(frozen=True, slots=True)
class Session:
    """What an owner works with and a taker must end: a process, or a PostgreSQL session.

    ``started`` is when it started, as the system itself says, so that a number used again is not mistaken for it.
    """

    kind: str
    pid: int
    started: str


class LeaseStore:
    """Heartbeats and sessions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own: Engine | None = None

    def begin(self, name: str, fence: int) -> bool:
        """Start a heartbeat under ``fence``; an older one of that name ends. False when there is a newer one."""
        older = (heartbeat.c.name == name, heartbeat.c.fence <= fence)
        try:
            with self._transaction() as connection:
                connection.execute(delete(heartbeat).where(*older))
                connection.execute(insert(heartbeat).values(name=name, fence=fence, counter=0))
        except IntegrityError:
            return False
        return True

    def beat(self, name: str, fence: int) -> bool:
        """Raise the counter. False when the heartbeat is somebody else's by now."""
        mine = (heartbeat.c.name == name, heartbeat.c.fence == fence)
        with self._transaction() as connection:
            raised = update(heartbeat).where(*mine).values(counter=heartbeat.c.counter + 1)
            return connection.execute(raised).rowcount == 1

    def look(self, name: str) -> Pulse | None:
        """The heartbeat as it stands."""
        with self._transaction() as connection:
            columns = (heartbeat.c.fence, heartbeat.c.counter)
            row = connection.execute(select(*columns).where(heartbeat.c.name == name)).first()
        return None if row is None else Pulse(*row)

    def claim(self, name: str, seen: Pulse | None, taker: str) -> bool:
        """Claim the takeover of a heartbeat that still stands as ``seen``. One of several takers gets True.

        The claim raises the counter: should the taker die as well, the counter stands still again for the next.
        """
        if seen is None:
            return self._claim_missing(name, taker)
        as_seen = (
            heartbeat.c.name == name,
            heartbeat.c.fence == seen.fence,
            heartbeat.c.counter == seen.counter,
        )
        with self._transaction() as connection:
            claimed = update(heartbeat).where(*as_seen).values(counter=seen.counter + 1, taker=taker)
            return connection.execute(claimed).rowcount == 1

    def end(self, name: str, fence: int, run_key: int | None = None) -> None:
        """Forget a heartbeat and the sessions recorded up to its fence."""
        with self._transaction() as connection:
            connection.execute(delete(heartbeat).where(heartbeat.c.name == name, heartbeat.c.fence == fence))
            if run_key is not None:
                mine = (lease_session.c.run_id == run_key, lease_session.c.fence <= fence)
                connection.execute(delete(lease_session).where(*mine))

    def record(self, run_key: int, fence: int, session: Session) -> None:
        """Record a session before anything is written through it."""
        row = {"kind": session.kind, "pid": session.pid, "started": session.started}
        with self._transaction() as connection:
            connection.execute(insert(lease_session).values(run_id=run_key, fence=fence, **row))

    def sessions(self, run_key: int, fence: int) -> list[Session]:
        """Sessions recorded for a run up to ``fence``."""
        columns = (lease_session.c.kind, lease_session.c.pid, lease_session.c.started)
        wanted = select(*columns).where(lease_session.c.run_id == run_key, lease_session.c.fence <= fence)
        with self._transaction() as connection:
            return [Session(*row) for row in connection.execute(wanted)]

    def terminate(self, session: Session) -> None:
        """End a PostgreSQL session, if it is still the one that was recorded."""
        statement = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid = :pid AND extract(epoch FROM backend_start)::text = :started"
        )
        with self._transaction() as connection:
            connection.execute(statement, {"pid": session.pid, "started": session.started})

    def close(self) -> None:
        """Close the connections of the small file."""
        if self._own is not None:
            self._own.dispose()
            self._own = None

    def _claim_missing(self, name: str, taker: str) -> bool:
        # The owner died between claiming the run and its first heartbeat.
        try:
            with self._transaction() as connection:
                connection.execute(insert(heartbeat).values(name=name, fence=0, counter=0, taker=taker))
        except IntegrityError:
            return False
        return True

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine().begin() as connection:
            yield connection

    def _engine(self) -> Engine:
        if not self._database.is_sqlite:
            return self._database.engine
        if self._own is None:
            file = Path(self._database.url.database or "").resolve()
            self._own = create_engine(f"sqlite:///{file}-lease")
            event.listen(self._own, "connect", _prepare)
            event.listen(self._own, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
            lease_metadata.create_all(self._own)
        return self._own


def backend_of(connection: Connection) -> Session:
    """The PostgreSQL session behind a connection."""
    statement = text(
        "SELECT pid, extract(epoch FROM backend_start)::text AS started"
        " FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    )
    row = connection.execute(statement).one()
    return Session("backend", row.pid, row.started)


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")
