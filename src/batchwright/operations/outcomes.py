"""What became of the records of a run, streamed; for mails and CSV with the columns that the job knows."""

from __future__ import annotations

from collections.abc import Iterator

from batchwright.engine import ledger
from batchwright.engine.job import BatchJob
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.operations import views

Row = dict[str, str | None]


def outcome_rows(
    database: Database,
    registry: Registry,
    run_id: str,
    outcome: str | None = None,
    code: str | None = None,
    *,
    with_facts: bool = True,
    without_job: bool = False,
) -> Iterator[Row]:
    """The outcomes of a run in the order of planning, all or those of one `outcome` and `code`.

    `with_facts` adds what the job knows of each record (for usage inputs their asset, date and quantity). `without_job`
    does without that, and without the ids that people see, where the job is not here or refuses the run's parameters.
    """
    with database.read() as connection:
        run = runs.by_id(connection, run_id)
    job = _job(registry, run, without_job)
    for record in ledger.outcome_pages(database, run, job, outcome=outcome, code=code, with_facts=with_facts):
        yield {**views.outcome(record), **record.facts}


def _job(registry: Registry, run: Run, without_job: bool) -> BatchJob | None:
    try:
        return registry.make(run.job, run.parameters)
    except Exception:  # whatever its constructor raises
        if without_job:
            return None
        raise
