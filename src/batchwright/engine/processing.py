"""A run that is Processing: its scopes are executed, and counted as they are done."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

import structlog

from batchwright.engine import events
from batchwright.engine.claim import Stop
from batchwright.engine.clock import Clock
from batchwright.engine.events import Events
from batchwright.engine.executors import Executor, Inline, Task, Work
from batchwright.engine.faults import is_transient, reason_of
from batchwright.engine.job import BatchJob
from batchwright.engine.limits import (
    TAKEOVERS_UNTIL_ISOLATED,
    SameFaultCheck,
    check_ceiling,
    same_fault_so_far,
)
from batchwright.engine.run import Control, Run
from batchwright.engine.scope import Done, RunSession, ScopeRunner
from batchwright.engine.store import controls, scopes
from batchwright.engine.store.database import Database

log = structlog.get_logger()


class Progress(NamedTuple):
    """How far a run is: the scopes still to do (key and number), what was done, what somebody asks of the run."""

    pending: list[tuple[int, int]]
    done: scopes.DoneCounts
    requested: Control | None


class Processing:
    """Has the scopes of runs executed: by ``executor``, in the caller's thread for runs that live there, and
    ``isolated`` for runs whose owners have died of them.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        events: Events,
        chance: random.Random,
        executor: Executor,
        isolated: Executor,
    ) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._chance = chance
        self._executor = executor
        self._isolated = isolated
        self._inline = Inline()

    def progress(self, run: Run) -> Progress:
        """How far a run is."""
        with self._database.read() as connection:
            requested = controls.read(connection, run.id)
            pending, done = scopes.pending(connection, run.id), scopes.done_counts(connection, run.id)
            return Progress(pending, done, None if requested is None else requested.control)

    def drive(self, run: Run, job: BatchJob, progress: Progress, session: RunSession, stop: Stop) -> bool:
        """Have executed what is pending. False when something asked to stop before it all was."""
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
            requested=progress.requested,
            keys_of=self._keys_of,
        )
        same_fault = self._same_fault(run, progress.done)
        try:
            with closing(self._executor_of(run).results(work)) as results:
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
        return work.requested is None and not work.pending

    def _same_fault(self, run: Run, done: scopes.DoneCounts) -> SameFaultCheck:
        if not done.records or done.records > done.errored:
            return SameFaultCheck(hopeful=done.records > 0)
        with self._database.read() as connection:
            return same_fault_so_far(connection, run)

    def _executor_of(self, run: Run) -> Executor:
        if run.takeovers_without_progress >= TAKEOVERS_UNTIL_ISOLATED:
            return self._isolated
        return self._inline if run.in_caller else self._executor

    def _keys_of(self, task: Task) -> Sequence[int]:
        with self._database.read() as connection:
            return scopes.read(connection, task.scope_key).keys

    def _task(self, run: Run, scope_key: int, number: int) -> Task:
        return Task(run.run_id, run.id, run.fence, scope_key, number, self._database.display_url)


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
