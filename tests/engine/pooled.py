"""A job that a test can hold in a process it did not start itself, and a process that drives runs with a pool.

The folder in ``POOLED_AT`` is where both talk: ``execute`` leaves a file ``scope-N`` with the number of its process,
and does not go on while there is a file ``hold-N``; where there is a
file ``bad-N`` its third record is bad, and what it raises is what the file says, or ``ValueError``;
where there is a file ``fork-N`` it leaves a child that has all it has open, and dies.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from batchwright.engine.clock import SystemClock
from batchwright.engine.events import Events
from batchwright.engine.executors import InFlight, Results, Work
from batchwright.engine.job import Scope
from batchwright.engine.pool import ProcessPool
from batchwright.engine.store.database import Database
from batchwright.operations.app import POOL
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

FOLDER = "POOLED_AT"
SECONDS = 60.0


class Held(Parcels):
    """The parcels job, as the files of the folder have it."""

    name = "held"

    def apply(self, scope: Scope, computed: object) -> None:
        super().apply(scope, scope.keys)
        folder = Path(os.environ[FOLDER])
        (folder / f"scope-{scope.number}.new").write_text(str(os.getpid()))
        (folder / f"scope-{scope.number}.new").rename(folder / f"scope-{scope.number}")
        if (folder / f"bad-{scope.number}").exists() and {key % 10 for key in scope.keys} & {3}:
            kind = (folder / f"bad-{scope.number}").read_text() or "ValueError"
            raise getattr(builtins, kind)("a three")
        if (folder / f"fork-{scope.number}").exists():
            (folder / f"fork-{scope.number}").unlink()
            if not (child := os.fork()):
                time.sleep(SECONDS)
                os._exit(0)
            (folder / f"child-{scope.number}").write_text(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        until = time.monotonic() + SECONDS
        while (folder / f"hold-{scope.number}").exists() and time.monotonic() < until:
            time.sleep(0.005)


class Spread:
    """An executor that sends every scope to a pool, from the first."""

    def __init__(self, pool: ProcessPool | Any, events: Events) -> None:
        self.pool = pool
        self._events = events

    def results(self, work: Work) -> Results:
        yield from InFlight(work, self.pool, self._events).results()

    def end_stopped(self) -> None:
        self.pool.end_stopped()

    def close(self) -> None:
        self.pool.close()


def ready_pool(patience: float = SECONDS) -> ProcessPool:
    """A pool of two processes, up and waiting."""
    pool = ProcessPool((sys.executable, "-P", "-m", POOL), 2, patience)
    until = time.monotonic() + SECONDS
    while pool.starting and time.monotonic() < until:
        time.sleep(0.01)
    return pool


def wait_for(path: Path) -> str:
    """What the file says once it is there."""
    until = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} did not come in {SECONDS:g} s"
        time.sleep(0.005)
    return path.read_text()


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def main(url: str, run_key: str, lease_seconds: str) -> None:
    """Drive the run with a pool of two."""
    rig = Rig(Database(url), [Held], clock=SystemClock(), lease_seconds=float(lease_seconds))
    rig.executor = Spread(ready_pool(), rig.events)
    rig.dispatcher().drive(int(run_key))


if __name__ == "__main__":
    main(*sys.argv[1:])
