"""Processes of this machine that execute scopes: a small pool of our own.

The standard library's pool gives up all its processes when one dies, does not say which task that one had, and runs
the main program of its owner again in each of them. Here a death costs one scope, and is held against it alone.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import structlog

from batchwright.engine.errors import error_text
from batchwright.engine.executors import PoolUnavailable, ProcessDied, Task, TaskResult
from batchwright.engine.store.lock_holders import is_stopped

SCOPES_PER_PROCESS = 2
"""One that is executed, and one that waits behind it."""
STARTS = 3
"""How often in a row a process may end before it is ready."""
SECONDS_TO_END = 5.0
SECONDS_BETWEEN_LOOKS = 0.5
"""How often who waits for a process looks whether it is stopped."""
LENGTH = struct.Struct(">Q")
"""Before each answer stands how many bytes it has."""

log = structlog.get_logger()


class ProcessPool:
    """A pool of ``size`` processes that ``command`` starts, each with a thread here that waits for it.

    Such a process is given our import path on its stdin, and greets on its stdout: ``None``, or why it cannot work
    for us. Then it answers task after task. All that goes to and fro is pickled, answers with their length before them.
    The end of its stdin is its own end, at once and in the middle of a scope: however we die, no process outlives us.
    One that is stopped for ``patience`` seconds is killed, and what it has forked dies with it, however it dies.
    """

    name = "local"

    def __init__(self, command: Sequence[str], size: int, patience: float = 30.0) -> None:
        self._patience = patience
        self._command = command
        self._size = size
        self._queue: queue.SimpleQueue[tuple[Future[TaskResult], Task] | None] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._unavailable: str | None = None
        self._closing = threading.Event()
        self._processes: set[_Process] = set()
        self._threads = [
            threading.Thread(target=self._serve, name=f"pool process {number}", daemon=True)
            for number in range(1, size + 1)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def window(self) -> int:
        return 0 if self.starting else SCOPES_PER_PROCESS * self._size

    @property
    def starting(self) -> bool:
        return not self._ready.is_set()

    def send(self, task: Task) -> Future[TaskResult]:
        future: Future[TaskResult] = Future()
        self._queue.put((future, task))
        return future

    def check(self) -> None:
        if self._unavailable is not None:
            raise PoolUnavailable(self._unavailable)

    def end_stopped(self) -> None:
        """Kill those that are stopped, without patience: somebody waits for their scopes."""
        for process in list(self._processes):
            process.kill_if_stopped()

    def close(self) -> None:
        """End the processes, whatever they are at."""
        self._closing.set()
        for _ in self._threads:
            self._queue.put(None)
        for process in list(self._processes):
            process.kill()
        for thread in self._threads:
            thread.join(SECONDS_TO_END)

    def _serve(self) -> None:
        """One place in the pool; whatever ends it ends the pool, whose scopes would wait for it forever."""
        try:
            self._serve_tasks()
        except BaseException as error:
            log.critical("a thread of the pool has ended", exc_info=True)
            self._unavailable = f"a thread of the pool has ended: {error_text(error)}"
            self._ready.set()

    def _serve_tasks(self) -> None:
        """A process, and another one after it when it dies."""
        process = self._start_process()
        while (given := self._queue.get()) is not None:
            future, task = given
            if not future.set_running_or_notify_cancel():
                continue
            if process is None:
                future.set_exception(PoolUnavailable(self._unavailable or "the pool is closed"))
                continue
            try:
                future.set_result(process.execute(task))
            except ProcessDied as died:
                future.set_exception(died)
                self._processes.discard(process)
                process = self._start_process()
        if process is not None:
            process.close()

    def _start_process(self) -> _Process | None:
        """A process that is ready; ``None`` when there will be none, and ``check`` says why."""
        reason = "the pool is closed"
        for _ in range(STARTS):
            if self._closing.is_set():
                break
            try:
                process = _Process(self._command, self._patience)
                self._processes.add(process)
                if self._closing.is_set():  # ``close`` may have come by before it was among the processes
                    process.kill()
                refused = process.greeting()
            except (OSError, ProcessDied) as error:
                reason = f"no process of the pool gets ready: {error}"
                continue
            if refused is None:
                self._ready.set()
                return process
            process.close()
            reason = refused
            break
        self._unavailable = reason
        self._ready.set()
        return None


class _Process:
    """One process at the other end of two pipes. In a group of its own, a Ctrl-C at the terminal is not for it."""

    def __init__(self, command: Sequence[str], patience: float) -> None:
        self._patience = patience
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        assert self._process.stdout is not None
        self._answers = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        self._end: int | None = None
        """Becomes ready when the process ends, also while one that it has forked keeps the pipe open."""
        with contextlib.suppress(AttributeError, OSError):  # not on every system
            self._end = os.pidfd_open(self._process.pid)
            self._poll.register(self._end, select.POLLIN)

    def greeting(self) -> str | None:
        greeting: str | None = self._exchange(sys.path)
        return greeting

    def execute(self, task: Task) -> TaskResult:
        """Have a task executed, however long it takes. Raises ``ProcessDied``."""
        result: TaskResult = self._exchange(task)
        return result

    def kill(self) -> None:
        """End it, and what it has forked: that may have its session open. What it has begun is rolled back."""
        if self._process.returncode is None:  # else its number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill_if_stopped(self) -> None:
        """End it, if it stands still."""
        if is_stopped(self._process.pid):
            self.kill()

    def close(self) -> None:
        """See it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._process.stdout.close()
        if self._end is not None:
            os.close(self._end)
            self._end = None

    def _exchange(self, message: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            return pickle.loads(self._answer())
        except Exception:  # gone, or it answers what nobody can read
            if self._has_ended():
                self.kill()  # what it has left behind
            self.close()
            raise ProcessDied(f"process {self._process.pid} {_exit_text(self._process.returncode)}") from None

    def _answer(self) -> bytes:
        got = b""
        while len(got) < LENGTH.size:
            got += self._some()
        (length,) = LENGTH.unpack_from(got)
        parts, left = [got[LENGTH.size :]], length + LENGTH.size - len(got)
        while left > 0:
            parts.append(self._some())
            left -= len(parts[-1])
        return b"".join(parts)

    def _some(self) -> bytes:
        """Some bytes of its answer. Raises ``EOFError`` when it has ended; one that is stopped is killed."""
        stopped = 0.0
        while True:
            ready = {file for file, _ in self._poll.poll(SECONDS_BETWEEN_LOOKS * 1000)}
            if self._answers in ready and (some := os.read(self._answers, 65536)):
                return some
            if ready or self._has_ended():
                raise EOFError
            # Counted by looks: while we are stopped ourselves, no time passes for it.
            stopped = stopped + SECONDS_BETWEEN_LOOKS if is_stopped(self._process.pid) else 0.0
            if stopped >= self._patience:
                self.kill()

    def _has_ended(self) -> bool:
        if self._end is None:
            return self._process.poll() is not None
        end = select.poll()
        end.register(self._end, select.POLLIN)
        return bool(end.poll(0))


def _exit_text(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
