"""The lease on a run: its owner raises a counter; a peer that sees it stand still for one lease takes the run over.

No two clocks are compared. The peer looks at the counter on its own monotonic clock, and only while its own beats go
through: a store that answers nobody makes nobody look dead.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from types import TracebackType

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from engine import processes
from engine.clock import Clock
from engine.errors import FenceLost
from engine.faults import is_transient
from engine.run import Run
from engine.store import leases, runs
from engine.store.database import Database
from engine.store.leases import LeaseStore, Pulse, Session

BEATS_PER_LEASE = 4
OWN_BEATS_NEEDED = 2

log = structlog.get_logger()


class Lease:
    """The owner's side: a thread that beats while the block lasts, and the record of the sessions we work with."""

    def __init__(self, store: LeaseStore, run: Run, seconds: float) -> None:
        self._store = store
        self._run = run
        self._interval = seconds / BEATS_PER_LEASE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat {run.run_id}", daemon=True)

    def __enter__(self) -> Lease:
        if not self._store.begin(heart(self._run), self._run.fence):
            raise FenceLost(self._run.run_id)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if isinstance(error, FenceLost):
            return  # what is recorded there by now is the taker's
        try:
            self._store.end(heart(self._run), self._run.fence, self._run.id)
        except DBAPIError as trouble:
            log.warning("heartbeat not ended", run_id=self._run.run_id, reason=str(trouble.orig).strip())

    def record(self, session: Session) -> None:
        """Record a session before anything is written through it."""
        self._store.record(self._run.id, self._run.fence, session)

    def _beat(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                if not self._store.beat(heart(self._run), self._run.fence):
                    return  # somebody took the run; the fence keeps us from committing
            except DBAPIError as error:
                log.warning("heartbeat failed", run_id=self._run.run_id, reason=str(error.orig).strip())


class Watch:
    """The peer's side: is the owner of this run dead?

    ``alive`` says whether the last look saw the counter move.
    """

    def __init__(self, store: LeaseStore, run: Run, seconds: float, clock: Clock) -> None:
        self._store = store
        self._run = run
        self._seconds = seconds
        self._clock = clock
        self._name = f"peer/{processes.owner_name()}/{uuid.uuid4().hex[:8]}"
        self._seen: Pulse | None = None
        self._since: float | None = None
        self._own_beats = 0
        self.alive = False

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return self._seconds / BEATS_PER_LEASE

    def look(self) -> bool:
        """Beat, look once, and say whether the counter has stood still for one lease. Call it every ``interval``."""
        if self._since is None:
            self._store.begin(self._name, 0)
        self._own_beats += self._store.beat(self._name, 0)
        asked = self._clock.monotonic()
        pulse = self._store.look(heart(self._run))
        self.alive = self._since is not None and pulse != self._seen
        if self._since is None or self.alive:
            # An answer may have taken long: the counter stands still from when it came, until the next was asked.
            self._seen, self._since, self._own_beats = pulse, self._clock.monotonic(), 0
        return asked - self._since >= self._seconds and self._own_beats >= OWN_BEATS_NEEDED

    def claim(self) -> bool:
        """Claim the takeover; False when the owner woke up or another peer was faster."""
        return self._store.claim(heart(self._run), self._seen, self._name)

    def close(self) -> None:
        """Forget our own heartbeat."""
        self._store.end(self._name, 0)


def take_over(
    database: Database,
    store: LeaseStore,
    run: Run,
    clock: Clock,
    claimed: Callable[[Connection, Run], None] = lambda connection, run: None,
) -> Run:
    """End the old owner's sessions, then raise the fence; the run is ours. Call it after a claim went through.

    A session of the old owner may hold a lock on the run row: the fence is raised under a lock timeout, and the
    sessions are ended again until it succeeds. ``claimed`` is called in the same transaction. Raises
    ``FenceLost`` when the run moved on meanwhile.
    """
    while True:
        for session in store.sessions(run.id, run.fence):
            if session.kind == "process":
                processes.end(session)
            else:
                store.terminate(session)
        try:
            with database.write() as connection:
                runs.raise_fence(connection, run, processes.owner_name())
                claimed(connection, run)
                return runs.by_key(connection, run.id)
        except DBAPIError as error:
            if not is_transient(error):
                raise
            clock.sleep(0.2)


def record_sessions(lease: Lease, database: Database, connection: Connection) -> None:
    """Record what a taker would have to end: this process on SQLite, the connection's session on PostgreSQL."""
    lease.record(processes.this_process() if database.is_sqlite else leases.backend_of(connection))


def heart(run: Run) -> str:
    """The name of a run's heartbeat."""
    return f"run/{run.id}"
