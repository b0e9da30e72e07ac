"""Processes for tests that die: forked from one that has imported everything and done nothing.

A new interpreter needs a second until the application is imported, and a restart test wants dozens. So one process, the
server, imports the application and the job's module, opens nothing, and forks a child for each task. A child is a
process of its own with nothing in its memory but imported modules, and dies as any other.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from batchwright.notifications.compose import Composer
from batchwright.notifications.preview import compose_preview
from batchwright.testing.child import Report, Task, carry_out, load_job

SECONDS_PER_TASK = 60.0


@dataclass(frozen=True, slots=True)
class Death:
    """How a child ended: killed, or with a report."""

    killed: bool
    report: Report


class ForkServer:
    """Runs tasks in children, one at a time. ``folder`` keeps what they write to stderr."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "fork_server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, task: Task) -> Death:
        """Carry the task out in a child of its own, and wait for its end.

        Raises ``RuntimeError`` when the child hangs, or ends silently and unasked.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        _write(process.stdin, task)
        status, report = _read(process.stdout)
        if report is not None:
            return Death(killed=False, report=report)
        if status == -signal.SIGKILL and task.kill is not None:
            return Death(killed=True, report=Report())
        raise RuntimeError(f"a child ended with {status} and said nothing; see {self._log}")

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    # -P: what lies in the working directory hides none of the packages.
                    [
                        sys.executable,
                        "-P",
                        "-c",
                        "from batchwright.testing.fork_server import serve; serve()",
                    ],
                    env={**os.environ, "PYTHONPATH": path},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
        return self._process


def serve() -> None:
    """The server's loop: take a task, fork, wait, answer; until stdin ends."""
    # What a job prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    composer = _warm_composer()
    gc.freeze()  # a child that collects garbage would copy all that was imported
    with contextlib.suppress(EOFError):
        while True:
            task: Task = _read(sys.stdin.buffer)
            with contextlib.suppress(Exception):  # the child meets it again, and reports it
                load_job(task)
            _write(answers, _forked(task, composer))


def _warm_composer() -> Composer:
    """A composer that has read its templates: that takes longer than a small run."""
    composer = Composer(sender="batchwright@localhost", templates=None, attachment_limit=5_000_000)
    now = datetime.now(UTC)
    compose_preview(composer, job="none", type="None", now=now, base_url=None, database="none")
    return composer


def _forked(task: Task, composer: Composer) -> tuple[int, Report | None]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live(task, composer, writing)
    os.close(writing)
    message = _all_of(reading, child)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), pickle.loads(message) if message else None


def _live(task: Task, composer: Composer, writing: int) -> None:
    """The child: carry out the task, report, and end without touching what belongs to the server."""
    try:
        try:
            report = carry_out(task, composer)
        except BaseException:
            report = Report(error=traceback.format_exc())
        with os.fdopen(writing, "wb") as message:
            pickle.dump(report, message)
    finally:
        os._exit(0)


def _all_of(reading: int, child: int) -> bytes:
    """All that the child reports. One that takes too long is killed."""
    message = b""
    until = time.monotonic() + SECONDS_PER_TASK
    while select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(reading, 65536)
        if not part:
            return message
        message += part
    os.kill(child, signal.SIGKILL)
    hung = Report(error=f"it was not done after {SECONDS_PER_TASK:g} seconds")
    return pickle.dumps(hung)


def _write(to: IO[bytes], what: Any) -> None:
    packed = pickle.dumps(what)
    to.write(len(packed).to_bytes(8, "big") + packed)
    to.flush()


def _read(source: IO[bytes]) -> Any:
    head = source.read(8)
    if len(head) < 8:
        raise EOFError("the other side has gone")
    return pickle.loads(source.read(int.from_bytes(head, "big")))
