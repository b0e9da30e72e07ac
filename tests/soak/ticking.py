"""A worker that notes when it fired: `python -m tests.soak.ticking FILE SECONDS_AHEAD`.

Its clock, and the one that APScheduler wakes it by, are so many seconds ahead. All else is what `batchwright worker`
does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TextIO

from apscheduler.schedulers import base

from batchwright.config.settings import load_settings
from batchwright.engine.clock import SystemClock
from batchwright.engine.events import Event, ScheduleFired
from batchwright.operations.app import make_application
from batchwright.operations.worker.worker import WorkerProcess


class Ahead(SystemClock):
    """The machine's clock, set to another time."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._ahead


def main(file: str, seconds_ahead: str) -> None:
    clock = Ahead(float(seconds_ahead))

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now().astimezone(tz)

    base.datetime = Now
    app = make_application(load_settings(os.environ, Path.cwd()), clock=clock)
    with Path(file).open("a", buffering=1) as notes:
        app.events.subscribe(lambda event: note(notes, event))
        process = WorkerProcess(app)
        signal.signal(signal.SIGTERM, lambda *_: process.drain())
        notes.write("ready\n")
        process.run()
    app.close()


def note(notes: TextIO, event: Event) -> None:
    """A line for each fire: its nominal time and how many seconds after it all was committed, by the true clock."""
    if isinstance(event, ScheduleFired):
        notes.write(f"{event.nominal_time.isoformat()} {time.time() - event.nominal_time.timestamp():.4f}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
