"""Statements on heartbeats and on the sessions of a run's owner.

They stand beside the work: on PostgreSQL on connections of their own, on SQLite in a small file of their own, so that
a scope that holds the write lock keeps no heartbeat waiting. Nothing here is needed after a power cut, so no commit
waits for the disk; only a checkpoint of the file does, for a power cut must not spoil it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import heartbeat, lease_session

PEER = "peer/"
"""How the names of heartbeats begin that belong to no run, but to who watches."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a heartbeat row shows at one look."""

    fence: int
    counter: int
    lease_seconds: float | None = None
    """The owner's own lease, where it has said so."""


@dataclass(frozen=True, slots=True)
class Session:
    """What an owner works with and a taker must end: a process, or a PostgreSQL session.

    ``started`` is when it started, as the system itself says, so that a number used again is not mistaken for it.
    """

    kind: str
    pid: int
    started: str


class LeaseStore:
    """Heartbeats and sessions of one database. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_sqlite = database.is_sqlite
        self.file = Path(f"{Path(database.url.database or '').resolve()}-lease")
        """Where they are kept, on SQLite."""

    def open(self) -> None:
        """Make the file, on SQLite, before it is needed. Raises ``Refused`` where that cannot be done."""
        _ = self._database.lease_engine

    def begin(
        self,
        name: str,
        fence: int,
        run_key: int | None = None,
        session: Session | None = None,
        lease_seconds: float | None = None,
    ) -> bool:
        """Start a heartbeat under ``fence``; an older one of that name ends. False when there is a newer one.

        With a ``session`` that is recorded at the same time, as ``record`` does.
        """
        with self._transaction() as connection:
            values = {"name": name, "fence": fence, "lease_seconds": lease_seconds}
            begun = connection.execute(_BEGIN, values).rowcount == 1
            if begun and session is not None:
                _record(connection, run_key, fence, session)
        return begun

    def beat(self, name: str, fence: int) -> bool:
        """Raise the counter. False when the heartbeat is somebody else's by now."""
        mine = (heartbeat.c.name == name, heartbeat.c.fence == fence)
        with self._transaction() as connection:
            raised = update(heartbeat).where(*mine).values(counter=heartbeat.c.counter + 1)
            return connection.execute(raised).rowcount == 1

    def look(self, name: str) -> Heartbeat | None:
        """The heartbeat as it stands."""
        return self.heartbeats([name]).get(name)

    def heartbeats(self, names: Sequence[str]) -> dict[str, Heartbeat]:
        """Those of the heartbeats that there are, as they stand."""
        columns = (heartbeat.c.name, heartbeat.c.fence, heartbeat.c.counter, heartbeat.c.lease_seconds)
        with self._transaction() as connection:
            found = connection.execute(select(*columns).where(heartbeat.c.name.in_(names)))
            return {row.name: Heartbeat(row.fence, row.counter, row.lease_seconds) for row in found}

    def claim(self, name: str, seen: Heartbeat | None, taker: str) -> bool:
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

    def forget_sessions(self, run_key: int, fence: int) -> None:
        """Forget the sessions recorded up to a fence; the heartbeat stays, and stands still."""
        with self._transaction() as connection:
            mine = (lease_session.c.run_id == run_key, lease_session.c.fence <= fence)
            connection.execute(delete(lease_session).where(*mine))

    def record(self, run_key: int, fence: int, session: Session) -> None:
        """Record a session before anything is written through it."""
        with self._transaction() as connection:
            _record(connection, run_key, fence, session)

    def sessions(self, run_key: int, fence: int) -> list[Session]:
        """Sessions recorded for a run up to ``fence``."""
        columns = (lease_session.c.kind, lease_session.c.pid, lease_session.c.started)
        wanted = select(*columns).where(lease_session.c.run_id == run_key, lease_session.c.fence <= fence)
        with self._transaction() as connection:
            return [Session(*row) for row in connection.execute(wanted)]

    def terminate(self, session: Session) -> str | None:
        """End a PostgreSQL session, if it is still the one that was recorded; why that cannot be done, or ``None``.

        In this database alone: after a dump was restored beside it, the records name sessions of the original.
        """
        which = {"pid": session.pid, "started": session.started}
        try:
            with self._transaction() as connection:
                ended = connection.execute(_TERMINATE, which).all()
                hidden = not ended and connection.execute(_IS_HIDDEN, which).scalar_one()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
                raise
            hidden = True
        return "it belongs to another role" if hidden else None

    def peers(self) -> dict[str, int]:
        """The counters of processes that watch others."""
        mine = heartbeat.c.name.startswith(PEER)
        with self._transaction() as connection:
            found = connection.execute(select(heartbeat.c.name, heartbeat.c.counter).where(mine))
            return {row.name: row.counter for row in found}

    def forget_peer(self, name: str, counter: int) -> None:
        """Delete the heartbeat of a process that watched others, if it still stands so."""
        stands = (heartbeat.c.name == name, heartbeat.c.counter == counter)
        with self._transaction() as connection:
            connection.execute(delete(heartbeat).where(*stands))

    def cancel_waits(self, run_key: int, fence: int) -> None:
        """Cancel what the PostgreSQL sessions of a run wait for: a lock that somebody else has."""
        if not self.is_sqlite:
            with self._transaction() as connection:
                connection.execute(_CANCEL, {"run_id": run_key, "fence": fence})

    def close(self) -> None:
        """Close the connections that wait to be used again."""
        self._database.close_leases()

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
        with self._database.lease_engine.begin() as connection:
            yield connection


