"""From a submitted run to the exit code: progress while it is driven here, Ctrl-C, the result at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Literal

import click

from batchwright.cli.exits import DONE, exit_code_of
from batchwright.cli.interrupt import MAIL_IS_LEFT, StopOnInterrupt, StoppedAtOnce
from batchwright.cli.output import drop_further_output, say, write_json, write_rows
from batchwright.cli.progress import shown_progress
from batchwright.cli.run_views import OUTCOME_COLUMNS, mail_result, run_result
from batchwright.cli.verbosity import Verbosity
from batchwright.engine.claim import OnProgress, Stop
from batchwright.engine.run import ACTIVE
from batchwright.operations.app import Application
from batchwright.operations.mail import send_due_mail
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import Submitted
from batchwright.operations.views import View

Way = Literal["sync", "batch", "enqueue"]
Drive = Callable[[Stop, OnProgress], View]
"""Drives a run until it says so, or the run has ended; tells of a run that another process drives."""


def finish_submitted(
    app: Application, verbosity: Verbosity, submitted: Submitted, *, way: Way, as_json: bool
) -> int:
    """Drive a submitted run here, unless it was only to be enqueued, and answer. Returns the exit code."""
    if way == "enqueue":
        if as_json:
            write_json(submitted.view)
        else:
            say(submitted.run_id)
            for warning in submitted.view["warnings"]:
                say(f"Warning: {warning['message']}", err=True)
        return DONE
    drive = partial(drive_submitted, app, submitted, mail=False)
    return drive_and_answer(app, verbosity, submitted.run_id, drive, as_json=as_json)


def drive_and_answer(
    app: Application, verbosity: Verbosity, run_id: str, drive: Drive, *, as_json: bool
) -> int:
    """Drive the run with progress on stderr, write its result to stdout, then send its mail; return its exit code.

    `drive` leaves the mail to this: the answer waits for no mail server.
    Raises ``StoppedAtOnce`` after a second Ctrl-C.
    """
    try:
        run, interrupted = driven(app, verbosity, drive)
    except KeyboardInterrupt:
        raise StoppedAtOnce(run_id, _how_to_go_on(run_id)) from None
    code = exit_code_of(run, interrupted=interrupted)
    try:
        _answer(app, run, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads the result; what became of the run still shows in the exit code.
        drop_further_output()
    if run["ended_at"] is not None:
        send_mail(app, run_id, show=not as_json)
    if run["status"] in ACTIVE:
        say(f"{run_id} continues in another process. {_how_to_watch(run_id)}.", err=True)
    elif run["ended_at"] is None:
        say(f"{run_id} is {run['status']}. {_how_to_go_on(run_id)}.", err=True)
    return code


def driven(app: Application, verbosity: Verbosity, drive: Drive) -> tuple[View, bool]:
    """Drive a run with progress and Ctrl-C; the run as it stands then, and whether it was asked to stop."""
    progress = shown_progress(app.events, app.clock, verbosity=verbosity.level)
    with StopOnInterrupt() as stop, progress as on_progress:
        return drive(stop, on_progress), stop()


def send_mail(app: Application, run_id: str, *, show: bool) -> None:
    """Send the mail of a run that has ended, for some seconds; Ctrl-C leaves it for later. `show` what became of it."""
    try:
        with StopOnInterrupt(MAIL_IS_LEFT) as stop:
            send_due_mail(app, run_id, stop)
    except KeyboardInterrupt:
        return
    if show:
        try:
            for line in mail_result(show_run(app, run_id), app.settings):
                say(line)
            sys.stdout.flush()
        except BrokenPipeError:
            drop_further_output()


def _answer(app: Application, run: View, *, as_json: bool) -> None:
    if as_json:
        write_json(run)
        return
    if "outcomes" in run:
        write_rows(run["outcomes"], OUTCOME_COLUMNS, format="table", nothing="There was no record to do.")
        say()
    for line in run_result(show_run(app, run["run_id"]), app.database.display_url):
        say(line)


def _how_to_go_on(run_id: str) -> str:
    return f"Go on with `batchwright runs resume {run_id}`, or end it with `batchwright runs abort {run_id}`"


def _how_to_watch(run_id: str) -> str:
    return f"Watch it with `batchwright runs show {run_id}`, end it with `batchwright runs abort {run_id}`"


def exclusive_way(*, sync: bool, batch: bool, enqueue: bool) -> Way:
    """The one way that was asked for; batch when none was."""
    asked: dict[Way, bool] = {"sync": sync, "batch": batch, "enqueue": enqueue}
    chosen = [way for way, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other.")
    return chosen[0] if chosen else "batch"
