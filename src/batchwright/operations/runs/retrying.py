"""A run that does again what errored, or was not reached, in an ended one."""

from __future__ import annotations

from typing import Unpack

from sqlalchemy import Connection

from batchwright.engine import ledger
from batchwright.engine.job import BatchJob
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.retry import AGAIN, retry_refusal
from batchwright.engine.run import RETRY
from batchwright.engine.store import runs
from batchwright.engine.store.lending import ends_refused
from batchwright.operations.access.permissions import permit_for_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import RunRequest, RunTerms, Submitted, submit, terms_after


def retry_run(
    app: Application,
    run_id: str,
    *,
    actor: Actor,
    mode: str | None = None,
    claim: bool = False,
    **terms: Unpack[RunTerms],
) -> Submitted:
    """Submit a run that does what errored, or was not reached, in an ended run again.

    What exactly is the job's: its retry unit is the record, or the whole group around it (draft rating: the asset
    line item, whose schedules are overwritten). Of a run whose records are all done, and which failed after them, it
    is `finish` alone, with that run and its totals. A dry run is retried dry. `claim` is as in `submit_run`;
    `terms` that are not given are the parent's.
    Refuses when there is nothing to retry, and a job that does not say how.
    """
    permit_for_run(app, actor, run_id, "run.retry")

    def make(connection: Connection) -> tuple[BatchJob, RunRequest]:
        parent = runs.by_id(connection, run_id)
        if (refusal := retry_refusal(connection, app.registry, parent, dry=mode == "dry_run")) is not None:
            raise refusal
        for needed in filter(None, (parent, runs.whose_finish(connection, parent))):
            runs.keep(connection, needed, AGAIN)
        job = app.registry.make(parent.job, parent.parameters)
        if parent.errored + parent.not_reached:
            keys = ledger.keys_to_retry(connection, parent)
            with ends_refused(connection), JOB_CODE:
                job = type(job)(**job.retry_parameters(connection, parent, keys))
        return job, RunRequest(
            actor=actor,
            mode=mode or ("dry_run" if parent.is_dry else "batch"),
            trigger=RETRY,
            parent=parent,
            **terms_after(parent, terms),
        )

    return submit(app, make, "run.retry", claim=claim)
