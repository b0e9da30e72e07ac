"""The thread of a duty that a worker needs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class DutyThread(threading.Thread):
    """Does a duty until that returns. Whatever it raises is logged, and handed to ``on_failure``."""

    def __init__(
        self, name: str, duty: Callable[[], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._duty = duty
        self._on_failure = on_failure

    def run(self) -> None:
        """Do it."""
        try:
            self._duty()
        except BaseException as error:
            log.critical("a thread of the worker has ended", thread=self.name, exc_info=True)
            self._on_failure(error)


def unheard(error: BaseException) -> None:
    """Nothing more happens than the line in the log."""
