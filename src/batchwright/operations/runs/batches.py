"""The Python way in: a job object becomes a run."""

from __future__ import annotations

from sqlalchemy import Connection

from batchwright.engine.job import BatchJob
from batchwright.engine.store.callers import join_transaction
from batchwright.operations.access.permissions import permit, right_to_run
from batchwright.operations.app import Application, check_application, default_application
from batchwright.operations.checks import check_connection, check_job
from batchwright.operations.runs.submitting import RunRequest, enqueue, publish_submitted


def execute_batch(
    job: BatchJob,
    scope_size: int | None = None,
    app: Application | None = None,
    connection: Connection | None = None,
) -> str:
    """Enqueue the job as a batch run and return the run's id, such as "JR-00000042" (Salesforce: executeBatch).

    With `connection`, any of SQLAlchemy's to the same database, the run is enqueued in the caller's transaction: it is
    there, and workers are woken, when the caller commits, and gone when they roll back; a refusal leaves their
    transaction usable. Without `app` it is the application that the settings describe.

    Refuses a job that is not registered, for no process could drive its run, a dedup key that a live run has
    (`KeyInUse`), and a connection that commits each statement by itself.
    """
    check_job(job)
    check_application(app)
    check_connection(connection)
    app = app or default_application()
    if connection is not None:
        join_transaction(connection)
    actor = app.default_actor()
    permit(app, actor, right_to_run(app, job.name), "run.submit", connection)
    app.registry.check(job)
    request = RunRequest(actor=actor, scope_size=scope_size)
    if connection is not None:
        return enqueue(app, connection, job, request).run_id
    app.database.refuse_nested_write()
    with app.database.write(patient=True) as own:
        run = enqueue(app, own, job, request)
    publish_submitted(app, run)
    return run.run_id
