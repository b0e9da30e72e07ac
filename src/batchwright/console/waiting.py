"""Waits for a run to change, for any number of callers by one thread and one connection.

Each waiter is a future of the event loop. One thread waits for news of the database, looks at all runs that are waited
for in one statement, and tells those whose run has changed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.requests import Request

from batchwright.engine.store import steering
from batchwright.engine.store.wake import Wake, wake_of
from batchwright.operations.app import Application

MOST_SECONDS: Final = 30
MOST_WAITERS: Final = 500
"""More are answered at once, as if nothing had changed."""
WATCHER: Final = "run watch"
"""The name of the thread."""
SECONDS_BETWEEN_LOOKS: Final = 5.0
"""Also without news, should some be lost."""

log = structlog.get_logger()


class RunWatch:
    """The watcher of one process. Its thread runs while anybody waits."""

    def __init__(self, app: Application) -> None:
        self._database = app.database
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[asyncio.Future[None], steering.Version | None]] = {}
        self._wake: Wake | None = None
        self._ended = False

    @property
    def waiters(self) -> int:
        """How many wait now."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def version(self, run_id: str) -> steering.Version | None:
        """The version of a run now; ``None`` where there is none of that id."""
        with self._database.read_autocommit() as connection:
            return steering.versions(connection, [run_id]).get(run_id)

    async def changed(
        self, request: Request, run_id: str, seen: steering.Version | None, seconds: float
    ) -> None:
        """Return when the run is at another version than was seen, when who asks has gone, or after so many seconds."""
        if self._ended or self.waiters >= MOST_WAITERS:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(_gone(request))
        self._add(run_id, future, seen)
        try:
            until = min(seconds, MOST_SECONDS)
            await asyncio.wait({future, gone}, timeout=until, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            self._remove(run_id, future)

    def end(self) -> None:
        """Answer everybody who waits, and whoever comes yet, at once: the process is about to end."""
        self._ended = True
        with self._lock:
            waiting = [future for futures in self._waiting.values() for future in futures]
        _tell(waiting)

    def _add(self, run_id: str, future: asyncio.Future[None], seen: steering.Version | None) -> None:
        with self._lock:
            self._waiting.setdefault(run_id, {})[future] = seen
            if self._wake is None:
                self._wake = wake_of(self._database)
                threading.Thread(target=self._watch, args=(self._wake,), name=WATCHER, daemon=True).start()
            self._wake.poke()  # it may have changed since it was seen

    def _remove(self, run_id: str, future: asyncio.Future[None]) -> None:
        with self._lock:
            waiting = self._waiting.get(run_id, {})
            waiting.pop(future, None)
            if not waiting:
                self._waiting.pop(run_id, None)
            if not self._waiting and self._wake is not None:
                self._wake.poke()

    def _watch(self, wake: Wake) -> None:
        try:
            while self._goes_on():
                self._look()
                wake.wait(SECONDS_BETWEEN_LOOKS)
        except Exception:
            log.exception("runs are not watched for a moment; who waits asks again")
            self._release()
        finally:
            wake.close()

    def _goes_on(self) -> bool:
        """False when nobody waits; the next who does starts another thread."""
        with self._lock:
            if not self._waiting:
                self._wake = None
            return bool(self._waiting)

    def _look(self) -> None:
        with self._lock:
            wanted = list(self._waiting)
        with self._database.read_autocommit() as connection:
            versions = steering.versions(connection, wanted)
        with self._lock:
            changed = [
                future
                for run_id in wanted
                for future, seen in self._waiting.get(run_id, {}).items()
                if versions.get(run_id) != seen
            ]
        _tell(changed)

    def _release(self) -> None:
        with self._lock:
            waiting = [future for futures in self._waiting.values() for future in futures]
            self._wake = None
        _tell(waiting)


async def _gone(request: Request) -> None:
    """Return when who asked has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _tell(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        future.get_loop().call_soon_threadsafe(_set, future)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
