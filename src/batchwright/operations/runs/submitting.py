"""The one way in for runs: what a submit takes, its run row and audit entry in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection

from batchwright.billing.records import input_selections
from batchwright.engine import events
from batchwright.engine.claim import Claim, NotOurs
from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Warn
from batchwright.engine.run import Run
from batchwright.engine.submit import CheckedRun, Request, check_run, submit_set
from batchwright.jobs.usage_selection import UsageJob, no_selection
from batchwright.notifications.addresses import address_of, check_address
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.address_book import address_book
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.run_view import view_of
from batchwright.operations.views import View

MODES = ("sync", "batch", "dry_run")


class RunTerms(TypedDict, total=False):
    """How a run is wanted, as keywords of whoever submits it; what each means is at `RunRequest`."""

    sync: bool
    reason: str | None
    explanation: str | None
    notify: Sequence[str]
    mail_actor: bool
    scope_size: int | None
    error_ceiling: str | None


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """Everything of a submit but the job.

    `mode` is `batch`, `sync` or `dry_run`; `sync` has a dry run driven by the caller, too. `notify` are mail
    addresses; `mail_actor=False` keeps the actor from getting the mail that a batch run would send them. Without
    `scope_size` or `error_ceiling` they are those of the settings. `schedule` is the name of the schedule that it is
    a run of; with `after_earlier` it holds until earlier ones of that have ended.
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


def terms_after(parent: Run, terms: RunTerms) -> RunTerms:
    """The terms of a run that follows another: the parent's, but for what is given, even if that is none."""
    return {
        "reason": parent.reason,
        "explanation": parent.explanation,
        "notify": parent.notify,
        "scope_size": parent.scope_size,
        "error_ceiling": parent.error_ceiling,
        **terms,
    }


@dataclass(frozen=True)
class Submitted:
    """A run that was submitted: its JSON, and whether it was claimed for its caller, who then has to drive it."""

    claim: Claim
    view: View

    @property
    def run_id(self) -> str:
        """The id people see."""
        return self.claim.run.run_id


def submit_run(
    app: Application,
    job_name: str,
    parameters: Mapping[str, Any],
    *,
    actor: Actor,
    mode: str = "batch",
    trigger: str = "cli",
    claim: bool = False,
    **terms: Unpack[RunTerms],
) -> Submitted:
    """Submit a run of the job; a worker drives it, or whoever calls `drive_run`.

    `claim` says that the caller hands it to `drive_submitted` at once: with a free slot the run is claimed in that
    transaction, so that no worker is faster. Should the caller die before, or never do so, any process takes the run
    over after one lease. With `sync` always.

    Refuses an unknown job, bad parameters, unknown ids, a bad address, and more than 1,000 records with `sync`;
    nothing is written then.
    """
    permit(app, actor, right_to_run(app, job_name), "run.submit")
    job = app.registry.make(job_name, parameters)
    request = RunRequest(actor=actor, mode=mode, trigger=trigger, **terms)
    return submit(app, lambda connection: (job, request), "run.submit", claim=claim)


def submit(
    app: Application, make: Callable[[Connection], tuple[BatchJob, RunRequest]], act: str, *, claim: bool
) -> Submitted:
    """Submit what `make` reads on the connection, all in one transaction; `claim` is as in `submit_run`."""
    with app.database.write(patient=True) as connection:
        job, request = make(connection)
        run = enqueue(app, connection, job, request, act)
        claimed: Claim = NotOurs(run)
        if claim or run.in_caller:
            claimed = app.dispatcher.claims.claim_on_submit(connection, run)
        view = view_of(connection, claimed.run, app.clock.now())
    publish_submitted(app, run)
    return Submitted(claimed, view)


def enqueue(
    app: Application, connection: Connection, job: BatchJob, request: RunRequest, act: str = "run.submit"
) -> Run:
    """Submit the job in the caller's transaction, with its audit entry."""
    (run,) = enqueue_set(app, connection, [(job, request)], act)
    if isinstance(run, Refused):
        raise run
    return run


