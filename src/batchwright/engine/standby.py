"""The parent's side of the small process that beats while this one's interpreter is kept (``standby_process``)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import structlog

from batchwright.engine.store.database import Database
from batchwright.engine.store.engines import postgresql_arguments

MOST_STARTS = 5
"""So often it is restarted; after that the heartbeat's thread is alone."""

log = structlog.get_logger()


class Standby:
    """Beats for all leases of this process once it is started. Threads may share it.

    Without it, as where the system shows no process's state, the threads beat alone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._timers: dict[str, tuple[int, float]] = {}
        self._end: weakref.finalize[Any, Any] | None = None
        self._pid = self._pipe = -1
        self._starts = 0

    @property
    def pid(self) -> int | None:
        """The process that stands by, if there is one."""
        return self._pid if self._end is not None else None

    def watch(self, name: str, fence: int, interval: float) -> None:
        """Stand by for a heartbeat that a thread raises every ``interval`` seconds."""
        with self._lock:
            self._timers[name] = fence, interval
            self._tell([name, fence, interval])

    def has_turn(self, name: str) -> None:
        """The thread of that heartbeat has its turn."""
        with self._lock:
            self._tell([f"+{name}"])

    def forget(self, name: str) -> None:
        """That heartbeat has ended."""
        with self._lock:
            self._timers.pop(name, None)
            self._tell([f"-{name}"])

    def start(self) -> None:
        """Have the process, from now on."""
        with self._lock:
            if self._end is not None or self._starts >= MOST_STARTS or not Path("/proc/self/stat").exists():
                return
            self._starts += 1
            try:
                self._spawn()
            except OSError as error:
                log.warning("no process stands by for heartbeats", reason=str(error))
                return
            self._tell(self._connects())
            for name, timer in self._timers.items():
                self._tell([name, *timer])

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._lose()

    def _connects(self) -> dict[str, Any]:
        url = self._database.url
        message: dict[str, Any] = {"parent": os.getpid(), "path": sys.path}
        if self._database.is_sqlite:
            return message | {"sqlite": f"{Path(url.database or '').resolve()}-lease"}
        _, arguments = self._database.lease_engine.dialect.create_connect_args(url)
        plain = {name: value for name, value in arguments.items() if isinstance(value, str | int)}
        return message | {"postgresql": {**plain, **postgresql_arguments()}}

    def _spawn(self) -> None:
        script = Path(__file__).with_name("standby_process.py")
        theirs, ours = os.pipe()
        try:
            null = (os.devnull, os.O_WRONLY, 0)
            actions = [
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_OPEN, 1, *null),
                (os.POSIX_SPAWN_OPEN, 2, *null),
            ]
            command = [sys.executable, "-I", "-S", os.fspath(script)]
            # In a group of its own, a Ctrl-C at the terminal is not for it.
            pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setpgroup=0)
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self._pid, self._pipe = pid, ours
        self._end = weakref.finalize(self, _end, os.getpid(), pid, ours)

    def _tell(self, what: object) -> None:
        if self._end is None:
            return
        line = json.dumps(what).encode() + b"\n"
        try:
            if os.write(self._pipe, line) == len(line):
                return
        except OSError:
            pass
        self._lose()  # it is gone, or stopped and its pipe is full: another one

    def _lose(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None


def _end(parent: int, pid: int, pipe: int) -> None:
    if os.getpid() != parent:
        return  # a copy of the parent, by a fork
    os.close(pipe)
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
