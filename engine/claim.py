"""Making a run ours: claiming one that waits for its turn, taking over one whose process is gone."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from engine import events, processes
from engine.clock import Clock
from engine.errors import FenceLost, Refused
from engine.events import Events
from engine.lease import Watch, take_over
from engine.queue import promote
from engine.run import ACTIVE, Run, State
from engine.store import runs
from engine.store.database import Database
from engine.store.leases import LeaseStore

SECONDS_BETWEEN_QUEUE_LOOKS = 0.5

Stop = Callable[[], bool]
Claimed = Callable[[Connection, Run], None]


def nothing_more(connection: Connection, before: Run) -> None:
    """What a claim writes besides itself where nobody asks for more."""


class Claims:
    """Claims and takeovers of this process."""

    def __init__(
        self,
        *,
        database: Database,
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

    def in_turn(self, run_key: int, stop: Stop, claimed: Claimed = nothing_more) -> tuple[Run, bool]:
        """The run, and whether it is ours now. Waits for a slot, until ``stop`` says so.

        Only runs at work count: one that waits for a process to drive it keeps nobody from working. ``claimed`` is
        called in the transaction that makes the run ours, with the run as it was before.
        """
        try:
            return self._in_turn(run_key, stop, claimed)
        except FenceLost:  # somebody else was faster
            return self._read(run_key), False

    def again(self, run_key: int, stop: Stop, claimed: Claimed = nothing_more) -> tuple[Run, bool]:
        """The run, and whether it is ours now: one that waits in its turn, one at work after its owner's death.

        Raises ``Refused`` when its owner is alive, or when it has ended.
        """
        run = self._read(run_key)
        if run.ended:
            raise Refused(
                f"{run.run_id} has ended ({run.state})",
                field="run_id",
                remedy=f"To do its failed records again: `batchwright runs retry {run.run_id}`",
            )
        if run.state not in ACTIVE:
            return self.in_turn(run_key, stop, claimed)
        taken = self._take_over(run, stop, claimed)
        return (run, False) if taken is None else (taken, True)

    def _in_turn(self, run_key: int, stop: Stop, claimed: Claimed) -> tuple[Run, bool]:
        said = False
        while True:
            with self._database.write() as connection:
                promote(connection, self._max_active_runs)  # holds the queue until the claim has committed
                run = runs.by_key(connection, run_key)
                if run.state not in (State.HOLDING, State.QUEUED):
                    return run, False
                at_work = runs.at_work(connection)
                if run.in_caller or len(at_work) < self._max_active_runs:
                    return self._claim(connection, run, claimed), True
            if stop():
                return run, False
            if not said:
                taken = f"{len(at_work)} of {self._max_active_runs} slots taken, by {', '.join(at_work)}"
                reason = f"{taken}; go on with an interrupted one by `batchwright runs resume`"
                self._events.publish(events.RunWaiting(run.run_id, reason))
                said = True
            self._clock.sleep(SECONDS_BETWEEN_QUEUE_LOOKS)

    def _take_over(self, run: Run, stop: Stop, claimed: Claimed) -> Run | None:
        """The run, ours after its owner was silent for one lease; ``None`` when ``stop`` says so before.

        Raises ``Refused`` when its owner is alive.
        """
        watch = Watch(self._leases, self._lease_seconds, self._clock)
        try:
            waited = False
            while not watch.look([run]):
                if not waited:
                    reason = f"its owner {run.owner} may be alive; looking for {self._lease_seconds:g} s"
                    self._events.publish(events.RunWaiting(run.run_id, reason))
                    waited = True
                self._clock.sleep(watch.interval)
                if stop():
                    return None
                if watch.moved(run):
                    raise _owner_lives(run)
            if not watch.claim(run):
                raise _owner_lives(run)
            try:
                taken = take_over(self._database, self._leases, run, self._clock, claimed)
            except FenceLost:
                raise _owner_lives(run) from None
        finally:
            watch.close()
        self._events.publish(events.RunTakenOver(run.run_id, run.owner or "nobody"))
        return taken

    def _claim(self, connection: Connection, before: Run, claimed: Claimed) -> Run:
        run = before
        if run.state is State.HOLDING:
            runs.move(connection, run, State.QUEUED)
            run = runs.by_key(connection, run.id)
        to = State.PREPARING if run.total is None else State.PROCESSING
        started = run.started_at or self._clock.now()
        owner = processes.owner_name()
        runs.move(connection, run, to, fence=run.fence + 1, owner=owner, started_at=started)
        claimed(connection, before)
        return runs.by_key(connection, run.id)

    def _read(self, run_key: int) -> Run:
        with self._database.read() as connection:
            return runs.by_key(connection, run_key)


def _owner_lives(run: Run) -> Refused:
    return Refused(
        f"{run.run_id} is being worked on by {run.owner}",
        field="run_id",
        remedy=f"Watch it with `batchwright runs show {run.run_id}`",
    )
