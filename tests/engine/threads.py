"""A pool of threads of this process, in the place of one of processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from random import Random

from sqlalchemy.exc import DBAPIError

from batchwright.engine.clock import SystemClock
from batchwright.engine.errors import FenceLost
from batchwright.engine.executors import (
    PoolUnavailable,
    Task,
    TaskResult,
)
from batchwright.engine.scope import RunSession, ScopeRunner
from batchwright.engine.store import runs, scopes
from batchwright.engine.store.leases import LeaseStore
from tests.engine.rig import Rig


class Threads:
    """A pool of two threads of this process, each with a session of its own."""

    name = "threads"
    window = 4
    starting = False

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._state = threading.local()
        self._leases = LeaseStore(rig.database)
        self._threads = ThreadPoolExecutor(2)
        self._sessions: list[RunSession] = []
        self.before: Callable[[Task], None] = lambda task: None
        self.before_records: Callable[[Task, Sequence[int]], None] = lambda task, keys: None
        self.gone: str | None = None

    def send(self, task: Task) -> Future[TaskResult]:
        return self._threads.submit(self._execute, task)

    def check(self) -> None:
        if self.gone:
            raise PoolUnavailable(self.gone)

    def close(self) -> None:
        self._threads.shutdown()
        for session in self._sessions:
            session.close()
        self._leases.close()

    def _execute(self, task: Task) -> TaskResult:
        self.before(task)
        try:
            with self._rig.database.read() as connection:
                keys = task.only or scopes.read(connection, task.scope_key).keys
        except DBAPIError:  # as a process does whose database is away: whoever drives the run meets it again
            return TaskResult()
        self.before_records(task, [key for key in keys if key not in dict(task.deadly)])
        try:
            if task.only is not None:
                self._runner(task).try_records(task.scope_key, task.only)
                return TaskResult()
            return TaskResult(self._runner(task).execute(task.scope_key, task.number, dict(task.deadly)))
        except FenceLost:
            return TaskResult(fence_lost=True)
        except Exception:
            return TaskResult()

    def _runner(self, task: Task) -> ScopeRunner:
        if getattr(self._state, "fence", None) != (task.run_key, task.fence):
            self._state.fence = task.run_key, task.fence
            self._state.runner = runner(self._rig, task.run_key, self._leases)
            self._sessions.append(self._state.runner.session)
        made: ScopeRunner = self._state.runner
        return made


def runner(rig: Rig, run_key: int, leases: LeaseStore) -> ScopeRunner:
    """What a process needs to execute scopes of a run."""
    with rig.database.read() as connection:
        run = runs.by_key(connection, run_key)
    session = RunSession(rig.database, partial(leases.record, run.id, run.fence))
    return ScopeRunner(
        run, rig.registry.get(run.job)(**run.parameters), session, SystemClock(), rig.events, Random()
    )
