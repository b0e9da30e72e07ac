"""Where the scopes of a run are executed: in line, or by processes of this machine, or by those of a Dask cluster.

An executor is given the scopes that a run has left and gives what each came to, as it is committed. It may forget
everything: what is durable is in the database, and a scope that is sent twice commits once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from batchwright.engine import events
from batchwright.engine.errors import FenceLost
from batchwright.engine.events import Event, Events
from batchwright.engine.run import Ask, Run
from batchwright.engine.scope import Done

TICK_SECONDS = 0.1
"""How soon somebody's wish to stop is noticed while every scope in flight takes long."""
MOST_DEATHS = 4
"""So many processes may end under one scope before it is blamed for it."""
SECONDS_WORTH_A_POOL = 5.0
"""A pool is started for a run that would go on in line for longer than that."""

log = structlog.get_logger()

Results = Generator["Done", None, None]


class Task(NamedTuple):
    """One scope to execute, for a process that knows nothing else. ``place`` names the database, without password."""

    run_id: str
    run_key: int
    fence: int
    scope_key: int
    number: int
    place: str


class Answer(NamedTuple):
    """What another process says of a task: what the scope came to, or else why not, and what happened meanwhile.

    ``asked`` is why it was not begun, ``refused`` why such a process cannot work for us at all. With nothing of these
    the scope could not be done there.
    """

    done: Done | None = None
    asked: Ask | None = None
    fence_lost: bool = False
    refused: str | None = None
    happened: tuple[Event, ...] = ()


class TaskLost(Exception):
    """Nobody knows what has become of the task; another process may have it."""


class ProcessDied(TaskLost):
    """The process that had the task is gone; that is held against the task."""


class CrewGone(Exception):
    """There are no processes that could execute anything for us; the text says why."""


class ScopeKills(Exception):
    """Process after process ended while it executed the same scope."""


class Crew(Protocol):
    """Other processes that execute scopes."""

    name: str

    @property
    def window(self) -> int:
        """How many scopes of a run may be with them at once; 0 while nobody is ready, or can be reached."""

    @property
    def starting(self) -> bool:
        """None of them is ready yet."""

    def send(self, task: Task) -> Future[Answer]:
        """Have a task executed; the future fails with ``TaskLost`` or ``CrewGone``. Nobody begins what is cancelled."""

    def check(self) -> None:
        """Called every so often while scopes are in flight. Raises ``CrewGone``."""


@dataclass
class Work:
    """The scopes that a run has left.

    ``here`` executes one in line; ``stop`` says when to begin no more, and ``asked`` what somebody wants of the run,
    once a scope has come back with it.
    """

    run: Run
    todo: deque[Task]
    here: Callable[[Task], Done]
    stop: Callable[[], bool]
    asked: Ask | None = None
    deaths: Counter[int] = field(default_factory=Counter)

    @property
    def goes_on(self) -> bool:
        """Another scope may begin, once there is one."""
        return self.asked is None and not self.stop()

    def next_here(self) -> Done:
        """Execute the next scope in line."""
        done = self.here(self.todo[0])
        self.todo.popleft()
        self.asked = done.asked
        return done

    def again(self, tasks: Iterable[Task]) -> None:
        """Put tasks that came to nothing back where they were."""
        self.todo.extendleft(sorted(tasks, key=lambda task: task.number, reverse=True))


class Executor(Protocol):
    """Executes the scopes of runs. Threads may share one."""

    def results(self, work: Work) -> Results:
        """Execute what is left and give what each scope came to, until all is done or nothing more may begin.

        Whenever it ends, also when it is closed early, no scope of the run is in flight. Raises what executing a
        scope in line raises, and ``ScopeKills``.
        """

    def close(self) -> None:
        """End the processes."""


class Inline:
    """Executes scope after scope in the process and the thread that drives the run."""

    def results(self, work: Work) -> Results:
        while work.todo and work.goes_on:
            yield work.next_here()

    def close(self) -> None:
        pass


