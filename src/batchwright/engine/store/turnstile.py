"""The turnstile before SQLite's one write lock.

SQLite lets waiting writers poll; whoever has just committed is fastest to lock again, so a busy process
starves the others. Two file locks make a queue of it: ``next`` is held by the one whose turn comes, ``turn``
by the one who writes. A writer that has finished must win ``next`` again before it can write again, and
somebody else already holds it. The kernel frees both locks when a process dies, however it dies.

A process that is stopped with one of them is ended; one that works is named to who waits long, and has a limit.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy.exc import OperationalError

from batchwright.engine.store import lock_holders
from batchwright.engine.store.side_files import make_side_file, open_side_file

SECONDS_BETWEEN_LOOKS = 3.0
"""How often who waits looks whether the one it waits for is stopped."""
SECONDS_BEFORE_NAMING = 3.0
LONGEST_SECONDS = 60.0
"""As long as SQLite itself waits for its lock (``engines.SQLITE_BUSY_MILLISECONDS``)."""

OF_THE_SURROUNDINGS = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE),
)
"""Why a file cannot be opened now, and can later."""

log = structlog.get_logger()


class Turnstile:
    """The two locks that belong to one database file. Works between threads as well as between processes."""

    def __init__(self, database: Path, longest: Callable[[], float] = lambda: LONGEST_SECONDS) -> None:
        self._longest = longest
        self._database = database
        self._are_ready = False
        self._next = database.with_name(database.name + "-next")
        self._turn = database.with_name(database.name + "-turn")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for our turn, and hold it for the block.

        Raises SQLAlchemy's ``OperationalError`` "database is locked", a fault that passes, when it has not come after
        a minute, or after what ``longest`` says.
        """
        if not self._are_ready:
            for file in (self._next, self._turn):
                with _faults_that_pass(file):
                    make_side_file(file, self._database)
            self._are_ready = True
        upcoming = self._locked(self._next)
        try:
            turn = self._locked(self._turn)
        finally:
            os.close(upcoming)
        try:
            yield
        finally:
            os.close(turn)

    def _locked(self, file: Path) -> int:
        """A descriptor of the file with the lock on it."""
        with _faults_that_pass(file):
            descriptor = open_side_file(file, self._database)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_for_lock(descriptor, file, self._longest)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _wait_for_lock(descriptor: int, file: Path, longest: Callable[[], float]) -> None:
    try:
        waiting = _Waiting(descriptor)
    except RuntimeError as error:  # the system gives no more threads
        os.close(descriptor)
        raise _cannot_wait(str(error)) from error
    began, named = time.monotonic(), False
    try:
        while not waiting.is_over(min(SECONDS_BETWEEN_LOOKS, longest())):
            seconds = time.monotonic() - began
            pid = lock_holders.holder(file, "FLOCK")
            lock_holders.end_if_stopped(pid, file)
            who = lock_holders.shown(pid)
            if seconds >= SECONDS_BEFORE_NAMING and not named:
                log.warning("waiting for the turn to write", held_by=who, seconds=round(seconds))
                named = True
            if seconds >= longest():
                raise OperationalError("BEGIN IMMEDIATE", None, locked_by(who))
    except BaseException:
        if not waiting.give_up():
            os.close(descriptor)
        raise


@contextmanager
def _faults_that_pass(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in OF_THE_SURROUNDINGS:
            raise
        raise _cannot_wait(f"unable to open {file.name}: {error.strerror}") from error


def _cannot_wait(reason: str) -> OperationalError:
    """A fault that passes, as SQLite says it where it has no descriptor left, or no room."""
    error = sqlite3.OperationalError(reason)
    error.sqlite_errorname = "SQLITE_CANTOPEN"
    return OperationalError("BEGIN IMMEDIATE", None, error)


def locked_by(who: str) -> sqlite3.OperationalError:
    """What SQLite says when the wait for the write lock has been too long, and who keeps it."""
    error = sqlite3.OperationalError(f"database is locked: {who} keeps the turn to write")
    error.sqlite_errorname = "SQLITE_BUSY"  # as SQLite would say it: a fault that passes
    return error


class _Waiting:
    """A thread that waits for the lock in the kernel's own queue: nobody can call off that wait, but leave it alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._over = threading.Event()
        self._given_up = False
        self._deciding = threading.Lock()
        threading.Thread(target=self._wait, name="turnstile", daemon=True).start()

    def is_over(self, seconds: float) -> bool:
        """Whether the lock is ours, after so many seconds at most."""
        return self._over.wait(seconds)

    def give_up(self) -> bool:
        """Whether the lock has not come; the descriptor is closed then, now or when it does."""
        with self._deciding:
            if not self._over.is_set():
                self._given_up = True
            return self._given_up

    def _wait(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._deciding:
            if self._given_up:
                os.close(self._descriptor)
            else:
                self._over.set()
