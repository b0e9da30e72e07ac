"""Where the scopes of a run are executed: in line, or by processes of this machine, or by those of a Dask cluster.

An executor is given the scopes that a run has left and gives what each came to, as it is committed. It may forget
everything: what is durable is in the database, and a scope that is sent twice commits once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from batchwright.engine import events
from batchwright.engine.errors import FenceLost, TransactionEnded
from batchwright.engine.events import Event, Events
from batchwright.engine.run import Control, Run
from batchwright.engine.scope import Done

TICK_SECONDS = 0.1
"""How soon somebody's wish to stop is noticed while every scope in flight takes long."""
MAX_DEATHS = 4
"""So many processes may end under one scope before its records are tried one by one."""
MAX_DEATHS_IN_TRIALS = 64
"""So many may end under the trials of one scope."""
SECONDS_WORTH_A_POOL = 5.0
"""A pool is started for a run that would go on in line for longer than that."""

log = structlog.get_logger()

Results = Generator["Done", None, None]


class Task(NamedTuple):
    """One scope to execute, for a process that knows nothing else. ``database`` is its URL without the password.

    ``deadly`` are its records that are known to end a process, with how each did. With ``only`` it is a trial: just
    these records are executed, and rolled back.
    """

    run_id: str
    run_key: int
    fence: int
    scope_key: int
    number: int
    database: str
    deadly: tuple[tuple[int, str], ...] = ()
    only: tuple[int, ...] | None = None


class TaskResult(NamedTuple):
    """What another process answers to a task: what the scope came to, or else why not, and the events of it.

    ``requested`` is why it was not begun, ``refused`` why such a process cannot work for us at all, ``ended_in`` where
    the job ended its transaction. With nothing of these the scope could not be done there.
    """

    done: Done | None = None
    requested: Control | None = None
    fence_lost: bool = False
    refused: str | None = None
    ended_in: str | None = None
    events: tuple[Event, ...] = ()


class TaskLost(Exception):
    """Nobody knows what has become of the task; another process may have it."""


class ProcessDied(TaskLost):
    """The process that had the task is gone; that is held against the task."""


class PoolUnavailable(Exception):
    """No process can execute a scope for us; the text says why."""


class ScopeKills(Exception):
    """Process after process ended while it executed the same scope, and no few records of it are to blame."""


class _Stopping(Exception):
    """No further trial may begin."""


class WorkerPool(Protocol):
    """Other processes that execute scopes."""

    name: str

    @property
    def window(self) -> int:
        """How many scopes of a run may be with them at once; 0 while nobody is ready, or can be reached."""

    @property
    def starting(self) -> bool:
        """None of them is ready yet."""

    def send(self, task: Task) -> Future[TaskResult]:
        """Have a task executed; the future fails with ``TaskLost`` or ``PoolUnavailable``.

        A task whose future is cancelled in time is begun by nobody.
        """

    def check(self) -> None:
        """Called every so often while scopes are in flight. Raises ``PoolUnavailable``."""


class LocalPool(WorkerPool, Protocol):
    """A pool that ends with us."""

    def end_stopped(self) -> None:
        """End those of its processes that are stopped."""

    def close(self) -> None:
        """End its processes."""


@dataclass
class Work:
    """The scopes that a run has left.

    ``run_inline`` executes one in the thread of the caller; ``stop`` says when to begin no more, and ``requested`` what
    somebody wants of the run, once a scope has come back with it. ``keys_of`` looks up the keys of a scope's records.
    """

    run: Run
    pending: deque[Task]
    run_inline: Callable[[Task], Done]
    stop: Callable[[], bool]
    requested: Control | None = None
    keys_of: Callable[[Task], Sequence[int]] = lambda task: ()
    deaths: Counter[int] = field(default_factory=Counter)
    """By the number of the scope."""
    tried: set[int] = field(default_factory=set)
    """Numbers of the scopes whose records were tried, and no death was seen."""

    @property
    def stopping(self) -> bool:
        """No further scope may begin."""
        return self.requested is not None or self.stop()

    @property
    def may_begin(self) -> bool:
        """There is another scope, and it may begin."""
        return bool(self.pending) and not self.stopping

    def run_next(self) -> Done:
        """Execute the next scope in the thread of the caller."""
        done = self.run_inline(self.pending[0])
        self.pending.popleft()
        self.requested = done.requested
        return done

    def requeue(self, tasks: Iterable[Task]) -> None:
        """Put tasks that came to nothing back where they were."""
        self.pending.extendleft(sorted(tasks, key=lambda task: task.number, reverse=True))


class Executor(Protocol):
    """Executes the scopes of runs. Threads may share one."""

    def results(self, work: Work) -> Results:
        """Execute what is left and give what each scope came to, until all is done or nothing more may begin.

        Whenever it ends, also when it is closed early, no scope of the run is in flight. Raises what executing a
        scope in line raises, and ``ScopeKills``.
        """

    def end_stopped(self) -> None:
        """End processes of ours that are stopped: somebody waits for their scopes."""

    def close(self) -> None:
        """End the processes."""


