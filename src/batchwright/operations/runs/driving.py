"""Drive a run here, or go on with one whose process is gone, until it has ended."""

from __future__ import annotations

from sqlalchemy import Connection

from batchwright.engine.claim import Claimed, NotOurs, OnProgress, Stop, ignore_progress
from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store import runs
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.idempotency import go_on_apart
from batchwright.operations.mail import send_due_mail
from batchwright.operations.outcomes import outcome_rows
from batchwright.operations.run_view import view_of
from batchwright.operations.runs.controls import release_run
from batchwright.operations.runs.submitting import Submitted
from batchwright.operations.views import View


def drive_submitted(
    app: Application,
    submitted: Submitted,
    stop: Stop = lambda: False,
    on_progress: OnProgress = ignore_progress,
    *,
    mail: bool = True,
) -> View:
    """Drive a run that the caller has just submitted, as `drive_run` does; who might submit it may drive it."""
    go_on_apart(submitted.run_id)
    match submitted.claim:
        case Claimed(run):
            run = app.dispatcher.work(run, stop)
        case NotOurs(run):
            run = app.dispatcher.drive(run.id, stop)
    return _driven(app, run, stop, on_progress, mail=mail)


def drive_run(
    app: Application,
    run_id: str,
    stop: Stop = lambda: False,
    on_progress: OnProgress = ignore_progress,
    *,
    actor: Actor | None = None,
    mail: bool = True,
) -> View:
    """Drive a run here until it has ended, or until `stop` says so, and return its JSON.

    Where another process is faster, the run is followed, and gone on with here should that process die: `on_progress`
    is called now and then, with the run and the number of records that are through. A run that its caller drives
    (`sync`) comes with its `outcomes`. When the run has ended its mail is sent, for some seconds at most; not
    without `mail`: then the caller sees to that, or leaves it to workers.
    """
    permit(app, actor, Right.OPERATE, "run.drive")
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
    return _driven(app, app.dispatcher.drive(run.id, stop), stop, on_progress, mail=mail)


def driven_run(app: Application, run_id: str, *, actor: Actor) -> View | None:
    """The JSON that `drive_submitted` gives of a run that it has driven to its end; `None` while it has not ended."""
    permit(app, actor, Right.LOOK, "run.show")
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
    return _view(app, run) if run.ended else None


def resume_run(
    app: Application,
    run_id: str,
    *,
    actor: Actor,
    reason: str | None = None,
    stop: Stop = lambda: False,
    on_progress: OnProgress = ignore_progress,
    mail: bool = True,
) -> View:
    """Go on with a queued, paused or interrupted run here, and return its JSON as `drive_run` does.

    Waits for one lease to see that the owner of an interrupted run is gone; refuses when it is alive, or when the
    run has ended.
    """
    permit(app, actor, Right.OPERATE, "run.resume")
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
    if run.state is State.PAUSED:
        release_run(app, run_id, actor=actor, reason=reason)
        return _driven(app, app.dispatcher.drive(run.id, stop), stop, on_progress, mail=mail)

    def record(connection: Connection, before: Run) -> None:
        taken = runs.by_key(connection, before.id)
        audit.record(
            connection,
            actor,
            "run.resume",
            taken.run_id,
            reason=reason,
            before={"status": before.state, "owner": before.owner},
            after={"status": taken.state, "owner": taken.owner},
            now=app.clock.now(),
        )

    return _driven(app, app.dispatcher.resume(run.id, stop, record), stop, on_progress, mail=mail)


def _driven(app: Application, run: Run, stop: Stop, on_progress: OnProgress, *, mail: bool) -> View:
    run = _followed(app, run, stop, on_progress)
    if run.ended and mail:
        send_due_mail(app, run.run_id, stop)
    return _view(app, run)


def _view(app: Application, run: Run) -> View:
    with app.database.read() as connection:
        view = view_of(connection, runs.by_key(connection, run.id), app.clock.now())
    if run.in_caller and run.ended:
        view["outcomes"] = list(outcome_rows(app.database, app.registry, run.run_id, with_facts=False))
    return view


def _followed(app: Application, run: Run, stop: Stop, on_progress: OnProgress) -> Run:
    """The run as `stop` finds it, or when no process works on it any more."""
    while run.state in ACTIVE:
        match app.dispatcher.claims.follow(run.id, stop, on_progress):
            case Claimed(run):
                run = app.dispatcher.work(run, stop)
            case NotOurs(run) if run.state in (State.HOLDING, State.QUEUED):
                run = app.dispatcher.drive(run.id, stop)
            case NotOurs(run):
                break
    return run