# A newer one stays as it is.
_BEGIN = text(
    "INSERT INTO heartbeat (name, fence, counter, lease_seconds) VALUES (:name, :fence, 0, :lease_seconds)"
    " ON CONFLICT (name) DO UPDATE SET fence = excluded.fence, counter = 0, taker = NULL,"
    " lease_seconds = excluded.lease_seconds WHERE heartbeat.fence <= excluded.fence"
)

_RECORD = insert(lease_session)

INSUFFICIENT_PRIVILEGE = "42501"
_TERMINATE = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid"
    " AND datname = current_database() AND extract(epoch FROM backend_start)::text = :started"
)
_CANCEL = text(
    "SELECT pg_cancel_backend(activity.pid) FROM pg_stat_activity activity JOIN lease_session session"
    " ON session.pid = activity.pid AND session.started = extract(epoch FROM activity.backend_start)::text"
    " WHERE session.kind = 'backend' AND session.run_id = :run_id AND session.fence = :fence"
    " AND activity.datname = current_database() AND activity.wait_event_type = 'Lock'"
)
# The server shows of the sessions of other roles that they are there, and not since when.
_IS_HIDDEN = text(
    "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = :pid"
    " AND datname = current_database() AND backend_start IS NULL)"
)


# The server knows best when a session of its own started.
_RECORD_BACKEND = text(
    "INSERT INTO lease_session (run_id, fence, kind, pid, started)"
    " SELECT :run_id, :fence, :kind, pid, extract(epoch FROM backend_start)::text"
    " FROM pg_stat_get_activity(:pid)"
)


def backend_of(connection: Connection) -> Session:
    """The PostgreSQL session behind a connection; its start is looked up when it is recorded."""
    return Session("backend", connection.connection.driver_connection.info.backend_pid, "")  # type: ignore[union-attr]


def _record(connection: Connection, run_key: int | None, fence: int, session: Session) -> None:
    row = {
        "run_id": run_key,
        "fence": fence,
        "kind": session.kind,
        "pid": session.pid,
        "started": session.started,
    }
    if not connection.execute(_RECORD if session.started else _RECORD_BACKEND, row).rowcount:
        log.warning(
            "the server does not know this session, as behind a pooler; who takes the run over cannot end it",
            backend=session.pid,
        )