class Inline:
    """Executes scope after scope in the process and the thread that drives the run."""

    def results(self, work: Work) -> Results:
        while work.may_begin:
            yield work.run_next()

    def end_stopped(self) -> None:
        pass

    def close(self) -> None:
        pass


class Local:
    """Executes scopes in processes of this machine; in line while that would not pay.

    A run begins in line. ``start`` is called for the pool once what is left would take longer than ``worth`` seconds
    by the scopes done so far, and scopes go on in line until the pool is there. It serves all runs of this process.
    """

    def __init__(
        self, start: Callable[[], LocalPool], events: Events, worth: float = SECONDS_WORTH_A_POOL
    ) -> None:
        self._start = start
        self._events = events
        self._worth = worth
        self._pool: LocalPool | None = None
        self._unavailable = False
        self._starting = threading.Lock()

    def results(self, work: Work) -> Results:
        seconds, scopes = 0.0, 0
        while work.may_begin:
            if not self._unavailable and self._pays(len(work.pending), seconds, scopes):
                yield from self._in_pool(work)
            else:
                done = work.run_next()
                seconds, scopes = seconds + done.seconds, scopes + 1
                yield done

    def end_stopped(self) -> None:
        if self._pool is not None:
            self._pool.end_stopped()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _pays(self, left: int, seconds: float, scopes: int) -> bool:
        if self._pool is not None and not self._pool.starting:
            return left > 1
        return scopes > 0 and seconds / scopes * left >= self._worth

    def _in_pool(self, work: Work) -> Results:
        try:
            with self._starting:
                self._pool = self._pool or self._start()
            yield from InFlight(work, self._pool, self._events).results()
        except PoolUnavailable as error:
            self._unavailable = True
            self._events.publish(events.ExecutorFellBack(work.run.run_id, "local", "inline", str(error)))


class Isolated:
    """Executes scopes in one process that may die of them, so that the record which it dies of is found.

    For a run whose owners have died, one after another. ``start`` is called for such a process, which ends with the
    last scope. In line where there can be none.
    """

    def __init__(self, start: Callable[[], LocalPool], events: Events) -> None:
        self._start = start
        self._pools: set[LocalPool] = set()
        self._events = events

    def results(self, work: Work) -> Results:
        if not work.may_begin:
            return
        with closing(self._start()) as pool:
            self._pools.add(pool)
            try:
                yield from InFlight(work, pool, self._events, max_deaths=1, inline_meanwhile=False).results()
            except PoolUnavailable as error:
                fell_back = events.ExecutorFellBack(work.run.run_id, "apart", "inline", str(error))
                self._events.publish(fell_back)
                yield from Inline().results(work)
            finally:
                self._pools.discard(pool)

    def end_stopped(self) -> None:
        for pool in list(self._pools):
            pool.end_stopped()

    def close(self) -> None:
        pass


