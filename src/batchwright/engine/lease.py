"""The lease on a run: its owner raises a counter; a peer that sees it stand still for one lease takes the run over.

No two clocks are compared. The peer looks at the counter on its own monotonic clock, and only while its own beats go
through: a store that answers nobody makes nobody look dead.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batchwright.engine import processes
from batchwright.engine.clock import Clock
from batchwright.engine.errors import FenceLost
from batchwright.engine.faults import MAX_ATTEMPTS, is_transient, pause_before, reason_of
from batchwright.engine.run import Run
from batchwright.engine.standby import Standby
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import PEER, Heartbeat, LeaseStore, Session

BEATS_PER_LEASE = 4
OWN_BEATS_NEEDED = 2
SECONDS_BETWEEN_COMPLAINTS = 30.0
SECONDS_BETWEEN_SWEEPS = 3_600.0
SECONDS_UNTIL_GONE = 86_400.0

log = structlog.get_logger()


class Lease:
    """The owner's side: a thread that beats while the block lasts, and the record of the sessions we work with.

    ``standby`` beats in place of the thread while that has no turn; it is there once a quarter of a lease is over.
    """

    def __init__(self, store: LeaseStore, run: Run, seconds: float, standby: Standby | None = None) -> None:
        self._store = store
        self._standby = standby
        self._session: Session | None = None
        self._run = run
        self._seconds = seconds
        self._interval = seconds / BEATS_PER_LEASE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat {run.run_id}", daemon=True)

    def __enter__(self) -> Lease:
        if not self._begin():
            raise FenceLost(self._run.run_id)
        if self._standby is not None:
            self._standby.watch(heartbeat_name(self._run), self._run.fence, self._interval)
            if self._run.fence > 1:  # who had it before may have died of silence
                self._standby.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._standby is not None:
            self._standby.forget(heartbeat_name(self._run))
        if isinstance(error, FenceLost):
            return  # what is recorded there by now is the taker's
        try:
            if error is None or is_transient(error):
                self._store.end(heartbeat_name(self._run), self._run.fence, self._run.id)
            else:  # it counts as a death (`take_over`): the next owner may fare no better
                self._store.forget_sessions(self._run.id, self._run.fence)
        except DBAPIError as trouble:
            log.warning("heartbeat not ended", run_id=self._run.run_id, reason=reason_of(trouble))

    def recording(self, session: Session | None) -> Lease:
        """The lease, to be entered: it records an open session with its first beat."""
        self._session = session
        return self

    def record(self, session: Session) -> None:
        """Record a session before anything is written through it."""
        self._store.record(self._run.id, self._run.fence, session)

    def _begin(self) -> bool:
        """Start the heartbeat, however long the database stays away; False when somebody took the run.

        On SQLite this process is recorded with it: a taker has to know whom to end from our first lock on.
        """
        name, fence = heartbeat_name(self._run), self._run.fence
        session = processes.this_process() if self._store.is_sqlite else self._session
        for attempt in range(2, MAX_ATTEMPTS + 1):
            try:
                return self._store.begin(name, fence, self._run.id, session, self._seconds)
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                self._stop.wait(pause_before(attempt, random.Random()))
        return self._store.begin(name, fence, self._run.id, session, self._seconds)

    def _beat(self) -> None:
        name, fence = heartbeat_name(self._run), self._run.fence
        while not self._stop.wait(self._interval):
            try:
                # A server that broke down may have forgotten the row: it does not wait for the disk.
                if not self._store.beat(name, fence) and not self._begin():
                    return  # somebody took the run; the fence keeps us from committing
                if self._standby is not None:
                    self._standby.start()
                    self._standby.has_turn(name)
            except BaseException as error:  # a thread that ended here would make a healthy run look dead
                reason = reason_of(error)
                log.warning("heartbeat failed", run_id=self._run.run_id, reason=reason)


@dataclass(slots=True)
class _Seen:
    """A counter as it was last seen to have moved: when, and how many beats of our own there had been by then."""

    heartbeat: Heartbeat | None
    since: float
    own_beats: int
    moved: bool


class OwnerMonitor:
    """The peer's side: which of some runs have lost their owner?"""

    def __init__(self, store: LeaseStore, seconds: float, clock: Clock) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._name = f"{PEER}{processes.owner_name()}/{uuid.uuid4().hex[:8]}"
        self._begun = False
        self._own_beats = 0
        self._seen: dict[tuple[int, int], _Seen] = {}

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return self._seconds / BEATS_PER_LEASE

    def look(self, runs: Sequence[Run]) -> list[Run]:
        """Beat, look once, and say which counters have stood still for one lease. Call it every ``interval``.

        A run that is left out is forgotten; one whose fence was raised meanwhile starts over.
        """
        if not self._begun:
            self._store.begin(self._name, 0)
        self._begun = self._store.beat(self._name, 0)
        self._own_beats += self._begun
        asked = self._clock.monotonic()
        heartbeats = self._store.heartbeats([heartbeat_name(run) for run in runs])
        # An answer may have taken long: a counter stands still from when it came, until the next was asked.
        answered = self._clock.monotonic()
        self._seen = {
            _key(run): self._seen_now(run, heartbeats.get(heartbeat_name(run)), answered) for run in runs
        }
        return [run for run in runs if self._is_dead(self._seen[_key(run)], asked)]

    def moved(self, run: Run) -> bool:
        """Whether the last look saw the counter move: the owner is alive."""
        return self._seen[_key(run)].moved

    def claim(self, run: Run) -> bool:
        """Claim the takeover; False when the owner woke up or another peer was faster."""
        return self._store.claim(heartbeat_name(run), self._seen[_key(run)].heartbeat, self._name)

    def close(self) -> None:
        """Forget our own heartbeat."""
        self._store.end(self._name, 0)

    def _seen_now(self, run: Run, heartbeat: Heartbeat | None, answered: float) -> _Seen:
        seen = self._seen.get(_key(run))
        if seen is None and heartbeat is not None and heartbeat.lease_seconds not in (None, self._seconds):
            lengths = {"ours": self._seconds, "owner": heartbeat.lease_seconds}
            log.warning("leases of two lengths; waiting for the longer", run_id=run.run_id, **lengths)
        if seen is None or seen.heartbeat != heartbeat:
            return _Seen(heartbeat, answered, self._own_beats, moved=seen is not None)
        seen.moved = False
        return seen

    def _is_dead(self, seen: _Seen, asked: float) -> bool:
        theirs = None if seen.heartbeat is None else seen.heartbeat.lease_seconds
        own_beats = self._own_beats - seen.own_beats
        return asked - seen.since >= max(self._seconds, theirs or 0) and own_beats >= OWN_BEATS_NEEDED


