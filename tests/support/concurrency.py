"""Acts at once, and seeing that one waits for another instead of giving it some time to go wrong."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database

_WAIT_SECONDS = 60.0
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def race(*acts: Callable[[], Any]) -> list[Any]:
    """Start the acts together, each in its thread; what they returned or were refused with, in their order."""
    results: list[Any] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(position: int, act: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[position] = act()
        except Refused as refusal:
            results[position] = refusal

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def wait_until_blocked(thread: threading.Thread, database: Database) -> None:
    """Return once the thread, the only one that may, waits for a write transaction or a row of another to end.

    Raises ``AssertionError`` when it ends without having waited.
    """
    until = time.monotonic() + _WAIT_SECONDS
    while not _somebody_waits(database):
        assert thread.is_alive(), "it did not wait"
        assert time.monotonic() < until
        time.sleep(0.005)


def _somebody_waits(database: Database) -> bool:
    if database.is_sqlite:
        return is_next_held(Path(f"{database.url.database}-next"))
    with database.read_autocommit() as connection:
        return bool(connection.exec_driver_sql(_WAITING).scalar_one())


def is_next_held(lock: Path) -> bool:
    """Whether a writer of SQLite stands at the head of the line behind the one that writes."""
    with lock.open("r+") as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
