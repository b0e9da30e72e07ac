"""Runs: submitting, driving, resuming, retrying, looking at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection

from batchwright.engine import events, ledger
from batchwright.engine.claim import Seen, Stop, nobody_looks
from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Warn
from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store import runs
from batchwright.engine.submit import Request, submit_set
from batchwright.notifications import outbox
from batchwright.notifications.addresses import check_address, recipients
from batchwright.operations import audit, views
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit, check_one_of
from batchwright.operations.mail import send_due_mail
from batchwright.operations.outcomes import Row, outcome_rows
from batchwright.operations.people import people
from batchwright.operations.permissions import Right, permit, right_to_run
from batchwright.operations.run_view import view_of, views_of
from batchwright.operations.steering import release_run
from batchwright.operations.views import View

MODES = ("sync", "batch", "dry_run")


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a run is wanted: everything of a submit but the job.

    `mode` is `batch`, `sync` or `dry_run`; `sync` has a dry run driven by the caller, too. `notify` are mail
    addresses; `mail_actor=False` keeps the actor from getting the mail that a batch run would send them. `schedule` is
    the name of the schedule that it is a run of; with `after_earlier` it holds until earlier ones of that have ended.
    """

    actor: Actor
    mode: str = "batch"
    sync: bool = False
    reason: str | None = None
    explanation: str | None = None
    notify: Sequence[str] = ()
    mail_actor: bool = True
    scope_size: int | None = None
    error_ceiling: str | None = None
    trigger: str = "python"
    parent: Run | None = None
    schedule: str | None = None
    after_earlier: bool = False


def submit_run(
    app: Application,
    job_name: str,
    parameters: Mapping[str, Any],
    *,
    actor: Actor,
    mode: str = "batch",
    sync: bool = False,
    reason: str | None = None,
    explanation: str | None = None,
    notify: Sequence[str] = (),
    mail_actor: bool = True,
    scope_size: int | None = None,
    error_ceiling: str | None = None,
    trigger: str = "cli",
    here: bool = False,
) -> View:
    """Submit a run of the job and return its JSON; a worker drives it, or whoever calls `drive_run`.

    `here` says that the caller calls it at once: with a free slot the run is claimed in the same transaction, so that
    no worker is faster, and so that any process takes the run over should this one die before. With `sync` always.

    Refuses an unknown job, bad parameters, unknown ids, a bad address, and more than 1,000 records with `sync`;
    nothing is written then.
    """
    order = Order(
        actor=actor,
        mode=mode,
        sync=sync,
        reason=reason,
        explanation=explanation,
        notify=notify,
        mail_actor=mail_actor,
        scope_size=scope_size,
        error_ceiling=error_ceiling,
        trigger=trigger,
    )
    permit(app, actor, right_to_run(job_name), "run.submit")
    job = app.registry.get(job_name)(**parameters)
    with app.database.write() as connection:
        run = enqueue(app, connection, job, order)
        mine = app.dispatcher.claims.at_submit(connection, run) if here or run.in_caller else None
        view = view_of(connection, mine or run, app.clock.now())
    tell_submitted(app, run, mine)
    return view


def enqueue(
    app: Application, connection: Connection, job: BatchJob, order: Order, act: str = "run.submit"
) -> Run:
    """Submit the job in the caller's transaction, with its audit entry."""
    (run,) = enqueue_set(app, connection, [(job, order)], act)
    if isinstance(run, Refused):
        raise run
    return run


def enqueue_set(
    app: Application, connection: Connection, wanted: Sequence[tuple[BatchJob, Order]], act: str
) -> list[Run | Refused]:
    """The same of several in few statements, in their order; each that is refused has its refusal in its place."""
    results: dict[int, Run | Refused] = {}
    requests: dict[int, tuple[BatchJob, Request]] = {}
    mapped = cache(lambda: people(connection, app.settings).addresses)
    for place, (job, order) in enumerate(wanted):
        try:
            requests[place] = job, _request(app, mapped, order)
        except Refused as refusal:
            results[place] = refusal
    submitted = submit_set(connection, list(requests.values()), app.clock.now())
    results |= zip(requests, submitted, strict=True)
    entries = [
        _entry(order, act, run, app.clock.now())
        for place, (_, order) in enumerate(wanted)
        if isinstance(run := results[place], Run)
    ]
    audit.record_all(connection, entries)
    return [results[place] for place in range(len(wanted))]


def _entry(order: Order, act: str, run: Run, now: datetime) -> audit.Entry:
    parent = order.parent
    return audit.Entry(
        actor=order.actor,
        act=act,
        subject=run.run_id,
        reason=run.reason,
        before=None if parent is None else {"run_id": parent.run_id, "status": parent.state},
        after={"job": run.job, "mode": run.mode, "status": run.state},
        now=now,
    )


