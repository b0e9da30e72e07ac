"""A run reads top to bottom here: claim (engine/claim.py), prepare, drive its scopes, finish, announce."""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, tzinfo
from decimal import Decimal
from itertools import islice
from typing import NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection

from batchwright.config.logging import bind
from batchwright.engine import events, preview_check, reports
from batchwright.engine.claim import Claimed, Claims, ExtraWrite, Stop, no_extra_write
from batchwright.engine.clock import Clock
from batchwright.engine.ending import Announce, Endings
from batchwright.engine.errors import FenceLost, Refused, error_text, raised, text_of
from batchwright.engine.events import Events, Point
from batchwright.engine.executors import Executor, Inline, Task, Work
from batchwright.engine.faults import MAX_ATTEMPTS, is_transient, pause_before, reason_of
from batchwright.engine.job import BatchJob, Finish, StartContext
from batchwright.engine.job_code import JOB_CODE, each
from batchwright.engine.lease import Lease
from batchwright.engine.plan import Ascent, GivenTwice, cut, first_twice
from batchwright.engine.registry import Registry
from batchwright.engine.run import ACTIVE, Ask, Run, State
from batchwright.engine.scope import Done, RunSession, ScopeRunner
from batchwright.engine.standby import Standby
from batchwright.engine.store import runs, scopes, steering
from batchwright.engine.store.database import Database
from batchwright.engine.store.engines import let_wait
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.submit import stored_selection, submit_next

SCOPES_PER_PLANNING_COMMIT = 50
SECONDS_OF_TRIES_WHEN_STOPPED = 2.0
"""A step that was tried for longer is left when the process ends: whoever takes the run over does it."""

TAKEOVERS_UNTIL_APART = 3
"""After so many in a row without one more scope the next owner leaves the scopes to a process that may die of them."""
MAX_TAKEOVERS = 6
"""After so many the run fails."""

log = structlog.get_logger()

T = TypeVar("T")


class Plan(NamedTuple):
    """What was planned of a run. A scope may have no record: its group is visited all the same."""

    scopes: int = 0
    records: int = 0


class Progress(NamedTuple):
    """How far a run is: the scopes still to do (key and number), what was done, what somebody asks of the run."""

    pending: list[tuple[int, int]]
    done: scopes.DoneCounts
    asked: Ask | None


class Ending(NamedTuple):
    """A run as its last transaction leaves it, and the runs that its job submitted to follow it."""

    run: Run
    followers: Sequence[Run] = ()


