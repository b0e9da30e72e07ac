"""What a worker does now and then, whoever did what meanwhile: it seals the audit trail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from operations.app import Application
from operations.sealing import seal_committed

SECONDS_BETWEEN = 10.0
"""How long an entry waits for its seal at most. A look where nothing waits is one statement on a short index."""

log = structlog.get_logger()


class Upkeep:
    """Does it at the start, every ten seconds, and at the end, in a thread of its own. Any number may do so at once."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="upkeep")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Do it a last time, and wait for that."""
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.is_set()
            self._try("the audit trail could not be sealed; it waits", seal_committed)
            self._stop.wait(SECONDS_BETWEEN)

    def _try(self, trouble: str, duty: Callable[[Application], Any]) -> None:
        try:
            duty(self._app)
        except Exception as error:
            log.warning(trouble, reason=str(getattr(error, "orig", error)).strip())
