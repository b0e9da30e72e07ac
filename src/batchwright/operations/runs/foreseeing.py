"""What a run would take, before it is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError

from batchwright.engine.errors import Refused, error_text
from batchwright.engine.faults import ReadTooLong
from batchwright.engine.job import BatchJob
from batchwright.engine.submit import count_records
from batchwright.operations.access.permissions import permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import check_selection
from batchwright.operations.views import View

MOST_COUNTED = 100_000
"""Records, at most, that are counted for a page: a million takes PostgreSQL longer than a page may take."""


def foresee_run(app: Application, job_name: str, parameters: Mapping[str, Any], *, actor: Actor) -> View:
    """How many records a run would take now: `record_noun, count, is_more`, the last where it was counted no further.

    `count` is `None` of a job that has no way of its own to count. Refuses what a submit refuses of the job's
    parameters, and a job whose code cannot count.
    """
    permit(app, actor, right_to_run(app, job_name), "run.foresee")
    job_class = app.registry.get(job_name)
    counted: int | None = None
    try:
        job = app.registry.make(job_name, parameters)
        if job_class.count is not BatchJob.count:
            with app.database.read() as connection:
                check_selection(connection, job, actor, app.clock.now())
                counted = count_records(connection, job, MOST_COUNTED)
    except (Refused, DBAPIError, ReadTooLong):
        raise
    except Exception as error:
        raise Refused(f"{job_class.type} cannot count its records: {error_text(error)}") from error
    is_more = counted is not None and counted > MOST_COUNTED
    return {
        "record_noun": job_class.record_noun,
        "count": MOST_COUNTED if is_more else counted,
        "is_more": is_more,
    }