class Local:
    """Executes scopes in processes of this machine; in line while that would not pay.

    A run begins in line. ``start`` is called for the pool once what is left would take longer than ``worth`` seconds
    by the scopes done so far, and scopes go on in line until the pool is there. It serves all runs of this process.
    """

    def __init__(
        self, start: Callable[[], LocalCrew], events: Events, worth: float = SECONDS_WORTH_A_POOL
    ) -> None:
        self._start = start
        self._events = events
        self._worth = worth
        self._crew: LocalCrew | None = None
        self._gone = False
        self._starting = threading.Lock()

    def results(self, work: Work) -> Results:
        seconds, scopes = 0.0, 0
        while work.todo and work.goes_on:
            if not self._gone and self._pays(len(work.todo), seconds, scopes):
                yield from self._in_pool(work)
            else:
                done = work.next_here()
                seconds, scopes = seconds + done.seconds, scopes + 1
                yield done

    def close(self) -> None:
        if self._crew is not None:
            self._crew.close()

    def _pays(self, left: int, seconds: float, scopes: int) -> bool:
        if self._crew is not None and not self._crew.starting:
            return left > 1
        return scopes > 0 and seconds / scopes * left >= self._worth

    def _in_pool(self, work: Work) -> Results:
        try:
            with self._starting:
                self._crew = self._crew or self._start()
            yield from in_flight(work, self._crew, self._events)
        except CrewGone as gone:
            self._gone = True
            self._events.publish(events.ExecutorFellBack(work.run.run_id, "local", "inline", str(gone)))


class LocalCrew(Crew, Protocol):
    """A crew that ends with us."""

    def close(self) -> None:
        """End its processes."""


def in_flight(work: Work, crew: Crew, told: Events) -> Results:
    """Keep the crew's window filled, and give what comes back.

    As soon as one scope comes back with a wish to abort or to pause, those that nobody has begun are called off.
    Raises ``CrewGone`` with all that is not known to be done back in ``todo``.
    """
    flying: dict[Future[Answer], Task] = {}
    try:
        while flying or (work.todo and work.goes_on):
            _send(work, crew, flying)
            if crew.starting:
                if work.todo and work.goes_on:
                    yield work.next_here()
            else:
                for future in _landed(flying):
                    done = _done(work, crew, told, flying.pop(future), future)
                    if done is not None:
                        yield done
            crew.check()
    except CrewGone:
        work.again(flying.values())
        raise
    except (Exception, GeneratorExit):
        _wait_for_the_rest(crew, flying)
        raise


def _send(work: Work, crew: Crew, flying: dict[Future[Answer], Task]) -> None:
    """Fill the window; or, once nothing more may begin, call off what nobody has begun."""

    # In the thread that brings the answer, before the next scope begins.
    def note(future: Future[Answer]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        done = future.result().done
        if done is not None and done.asked is not None:
            work.asked = done.asked
            _call_off(flying)

    if not work.goes_on:
        _call_off(flying)
        return
    while work.todo and len(flying) < crew.window:
        future = crew.send(work.todo[0])
        flying[future] = work.todo.popleft()
        future.add_done_callback(note)


def _call_off(flying: dict[Future[Answer], Task]) -> None:
    for future in list(flying):
        future.cancel()


def _landed(flying: dict[Future[Answer], Task]) -> list[Future[Answer]]:
    """What has come back, or in vain waits for something for a tick."""
    if not flying:
        time.sleep(TICK_SECONDS)
    return list(wait(flying, TICK_SECONDS, FIRST_COMPLETED).done)


def _done(work: Work, crew: Crew, told: Events, task: Task, future: Future[Answer]) -> Done | None:
    """What a task came to; ``None`` when it has to be done again."""
    error = None if future.cancelled() else future.exception()
    if error is not None or future.cancelled():
        work.again([task])
        if isinstance(error, ProcessDied):
            _blame(work, crew, told, task, error)
        elif error is not None and not isinstance(error, TaskLost):
            raise error
        return None
    answer = future.result()
    for event in answer.happened:
        told.publish(event)
    if answer.fence_lost:
        raise FenceLost(task.run_id)
    if answer.refused is not None:
        work.again([task])
        raise CrewGone(answer.refused)
    work.asked = work.asked or answer.asked
    if answer.asked is not None:
        work.again([task])
        return None
    # What went wrong elsewhere goes wrong here as well, and is raised as what it is.
    done = answer.done or work.here(task)
    work.asked = work.asked or done.asked
    return done


def _blame(work: Work, crew: Crew, told: Events, task: Task, died: ProcessDied) -> None:
    work.deaths[task.number] += 1
    told.publish(events.WorkerReplaced(crew.name, str(died)))
    if work.deaths[task.number] >= MOST_DEATHS:
        raise ScopeKills(
            f"scope {task.number} was given up: {MOST_DEATHS} processes ended while they executed it, the last: {died}"
        )


def _wait_for_the_rest(crew: Crew, flying: dict[Future[Answer], Task]) -> None:
    """Nothing of the run is in flight after this, unless its process cannot be reached."""
    _call_off(flying)
    try:
        while wait(flying, TICK_SECONDS).not_done:
            crew.check()
    except CrewGone as gone:
        log.warning("scopes in flight were given up", executor=crew.name, reason=str(gone))
