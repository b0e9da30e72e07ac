"""A process that executes scopes for runs that another process drives: one of the pool, or of a Dask cluster.

It makes its own application of its own environment and working directory, so that nobody sends it a password.
"""

from __future__ import annotations

import os
import pickle
import queue
import random
import signal
import sys
import threading
from collections import OrderedDict
from functools import cache, partial
from typing import BinaryIO

import structlog

from batchwright.config.logging import bind
from batchwright.config.settings import RUNS_AT_HAND, SettingsError
from batchwright.config.stderr import make_stderr_unfailing
from batchwright.engine import events, processes
from batchwright.engine.errors import FenceLost, Refused, TransactionEnded, error_text
from batchwright.engine.events import Event, Events
from batchwright.engine.executors import Task, TaskResult
from batchwright.engine.faults import is_cancelled
from batchwright.engine.job_code import end_at_once
from batchwright.engine.pool import LENGTH
from batchwright.engine.scope import RunSession, ScopeRunner
from batchwright.engine.store import controls, runs
from batchwright.engine.store.leases import LeaseStore
from batchwright.operations.app import default_application

log = structlog.get_logger()


def main() -> None:
    """Greet, then answer task after task, until whoever started this process hangs up."""
    signal.signal(signal.SIGINT, end_at_once)  # what else raises KeyboardInterrupt here is the job
    incoming, outgoing = _own_streams()
    make_stderr_unfailing()
    sys.path[:] = pickle.load(incoming)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, tasks), daemon=True).start()
    _send(outgoing, _greeting())
    while True:
        _send(outgoing, execute_scope(tasks.get()))


def execute_scope(task: Task) -> TaskResult:
    """Execute a scope under the fence of its run, in a session that is recorded with the run's lease.

    Events go into the answer, for the process that drives the run to publish. Moments reached are published
    here: they are this process's.
    """
    state = _thread_state
    state.events.clear()
    try:
        with bind(run_id=task.run_id):
            runner = state.runner_of(task)
            if task.only is not None:
                runner.try_records(task.scope_key, task.only)
                return TaskResult()
            done = runner.execute(task.scope_key, task.number, dict(task.deadly))
    except FenceLost:
        return TaskResult(fence_lost=True)
    except TransactionEnded as ended:  # not to be done once more
        return TaskResult(ended_in=ended.where, events=tuple(state.events))
    except _CannotWork as cannot:
        return TaskResult(refused=str(cannot))
    except Exception as error:  # whoever drives the run meets it again, and decides
        log.info(
            "scope could not be executed here",
            run_id=task.run_id,
            scope=task.number,
            reason=error_text(error),
        )
        return TaskResult(events=tuple(state.events))
    return TaskResult(done=done, events=tuple(state.events))


def execute_waiting_scope(task: Task) -> TaskResult:
    """The same of a task that has waited here, out of reach: not once somebody asks its run to abort or to pause."""
    try:
        with default_application().database.read() as connection:
            requested = controls.read(connection, task.run_key)
    except Exception as error:  # as far as it matters, `execute_scope` meets it again
        log.info("cannot see what is asked of the run", run_id=task.run_id, reason=error_text(error))
        requested = None
    return execute_scope(task) if requested is None else TaskResult(requested=requested.control)


class _CannotWork(Exception):
    """This process cannot work for the run; the text says why."""


class _ThreadState(threading.local):
    """What a thread works with: the runs it knows, and what happened since the last answer."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._runners: OrderedDict[tuple[int, int], ScopeRunner] = OrderedDict()

    def runner_of(self, task: Task) -> ScopeRunner:
        """The run as this process first saw it under this fence, and its job, ready to execute its scopes."""
        key = task.run_key, task.fence
        if key not in self._runners:
            self._runners[key] = self._runner(task)
            if len(self._runners) > RUNS_AT_HAND:
                _, oldest = self._runners.popitem(last=False)
                oldest.session.close()
        self._runners.move_to_end(key)
        return self._runners[key]

    def _runner(self, task: Task) -> ScopeRunner:
        try:
            app = default_application()
            ours = app.database.display_url
            if ours != task.database:
                raise Refused(
                    f"{_where()} has {ours} for its database, and {task.run_id} is in {task.database}",
                    field="database_url",
                    remedy="Give both the same BATCHWRIGHT_DATABASE_URL",
                )
            app.database.require()
            with app.database.read() as connection:
                run = runs.by_key(connection, task.run_key)
            job = app.registry.make(run.job, run.parameters)
        except (Refused, SettingsError) as refused:
            raise _CannotWork(str(refused)) from None
        if run.fence != task.fence:
            raise FenceLost(run.run_id)
        record = partial(_leases().record, run.id, run.fence)
        if app.database.is_sqlite:
            record(processes.this_process())
        session = RunSession(app.database, record)
        publisher = Events()
        publisher.subscribe(self._on_event)
        return ScopeRunner(run, job, session, app.clock, publisher, random.Random(), gives_up=is_cancelled)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, events.Reached):
            default_application().events.publish(event)
        else:
            self.events.append(event)


_thread_state = _ThreadState()


@cache
def _leases() -> LeaseStore:
    return LeaseStore(default_application().database)


def _where() -> str:
    return f"process {os.getpid()} in {os.getcwd()}"


def _greeting() -> str | None:
    """Why this process cannot work; also loads what every scope needs, so that the first one finds it there."""
    try:
        default_application().registry.names()
    except Exception as error:
        return error_text(error)
    return None


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to whoever started us. What a job prints goes to stderr, and it finds nothing to read."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def _listen(incoming: BinaryIO, tasks: queue.SimpleQueue[Task]) -> None:
    try:
        while True:
            tasks.put(pickle.load(incoming))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)  # nobody is left to hear of it; the database rolls back what was begun
    except BaseException:  # what it is sent cannot be read: it would wait forever, and be waited for
        log.critical("a process of the pool cannot read what it is sent", exc_info=True)
        os._exit(1)


def _send(outgoing: BinaryIO, answer: TaskResult | str | None) -> None:
    try:
        pickled = pickle.dumps(answer)
        outgoing.write(LENGTH.pack(len(pickled)) + pickled)
        outgoing.flush()
    except OSError:
        os._exit(0)


if __name__ == "__main__":
    main()