class _PlannedBefore(Exception):
    """The plan is stored already: an earlier try was committed, and its connection lost in COMMIT."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.run_id)
        self.run = run


class Dispatcher:
    """Drives runs in this process.

    ``announce`` is called in the transaction that ends a run: the outbox, given by the composition root.
    ``executor`` executes the scopes, but those of runs that live in their caller's thread, and ``apart`` those of runs
    whose owners have died of them. ``zone`` is that of the
    business day, for runs that follow others.
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
        apart: Executor | None = None,
        zone: tzinfo = UTC,
    ) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._events = events
        self._zone = zone
        self._inline = Inline()
        self._executor = executor or self._inline
        self._apart = apart or self._inline
        self._lease_seconds = lease_seconds
        self.endings = Endings(announce=announce, clock=clock, max_active_runs=max_active_runs)
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
        self._at_work: dict[int, Run] = {}

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
            self._reached(run, "claimed")
            self._events.publish(events.RunStarted(run.run_id, run.job, run.fence))
            try:
                lease = Lease(self._leases, run, self._lease_seconds, self._standby)
                session = RunSession(self._database, lease.record)
                with closing(session), lease.recording(session.current_session()):
                    self._at_work[run.id] = run
                    try:
                        run = self._steps(run, session, stop)
                    finally:
                        del self._at_work[run.id]
            except FenceLost as lost:
                self._events.publish(events.RunLost(run.run_id, str(lost)))
                return self._read(run.id)
            except Exception as error:
                self._events.publish(events.RunLost(run.run_id, error_text(error)))
                raise
            self._tell(run)
            return run

    def hasten(self) -> None:
        """Have the scopes at hand wait for nobody: neither for a lock of somebody else, which becomes a passing fault
        (on PostgreSQL), nor for a process of ours that is stopped.
        """
        self._executor.end_stopped()
        self._apart.end_stopped()
        for run in list(self._at_work.values()):
            self._leases.cancel_waits(run.id, run.fence)

    def _tell(self, run: Run) -> None:
        """What has become of the run here."""
        if run.ended:
            self._reached(run, "ended")
            self._events.publish(events.RunEnded(run.run_id, run.job, run.state, run.error, run.not_reached))
        elif run.state is State.PAUSED:
            self._events.publish(events.RunPaused(run.run_id))
        else:
            self._events.publish(events.RunHandedBack(run.run_id))

    def _steps(self, run: Run, session: RunSession, stop: Stop) -> Run:
        try:
            # Who interrupted it before may have done so again: what is asked comes before anything of the job's.
            if run.fence > 1 and self._with_retries(lambda: self._asked(run), stop) is not None:
                return self._with_retries(lambda: self._leave(run, session), stop)
            if run.takeovers_without_progress >= MAX_TAKEOVERS:
                raise GivenUp(self._with_retries(lambda: self._where(run), stop))
            job = self._registry.make(run.job, run.parameters)
            if run.state is State.PREPARING:
                run = self._with_retries(lambda: self._prepare(run, job, session, stop), stop)
            if run.ended or run.state is State.PAUSED:
                return run
            if run.state is State.PREPARING or not self._drive_scopes(run, job, session, stop):
                return self._with_retries(lambda: self._leave(run, session), stop)
            return self._with_retries(lambda: self._finish(run, job, session), stop)
        except FenceLost:
            raise
        except Exception as error:
            # A database that stays away leaves the run interrupted, to be taken over; anything else ends it.
            if is_transient(error):
                raise
            reason = text_of(error)
            if not isinstance(error, (CeilingReached, SameFault, GivenTwice, GivenUp, Refused)):
                told = raised(error)
                reason = told.message
                log.error("the run raised an exception", error=reason, traceback=told.traceback)
            return self._with_retries(lambda: self._fail(run, session, reason), stop)

    def _prepare(self, run: Run, job: BatchJob, session: RunSession, stop: Stop) -> Run:
        """Plan the scopes, anew when that was interrupted; the run stays Preparing when something asks to stop."""
        try:
            with self._database.read() as reading:
                plan = self._plan(run, session, _planned(reading, run, job), stop)
            return run if plan is None else self._end_planning(run, job, session, plan)
        except _PlannedBefore as before:
            return before.run

    def _plan(
        self, run: Run, session: RunSession, planned: Iterator[scopes.PlannedScope], stop: Stop
    ) -> Plan | None:
        """Store the scopes, committed in portions. ``None`` when something asks to stop between two of them."""
        plan, asked = Plan(), None
        keys, groups = Ascent(), Ascent()
        while portion := list(islice(planned, SCOPES_PER_PLANNING_COMMIT)):
            if asked is not None or (plan.scopes and stop()):
                return None
            with session.transaction() as connection:
                asked = runs.hold_fence(connection, run)
                if not plan.scopes:
                    self._begin_plan(connection, run)
                scopes.insert_scopes(connection, run.id, portion)
            records = sum(len(scope.keys) for scope in portion)
            plan = Plan(plan.scopes + len(portion), plan.records + records)
            for scope in portion:
                keys.see(scope.keys)
                groups.see(scope.groups)
            self._reached(run, "plan committed")
        self._check_given_once(run, keys, groups)
        return plan

    def _check_given_once(self, run: Run, keys: Ascent, groups: Ascent) -> None:
        """Raise ``GivenTwice`` before a record is done twice, or a group in several scopes."""
        if keys.is_unbroken and groups.is_unbroken:
            return
        with self._database.read() as connection:

            def of(name: str) -> Iterator[array[int]]:
                return (getattr(scope, name) for scope in scopes.read_all(connection, run.id))

            key = None if keys.is_unbroken else first_twice(lambda: of("keys"), keys.count)
            group = None if groups.is_unbroken else first_twice(lambda: of("groups"), groups.count)
        if group is not None:
            raise GivenTwice(
                f"start gave the records of group {group} apart: give those of a group one after another"
            )
        if key is not None:
            raise GivenTwice(f"start gave record {key} twice: give each once, with DISTINCT, say")

    def _end_planning(self, run: Run, job: BatchJob, session: RunSession, plan: Plan) -> Run:
        """Let the run go on to its scopes; where there are none it ends in the same transaction."""
        if plan.scopes:
            with session.transaction() as connection:
                ready = runs.move(connection, run, State.PROCESSING, total=plan.records)
            self._reached(run, "planned")
            return ready
        with session.transaction() as connection:
            self._begin_plan(connection, run)
            ending = self._end(connection, runs.move(connection, run, State.PROCESSING, total=0), job)
        self._reached(run, "planned")
        self._events.publish(events.RunPlanned(run.run_id, 0, 0, 0))
        return self._committed(ending)

    def _begin_plan(self, connection: Connection, run: Run) -> None:
        """Forget what an interrupted process planned."""
        seen = runs.by_key(connection, run.id)
        if seen.state is not State.PREPARING:
            raise _PlannedBefore(seen)
        if scopes.any_planned(connection, run.id):
            scopes.delete_plan(connection, run.id)

    def _drive_scopes(self, run: Run, job: BatchJob, session: RunSession, stop: Stop) -> bool:
        """Have executed what is pending. False when something asked to stop before it all was."""
        progress = self._with_retries(lambda: self._progress(run), stop)
        total, done, errored = run.total or 0, progress.done.records, progress.done.errored
        self._events.publish(events.RunPlanned(run.run_id, total, progress.done.scopes, done))
        check_ceiling(run.error_ceiling, errored, total)
        runner = ScopeRunner(
            run, job, session, self._clock, self._events, self._chance, gives_up=lambda error: stop()
        )
        tasks = deque(self._task(run, key, number) for key, number in progress.pending)
        work = Work(
            run=run,
            pending=tasks,
            run_inline=lambda task: runner.execute(task.scope_key, task.number, dict(task.deadly)),
            stop=stop,
            asked=progress.asked,
            keys_of=self._keys_of,
        )
        same_fault = SameFaultWatch(hopeful=done > errored)
        executor = self._inline if run.in_caller else self._executor
        if run.takeovers_without_progress >= TAKEOVERS_UNTIL_APART:
            executor = self._apart
        try:
            with closing(executor.results(work)) as results:
                for scope in results:
                    done += scope.ok + scope.errored + scope.skipped
                    errored += scope.errored
                    self._events.publish(_scope_done(run, scope, done))
                    check_ceiling(run.error_ceiling, errored, total)
                    same_fault.see(scope)
        except Exception as error:
            if not (is_transient(error) and stop()):
                raise
            log.warning("scope left to whoever goes on with the run", reason=reason_of(error))
            return False
        return work.asked is None and not work.pending

    def _asked(self, run: Run) -> steering.Asked | None:
        with self._database.read_autocommit() as connection:
            return steering.read(connection, run.id)

    def _where(self, run: Run) -> str:
        """Where the owners of a run have died, for people."""
        if run.state is State.PREPARING:
            return "start"
        with self._database.read() as connection:
            pending = scopes.pending(connection, run.id)
        return f"scope {pending[0][1]}" if pending else "finish"

    def _progress(self, run: Run) -> Progress:
        with self._database.read() as connection:
            asked = steering.read(connection, run.id)
            pending, done = scopes.pending(connection, run.id), scopes.done_counts(connection, run.id)
            return Progress(pending, done, None if asked is None else asked.asked)

    def _keys_of(self, task: Task) -> Sequence[int]:
        with self._database.read() as connection:
            return scopes.read(connection, task.scope_key).keys

    def _task(self, run: Run, scope_key: int, number: int) -> Task:
        return Task(run.run_id, run.id, run.fence, scope_key, number, self._database.display_url)

    def _finish(self, run: Run, job: BatchJob, session: RunSession) -> Run:
        with session.transaction() as connection:
            ending = self._end(connection, run, job)
        return self._committed(ending)

    def _end(self, connection: Connection, run: Run, job: BatchJob) -> Ending:
        """Let the job finish, and end the run; or do what somebody asked of it."""
        if runs.hold_run(connection, run) is not None:
            return Ending(self.endings.apply_request(connection, run))
        run = runs.by_key(connection, run.id)
        if run.state not in ACTIVE:  # the connection was lost in COMMIT, after the database had committed
            return Ending(run)
        check_all_reached(run)
        if run.is_dry or run.preview_key is not None or type(job).finish is not BatchJob.finish:
            let_wait(connection)
        if run.is_dry:
            preview_check.record_finish_preview(connection, run, job)
        if run.preview_key is not None:
            preview_check.check_finish(connection, run.preview_key, job, run)
        finish = self._at_finish(run, connection)
        with JOB_CODE:
            job.finish(finish)
            reports.check_totals(finish.totals)
        self._reached(run, "finish called")
        runs.add_warnings(connection, run.id, None, finish.warnings)
        ended = self.endings.end(connection, run, State.COMPLETED, finish.totals, None)
        self._reached(run, "finish saved")
        return Ending(ended, finish.submitted)

    def _committed(self, ending: Ending) -> Run:
        """The run, once the transaction that ended it is through: only then its followers are told of."""
        for run in ending.followers:
            self._events.publish(events.RunSubmitted(run.run_id, run.job, run.mode, run.actor))
        return ending.run

    def _at_finish(self, run: Run, connection: Connection) -> Finish:
        now = self._clock.now()

        def chain(job: BatchJob, reason: str | None, scope_size: int | None) -> Run:
            return submit_next(
                connection,
                self._registry,
                run,
                job,
                now,
                reason=reason,
                scope_size=scope_size,
                zone=self._zone,
            )

        totals = {name: dict(amounts) for name, amounts in run.totals.items()}
        return Finish(run=run, connection=connection, now=now, totals=totals, chain=chain)

    def _fail(self, run: Run, session: RunSession, reason: str) -> Run:
        with session.transaction() as connection:
            runs.hold_run(connection, run)
            run = runs.by_key(connection, run.id)
            if run.ended:
                return run
            if run.state is State.PREPARING:
                scopes.delete_plan(connection, run.id)  # half of it says nothing about the other half
            return self.endings.end(connection, run, State.FAILED, run.totals, reason)

    def _leave(self, run: Run, session: RunSession) -> Run:
        """Do what is asked of the run, now that no scope is in flight; else hand it back, to be claimed again."""
        with session.transaction() as connection:
            if runs.hold_run(connection, run) is not None:
                return self.endings.apply_request(connection, run)
            run = runs.by_key(connection, run.id)
            # Else the connection was lost in COMMIT, after the database had committed.
            if run.state in ACTIVE:
                runs.move(connection, run, State.QUEUED, owner=None, **runs.NO_TAKEOVERS)
            return runs.by_key(connection, run.id)

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

    def _reached(self, run: Run, point: Point) -> None:
        self._events.publish(events.Reached(run.run_id, point))

    def _read(self, run_key: int) -> Run:
        with self._database.read() as connection:
            return runs.by_key(connection, run_key)


