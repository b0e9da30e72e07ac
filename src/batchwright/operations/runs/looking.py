"""Look at runs: the list, one of them, what became of its records."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, Unpack

from sqlalchemy import Connection

from batchwright.billing.records import restating
from batchwright.engine import ledger
from batchwright.engine.errors import Refused
from batchwright.engine.ledger import OutcomeReader
from batchwright.engine.retry import retry_refusal
from batchwright.engine.run import Run
from batchwright.engine.store import pruning, runs
from batchwright.engine.store.pages import ROWS_AT_A_TIME, pages
from batchwright.engine.store.run_log import Place, newest_completed, page
from batchwright.jobs.usage_restating import REASONS
from batchwright.notifications import outbox
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit, permitted
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit, check_one_of, check_storable
from batchwright.operations.outcomes import Row, outcome_reader, outcome_rows
from batchwright.operations.paging import PAGE, Page, check_page, cursor, place_after
from batchwright.operations.run_view import view_of, views_of
from batchwright.operations.runs.existing import existing_run, look_at_run
from batchwright.operations.runs.run_filter import RunFilter, query_of
from batchwright.operations.views import View
from batchwright.operations.workers import worked_on

LISTING = "runs"


def list_runs(
    app: Application, limit: int | None = None, *, actor: Actor | None = None, **asked: Unpack[RunFilter]
) -> list[View]:
    """The runs, newest first by start (by creation while one waits); all of them without a `limit`."""
    permit(app, actor, Right.LOOK, "run.list")
    check_limit(limit)
    wanted, left = query_of(asked), limit

    def read(connection: Connection, after: Place | None) -> tuple[list[View], Place | None]:
        nonlocal left
        size = ROWS_AT_A_TIME if left is None else min(left, ROWS_AT_A_TIME)
        listed, last = page(connection, wanted, size, after, app.live_counts)
        left = None if left is None else left - len(listed)
        return list(views_of(connection, listed, app.clock.now())), last if left != 0 else None

    return list(pages(app.database, read))


def page_of_runs(
    app: Application,
    after: str | None = None,
    limit: int = PAGE,
    *,
    actor: Actor | None = None,
    **asked: Unpack[RunFilter],
) -> Page[View]:
    """The same a page at a time: `limit` runs after the cursor that the page before gave.

    Each run comes once, also one that starts meanwhile: it stays where it stood when the first page was read.
    """
    permit(app, actor, Right.LOOK, "run.list")
    check_page(limit)
    wanted = query_of(asked)
    of_filter = asdict(wanted)
    place = None
    if after is not None:
        place = Place(*place_after(after, LISTING, of_filter, (int, int, datetime, int)))
    with app.database.read() as connection:
        listed, last = page(connection, wanted, limit, place, app.live_counts)
        items = list(views_of(connection, listed, app.clock.now()))
    return Page(items, None if last is None else cursor(LISTING, of_filter, last))


def last_completed(app: Application, job: str, *, actor: Actor | None = None) -> View | None:
    """Of the newest run of a job that completed `run_id, ended_at`; `None` where there is none."""
    permit(app, actor, Right.LOOK, "run.list")
    with app.database.read() as connection:
        found = newest_completed(connection, job, 1)
    return {"run_id": found[0].run_id, "ended_at": views.instant(found[0].ended_at)} if found else None


def show_run(app: Application, run_id: str, *, actor: Actor | None = None) -> View:
    """One run, with its `children` (ids of the runs submitted from it) and its `mails`.

    Where a retry would be refused, with `cannot_retry`: why.
    An unrating or a recalculation also with what it `restated`, inputs that are not records of it: `record_id, before,
    after, currency`.
    While it is at work, with its `owner` and, where that is a worker, `owner_beat_seconds`: how long ago it last said
    that it is there. While no worker that is there can do it, with `no_worker`: why.
    """
    permit(app, actor, Right.LOOK, "run.show")
    with app.database.read() as connection:
        return _shown(app, connection, run_id)


def show_run_to(app: Application, run_id: str, actors: Collection[Actor]) -> tuple[View, set[Actor]]:
    """The same by one read for many who wait for it, and those of them who may see it; the others ask by `show_run`."""
    with app.database.read() as connection:
        return _shown(app, connection, run_id), permitted(app, connection, actors, Right.LOOK)


def _shown(app: Application, connection: Connection, run_id: str) -> View:
    now = app.clock.now()
    look = look_at_run(app, connection, run_id)
    run = look.run
    refusal = retry_refusal(connection, app.registry, run)
    return {
        **view_of(connection, run, now, has_warnings=look.has_warnings),
        "children": runs.children(connection, run.id) if look.has_children else [],
        "mails": [views.mail(line) for line in outbox.of_run(connection, run.id)],
        **_restated(connection, run),
        **({} if refusal is None else {"cannot_retry": refusal.message}),
        **worked_on(connection, run, now),
    }


def _restated(connection: Connection, run: Run) -> View:
    if run.job not in REASONS:
        return {}
    return {"restated": list(map(views.restatement, restating.restatements_in(connection, run.id)))}


def run_outcomes(
    app: Application,
    run_id: str,
    outcome: str | None = None,
    code: str | None = None,
    *,
    first_record: int | None = None,
    record_id: str | None = None,
    with_facts: bool = False,
    actor: Actor | None = None,
) -> Iterator[Row]:
    """What became of the records of a run; streamed. Refuses an unknown run or outcome before the first.

    With `first_record` from the record of that number on, counted from 1 in the order of the run; with `record_id` only
    of the record that people know by that id. `with_facts` adds the columns that the job knows, such as asset, date,
    quantity and customer.
    """
    permit(app, actor, Right.LOOK, "run.outcomes")
    run = _run_of_outcomes(app, run_id, outcome, code, first_record, record_id)
    if record_id is not None:
        reader = outcome_reader(app.registry, run, outcome, code, with_facts=with_facts)
        return iter(_rows_of_record(app, reader, record_id))
    options: dict[str, Any] = {"with_facts": with_facts, "first_record": first_record}
    return outcome_rows(app.database, app.registry, run_id, outcome, code, **options)


def _rows_of_record(app: Application, reader: OutcomeReader, record_id: str) -> list[Row]:
    with app.database.read() as connection:
        found = reader.of_record(connection, record_id)
    return [{**views.outcome(record), **record.facts} for record in found]


def page_of_outcomes(
    app: Application,
    run_id: str,
    outcome: str | None = None,
    code: str | None = None,
    after: str | None = None,
    limit: int = PAGE,
    *,
    first_record: int | None = None,
    record_id: str | None = None,
    actor: Actor | None = None,
) -> Page[Row]:
    """What became of the records of a run, `limit` after the cursor that the page before gave.

    Errors and skips by code, where only they are asked for; else in the order of the run: there the first page may
    begin with the `first_record` of that number, counted from 1. With `record_id` the one that people know by that id.
    """
    permit(app, actor, Right.LOOK, "run.outcomes")
    check_page(limit)
    run = _run_of_outcomes(app, run_id, outcome, code, first_record, record_id)
    reader = outcome_reader(app.registry, run, outcome, code)
    if record_id is not None:
        return Page(_rows_of_record(app, reader, record_id), None)
    listing, wanted = f"outcomes of {run_id}", {"outcome": outcome, "code": code}
    place_type = ledger.place_of(outcome, code)
    if after is not None:
        place: ledger.Place | None = place_after(after, listing, wanted, place_type)
    elif first_record is not None:
        _check_in_order(place_type)
        with app.database.read() as connection:
            place = ledger.place_before(connection, run, first_record)
    else:
        place = None
    with app.database.read() as connection:
        found, last = reader.page(connection, limit, place)
    return Page(list(map(views.outcome, found)), None if last is None else cursor(listing, wanted, last))


def _run_of_outcomes(
    app: Application,
    run_id: str,
    outcome: str | None,
    code: str | None,
    first_record: int | None,
    record_id: str | None,
) -> Run:
    """The run whose outcomes are asked for. Refuses what cannot be asked of it."""
    if outcome is not None:
        check_one_of(outcome, ledger.OUTCOMES, field="outcome")
    for text, field in ((code, "code"), (record_id, "record_id")):
        if text is not None:
            check_storable(text, field=field)
    if first_record is not None and record_id is not None:
        raise Refused(
            "a record is named by its number or by its id", field="first_record", remedy="Leave one out"
        )
    with app.database.read() as connection:
        run = existing_run(app, connection, run_id)
    runs.check_kept(run)
    if first_record is not None and not 1 <= first_record <= (run.total or 0):
        raise Refused(
            f"there is no record number {first_record:,}: {run_id} has "
            f"{'1 record' if run.total == 1 else f'{run.total or 0:,} records'}",
            field="first_record",
            remedy="Give the number of one of its records, counted from 1",
        )
    return run


def _check_in_order(place_type: tuple[type, ...]) -> None:
    if place_type is not ledger.PLACE_IN_RUN:
        raise Refused(
            "errors and skips are in the order of their codes, not of the run",
            field="first_record",
            remedy="Leave outcome and code out, or ask for ok or not_reached",
        )


def outcome_summary(app: Application, run_id: str, *, actor: Actor | None = None) -> list[View]:
    """How many records of a run have each `outcome` and `code`, as `count`; where there are any."""
    permit(app, actor, Right.LOOK, "run.outcomes")
    with app.database.read() as connection:
        run = existing_run(app, connection, run_id)
        reported = pruning.codes_of(connection, run.id)
    counted = [("ok", None, run.processed), *reported, ("not_reached", None, run.not_reached)]
    return [{"outcome": one, "code": code, "count": number} for one, code, number in counted if number]
