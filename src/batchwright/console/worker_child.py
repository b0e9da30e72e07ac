"""The worker that `serve` has as its child: restarted when it ends, ended with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import structlog

from batchwright.engine.faults import exponential_pause

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
SOUND_AFTER_SECONDS = 60.0
"""A worker that lived so long was sound: the next pause is a short one again."""

log = structlog.get_logger()


class WorkerChild:
    """A process `batchwright worker`, with the settings of this one.

    It holds the reading end of a pipe of which this process alone holds the other: when this process is gone, however
    it ended, the child drains (the hidden option ``--until-closed`` of the command). Links in its mail lead to
    where this one is ``served_at``.
    """

    def __init__(self, served_at: str) -> None:
        self._served_at = served_at
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name="worker of serve", daemon=True)
        self._code = 0

    def start(self) -> None:
        """Have a worker from now on."""
        self._thread.start()

    def signal(self, number: int) -> None:
        """Send the worker a signal, and start no other one. Also from a signal handler."""
        self._stopping.set()
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def stop(self) -> int:
        """Have the worker drain, wait for its end, and return its exit code; 0 for one that had not begun to work.

        It gets one signal: a second one would end it at once.
        """
        if not self._stopping.is_set():
            self.signal(signal.SIGTERM)
        self._thread.join()
        return 0 if self._code == -signal.SIGTERM else self._code

    def _supervise(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                child = self._child = _start(self._served_at)
            if self._stopping.is_set():  # the signal came while it was started
                child.terminate()
            self._code = child.wait()
            if self._stopping.is_set():
                return
            failures = 1 if time.monotonic() - began > SOUND_AFTER_SECONDS else failures + 1
            pause = exponential_pause(failures, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            log.error("the worker ended; another one is started", code=self._code, seconds=pause)
            self._stopping.wait(pause)


def _start(served_at: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-P", "-m", "batchwright"]
    command = [*program, "worker", "--until-closed", "--served-at", served_at]
    # In a group of its own: a Ctrl-C at the terminal comes to this process, which hands it on once.
    return subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