def enqueue_set(
    app: Application,
    connection: Connection,
    wanted: Sequence[tuple[BatchJob, RunRequest]],
    act: str,
    ready: Mapping[int, CheckedRun] | None = None,
) -> list[Run | Refused]:
    """The same of several in few statements, in their order; each that is refused has its refusal in its place.

    `ready` are by place the runs of which `check_ahead` has called the job's code.
    """
    results: dict[int, Run | Refused] = {}
    requests: dict[int, tuple[BatchJob, Request]] = {}
    checked: dict[int, CheckedRun] = {}
    mapped = cache(lambda: address_book(connection, app.settings).addresses)
    for place, (job, request) in enumerate(wanted):
        try:
            check_selection(connection, job, request.actor, app.clock.now())
            requests[place] = job, _checked(app, mapped, request)
        except Refused as refusal:
            results[place] = refusal
        else:
            if ready is not None and place in ready:
                checked[len(requests) - 1] = ready[place]
    submitted = submit_set(connection, list(requests.values()), app.clock.now(), checked)
    results |= zip(requests, submitted, strict=True)
    entries = [
        _entry(request, act, run, app.clock.now())
        for place, (_, request) in enumerate(wanted)
        if isinstance(run := results[place], Run)
    ]
    audit.record_all(connection, entries)
    return [results[place] for place in range(len(wanted))]


def check_ahead(app: Application, job: BatchJob, request: RunRequest) -> CheckedRun:
    """Call the job's code that a submit calls, before it and under no lock: it may take as long as it likes."""
    with app.database.read() as connection:
        mapped = cache(lambda: address_book(connection, app.settings).addresses)
        check_selection(connection, job, request.actor, app.clock.now())
        return check_run(connection, job, _checked(app, mapped, request), app.clock.now())


def _entry(request: RunRequest, act: str, run: Run, now: datetime) -> audit.Entry:
    parent = request.parent
    return audit.Entry(
        actor=request.actor,
        act=act,
        subject=run.run_id,
        reason=run.reason,
        before=None if parent is None else {"run_id": parent.run_id, "status": parent.state},
        after={"job": run.job, "mode": run.mode, "status": run.state},
        now=now,
    )


def publish_submitted(app: Application, run: Run) -> None:
    """Publish, after the commit, that a run was submitted."""
    submitted = events.RunSubmitted(run.run_id, run.job, run.mode, run.actor)
    app.database.when_committed(lambda: app.events.publish(submitted))


def check_selection(connection: Connection, job: BatchJob, actor: Actor, now: datetime) -> None:
    """Refuse a selection that has expired, or that somebody else made: as one that never was."""
    selection_id = getattr(job.parameters, "selection_id", None)
    if isinstance(job, UsageJob) and selection_id is not None:
        owned = input_selections.owned(connection, selection_id)
        if owned is None or owned["actor"] != actor.name or owned["expires_at"] <= now:
            raise no_selection(selection_id)


def _checked(app: Application, mapped: Callable[[], Mapping[str, str]], request: RunRequest) -> Request:
    check_one_of(request.mode, MODES, field="mode")
    mode = "sync" if request.sync and request.mode == "batch" else request.mode
    notify = [check_address(address, "notify") for address in request.notify]
    mail_actor = request.mail_actor and mode == "batch"
    return Request(
        actor=request.actor.name,
        mode=mode,
        in_caller=request.sync or mode == "sync",
        reason=request.reason,
        explanation=request.explanation,
        trigger=request.trigger,
        scope_size=app.settings.scope_size if request.scope_size is None else request.scope_size,
        error_ceiling=request.error_ceiling or app.settings.error_ceiling,
        notify=notify,
        mail_actor=mail_actor,
        parent=request.parent,
        schedule=request.schedule,
        after_earlier=request.after_earlier,
        zone=app.zone,
        warnings=_address_warnings(app, mapped, request.actor.name) if mail_actor else (),
    )


def _address_warnings(
    app: Application, mapped: Callable[[], Mapping[str, str]], actor: str
) -> Sequence[Warn]:
    # Who stands in the settings needs no look at the table of users.
    if address_of(actor, app.settings.actors) or address_of(actor, mapped()):
        return ()
    remedy = "give one under [actors], or by a user with that login name"
    message = f"{actor} has no mail address, so nobody gets this run's mail but --notify; {remedy}"
    return (Warn("no_recipient", message, None),)
