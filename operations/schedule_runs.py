"""The run of a schedule: on behalf of its owner, on its terms, in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection

from engine.run import Run
from engine.schedules.schedule import Schedule
from operations.actor import Actor
from operations.app import Application
from operations.runs import Order, enqueue

TRIGGER = "schedule"


def submit_of_schedule(
    app: Application,
    connection: Connection,
    schedule: Schedule,
    *,
    os_user: str,
    after_earlier: bool,
    act: str = "schedule.fire",
) -> Run:
    """Submit a run of the schedule, with its audit entry.

    `after_earlier` lets it hold until earlier runs of the schedule have ended. Raises `Refused` for a job that is not
    installed here, and for parameters that fit the data no longer; nothing is written then.
    """
    job = app.registry.get(schedule.job)(**schedule.parameters)
    order = Order(
        actor=Actor(name=schedule.owner, os_user=os_user),
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
    return enqueue(app, connection, job, order, act=act)
