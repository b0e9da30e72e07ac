"""A worker that works in a thread, and the mail of a run that it finds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from batchwright.operations.app import Application
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from batchwright.operations.worker import worker
from batchwright.operations.worker.worker import WorkerProcess
from tests.support.application import ACTOR

JOB = "draft-usage-rating"
WAIT = 60.0


@contextmanager
def working(app: Application) -> Iterator[None]:
    """A worker that works in a thread. When it is told to end nothing of it may be left under way."""
    process = WorkerProcess(app)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(process.run()))
    thread.start()
    with patch.object(worker, "SECONDS_TO_END", WAIT):  # however busy the machine is
        try:
            yield
        finally:
            process.drain()
            thread.join(WAIT)
    assert ended == [True]


def wait_for(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.02)


def ended_without_its_mail(app: Application) -> View:
    """A run whose process died between its end and its mail. The mail that waits."""
    submitted = submit_run(app, JOB, {}, actor=ACTOR, claim=True)
    app.dispatcher.work(submitted.claim.run)
    (waiting,) = list_mail(app)
    assert (waiting["status"], waiting["attempts"]) == ("waiting", 0)
    return waiting
