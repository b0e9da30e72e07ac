"""A run reads top to bottom here: claim (claim.py), prepare (preparing.py), drive its scopes (processing.py), finish
and announce (finishing.py).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, tzinfo
from typing import TypeVar

import structlog

from batchwright.config.logging import bind
from batchwright.engine import events
from batchwright.engine.claim import Claimed, Claims, ExtraWrite, Stop, no_extra_write
from batchwright.engine.clock import Clock
from batchwright.engine.ending import Announce, Endings
from batchwright.engine.errors import FenceLost, Refused, TransactionEnded, error_text, raised, text_of
from batchwright.engine.events import Events
from batchwright.engine.executors import Executor, Inline
from batchwright.engine.faults import MAX_ATTEMPTS, is_transient, pause_before, reason_of
from batchwright.engine.finishing import Finishing
from batchwright.engine.lease import Lease
from batchwright.engine.limits import MAX_TAKEOVERS, CeilingReached, GivenUp, SameFault
from batchwright.engine.plan import GivenTwice
from batchwright.engine.preparing import Preparing
from batchwright.engine.processing import Processing
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run, State
from batchwright.engine.scope import RunSession
from batchwright.engine.standby import Standby
from batchwright.engine.store import controls, runs, scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore

SECONDS_OF_TRIES_WHEN_STOPPED = 2.0
"""A step that was tried for longer is left when the process ends: whoever takes the run over does it."""

VERDICTS = (CeilingReached, SameFault, GivenTwice, GivenUp, TransactionEnded, Refused)
"""Errors whose message is the reason why a run has failed."""

log = structlog.get_logger()

T = TypeVar("T")


class Dispatcher:
    """Drives runs in this process.

    ``announce`` is called in the transaction that ends a run: the outbox, given by the composition root.
    ``executor`` executes the scopes, but those of runs that live in their caller's thread, and ``isolated`` those of
    runs whose owners have died of them. ``zone`` is that of the business day, for runs that follow others.
    """

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        clock: Clock,
        events: Events,
        announce: Announce,
        lease_seconds: float,
        max_active_runs: int,
        executor: Executor | None = None,
        isolated: Executor | None = None,
        zone: tzinfo = UTC,
    ) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._events = events
        self._executor = executor or Inline()
        self._isolated = isolated or Inline()
        self._lease_seconds = lease_seconds
        self.endings = Endings(
            registry=registry, announce=announce, clock=clock, max_active_runs=max_active_runs
        )
        self._leases = LeaseStore(database)
        self._standby = Standby(database)
        self.claims = Claims(
            database=database,
            registry=registry,
            leases=self._leases,
            clock=clock,
            events=events,
            lease_seconds=lease_seconds,
            max_active_runs=max_active_runs,
        )
        self._chance = random.Random()
        self._finishing = Finishing(
            registry=registry, clock=clock, events=events, endings=self.endings, zone=zone
        )
        self._preparing = Preparing(database=database, clock=clock, events=events, finishing=self._finishing)
        self._processing = Processing(
            database=database,
            clock=clock,
            events=events,
            chance=self._chance,
            executor=self._executor,
            isolated=self._isolated,
        )
        self._active: dict[int, Run] = {}

    def drive(self, run_key: int, stop: Stop = lambda: False) -> Run:
        """Drive a waiting run until it has ended, or until ``stop`` says so; then it is handed back as Queued.

        Waits for a slot among the active runs. Returns the run as it stands; also when another process has it.
        """
        claim = self.claims.claim_or_wait(run_key, stop)
        return self.work(claim.run, stop) if isinstance(claim, Claimed) else claim.run

    def resume(self, run_key: int, stop: Stop = lambda: False, extra: ExtraWrite = no_extra_write) -> Run:
        """Go on with a run that waits, or whose process is gone; the latter after one lease without a heartbeat.

        ``extra`` is called in the transaction that makes the run ours, with the run as it was before. Raises
        ``Refused`` when its owner is alive, or when it has ended. Returns the run as it stands when ``stop`` says so
        while it waits.
        """
        claim = self.claims.reclaim(run_key, stop, extra)
        return self.work(claim.run, stop) if isinstance(claim, Claimed) else claim.run

    def stand_by(self) -> None:
        """Have a process stand by for heartbeats from now on, and not only once a run lasts."""
        self._standby.start()

    def close(self) -> None:
        """End the processes of the executor, and close the connections of the leases."""
        self._executor.close()
        self._standby.close()
        self._leases.close()

    def work(self, run: Run, stop: Stop = lambda: False) -> Run:
        """Drive a run that is ours since its claim, under a lease; what is logged meanwhile carries the run's id.

        Returns it as it stands: ended, paused, handed back because of ``stop``, or with the process that took it over.
        """
        with bind(run_id=run.run_id):
            self._events.publish(events.Reached(run.run_id, "claimed"))
            self._events.publish(events.RunStarted(run.run_id, run.job, run.fence))
            try:
                lease = Lease(self._leases, run, self._lease_seconds, self._standby)
                session = RunSession(self._database, lease.record)
                with closing(session), lease.recording(session.current_session()):
                    self._active[run.id] = run
                    try:
                        run = self._steps(run, session, stop)
                    finally:
                        del self._active[run.id]
            except FenceLost as lost:
                self._events.publish(events.RunLost(run.run_id, str(lost)))
                return self._read(run.id)
            except Exception as error:
                self._events.publish(events.RunLost(run.run_id, error_text(error)))
                raise
            self._tell(run)
            return run

    def stop_waiting(self) -> None:
        """Have running scopes wait for nobody: neither for a lock of somebody else, which becomes a transient fault
        (on PostgreSQL), nor for a process of ours that is stopped.
        """
        self._executor.end_stopped()
        self._isolated.end_stopped()
        for run in list(self._active.values()):
            self._leases.cancel_waits(run.id, run.fence)

    def _tell(self, run: Run) -> None:
        """What has become of the run here."""
        if run.ended:
            self._events.publish(events.Reached(run.run_id, "ended"))
            self._events.publish(events.RunEnded(run.run_id, run.job, run.state, run.error, run.not_reached))
        elif run.state is State.PAUSED:
            self._events.publish(events.RunPaused(run.run_id))
        else:
            self._events.publish(events.RunHandedBack(run.run_id))

    def _steps(self, run: Run, session: RunSession, stop: Stop) -> Run:
        try:
            # Who interrupted it before may have done so again: what is asked comes before anything of the job's.
            if run.fence > 1 and self._with_retries(lambda: self._requested(run), stop) is not None:
                return self._with_retries(lambda: self._finishing.leave(run, session), stop)
            if run.takeovers_without_progress >= MAX_TAKEOVERS:
                raise GivenUp(self._with_retries(lambda: self._where(run), stop))
            job = self._registry.make(run.job, run.parameters)
            if run.state is State.PREPARING:
                run = self._with_retries(lambda: self._preparing.prepare(run, job, session, stop), stop)
            if run.ended or run.state is State.PAUSED:
                return run
            if run.state is State.PREPARING:
                return self._with_retries(lambda: self._finishing.leave(run, session), stop)
            progress = self._with_retries(lambda: self._processing.progress(run), stop)
            if not self._processing.drive(run, job, progress, session, stop):
                return self._with_retries(lambda: self._finishing.leave(run, session), stop)
            return self._with_retries(lambda: self._finishing.finish(run, job, session), stop)
        except FenceLost:
            raise
        except Exception as error:
            # A database that stays away leaves the run interrupted, to be taken over; anything else ends it.
            if is_transient(error):
                raise
            reason = text_of(error)
            if not isinstance(error, VERDICTS):
                fault = raised(error)
                reason = fault.message
                log.error("the run raised an exception", error=reason, traceback=fault.traceback)
            return self._with_retries(lambda: self._finishing.fail(run, session, reason), stop)

    def _requested(self, run: Run) -> controls.ControlRequest | None:
        with self._database.read_autocommit() as connection:
            return controls.read(connection, run.id)

    def _where(self, run: Run) -> str:
        """Where the owners of a run have died, for people."""
        if run.state is State.PREPARING:
            return "start"
        with self._database.read() as connection:
            pending = scopes.pending(connection, run.id)
        return f"scope {pending[0][1]}" if pending else "finish"

    def _with_retries(self, step: Callable[[], T], stop: Stop) -> T:
        """Repeat a step while it only meets faults that pass; for some seconds where ``stop`` says so."""
        began = self._clock.monotonic()
        for attempt in range(2, MAX_ATTEMPTS + 1):
            try:
                return step()
            except Exception as error:
                late = self._clock.monotonic() - began >= SECONDS_OF_TRIES_WHEN_STOPPED
                if not is_transient(error) or (stop() and late):
                    raise
                reason = reason_of(error)
                log.warning("step of the run tried again", attempt=attempt, reason=reason)
                self._clock.sleep(pause_before(attempt, self._chance))
        return step()

    def _read(self, run_key: int) -> Run:
        with self._database.read() as connection:
            return runs.by_key(connection, run_key)
