"""The Python way in: a job object becomes a run."""

from __future__ import annotations

from sqlalchemy import Connection

from engine.errors import Refused
from engine.job import BatchJob
from operations.app import Application, default_actor, default_application
from operations.runs import Order, enqueue


def execute_batch(
    job: BatchJob,
    scope_size: int | None = None,
    app: Application | None = None,
    connection: Connection | None = None,
) -> str:
    """Enqueue the job as a batch run and return the run's id, such as "JR-00000042" (Salesforce: executeBatch).

    With `connection`, one in a write transaction, the run is enqueued in it and gone when it rolls back. Without
    `app` it is the application that the settings describe. Refuses a job that is not registered: no process could
    drive its run.
    """
    app = app or default_application()
    check_registered(app, job)
    order = Order(actor=default_actor(app.settings), scope_size=scope_size)
    if connection is not None:
        return enqueue(app, connection, job, order).run_id
    app.database.require()
    with app.database.write() as own:
        return enqueue(app, own, job, order).run_id


def check_registered(app: Application, job: BatchJob) -> None:
    """Refuse a job whose name the registry does not know, or knows as another class."""
    if job.name in app.registry.names() and app.registry.get(job.name) is type(job):
        return
    raise Refused(
        f"{type(job).__qualname__} is not registered as the job {job.name!r}, so no process could drive its run",
        field="job",
        remedy=f"Name it in BATCHWRIGHT_JOBS as {type(job).__module__}:{type(job).__qualname__}",
    )