class InFlight:
    """The scopes of one run that are with a pool. Fills the pool's window, and gives what comes back.

    After ``max_deaths`` of processes under one scope its records are tried, in halves. With ``inline_meanwhile`` scopes
    are executed in line while the pool starts.
    """

    def __init__(
        self,
        work: Work,
        pool: WorkerPool,
        events: Events,
        max_deaths: int = MAX_DEATHS,
        inline_meanwhile: bool = True,
    ) -> None:
        self._work = work
        self._pool = pool
        self._events = events
        self._max_deaths = max_deaths
        self._inline_meanwhile = inline_meanwhile
        self._tasks: dict[Future[TaskResult], Task] = {}

    def results(self) -> Results:
        """As ``Executor.results``. Raises ``PoolUnavailable``, with all that is not known to be done back in
        ``pending``.
        """
        work, pool = self._work, self._pool
        try:
            while self._tasks or work.may_begin:
                self._send()
                if pool.starting and self._inline_meanwhile:
                    if work.may_begin:
                        yield work.run_next()
                else:
                    for future in self._completed():
                        done = self._outcome(self._tasks.pop(future), future)
                        if done is not None:
                            yield done
                pool.check()
        except PoolUnavailable:
            work.requeue(self._tasks.values())
            raise
        except (Exception, GeneratorExit):
            self._drain()
            raise

    def _send(self) -> None:
        """Fill the window; or, once no further scope may begin, cancel what nobody has begun."""
        if self._work.stopping:
            self._cancel()
            return
        while self._work.pending and len(self._tasks) < self._pool.window:
            future = self._pool.send(self._work.pending[0])
            self._tasks[future] = self._work.pending.popleft()
            future.add_done_callback(self._look_first)

    def _look_first(self, future: Future[TaskResult]) -> None:
        """An answer is looked at before the next scope begins: in the thread that brings it, and whose process would
        begin the next one. What nobody has begun when a run is asked to stop is never begun.
        """
        if future.cancelled() or future.exception() is not None:
            return
        done = future.result().done
        if done is not None and done.requested is not None:
            self._work.requested = done.requested
            self._cancel()

    def _cancel(self) -> None:
        for future in list(self._tasks):
            future.cancel()

    def _completed(self) -> list[Future[TaskResult]]:
        """What has come back within a tick."""
        if not self._tasks:
            time.sleep(TICK_SECONDS)
        return list(wait(self._tasks, TICK_SECONDS, FIRST_COMPLETED).done)

    def _outcome(self, task: Task, future: Future[TaskResult]) -> Done | None:
        """What a task came to; ``None`` when it is pending again."""
        error = None if future.cancelled() else future.exception()
        if error is None and not future.cancelled():
            return self._accept(task, future.result())
        self._work.requeue([task])
        if isinstance(error, ProcessDied):
            self._blame(task, error)
        elif error is not None and not isinstance(error, TaskLost):
            raise error
        return None

    def _accept(self, task: Task, result: TaskResult) -> Done | None:
        for event in result.events:
            self._events.publish(event)
        if result.fence_lost:
            raise FenceLost(task.run_id)
        if result.ended_in is not None:
            raise TransactionEnded(result.ended_in)
        if result.refused is not None:
            self._work.requeue([task])
            raise PoolUnavailable(result.refused)
        self._work.requested = self._work.requested or result.requested
        if result.requested is not None:
            self._work.requeue([task])
            return None
        if result.done is None and self._work.stopping:
            self._work.requeue([task])
            return None
        # What went wrong elsewhere goes wrong here as well, and is raised as what it is.
        done = result.done or self._work.run_inline(task)
        self._work.requested = self._work.requested or done.requested
        return done

    def _blame(self, task: Task, died: ProcessDied) -> None:
        """Hold the death of a process against the task that it had, and find the records that it died of once there
        were too many. Raises ``ScopeKills`` when there are none, or too many.
        """
        deaths = self._work.deaths
        deaths[task.number] += 1
        self._events.publish(events.WorkerReplaced(self._pool.name, str(died)))
        if deaths[task.number] < self._max_deaths:
            return
        try:
            keys = [key for key in self._work.keys_of(task) if key not in dict(task.deadly)]
            found = tuple(self._deadly(task, keys, str(died))) if keys else ()
        except _Stopping:
            return
        if found:
            for key, message in found:
                self._events.publish(events.RecordErrored(task.run_id, task.number, key, message))
            self._work.pending.remove(task)
            self._work.requeue([task._replace(deadly=task.deadly + found)])
            deaths[task.number] = 0
        elif task.number in self._work.tried or not keys:
            raise ScopeKills(
                f"scope {task.number} was given up: process after process ended while it executed it, and no record of"
                f" it ends one alone; it may need more memory than there is, and a smaller scope; the last: {died}"
            )
        self._work.tried.add(task.number)

    def _deadly(self, task: Task, keys: Sequence[int], died: str) -> Iterator[tuple[int, str]]:
        """The records that end a process by themselves, each with how; ``died`` says how ``keys`` together did."""
        if len(keys) == 1:
            yield keys[0], died
            return
        middle = len(keys) // 2
        for half in (keys[:middle], keys[middle:]):
            of_half = self._dies_of(task, half)
            if of_half is not None:
                yield from self._deadly(task, half, of_half)

    def _dies_of(self, task: Task, keys: Sequence[int]) -> str | None:
        """Have a process try these records: how it died of them, or ``None``."""
        trial = self._pool.send(task._replace(only=tuple(keys)))
        while not wait([trial], TICK_SECONDS).done:
            self._pool.check()
            if self._work.stopping:
                trial.cancel()
        if trial.cancelled() or self._work.stopping:
            raise _Stopping
        error = trial.exception()
        if error is None:
            self._survived(task, trial.result())
            return None
        if isinstance(error, ProcessDied):
            self._events.publish(events.WorkerReplaced(self._pool.name, str(error)))
            self._work.deaths[task.number] += 1
            if self._work.deaths[task.number] > MAX_DEATHS_IN_TRIALS:
                raise ScopeKills(
                    f"scope {task.number} was given up: {MAX_DEATHS_IN_TRIALS} processes ended while its records were"
                    f" tried, the last: {error}"
                )
            return str(error)
        if isinstance(error, TaskLost):
            return None
        raise error

    def _survived(self, task: Task, result: TaskResult) -> None:
        if result.fence_lost:
            raise FenceLost(task.run_id)
        if result.ended_in is not None:
            raise TransactionEnded(result.ended_in)
        if result.refused is not None:
            raise PoolUnavailable(result.refused)

    def _drain(self) -> None:
        """Cancel what nobody has begun, and wait for the rest, unless its process cannot be reached."""
        self._cancel()
        try:
            while wait(self._tasks, TICK_SECONDS).not_done:
                self._pool.check()
        except PoolUnavailable as error:
            log.warning("scopes in flight were given up", executor=self._pool.name, reason=str(error))
