"""Who holds a lock on a file, and whether that process is stopped: then nobody would ever write again.

A process that is stopped (SIGSTOP, Ctrl-Z, a suspended container) with SQLite's write lock, or in its place at the
turnstile, keeps everybody else waiting, also those whose watch would otherwise take its run over. Linux alone says who
has a lock, and only of processes in the pid namespace of the one who asks.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import structlog

WRITE_LOCK_BYTE = 120
"""Of the `-shm` file of a database in WAL mode; fixed by SQLite's file format."""

log = structlog.get_logger()


def end_stopped_writer(database: Path) -> None:
    """SIGKILL the process that holds the write lock of this SQLite file, if it is stopped."""
    end_if_stopped(write_lock_holder(database), database)


def write_lock_holder(database: Path) -> int | None:
    """The process that holds the write lock of this SQLite file; ``None`` when nobody does that can be seen."""
    return holder(database.with_name(f"{database.name}-shm"), "POSIX", WRITE_LOCK_BYTE)


def end_if_stopped(pid: int | None, file: Path) -> None:
    """SIGKILL the process that holds a lock, if it is stopped; where it may not be ended, the log says so."""
    if pid is None or pid == os.getpid() or not is_stopped(pid):
        return
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as error:
        log.warning("cannot end a stopped process that keeps everybody from writing", pid=pid, file=file.name,
                    reason=error.strerror)  # fmt: skip
    else:
        log.warning("ended a stopped process that kept everybody from writing", pid=pid, file=file.name)


@contextmanager
def stopped_writer_ended(database: Path, seconds: float) -> Iterator[None]:
    """For the length of the block, look every ``seconds`` whether a stopped process keeps us waiting, and end it.

    For who waits without a heartbeat to watch: what fires schedules has no run yet.
    """
    done = threading.Event()

    def look() -> None:
        while not done.wait(seconds):
            end_stopped_writer(database)

    thread = threading.Thread(target=look, name="stopped writer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def holder(file: Path, kind: Literal["POSIX", "FLOCK"], byte: int = 0) -> int | None:
    """Who holds an exclusive lock of that kind on that byte; ``None`` when nobody does that can be seen."""
    try:
        inode = str(file.stat().st_ino)
        locks = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in locks.splitlines():
        # Such as `3: POSIX  ADVISORY  WRITE 1234 fe:01:5678 120 120`; one who waits has `->` before the kind.
        words = line.split()
        if len(words) != 8:
            continue
        _, found, _, mode, pid, place, first, last = words
        if found != kind or mode != "WRITE" or not place.endswith(f":{inode}"):
            continue
        if int(first) <= byte and (last == "EOF" or int(last) >= byte) and _may_have_open(int(pid), file):
            return int(pid)
    return None


def has_open(pid: int, file: Path) -> bool:
    """Whether the process has this very file open: an inode's number is unique in its file system alone.

    Raises ``PermissionError`` for a process of another user, unless we are root.
    """
    try:
        wanted = file.stat()
        opened = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(_is_same(f"/proc/{pid}/fd/{number}", wanted) for number in opened)


def is_stopped(pid: int) -> bool:
    """Whether the process stands still (SIGSTOP, Ctrl-Z), as far as the system says so."""
    try:
        # The second field is the program's name in parentheses and may hold blanks; the state comes after it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def shown(pid: int | None) -> str:
    """The process as people know it: number and command line. ``None`` is one that cannot be seen."""
    if pid is None:
        return "a process that cannot be seen from here"
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        said = ""
    command = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())[:100]
    return f"process {pid} ({command})" if command else f"process {pid}"


def _may_have_open(pid: int, file: Path) -> bool:
    try:
        return has_open(pid, file)
    except PermissionError:  # another user's: its number is all that can be said of it
        return True


def _is_same(place: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(place), wanted)
    except OSError:
        return False
