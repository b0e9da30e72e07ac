"""A process that was stopped (SIGSTOP, Ctrl-Z) in the middle of a write transaction keeps SQLite's write lock.

In the database itself that is seen from outside: its heartbeat stands still, and a taker ends it. In the file of the
heartbeats nobody could see anything any more, nor take over. So whoever waits there looks who has the lock.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

WRITE_LOCK_BYTE = 120
"""Of the `-shm` file of a database in WAL mode; fixed by SQLite's file format."""

log = structlog.get_logger()


def end_frozen_writer(database: Path) -> None:
    """SIGKILL the process that holds the write lock of this SQLite file, if it is stopped. Linux only."""
    pid = _writer(database.with_name(f"{database.name}-shm"))
    if pid is not None and _is_stopped(pid):
        log.warning("ended a stopped process that kept everybody from writing", pid=pid, file=database.name)
        os.kill(pid, signal.SIGKILL)


@contextmanager
def frozen_writer_ended(database: Path, seconds: float) -> Iterator[None]:
    """For the length of the block, look every so many seconds whether a stopped process keeps us waiting, and end it.

    For who waits without a heartbeat to watch: what fires schedules has no run yet.
    """
    done = threading.Event()

    def look() -> None:
        while not done.wait(seconds):
            end_frozen_writer(database)

    thread = threading.Thread(target=look, name="frozen writer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _writer(file: Path) -> int | None:
    """Who has the write lock; ``None`` when nobody has, or when the system does not say."""
    try:
        inode = str(file.stat().st_ino)
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        # Such as `3: POSIX  ADVISORY  WRITE 1234 fe:01:5678 120 120`; one who waits has `->` before the kind.
        words = line.split()
        if words[1] != "POSIX" or words[3] != "WRITE" or not words[5].endswith(f":{inode}"):
            continue
        if int(words[6]) <= WRITE_LOCK_BYTE and (words[7] == "EOF" or int(words[7]) >= WRITE_LOCK_BYTE):
            pid = int(words[4])
            return pid if _has_open(pid, file) else None
    return None


def _has_open(pid: int, file: Path) -> bool:
    """An inode's number is unique in its file system alone."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return any(os.path.realpath(one) == os.path.realpath(file) for one in folder.iterdir())
    except OSError:
        return False


def _is_stopped(pid: int) -> bool:
    try:
        # The second field is the program's name in parentheses and may hold blanks; the state comes after it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