class GonePeers:
    """Forgets the heartbeats of processes that watched others and were killed: a run's are forgotten with the run."""

    def __init__(self, store: LeaseStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._looked: float | None = None
        self._seen: dict[str, tuple[int, float]] = {}

    def look(self) -> None:
        """Look once an hour, however often it is called; forget what has stood still for a day."""
        now = self._clock.monotonic()
        if self._looked is not None and now - self._looked < SECONDS_BETWEEN_SWEEPS:
            return
        self._looked, seen = now, self._seen
        self._seen = {}
        for name, counter in self._store.peers().items():
            before, since = seen.get(name, (counter, now))
            self._seen[name] = counter, since if counter == before else now
            if counter == before and now - since >= SECONDS_UNTIL_GONE:
                self._store.forget_peer(name, counter)


def take_over(
    database: Database,
    store: LeaseStore,
    run: Run,
    clock: Clock,
    extra: Callable[[Connection, Run], None] = lambda connection, run: None,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """End the old owner's sessions, then raise the fence; the run is ours. Call it after a claim went through.

    A session of the old owner may hold a lock on the run row: the fence is raised under a lock timeout, and the
    sessions are ended again until it succeeds. An owner that left because of a passing fault has ended its heartbeat:
    only one whose heartbeat stands still has died. ``extra`` is called in the same transaction. Raises
    ``FenceLost`` when the run moved on meanwhile, and the database's fault when ``stop`` says so before.
    """
    unended: set[Session] = set()
    logged_at: float | None = None
    heartbeat = store.look(heartbeat_name(run))
    died = heartbeat is not None and heartbeat.fence == run.fence
    while True:
        for session in store.sessions(run.id, run.fence):
            reason = end_session(store, session)
            if reason is not None and session not in unended:
                unended.add(session)
                log.warning(
                    "cannot end what the old owner works with; going on by the fence",
                    **{"run_id": run.run_id, session.kind: session.pid, "reason": reason},
                )
        try:
            with database.write() as connection:
                runs.raise_fence(connection, run, processes.owner_name(), died=died, now=clock.now())
                extra(connection, run)
                return runs.by_key(connection, run.id)
        except DBAPIError as error:
            if not is_transient(error) or stop():
                raise
            if logged_at is None or clock.monotonic() - logged_at >= SECONDS_BETWEEN_COMPLAINTS:
                logged_at = clock.monotonic()
                log.warning("takeover has to wait", run_id=run.run_id, reason=reason_of(error))
            clock.sleep(0.2)


def end_session(store: LeaseStore, session: Session) -> str | None:
    """End what an owner works with; why that cannot be done, or ``None``."""
    if session.kind == "process":
        return processes.end(session, store.file)
    return store.terminate(session)


def heartbeat_name(run: Run) -> str:
    """The name of a run's heartbeat."""
    return f"run/{run.id}"


def _key(run: Run) -> tuple[int, int]:
    return run.id, run.fence
