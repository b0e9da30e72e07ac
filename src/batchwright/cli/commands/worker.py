"""`batchwright worker`: drives runs and sends mail until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

import click

from batchwright.cli.exits import DONE, FAILED, OUTDATED
from batchwright.cli.groups import Command
from batchwright.cli.metrics_port import expose, metrics_port_option
from batchwright.cli.output import say
from batchwright.cli.session import application
from batchwright.cli.verbosity import Verbosity
from batchwright.config.logging import configure_logging
from batchwright.config.stderr import write_at_once
from batchwright.engine.errors import DatabaseReplaced, error_text
from batchwright.engine.job_code import end_at_once
from batchwright.operations.actor import Door
from batchwright.operations.worker.worker import WorkerProcess

STOPPING = b"Stopping after the scopes at hand. Once more stops at once.\n"


@click.command("worker", cls=Command, example="batchwright worker")
@click.option("--until-closed", is_flag=True, hidden=True, help="Stop when standard input is closed, too.")
@click.option("--served-at", hidden=True, help="Where the console of this worker answers.")
@metrics_port_option
@click.pass_obj
def worker(verbosity: Verbosity, until_closed: bool, served_at: str | None, metrics_port: int | None) -> int:
    """Drive runs and send mail, until SIGTERM or Ctrl-C.

    Start as many as you like, on as many machines. A run that waits is claimed in its turn, one whose process is
    gone is taken over. At most `max_active_runs` are driven at a time, by all workers together. What is stopped goes
    on elsewhere after the scope at hand.
    """
    configure_logging(verbosity.level + 1)
    with application(Door.WORKER, served_at) as app:
        if metrics_port is not None:
            expose(app.metrics.registry, metrics_port)
        process = WorkerProcess(app)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _Drain(process))
        if until_closed:
            threading.Thread(target=_drain_at_end_of_input, args=(process,), daemon=True).start()
        say(f"Working on {app.database.display_url}, process {os.getpid()}.", err=True)
        try:
            ended = process.run()
        except DatabaseReplaced as replaced:
            say(f"Stopped: {replaced}", err=True)
            os._exit(FAILED)  # what is at work in other threads must not go on in the other file
    say("Stopped; what was not done waits for another worker.", err=True)
    if process.upgraded_to is not None:
        say(
            f"The database was upgraded to revision {process.upgraded_to} meanwhile; start the worker of the program"
            " that did so.",
            err=True,
        )
    code = DONE if process.upgraded_to is None else OUTDATED
    if process.failure is not None:
        said = error_text(process.failure)
        say(f"It stopped since one of its threads had ended: {said}. Start it again.", err=True)
        code = FAILED
    if not ended:
        os._exit(code)  # Python would let the threads that were left get in its way
    return code


def _drain_at_end_of_input(process: WorkerProcess) -> None:
    """Drain when nobody holds the other end of standard input any more: who started this process is gone."""
    # A read of `sys.stdin` itself would hold its lock, over which Python aborts at the end of the process.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    process.drain()


class _Drain:
    """The first signal drains; the second ends the process at once, as a crash would."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, end_at_once)
        signal.signal(signal.SIGINT, end_at_once)
        self._process.drain()
        write_at_once(STOPPING)
