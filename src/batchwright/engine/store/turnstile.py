"""The turnstile before SQLite's one write lock.

SQLite lets waiting writers poll; whoever has just committed is fastest to lock again, so a busy process
starves the others. Two file locks make a queue of it: ``next`` is held by the one whose turn comes, ``turn``
by the one who writes. A writer that has finished must win ``next`` again before it can write again, and
somebody else already holds it. The kernel frees both locks when a process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turnstile:
    """The two locks that belong to one database file. Works between threads as well as between processes."""

    def __init__(self, database: Path) -> None:
        self._next = database.with_name(database.name + "-next")
        self._turn = database.with_name(database.name + "-turn")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for our turn, and hold it for the block."""
        turn = os.open(self._turn, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            upcoming = os.open(self._next, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(upcoming, fcntl.LOCK_EX)
                fcntl.flock(turn, fcntl.LOCK_EX)
            finally:
                os.close(upcoming)
            yield
        finally:
            os.close(turn)