def tell_submitted(app: Application, run: Run, claimed: Run | None) -> None:
    """Publish, after the commit, that a run was submitted; where it was claimed in the same transaction, keep it."""
    app.events.publish(events.RunSubmitted(run.run_id, run.job, run.mode, run.actor))
    if claimed is not None:
        app.dispatcher.claims.keep(claimed)


def drive_run(
    app: Application,
    run_id: str,
    stop: Stop = lambda: False,
    seen: Seen = nobody_looks,
    *,
    actor: Actor | None = None,
) -> View:
    """Drive a run here until it has ended, or until `stop` says so, and return its JSON.

    Where another process is faster, the run is followed, and gone on with here should that process die: `seen` is
    told of it now and then, with the run and the number of records that are through. A run that its caller drives
    (`sync`) comes with its `outcomes`. When the run has ended, due mail is sent.
    """
    permit(app, actor, Right.OPERATE, "run.drive")
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
    return _driven(app, app.dispatcher.drive(run.id, stop), stop, seen)


def resume_run(
    app: Application,
    run_id: str,
    *,
    actor: Actor,
    reason: str | None = None,
    stop: Stop = lambda: False,
    seen: Seen = nobody_looks,
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
        return _driven(app, app.dispatcher.drive(run.id, stop), stop, seen)

    def record(connection: Connection, before: Run) -> None:
        taken = runs.by_key(connection, before.id)
        audit.record(
            connection,
            actor=actor,
            act="run.resume",
            subject=taken.run_id,
            reason=reason,
            before={"status": before.state, "owner": before.owner},
            after={"status": taken.state, "owner": taken.owner},
            now=app.clock.now(),
        )

    return _driven(app, app.dispatcher.resume(run.id, stop, record), stop, seen)


def retry_run(
    app: Application,
    run_id: str,
    *,
    actor: Actor,
    mode: str | None = None,
    sync: bool = False,
    reason: str | None = None,
    explanation: str | None = None,
    notify: Sequence[str] = (),
    mail_actor: bool = True,
    scope_size: int | None = None,
    error_ceiling: str | None = None,
    here: bool = False,
) -> View:
    """Submit a run that does what errored, or was not reached, in an ended run again; return its JSON.

    What exactly is the job's: its retry unit is the record, or the whole group around it (draft rating: the asset
    line item, whose schedules are overwritten). A dry run is retried dry. `here` is as in `submit_run`.
    Refuses when there is nothing to retry.
    """
    permit_for_run(app, actor, run_id, "run.retry")
    with app.database.write() as connection:
        parent = runs.by_id(connection, run_id)
        _refuse_retry(parent)
        job_class = app.registry.get(parent.job)
        keys = ledger.keys_to_retry(connection, parent)
        job = job_class(**job_class(**parent.parameters).retry_parameters(connection, parent, keys))
        order = Order(
            actor=actor,
            mode=mode or ("dry_run" if parent.is_dry else "batch"),
            sync=sync,
            reason=reason if reason is not None else parent.reason,
            explanation=explanation if explanation is not None else parent.explanation,
            notify=notify or parent.notify,
            mail_actor=mail_actor,
            scope_size=scope_size or parent.scope_size,
            error_ceiling=error_ceiling or parent.error_ceiling,
            trigger="retry",
            parent=parent,
        )
        run = enqueue(app, connection, job, order, act="run.retry")
        mine = app.dispatcher.claims.at_submit(connection, run) if here or run.in_caller else None
        view = view_of(connection, mine or run, app.clock.now())
    tell_submitted(app, run, mine)
    return view


def permit_for_run(app: Application, actor: Actor, run_id: str, act: str) -> None:
    """Refuse unless the actor may do again what the run did: its job decides. Refuses an unknown run, too."""
    permit(app, actor, Right.OPERATE, act)
    with app.database.read() as connection:
        right = right_to_run(runs.by_id(connection, run_id).job)
    if right is not Right.OPERATE:
        permit(app, actor, right, act)


def list_runs(
    app: Application,
    status: str | None = None,
    job: str | None = None,
    limit: int | None = None,
    *,
    actor: Actor | None = None,
) -> list[View]:
    """The runs, newest first by start (by creation while one waits).

    `status` is a state, or what the log shows and no state is called: `Complete`, `Running`; in any case.
    """
    permit(app, actor, Right.LOOK, "run.list")
    check_limit(limit)
    states = None if status is None else _states(status)
    with app.database.read() as connection:
        listed = runs.listing(connection, states, job, limit)
        return list(views_of(connection, listed, app.clock.now()))


def _states(status: str) -> list[State]:
    named = {state.lower(): [state] for state in State}
    named |= {"complete": [State.COMPLETED], "running": [State.PREPARING, State.PROCESSING, State.PAUSED]}
    if status.lower() not in named:
        check_one_of(status, [*State, "Complete", "Running"], field="status")
    return named[status.lower()]


def show_run(app: Application, run_id: str, *, actor: Actor | None = None) -> View:
    """One run, with its `children` (ids of the runs submitted from it) and its `mails`."""
    permit(app, actor, Right.LOOK, "run.show")
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
        return {
            **view_of(connection, run, app.clock.now()),
            "children": runs.children(connection, run.id),
            "mails": [views.mail(line) for line in outbox.of_run(connection, run.id)],
        }


def run_outcomes(
    app: Application,
    run_id: str,
    outcome: str | None = None,
    code: str | None = None,
    *,
    with_facts: bool = False,
    actor: Actor | None = None,
) -> Iterator[Row]:
    """What became of the records of a run; streamed. Refuses an unknown run or outcome before the first.

    `with_facts` adds the columns that the job knows, such as asset, date and quantity.
    """
    permit(app, actor, Right.LOOK, "run.outcomes")
    if outcome is not None:
        check_one_of(outcome, ledger.OUTCOMES, field="outcome")
    with app.database.read() as connection:
        runs.by_id(connection, run_id)
    return outcome_rows(app.database, app.registry, run_id, outcome, code, with_facts=with_facts)


def _driven(app: Application, run: Run, stop: Stop, seen: Seen) -> View:
    run = _followed(app, run, stop, seen)
    if run.ended:
        send_due_mail(app)
    with app.database.read() as connection:
        view = view_of(connection, runs.by_key(connection, run.id), app.clock.now())
    if run.in_caller and run.ended:
        view["outcomes"] = list(outcome_rows(app.database, app.registry, run.run_id, with_facts=False))
    return view


def _followed(app: Application, run: Run, stop: Stop, seen: Seen) -> Run:
    """The run as `stop` finds it, or when no process works on it any more."""
    while run.state in ACTIVE:
        run, ours = app.dispatcher.claims.follow(run.id, stop, seen)
        if ours:
            run = app.dispatcher.work(run, stop)
        elif run.state in (State.HOLDING, State.QUEUED):
            run = app.dispatcher.drive(run.id, stop)
        else:
            break
    return run


def _request(app: Application, mapped: Callable[[], Mapping[str, str]], order: Order) -> Request:
    check_one_of(order.mode, MODES, field="mode")
    mode = "sync" if order.sync and order.mode == "batch" else order.mode
    notify = [_checked(address) for address in order.notify]
    mail_actor = order.mail_actor and mode == "batch"
    return Request(
        actor=order.actor.name,
        mode=mode,
        in_caller=order.sync or mode == "sync",
        reason=order.reason,
        explanation=order.explanation,
        trigger=order.trigger,
        scope_size=order.scope_size or app.settings.scope_size,
        error_ceiling=order.error_ceiling or app.settings.error_ceiling,
        notify=notify,
        mail_actor=mail_actor,
        parent=order.parent,
        schedule=order.schedule,
        after_earlier=order.after_earlier,
        zone=app.zone,
        warnings=_address_warnings(app, mapped, order.actor.name) if mail_actor else (),
    )


def _checked(address: str) -> str:
    try:
        return check_address(address)
    except Refused as error:
        raise Refused(error.message, field="notify", remedy=error.remedy) from None


def _address_warnings(
    app: Application, mapped: Callable[[], Mapping[str, str]], actor: str
) -> Sequence[Warn]:
    if recipients(actor, app.settings.actors, (), True) != [None]:
        return ()
    if recipients(actor, mapped(), (), True) != [None]:
        return ()
    remedy = "give one under [actors], or by a user with that login name"
    message = f"{actor} has no mail address, so nobody gets this run's mail but --notify; {remedy}"
    return (Warn("no_recipient", message, None),)


def _refuse_retry(parent: Run) -> None:
    if not parent.ended:
        raise Refused(
            f"{parent.run_id} has not ended ({parent.state})",
            field="run_id",
            remedy=f"Go on with it: `batchwright runs resume {parent.run_id}`",
        )
    if not parent.errored + parent.not_reached:
        raise Refused(
            f"{parent.run_id} has no record that errored or was not reached: there is nothing to retry",
            field="run_id",
            remedy="Submit the job again to do all of it once more",
        )
