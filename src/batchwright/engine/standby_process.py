"""A small process that beats for the runs of its parent while that cannot: a long call in C keeps its interpreter.

Run as a file, without the application: ``python -I -S standby_process.py``. It reads from its stdin, in lines of JSON,
first what to connect with, then which hearts there are and that the parent's own thread has its turn again. As long as
that goes on it only waits. It ends with its parent, and beats neither for one that is stopped nor for longer than an
hour without a turn of its thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_SILENCE_SECONDS = 3600.0
LATE = 1.5
"""After so many intervals without a turn of the parent's thread a beat is overdue."""
BEAT = "UPDATE heartbeat SET counter = counter + 1 WHERE name = {0} AND fence = {0}"

Beat = Callable[[str, int], None]


class HeartbeatTimer:
    """A heartbeat of the parent's, to be raised every ``interval`` seconds under ``fence``."""

    def __init__(self, fence: int, interval: float) -> None:
        self.fence = fence
        self.interval = interval
        self.has_turn()

    def has_turn(self) -> None:
        """The parent's thread beats."""
        self.turn_at = time.monotonic()
        self.due_at = self.turn_at + LATE * self.interval

    def beaten(self, now: float) -> None:
        """We have beaten in its place."""
        self.due_at = now + self.interval


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the parent, whose last scope needs its beats
    parent, timers, lines = os.getppid(), dict[str, HeartbeatTimer](), Lines()
    first = lines.wait(None)
    while not first:
        first = lines.wait(None)
    message = first.pop(0)
    if message["parent"] != parent:
        return  # it was gone before we were there
    beat = beat_for(message)
    apply(first, timers)
    while True:
        due = min((timer.due_at for timer in timers.values()), default=None)
        apply(lines.wait(None if due is None else max(0.0, due - time.monotonic())), timers)
        now = time.monotonic()
        for name, timer in list(timers.items()):
            if timer.due_at > now:
                continue
            timer.beaten(now)
            if os.getppid() != parent:
                return
            if now - timer.turn_at <= LONGEST_SILENCE_SECONDS and not is_stopped(parent):
                # The database may stay away: later again, as for the parent.
                with contextlib.suppress(Exception):
                    beat(name, timer.fence)


class Lines:
    """Messages of the parent. Ends the process when the parent ends."""

    def __init__(self) -> None:
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)

    def wait(self, seconds: float | None) -> list[Any]:
        """The messages that came within ``seconds``, or the next ones; nothing when none came."""
        if not self._poll.poll(None if seconds is None else seconds * 1000):
            return []
        read = os.read(0, 65536)
        if not read:
            os._exit(0)
        *whole, self._rest = (self._rest + read).split(b"\n")
        return [json.loads(line) for line in whole]


def apply(message: list[Any], timers: dict[str, HeartbeatTimer]) -> None:
    for name, *what in message:
        if what:
            timers[name] = HeartbeatTimer(*what)
        elif name.startswith("+") and name[1:] in timers:
            timers[name[1:]].has_turn()
        elif name.startswith("-"):
            timers.pop(name[1:], None)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by a signal or a debugger, or nobody can say."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (
            b"T",
            b"t",
            b"Z",
            b"X",
        )
    except OSError:
        return True


def beat_for(message: dict[str, Any]) -> Beat:
    """How to beat, connecting at the first time; a driver is loaded now, for then it may be late."""
    sys.path[:] = message["path"]
    return _sqlite(message["sqlite"]) if "sqlite" in message else _postgresql(message["postgresql"])


def _sqlite(file: str) -> Beat:
    import sqlite3

    def beat(name: str, fence: int) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=rw", timeout=1.0, uri=True)) as connection:
            connection.isolation_level = None
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(BEAT.format("?"), (name, fence))

    return beat


def _postgresql(arguments: dict[str, Any]) -> Beat:
    import psycopg

    connections: list[Any] = []

    def beat(name: str, fence: int) -> None:
        if not connections:
            connections.append(psycopg.connect(**arguments, autocommit=True))
            connections[0].execute("SET synchronous_commit = off")
            connections[0].execute("SET statement_timeout = '5s'")
        try:
            connections[0].execute(BEAT.format("%s"), (name, fence))
        except psycopg.Error:
            connections.pop().close()
            raise

    return beat


if __name__ == "__main__":
    main()
