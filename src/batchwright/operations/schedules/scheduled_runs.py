"""Submits the runs of schedules: on behalf of their owners, on their terms, in the caller's transaction.

Which times are due, and when, is decided in `engine/schedules/firing.py`, which calls this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.engine.errors import Conflict, Refused
from batchwright.engine.job import BatchJob
from batchwright.engine.run import Run
from batchwright.engine.schedule import Schedule
from batchwright.engine.submit import CheckedRun
from batchwright.operations import user_store
from batchwright.operations.actor import Actor, Door
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import RunRequest, check_ahead, enqueue_set

TRIGGER = "schedule"


class Ready(NamedTuple):
    """A schedule's job, made with its parameters, and its run, of which all of the job's code has been called."""

    job: BatchJob
    run: CheckedRun


def make_ready(app: Application, schedule: Schedule, *, os_user: str) -> Ready:
    """Call the code of a schedule's job, under no lock. Raises whatever that raises, also before it can be called."""
    job = app.registry.make(schedule.job, schedule.parameters)
    return Ready(job, check_ahead(app, job, _request(schedule, os_user, after_earlier=False)))


def submit_of_schedules(
    app: Application,
    connection: Connection,
    wanted: Sequence[tuple[Schedule, bool]],
    *,
    os_user: str,
    act: str = "schedule.fire",
    ready: Mapping[int, Ready] | None = None,
) -> list[Run | Refused]:
    """Submit a run of each schedule in few statements, in their order, with its audit entry.

    `True` beside a schedule lets its run hold until earlier ones of it have ended; `ready` are by key of schedule those
    whose job's code has been called. In the place of a run stands the refusal where the job is not installed here, its
    parameters fit the data no longer, or its owner is a user who was disabled; nothing is written of that.
    """
    ready = ready or {}
    results: dict[int, Run | Refused] = {}
    requests: dict[int, tuple[BatchJob, RunRequest]] = {}
    checked: dict[int, CheckedRun] = {}
    disabled = user_store.disabled_users(connection, {schedule.owner for schedule, _ in wanted})
    for place, (schedule, after_earlier) in enumerate(wanted):
        if schedule.owner in disabled:
            results[place] = _disabled(schedule)
            continue
        one = ready.get(schedule.id)
        try:
            job = app.registry.make(schedule.job, schedule.parameters) if one is None else one.job
        except Refused as refusal:
            results[place] = refusal
            continue
        if one is not None:
            checked[len(requests)] = one.run
        requests[place] = job, _request(schedule, os_user, after_earlier)
    submitted = enqueue_set(app, connection, list(requests.values()), act, checked)
    results |= zip(requests, submitted, strict=True)
    return [results[place] for place in range(len(wanted))]


def _disabled(schedule: Schedule) -> Conflict:
    return Conflict(
        f"its owner {schedule.owner} is a user who is disabled",
        field="owner",
        remedy=f'Give it another: `batchwright schedules update "{schedule.name}" --owner NAME`',
    )


def _request(schedule: Schedule, os_user: str, after_earlier: bool) -> RunRequest:
    return RunRequest(
        actor=Actor(schedule.owner, os_user, Door.SCHEDULE),
        reason=schedule.reason,
        explanation=schedule.explanation,
        notify=schedule.notify,
        mail_actor=schedule.mail_owner,
        scope_size=schedule.scope_size,
        error_ceiling=schedule.error_ceiling,
        trigger=TRIGGER,
        schedule=schedule.name,
        after_earlier=after_earlier,
    )
