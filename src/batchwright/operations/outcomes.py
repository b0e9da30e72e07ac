"""What became of the records of a run, streamed; for mails and CSV with the columns that the job knows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from batchwright.engine import ledger
from batchwright.engine.job import BatchJob
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.operations import audit_store, views

Row = dict[str, str | None]

EDITED_SINCE = "edited since"
ROWS_AT_A_TIME = 500
OF_LEDGER = {"record_id", "outcome", "code", "message", "amount", "currency"}


def outcome_rows(
    database: Database,
    registry: Registry,
    run_id: str,
    outcome: str | None = None,
    code: str | None = None,
    *,
    with_facts: bool = True,
    without_job: bool = False,
    mark_edited: bool = False,
    first_record: int | None = None,
) -> Iterator[Row]:
    """The outcomes of a run in the order of planning, all or those of one `outcome` and `code`.

    `with_facts` adds what the job knows of each record (for usage inputs asset, date, quantity and customer).
    `without_job` does without that, and without the ids that people see, where the job is not here or refuses the
    run's parameters.
    Outcomes and amounts are the ledger's; with `mark_edited` what the job knows is marked where it was edited since the
    run's end. With `first_record` those from the record of that number on.
    """
    with database.read() as connection:
        run = runs.by_id(connection, run_id)
        after = ledger.START if first_record is None else ledger.place_before(connection, run, first_record)
    reader = ledger.OutcomeReader(run, _job(registry, run, without_job), outcome, code, with_facts)
    rows = ({**views.outcome(record), **record.facts} for record in reader.pages(database, after))
    yield from _marked(database, run, rows) if mark_edited else rows


def outcome_reader(
    registry: Registry, run: Run, outcome: str | None, code: str | None, *, with_facts: bool = False
) -> ledger.OutcomeReader:
    """Reads the outcomes of a run; without ids that people see where its job is not here or refuses its parameters."""
    return ledger.OutcomeReader(run, _job(registry, run, without_job=True), outcome, code, with_facts)


def _marked(database: Database, run: Run, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows. What the job knows of their records is of today: what was edited since the end of the run says so."""
    since = run.ended_at
    if since is None:
        yield from rows
        return
    with database.read() as connection:
        were_edits = audit_store.were_edits(connection, run.run_id, since)
    while some := list(islice(rows, ROWS_AT_A_TIME)):
        if were_edits:
            ids = [row["record_id"] or "" for row in some]
            with database.read() as connection:
                edited = audit_store.edited_fields(connection, ids, run.run_id, since)
            for row in some:
                for name in edited.get(row["record_id"] or "", set()) & set(row) - OF_LEDGER:
                    row[name] = f"{row[name]} ({EDITED_SINCE})"
        yield from some


def _job(registry: Registry, run: Run, without_job: bool) -> BatchJob | None:
    try:
        return registry.make(run.job, run.parameters)
    except Exception:  # whatever its constructor raises
        if without_job:
            return None
        raise
