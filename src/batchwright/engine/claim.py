"""Making a run ours: claiming one that waits for its turn, taking over one whose process is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from batchwright.engine import events, processes
from batchwright.engine.capabilities import Capabilities
from batchwright.engine.clock import Clock
from batchwright.engine.errors import Conflict, FenceLost
from batchwright.engine.events import Events
from batchwright.engine.lease import OwnerMonitor, take_over
from batchwright.engine.queue import Slots, promote
from batchwright.engine.registry import Registry
from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store import queue, runs, scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BEFORE_PASSING = 1.0
"""How long a slot must stay empty before a run takes it whose turn it is not: nobody drives those before it."""

Stop = Callable[[], bool]
ExtraWrite = Callable[[Connection, Run], None]
"""Called in the transaction that makes a run ours, with the run as it was before."""
OnProgress = Callable[[Run, int], None]
"""Called with a run that another process drives, and the number of its records that are through."""


def no_extra_write(connection: Connection, before: Run) -> None:
    """Writes nothing besides the claim."""


def ignore_progress(run: Run, done: int) -> None:
    """Drops what is said of a run that another process drives."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The run is ours. Should we never drive it, any process takes it over after one lease, as after a death."""

    run: Run


@dataclass(frozen=True, slots=True)
class NotOurs:
    """The run as it stands: it waits, has ended, or another process has it."""

    run: Run


Claim = Claimed | NotOurs


class NextClaim(NamedTuple):
    """The run that was claimed, if any, and whether another can be claimed after it."""

    run: Run | None
    any_after: bool


