"""A duty that a worker does in a thread of its own, soon after a notification."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from batchwright.engine.duty import DutyThread, unheard
from batchwright.engine.faults import reason_of

log = structlog.get_logger()


class BackgroundLoop:
    """Does `duty` soon after each `look`, and once in so many seconds where that is asked for.

    Notifications come right before a run that wants the processor, and one look serves many: so it waits first.
    A duty that raises is done again the next time; `trouble` is what the log says of that.
    """

    def __init__(
        self,
        name: str,
        duty: Callable[[], None],
        *,
        trouble: str,
        seconds_after_change: float,
        seconds_between: float | None = None,
        on_failure: Callable[[BaseException], None] = unheard,
    ) -> None:
        self._duty = duty
        self._trouble = trouble
        self._seconds_after_change = seconds_after_change
        self._seconds_between = seconds_between
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._thread = DutyThread(name, self._loop, on_failure)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """Do it soon."""
        self._changed.set()

    def drain(self) -> None:
        """End after the current duty."""
        self._stop.set()
        self._changed.set()

    def stop(self, seconds: float | None = None) -> bool:
        """The same, and wait for that, so many seconds at most; whether it has ended."""
        self.drain()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether a duty that takes long should end early."""
        return self._stop.is_set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._changed.wait(self._seconds_between)
            self._stop.wait(self._seconds_after_change)
            self._changed.clear()
            try:
                self._duty()
            except BaseException as error:  # a thread that ends is missed by nobody
                log.warning(self._trouble, reason=reason_of(error))
