"""Waits for a run to change, for any number of callers by one thread, one connection and one read.

Each waiter is a future of the event loop. One thread listens to the database, looks at all runs that are waited
for in one statement, reads each run that has changed once, and answers those who waited for that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.requests import Request

from batchwright.engine.store import controls
from batchwright.engine.store.notify import RUNS, Listener, listener_for
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.runs.existing import run_version
from batchwright.operations.runs.looking import show_run_to
from batchwright.operations.versions import encoded

MOST_SECONDS: Final = 30
MOST_WAITERS: Final = 500
"""More are answered at once, as if nothing had changed."""
WATCHER: Final = "run watch"
"""The name of the thread."""
SECONDS_BETWEEN_LOOKS: Final = 5.0
"""Also without a notification, should one be lost."""
READ_SECONDS_OF_WATCH: Final = 2.0
"""So long the read of one run may take, for which the others wait."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Seen:
    """A run as all who waited for it are shown it: its version, and the JSON value encoded."""

    version: controls.Version | None
    body: bytes


@dataclass(eq=False)
class _Waiter:
    actor: Actor
    seen: controls.Version | None
    reply: asyncio.Future[Seen | None]
    late: bool = False
    """Whether it has waited long enough, and takes the run as it is."""


class RunWatcher:
    """The watcher of one process. Its thread runs while anybody waits."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._waiting: dict[str, set[_Waiter]] = {}
        self._listener: Listener | None = None
        self._ended = False

    @property
    def waiters(self) -> int:
        """How many wait now."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def version(self, run_id: str) -> controls.Version | None:
        """The version of a run now; ``None`` where there is none of that id."""
        return run_version(self._app, run_id)

    async def changed(
        self, request: Request, actor: Actor, run_id: str, seen: controls.Version | None, seconds: float
    ) -> Seen | None:
        """The run when it is at another version than was seen, or after so many seconds.

        ``None`` where the caller has to look: who asks may not see it any more or has gone, nobody else can be waited
        for, or the run could not be read.
        """
        if self._ended or self.waiters >= MOST_WAITERS:
            return None
        waiter = _Waiter(actor, seen, asyncio.get_running_loop().create_future())
        gone = asyncio.ensure_future(_gone(request))
        self._add(run_id, waiter)
        try:
            for until in (min(seconds, MOST_SECONDS), SECONDS_BETWEEN_LOOKS):
                either: set[asyncio.Future[Any]] = {waiter.reply, gone}
                done, _ = await asyncio.wait(either, timeout=until, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    break
                self._make_late(waiter)
            return waiter.reply.result() if waiter.reply.done() else None
        finally:
            gone.cancel()
            self._remove(run_id, waiter)

    def end(self) -> None:
        """Answer everybody who waits, and whoever comes yet, at once: the process is about to end."""
        self._ended = True
        self._release(self._all())

    def _add(self, run_id: str, waiter: _Waiter) -> None:
        with self._lock:
            self._waiting.setdefault(run_id, set()).add(waiter)
            if self._listener is None:
                self._listener = listener_for(self._app.database, RUNS)
                threading.Thread(
                    target=self._watch, args=(self._listener,), name=WATCHER, daemon=True
                ).start()
            self._listener.wake()  # it may have changed since it was seen

    def _make_late(self, waiter: _Waiter) -> None:
        with self._lock:
            waiter.late = True
            if self._listener is not None:
                self._listener.wake()

    def _remove(self, run_id: str, waiter: _Waiter) -> None:
        with self._lock:
            waiting = self._waiting.get(run_id, set())
            waiting.discard(waiter)
            if not waiting:
                self._waiting.pop(run_id, None)
            if not self._waiting and self._listener is not None:
                self._listener.wake()

    def _all(self) -> list[_Waiter]:
        with self._lock:
            return [waiter for waiting in self._waiting.values() for waiter in waiting]

    def _watch(self, listener: Listener) -> None:
        READ_SECONDS.set(READ_SECONDS_OF_WATCH)
        try:
            while self._goes_on():
                self._look()
                listener.wait(SECONDS_BETWEEN_LOOKS)
        except Exception:
            log.exception("runs are not watched for a moment; who waits asks again")
            with self._lock:
                self._listener = None
            self._release(self._all())
        finally:
            listener.close()

    def _goes_on(self) -> bool:
        """False when nobody waits; the next who does starts another thread."""
        with self._lock:
            if not self._waiting:
                self._listener = None
            return bool(self._waiting)

    def _look(self) -> None:
        """Tell each run that has changed, or that somebody has waited for long enough; one after the other."""
        with self._lock:
            wanted = list(self._waiting)
        with self._app.database.read_autocommit() as connection:
            versions = controls.versions(connection, wanted)
        for run_id in wanted:
            version = versions.get(run_id)
            with self._lock:
                to_tell = [
                    waiter
                    for waiter in self._waiting.get(run_id, ())
                    if not waiter.reply.done() and (waiter.late or waiter.seen != version)
                ]
            if to_tell:
                self._tell(run_id, version, to_tell)

    def _tell(self, run_id: str, version: controls.Version | None, waiters: list[_Waiter]) -> None:
        """Read the run once, and answer who may see it. The version is the older of the two: no change is lost."""
        try:
            view, permitted = show_run_to(self._app, run_id, {waiter.actor for waiter in waiters})
        except Exception:
            log.exception(
                "a run could not be read for those who wait for it; they look themselves", run_id=run_id
            )
            self._release(waiters)
            return
        shown = Seen(version, encoded(view))
        _answer([(waiter.reply, shown if waiter.actor in permitted else None) for waiter in waiters])

    def _release(self, waiters: Iterable[_Waiter]) -> None:
        _answer([(waiter.reply, None) for waiter in waiters])


Answers = list[tuple["asyncio.Future[Seen | None]", Seen | None]]


async def _gone(request: Request) -> None:
    """Return when who asked has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(answers: Answers) -> None:
    """From any thread. The futures of a process belong to one event loop, which is woken once."""
    if answers:
        with suppress(RuntimeError):  # the loop has ended, and with it who waited
            answers[0][0].get_loop().call_soon_threadsafe(_set, answers)


def _set(answers: Answers) -> None:
    for future, shown in answers:
        if not future.done():
            future.set_result(shown)
