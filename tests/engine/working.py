"""A worker that works in a thread, and waits for what it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store.database import Database
from batchwright.engine.store.notify import Listener, listener_for
from batchwright.engine.worker import Worker
from tests.engine.rig import Rig

WAIT = 60.0


@contextmanager
def working(
    rig: Rig,
    on_notification: Callable[[], None] = lambda: None,
    listener_for: Callable[[Database], Listener] = listener_for,
) -> Iterator[Worker]:
    """A worker that works in a thread; drained at the end, if it was not before."""
    listener = listener_for(rig.database)
    worker = Worker(
        dispatcher=rig.dispatcher(), listener=listener, clock=rig.clock, on_notification=on_notification
    )
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.drain()
        thread.join(WAIT)
        listener.close()
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
