"""A worker that works in a thread, and waits for what it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store.database import Database
from batchwright.engine.store.wake import Wake, wake_of
from batchwright.engine.worker import Worker
from tests.engine.rig import Rig

WAIT = 60.0


@contextmanager
def working(
    rig: Rig, on_news: Callable[[], None] = lambda: None, wake_of: Callable[[Database], Wake] = wake_of
) -> Iterator[Worker]:
    """A worker that works in a thread; drained at the end, if it was not before."""
    wake = wake_of(rig.database)
    worker = Worker(dispatcher=rig.dispatcher(), wake=wake, clock=rig.clock, on_news=on_news)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.drain()
        thread.join(WAIT)
        wake.close()
    assert not thread.is_alive()


def ended(rig: Rig, run: Run) -> Run:
    """The run once it has ended."""
    return until(rig, run, lambda state: state not in (*ACTIVE, State.HOLDING, State.QUEUED))


def until(rig: Rig, run: Run, is_so: Callable[[State], bool]) -> Run:
    """The run once that is so of its state."""
    give_up = time.monotonic() + WAIT
    while not is_so((now := rig.read(run)).state):
        assert time.monotonic() < give_up, now
        time.sleep(0.01)
    return now
