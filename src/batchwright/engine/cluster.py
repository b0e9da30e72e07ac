"""Scopes executed by an existing Dask cluster; by another executor when there is none for one lease.

What Dask knows of a scope decides nothing: a task it gives up for lost may still be at work, and the fence and the mark
of the scope take care of it. So its futures only inform, and every wait for it has a limit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError, Future
from pkgutil import resolve_name
from typing import Any

import structlog

from batchwright.engine import events
from batchwright.engine.events import Events
from batchwright.engine.executors import (
    Executor,
    InFlight,
    PoolUnavailable,
    ProcessDied,
    Results,
    Task,
    TaskLost,
    TaskResult,
    Work,
)

SCOPES_PER_THREAD = 2
"""One that is executed, and one that waits there: the way to a cluster and back is long."""
SECONDS_TO_CONNECT = 3.0
SECONDS_TO_FETCH = 10.0
SECONDS_BETWEEN_CHECKS = 1.0

log = structlog.get_logger()


class Dask:
    """Sends the scopes of every run to the workers of a cluster.

    ``address`` is ``dask://host:port`` of its scheduler, ``function`` names what a worker calls with a task, as
    ``module:function``, and ``fallback`` goes on with a run that has seen no worker for ``patience`` seconds. The next
    run tries the cluster again.
    """

    def __init__(
        self,
        address: str,
        function: str,
        fallback: Executor,
        events: Events,
        patience: float,
    ) -> None:
        self._cluster = Cluster(address, function)
        self._fallback = fallback
        self._events = events
        self._patience = patience

    def results(self, work: Work) -> Results:
        try:
            yield from InFlight(work, _ClusterPool(self._cluster, self._patience), self._events).results()
        except PoolUnavailable as error:
            fell_back = events.ExecutorFellBack(work.run.run_id, self._cluster.address, "local", str(error))
            self._events.publish(fell_back)
            yield from self._fallback.results(work)

    def end_stopped(self) -> None:
        self._fallback.end_stopped()

    def close(self) -> None:
        self._cluster.close()
        self._fallback.close()


class _ClusterPool:
    """The workers of the cluster, for one run."""

    starting = False

    def __init__(self, cluster: Cluster, patience: float) -> None:
        self.name = cluster.address
        self._cluster = cluster
        self._patience = patience
        self._answered_at = time.monotonic()

    @property
    def window(self) -> int:
        return SCOPES_PER_THREAD * self._cluster.threads()

    def send(self, task: Task) -> Future[TaskResult]:
        return self._cluster.send(task)

    def check(self) -> None:
        if self._cluster.threads():
            self._answered_at = time.monotonic()
        elif time.monotonic() - self._answered_at > self._patience:
            raise PoolUnavailable(f"no worker answered for {self._patience:g} s")


class Cluster:
    """A connection to a scheduler, renewed when it is lost. The runs of this process share it."""

    def __init__(self, address: str, function: str) -> None:
        self.address = address
        self._function = function
        self._client: Any = None
        self._threads = 0
        self._asked_at: float | None = None
        self._asking = threading.Lock()

    def threads(self) -> int:
        """How many scopes the workers can execute at once; 0 when nobody answers. As of a second ago."""
        with self._asking:
            if self._asked_at is None or time.monotonic() - self._asked_at > SECONDS_BETWEEN_CHECKS:
                self._threads = self._ask_threads()
                self._asked_at = time.monotonic()
            return self._threads

    def send(self, task: Task) -> Future[TaskResult]:
        """Have a worker call the function. Nobody can call it off: Dask says it did also where a worker goes on."""
        result: Future[TaskResult] = Future()
        result.set_running_or_notify_cancel()
        client = self._client
        if client is None:
            result.set_exception(TaskLost("the connection to the scheduler is lost"))
            return result
        try:
            # Not by way of its executor: there a connection that breaks while an answer is fetched ends in no answer.
            sent = client.submit(call_by_name, self._function, task, pure=False)
        except Exception as error:  # a client that is being closed, say
            self._asked_at = None
            result.set_exception(TaskLost(str(error)))
        else:
            sent.add_done_callback(lambda done: self._fetch(done, result))
        return result

    def close(self) -> None:
        """Let go of the cluster, which goes on."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=SECONDS_TO_CONNECT)

    def _fetch(self, done: Any, result: Future[TaskResult]) -> None:
        """Fetch the result of a `distributed.Future`, and translate its errors into ours."""
        try:
            result.set_result(done.result(timeout=SECONDS_TO_FETCH))
        except (Exception, asyncio.CancelledError) as error:
            result.set_exception(_as_task_error(error))
            self._asked_at = None

    def _ask_threads(self) -> int:
        try:
            if self._client is None:
                self._client = _connected(self.address)
            client = self._client
            of_workers = client.sync(client.scheduler.ncores, callback_timeout=SECONDS_TO_CONNECT)
        except Exception as error:  # whatever it is: nobody to work with
            log.info("no answer from the Dask cluster", address=self.address, reason=str(error))
            if self._client is not None and self._client.status in ("closing", "closed"):
                self.close()
            return 0
        return sum(of_workers.values())


def call_by_name(function: str, task: Task) -> TaskResult:
    """What a worker is sent: it finds the function by its name in its own installation."""
    result: TaskResult = resolve_name(function)(task)
    return result


def _connected(address: str) -> Any:
    """A `distributed.Client`."""
    from distributed import Client  # 0.5 s, for those alone who use it

    scheduler = address.replace("dask://", "tcp://", 1)
    return Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False)  # type: ignore[no-untyped-call]


def _as_task_error(error: BaseException) -> Exception:
    """What an exception of Dask says of the task."""
    text = f"{type(error).__name__}: {error}"
    if type(error).__name__ == "KilledWorker":
        return ProcessDied(f"the worker {error.last_worker.address} died")  # type: ignore[attr-defined]
    if isinstance(error, (asyncio.CancelledError, CancelledError, TimeoutError, OSError)):
        return TaskLost(text)
    if type(error).__module__.startswith("distributed."):
        return ProcessDied(text)
    return PoolUnavailable(f"a worker cannot execute scopes: {text}")