def _planned(reading: Connection, run: Run, job: BatchJob) -> Iterator[scopes.PlannedScope]:
    """The scopes of a run; of one that applies a preview those of the preview, whatever came since."""
    if run.preview_key is not None:
        return scopes.planned_as(reading, run.preview_key)
    context = StartContext(reading, lambda: stored_selection(reading, run.id))
    with JOB_CODE:
        records = job.start(context)
    return cut(each(records), run.scope_size)


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


def check_all_reached(run: Run) -> None:
    """Raise ``RuntimeError`` when a record has no outcome: an executor that lost a scope must not complete the run."""
    reached = run.processed + run.errored + run.skipped
    if reached != run.total:
        raise RuntimeError(f"{reached:,} of {run.total or 0:,} records were executed, and no scope was left")


class GivenUp(Exception):
    """Owner after owner has died in the same place, and the run got no further."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"given up in {where}: {MAX_TAKEOVERS} takeovers in a row brought it no further; the process that drove it"
            " ended there, or stood still, each time"
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


class SameFault(Exception):
    """Every record so far has raised the same at the same place: that is the job's fault."""


RECORDS_OF_SAME_FAULT = 50


@dataclass(slots=True)
class SameFaultWatch:
    """Whether the first records of a run, whole scopes of at least two groups, have all raised the same.

    ``hopeful`` from the first record on that has not.
    """

    hopeful: bool
    fault: str | None = None
    records: int = 0
    groups: int = 0

    def see(self, scope: Done) -> None:
        """Count a scope. Raises ``SameFault``."""
        records = scope.ok + scope.errored + scope.skipped
        if self.hopeful or not records:
            return
        if scope.fault is None or self.fault not in (None, scope.fault):
            self.hopeful = True
            return
        self.fault, self.records, self.groups = (
            scope.fault,
            self.records + records,
            self.groups + scope.groups,
        )
        if self.records >= RECORDS_OF_SAME_FAULT and self.groups != 1:
            raise SameFault(
                f"all of the first {self.records} records raised {self.fault}: that is the job's fault"
            )
