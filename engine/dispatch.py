"""A run reads top to bottom here: claim, prepare, drive its scopes, finish, announce."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from config.logging import bind
from engine import events, processes
from engine.clock import Clock
from engine.errors import FenceLost, Refused
from engine.events import Events
from engine.faults import MAX_ATTEMPTS, is_transient, pause_before
from engine.job import BatchJob, Finish, StartContext, Warn
from engine.lease import Lease, Watch, take_over
from engine.plan import cut
from engine.queue import promote
from engine.registry import Registry
from engine.run import ACTIVE, Run, State, Totals
from engine.scope import Done, RunSession, ScopeRunner, words
from engine.store import runs, scopes
from engine.store.database import Database
from engine.store.leases import LeaseStore
from engine.submit import stored_selection

SCOPES_PER_PLANNING_COMMIT = 50
SECONDS_BETWEEN_QUEUE_LOOKS = 0.5

log = structlog.get_logger()

T = TypeVar("T")
Announce = Callable[[Connection, Run], None]
Stop = Callable[[], bool]
Claimed = Callable[[Connection, Run], None]


class Dispatcher:
    """Drives runs in this process.

    ``announce`` is called in the transaction that ends a run: the outbox, given by the composition root.
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
    ) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._events = events
        self._announce = announce
        self._lease_seconds = lease_seconds
        self._max_active_runs = max_active_runs
        self._leases = LeaseStore(database)
        self._chance = random.Random()

    def drive(
        self, run_key: int, stop: Stop = lambda: False, claimed: Claimed = lambda connection, run: None
    ) -> Run:
        """Drive a waiting run until it has ended, or until ``stop`` says so; then it is handed back as Queued.

        Waits for a slot among the active runs. Returns the run as it stands; also when another process has it.
        """
        try:
            run, ours = self._claim_in_turn(run_key, stop, claimed)
        except FenceLost:
            return self._read(run_key)
        return self._work(run, stop) if ours else run

    def resume(
        self, run_key: int, stop: Stop = lambda: False, claimed: Claimed = lambda connection, run: None
    ) -> Run:
        """Go on with a run that waits, or whose process is gone; the latter after one lease without a heartbeat.

        ``claimed`` is called in the transaction that makes the run ours, with the run as it was before.
        Raises ``Refused`` when its owner is alive, or when it has ended. Returns the run as it stands when ``stop``
        says so while it waits.
        """
        run = self._read(run_key)
        if run.ended:
            raise Refused(
                f"{run.run_id} has ended ({run.state})",
                field="run_id",
                remedy=f"To do its failed records again: `batchwright runs retry {run.run_id}`",
            )
        if run.state not in ACTIVE:
            return self.drive(run_key, stop, claimed)
        taken = self._take_over(run, stop, claimed)
        return run if taken is None else self._work(taken, stop)

    def close(self) -> None:
        """Close the connections of the leases."""
        self._leases.close()

    def _claim_in_turn(self, run_key: int, stop: Stop, claimed: Claimed) -> tuple[Run, bool]:
        """The run, and whether it is ours now.

        Only runs at work count: one that waits for a process to drive it keeps nobody from working.
        """
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

    def _take_over(self, run: Run, stop: Stop, claimed: Claimed) -> Run | None:
        watch = Watch(self._leases, run, self._lease_seconds, self._clock)
        try:
            waited = False
            while not watch.look():
                if not waited:
                    reason = f"its owner {run.owner} may be alive; looking for {self._lease_seconds:g} s"
                    self._events.publish(events.RunWaiting(run.run_id, reason))
                    waited = True
                self._clock.sleep(watch.interval)
                if stop():
                    return None
                if watch.alive:
                    raise self._owner_lives(run)
            if not watch.claim():
                raise self._owner_lives(run)
            try:
                taken = take_over(self._database, self._leases, run, self._clock, claimed)
            except FenceLost:
                raise self._owner_lives(run) from None
        finally:
            watch.close()
        self._events.publish(events.RunTakenOver(run.run_id, run.owner or "nobody"))
        return taken

    def _owner_lives(self, run: Run) -> Refused:
        return Refused(
            f"{run.run_id} is being worked on by {run.owner}",
            field="run_id",
            remedy=f"Watch it with `batchwright runs show {run.run_id}`",
        )

    def _work(self, run: Run, stop: Stop) -> Run:
        """From claimed to ended, under a lease; what is logged meanwhile carries the run's id."""
        with bind(run_id=run.run_id):
            self._events.publish(events.RunStarted(run.run_id, run.job, run.fence))
            try:
                with Lease(self._leases, run, self._lease_seconds) as lease:
                    session = RunSession(self._database, lease)
                    try:
                        run = self._steps(run, session, stop)
                    finally:
                        session.close()
            except FenceLost:
                return self._read(run.id)
            if run.ended:
                self._events.publish(
                    events.RunEnded(run.run_id, run.job, run.state, run.error, run.not_reached)
                )
            return run

    def _steps(self, run: Run, session: RunSession, stop: Stop) -> Run:
        try:
            job = self._registry.get(run.job)(**run.parameters)
            if run.state is State.PREPARING:
                run = self._patiently(lambda: self._prepare(run, job, session))
            if not self._drive_scopes(run, job, session, stop):
                return self._patiently(lambda: self._hand_back(run, session))
            return self._patiently(lambda: self._finish(run, job, session))
        except FenceLost:
            raise
        except Exception as error:
            # A database that stays away leaves the run interrupted, to be taken over; anything else ends it.
            if is_transient(error):
                raise
            reason = str(error) if isinstance(error, (CeilingReached, Refused)) else words(error)
            return self._patiently(lambda: self._fail(run, session, reason))

    def _prepare(self, run: Run, job: BatchJob, session: RunSession) -> Run:
        """Plan the scopes; committed in portions, and begun anew when it was interrupted."""
        with session.transaction() as connection:
            runs.hold_fence(connection, run)
            seen = runs.by_key(connection, run.id)
            if seen.state is not State.PREPARING:  # the connection was lost after its last commit
                return seen
            scopes.delete_plan(connection, run.id)
        total = 0
        with self._database.read() as reading:
            context = StartContext(reading, lambda: stored_selection(reading, run.id))
            planned = cut(job.start(context), run.scope_size)
            while portion := list(islice(planned, SCOPES_PER_PLANNING_COMMIT)):
                total += sum(len(one.keys) for one in portion)
                with session.transaction() as connection:
                    runs.hold_fence(connection, run)
                    scopes.insert_scopes(connection, run.id, portion)
        with session.transaction() as connection:
            runs.move(connection, run, State.PROCESSING, total=total)
            return runs.by_key(connection, run.id)

    def _drive_scopes(self, run: Run, job: BatchJob, session: RunSession, stop: Stop) -> bool:
        """Execute what is pending. False when it was asked to stop first."""
        pending, (number, done, errored) = self._patiently(lambda: self._pending(run))
        total = run.total or 0
        self._events.publish(events.RunPlanned(run.run_id, total, number, done))
        check_ceiling(run.error_ceiling, errored, total)
        runner = ScopeRunner(run, job, session, self._clock, self._events, self._chance)
        for scope_key, scope_number in pending:
            if stop():
                return False
            with bind(scope=scope_number):
                scope = runner.execute(scope_key, scope_number)
            done += scope.ok + scope.errored + scope.skipped
            errored += scope.errored
            self._events.publish(_scope_done(run, scope, done))
            check_ceiling(run.error_ceiling, errored, total)
        return True

    def _pending(self, run: Run) -> tuple[list[tuple[int, int]], tuple[int, int, int]]:
        with self._database.read() as connection:
            return scopes.pending(connection, run.id), scopes.done_counts(connection, run.id)

    def _finish(self, run: Run, job: BatchJob, session: RunSession) -> Run:
        with session.transaction() as connection:
            runs.hold_fence(connection, run)
            run = runs.by_key(connection, run.id)
            if run.ended:  # the connection was lost in COMMIT, after the database had committed
                return run
            totals = {name: dict(amounts) for name, amounts in run.totals.items()}
            finish = Finish(run=run, connection=connection, now=self._clock.now(), totals=totals)
            job.finish(finish)
            runs.add_warnings(connection, run.id, None, finish.warnings)
            return self._end(connection, run, State.COMPLETED, finish.totals, None)

    def _fail(self, run: Run, session: RunSession, reason: str) -> Run:
        with session.transaction() as connection:
            runs.hold_fence(connection, run)
            run = runs.by_key(connection, run.id)
            if run.ended:
                return run
            if run.state is State.PREPARING:
                scopes.delete_plan(connection, run.id)  # half of it says nothing about the other half
            return self._end(connection, run, State.FAILED, run.totals, reason)

    def _end(self, connection: Connection, run: Run, state: State, totals: Totals, error: str | None) -> Run:
        """The run's last move, its final figures and its mail, in one transaction."""
        total = run.total or 0
        runs.move(
            connection,
            run,
            state,
            total=total,
            processed=run.processed,
            errored=run.errored,
            skipped=run.skipped,
            not_reached=total - run.processed - run.errored - run.skipped,
            totals=totals,
            error=error,
            owner=None,
            ended_at=self._clock.now(),
        )
        ended = runs.by_key(connection, run.id)
        self._announce_safely(connection, ended)
        promote(connection, self._max_active_runs)
        return ended

    def _announce_safely(self, connection: Connection, run: Run) -> None:
        """Mail never decides: a run also ends when its mail cannot be recorded, and says so in a warning."""
        try:
            with connection.begin_nested():
                self._announce(connection, run)
        except Exception as error:
            if is_transient(error):
                raise
            log.error("mail not recorded", reason=words(error))
            runs.add_warnings(
                connection, run.id, None, [Warn("no_mail", f"no mail recorded: {words(error)}", None)]
            )

    def _hand_back(self, run: Run, session: RunSession) -> Run:
        with session.transaction() as connection:
            runs.hold_fence(connection, run)
            if runs.by_key(connection, run.id).state is not State.QUEUED:
                runs.move(connection, run, State.QUEUED, owner=None)
            return runs.by_key(connection, run.id)

    def _patiently(self, step: Callable[[], T]) -> T:
        """Repeat a step while it only meets faults that pass."""
        for attempt in range(2, MAX_ATTEMPTS + 1):
            try:
                return step()
            except Exception as error:
                if not is_transient(error):
                    raise
                reason = str(getattr(error, "orig", error)).strip()
                log.warning("step of the run tried again", attempt=attempt, reason=reason)
                self._clock.sleep(pause_before(attempt, self._chance))
        return step()

    def _read(self, run_key: int) -> Run:
        with self._database.read() as connection:
            return runs.by_key(connection, run_key)


def _scope_done(run: Run, scope: Done, done: int) -> events.ScopeDone:
    return events.ScopeDone(
        run_id=run.run_id,
        job=run.job,
        scope=scope.number,
        ok=scope.ok,
        errored=scope.errored,
        skipped=scope.skipped,
        seconds=scope.seconds,
        done=done,
        total=run.total or 0,
    )


class CeilingReached(Exception):
    """More records are errors than the run was allowed."""


def check_ceiling(ceiling: str | None, errored: int, total: int) -> None:
    """Raise ``CeilingReached`` when there are more errors than ``ceiling``: a count, or a percentage of ``total``."""
    if ceiling is None:
        return
    share = ceiling.removesuffix("%")
    exceeded = errored * 100 > Decimal(share) * total if share != ceiling else errored > int(share)
    if exceeded:
        raise CeilingReached(
            f"stopped at the error ceiling of {ceiling}: {errored:,} of {total:,} records errored"
        )