class Claims:
    """Claims and takeovers of this process, of runs that it can do. Threads may share it."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        leases: LeaseStore,
        clock: Clock,
        events: Events,
        lease_seconds: float,
        max_active_runs: int,
    ) -> None:
        self._database = database
        self._leases = leases
        self._clock = clock
        self._events = events
        self._lease_seconds = lease_seconds
        self._max_active_runs = max_active_runs
        self.capabilities = Capabilities(registry, clock)

    def claim_on_submit(self, connection: Connection, run: Run) -> Claim:
        """Claim a run in the transaction that submits it, unless it has to wait for a slot, or for its turn."""
        if run.in_caller:
            queue.lock_queue(connection)
            return self._claim(connection, run, no_extra_write)
        slots = promote(connection, self._max_active_runs, self.capabilities.runnable())
        promoted = next((queued for queued in slots.queued if queued.id == run.id), None)
        if promoted is None or len(slots.active) >= slots.number:
            return NotOurs(promoted or run)
        return self._claim(connection, promoted, no_extra_write)

    def claim_or_wait(self, run_key: int, stop: Stop, extra: ExtraWrite = no_extra_write) -> Claim:
        """Claim a run that waits. Waits for a slot, until ``stop`` says so, or another process was faster.

        Only runs at work count: those that wait for a process to drive them keep nobody from working for more than
        a second. Raises ``Refused`` for a run that this process cannot do.
        """
        run = self._read(run_key)
        if run.state not in (State.HOLDING, State.QUEUED):
            return NotOurs(run)
        self.capabilities.require(run)
        try:
            return self._claim_or_wait(run_key, stop, extra)
        except FenceLost:
            return NotOurs(self._read(run_key))

    def reclaim(self, run_key: int, stop: Stop, extra: ExtraWrite = no_extra_write) -> Claim:
        """Claim a run that waits, in its turn, or take over one at work when its owner is dead.

        Raises ``Refused`` when its owner is alive, when it has ended, and when this process cannot do it.
        """
        run = self._read(run_key)
        if run.ended:
            with self._database.read() as connection:
                remedy = self.capabilities.remedy_of_ended(connection, run)
            raise Conflict(f"{run.run_id} has ended ({run.state})", field="run_id", remedy=remedy)
        if run.state not in ACTIVE:
            return self.claim_or_wait(run_key, stop, extra)
        self.capabilities.require(run)
        return self._after_silence(run, stop, extra)

    def any_waiting(self) -> bool:
        """Whether a run waits that this process could claim now. Takes no lock."""
        while True:
            with self._database.read_autocommit() as connection:
                found = queue.to_claim(connection, self._max_active_runs, self.capabilities.runnable())
            if not found:
                return False
            if self.capabilities.runnable_of(found):
                return True
            # All of them are passed over from now on: the next look finds others.

    def claim_next(self) -> NextClaim:
        """Claim the run whose turn it is among those that this process can do, if one waits that has a slot."""
        self._leases.open()
        while True:
            runnable = self.capabilities.runnable()
            try:
                with self._database.write() as connection:
                    slots = promote(connection, self._max_active_runs, runnable)
                    run = slots.next
                    if run is None:
                        return NextClaim(None, any_after=False)
                    is_known = self.capabilities.accepts(run)
                    claimed = self._claim(connection, run, no_extra_write).run if is_known else None
            except FenceLost:  # it was steered elsewhere meanwhile
                return NextClaim(None, any_after=True)
            if claimed is not None:
                self.capabilities.forget(claimed)
            # Out of the lock: what may be next is known when its turn comes.
            self.capabilities.runnable_of(
                other for other in slots.waiting if claimed is None or other is not run
            )
            if claimed is not None:
                return NextClaim(claimed, slots.any_after)

    def leave_orphaned(self, dead: Sequence[Run]) -> list[Run]:
        """Those of the runs without an owner that this process can take over; the others it leaves.

        They are at work as before, for whoever can do them, and take no slot from those that can be done here.
        """
        if examined := self.capabilities.examined():
            with self._database.read() as connection:
                self.capabilities.forget_all_but(queue.not_ended(connection, examined))
        return self.capabilities.leave_orphaned(dead)

    def hand_back(self, run: Run) -> None:
        """Let others claim a run that was claimed here and cannot be driven, if nobody has taken it since."""
        with suppress(FenceLost), self._database.write() as connection:
            runs.move(connection, run, State.QUEUED, owner=None)

    def active(self) -> list[Run]:
        """The runs that processes work on, or should; without live counts."""
        with self._database.read() as connection:
            return queue.active(connection)

    def monitor(self) -> OwnerMonitor:
        """Sees which owners are gone. To be closed."""
        return OwnerMonitor(self._leases, self._lease_seconds, self._clock)

    def take_over(self, run: Run, stop: Stop, extra: ExtraWrite = no_extra_write) -> Run:
        """A run whose takeover the monitor has claimed, ours now. Raises ``FenceLost`` when it moved on."""
        taken = take_over(self._database, self._leases, run, self._clock, extra, stop)
        self._events.publish(events.RunTakenOver(run.run_id, run.owner or "nobody"))
        return taken

    def follow(self, run_key: int, stop: Stop, on_progress: OnProgress = ignore_progress) -> Claim:
        """Watch a run that another process drives until it is ours, because its owner is gone, or not at work.

        Returns the run as it stands when ``stop`` says so. ``on_progress`` is called at each look.
        """
        monitor = self.monitor()
        try:
            looked = -monitor.interval
            while True:
                with self._database.read() as connection:
                    run = runs.uncounted(connection, run_key)
                    done = scopes.done_counts(connection, run_key)
                on_progress(run, done.records)
                if run.state not in ACTIVE or stop():
                    return NotOurs(self._read(run_key))
                if self._clock.monotonic() - looked >= monitor.interval:
                    looked = self._clock.monotonic()
                    dead = self.capabilities.runnable_of(monitor.look([run]))
                    if dead and (taken := self._taken(monitor, run, stop, no_extra_write)):
                        return taken
                self._clock.sleep(min(SECONDS_BETWEEN_LOOKS, monitor.interval))
        finally:
            monitor.close()

    def _claim_or_wait(self, run_key: int, stop: Stop, extra: ExtraWrite) -> Claim:
        announced = False
        idle = _IdleSlot(self._clock)
        while True:
            runnable = self.capabilities.runnable()
            with self._database.write() as connection:
                slots = promote(connection, self._max_active_runs, runnable)
                run = runs.uncounted(connection, run_key)
                if run.state not in (State.HOLDING, State.QUEUED):
                    return NotOurs(runs.by_key(connection, run_key))
                has_slot = len(slots.active) < slots.number
                queued = {other.id for other in slots.queued}
                left_alone = idle.is_left(queued if has_slot else set())
                if run.in_caller or (has_slot and (run.id in queued or left_alone)):
                    return self._claim(connection, run, extra)
            if stop():
                return NotOurs(run)
            if not has_slot and not announced:
                self._events.publish(events.RunWaiting(run.run_id, _why(slots)))
                announced = True
            self._clock.sleep(SECONDS_BETWEEN_LOOKS)

    def _after_silence(self, run: Run, stop: Stop, extra: ExtraWrite) -> Claim:
        """Take the run over after its owner was silent for one lease, unless ``stop`` says so before."""
        monitor = self.monitor()
        try:
            waited = False
            while not monitor.look([run]):
                if not waited:
                    reason = f"its owner {run.owner} may be alive; looking for {self._lease_seconds:g} s"
                    self._events.publish(events.RunWaiting(run.run_id, reason))
                    waited = True
                self._clock.sleep(monitor.interval)
                if stop():
                    return NotOurs(run)
                if monitor.moved(run):
                    raise _owner_lives(run)
            if taken := self._taken(monitor, run, stop, extra):
                return taken
        finally:
            monitor.close()
        raise _owner_lives(run)

    def _taken(self, monitor: OwnerMonitor, run: Run, stop: Stop, extra: ExtraWrite) -> Claimed | None:
        """A run whose owner is gone, taken over; ``None`` when somebody else was faster, or its owner woke up."""
        if not monitor.claim(run):
            return None
        try:
            return Claimed(self.take_over(run, stop, extra))
        except FenceLost:
            return None

    def _claim(self, connection: Connection, before: Run, extra: ExtraWrite) -> Claimed:
        """Claim a run in a transaction that has locked the queue: runs are numbered as they start."""
        self._leases.open()  # else nobody could see that it is being driven, or take it over
        run = before if before.state is State.QUEUED else runs.move(connection, before, State.QUEUED)
        to = State.PREPARING if run.total is None else State.PROCESSING
        claimed: dict[str, Any] = {"owner": processes.owner_name(), "claimed_at": self._clock.now()}
        if run.started_at is None:
            claimed |= {
                "started_at": claimed["claimed_at"],
                "start_number": runs.next_start_number(connection),
            }
        run = runs.move(connection, run, to, fence=run.fence + 1, **claimed)
        extra(connection, before)
        return Claimed(run if run.total is None else runs.by_key(connection, run.id))

    def _read(self, run_key: int) -> Run:
        with self._database.read() as connection:
            return runs.by_key(connection, run_key)


class _IdleSlot:
    """Since when there is a slot for runs that nobody claims."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: set[int] = set()
        self._since = 0.0

    def is_left(self, queued: set[int]) -> bool:
        """Whether one of the Queued runs that could be claimed has been left so long that another may pass it."""
        if not self._left & queued:
            self._left, self._since = queued, self._clock.monotonic()
        return self._clock.monotonic() - self._since >= SECONDS_BEFORE_PASSING


def _why(slots: Slots) -> str:
    by = ", ".join(run.run_id for run in slots.active)
    taken = f"{len(slots.active)} of {slots.number} slots taken, by {by}"
    return f"{taken}; continue an interrupted one by `batchwright runs resume`"


def _owner_lives(run: Run) -> Conflict:
    return Conflict(
        f"{run.run_id} is being worked on by {run.owner}",
        field="run_id",
        remedy=f"Watch it with `batchwright runs show {run.run_id}`",
    )
