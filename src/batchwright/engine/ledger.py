"""What became of every single record of a run, read back from its scopes.

An error or a skip is a row; ``ok`` is a key of a done scope without such a row; ``not_reached`` is a key of a scope
that was not done. Ten million records cost some ten thousand rows.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from batchwright.engine.errors import error_text
from batchwright.engine.faults import is_transient
from batchwright.engine.job import Amount, BatchJob, Change, Outcome, Preview
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.run import Run
from batchwright.engine.store import scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.lending import ends_refused
from batchwright.engine.store.pages import ROWS_AT_A_TIME, pages

log = structlog.get_logger()

T = TypeVar("T")

OUTCOMES = ("ok", "error", "skipped", "not_reached")


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of one record. ``facts`` are further columns that the job knows of it."""

    record_key: int
    record_id: str
    outcome: str
    code: str | None
    message: str | None
    amount: Amount | None
    facts: Mapping[str, str]


def outcomes(
    connection: Connection,
    run: Run,
    job: BatchJob | None,
    *,
    outcome: str | None = None,
    code: str | None = None,
    with_facts: bool = False,
) -> Iterator[RecordOutcome]:
    """Every record's outcome in the order of the run, a scope at a time; or those of one kind or code only.

    Without its ``job`` records have their keys for ids, and no facts.
    """
    for stored in scopes.read_all(connection, run.id, outcome):
        yield from _of_scope(connection, stored, job, outcome, code, with_facts)


def outcome_pages(
    database: Database,
    run: Run,
    job: BatchJob | None,
    *,
    outcome: str | None = None,
    code: str | None = None,
    with_facts: bool = False,
) -> Iterator[RecordOutcome]:
    """As ``outcomes``, for a reader who takes their time: see ``engine/store/pages.py``."""
    at_a_time = -(-ROWS_AT_A_TIME // run.scope_size)

    def read(connection: Connection, last: int | None) -> tuple[list[RecordOutcome], int | None]:
        found: list[RecordOutcome] = []
        for stored in scopes.read_all(connection, run.id, outcome, last or 0, at_a_time):
            found += _of_scope(connection, stored, job, outcome, code, with_facts)
            if len(found) >= ROWS_AT_A_TIME:
                return found, stored.number
        return found, None

    return pages(database, read)


def _of_scope(
    connection: Connection,
    stored: scopes.StoredScope,
    job: BatchJob | None,
    outcome: str | None,
    code: str | None,
    with_facts: bool,
) -> Iterator[RecordOutcome]:
    reported = scopes.outcomes_of(connection, stored.id) if stored.done else {}
    chosen = [
        (position, key, entry)
        for position, key in enumerate(stored.keys)
        for entry in [_entry(stored.done, reported.get(key))]
        if (outcome is None or entry.outcome == outcome) and (code is None or entry.code == code)
    ]
    keys = [key for _, key, _ in chosen]
    ids = _told(connection, job.record_ids, keys, lambda key: f"{key} (damaged)") if job else {}
    facts: Mapping[int, Mapping[str, str]] = {}
    if job and with_facts:
        facts = _told(connection, job.record_facts, keys, lambda key: {"damaged": "yes"})
    for position, key, entry in chosen:
        yield RecordOutcome(
            record_key=key,
            record_id=str(ids.get(key, key)),
            outcome=entry.outcome,
            code=entry.code or None,
            message=entry.message or None,
            amount=stored.amount_of(position),
            facts={str(name): str(value) for name, value in facts.get(key, {}).items()},
        )


def _told(
    connection: Connection,
    ask: Callable[[Connection, Sequence[int]], Mapping[int, T]],
    keys: Sequence[int],
    damaged: Callable[[int], T],
) -> Mapping[int, T]:
    """What the job knows of records; of those over which it raises ``damaged``, and a line in the log."""
    raised: dict[int, str] = {}
    known = dict(_known(connection, ask, keys, raised)) if keys else {}
    if raised:
        log.warning(
            "the job cannot say more of records", records=len(raised), reason=next(iter(raised.values()))
        )
    return {**known, **{key: damaged(key) for key in raised}}


def _known(
    connection: Connection,
    ask: Callable[[Connection, Sequence[int]], Mapping[int, T]],
    keys: Sequence[int],
    raised: dict[int, str],
) -> Iterator[tuple[int, T]]:
    try:
        with connection.begin_nested(), ends_refused(connection), JOB_CODE:
            known = dict(ask(connection, keys))
    except Exception as error:
        if is_transient(error):
            raise
        if len(keys) == 1:
            raised[keys[0]] = error_text(error)
            return
        half = len(keys) // 2
        for some in (keys[:half], keys[half:]):
            yield from _known(connection, ask, some, raised)
    else:
        yield from known.items()


def keys_to_retry(connection: Connection, run: Run) -> Iterator[int]:
    """Keys of the records that errored or were not reached."""
    for stored in scopes.read_all(connection, run.id):
        if not stored.done:
            yield from stored.keys
        elif stored.errored:
            reported = scopes.outcomes_of(connection, stored.id)
            yield from (key for key, entry in reported.items() if entry.outcome == "error")


def preview_lines(connection: Connection, run: Run, kind: str | None = None) -> Iterator[Preview]:
    """What a dry run found that it would write, or lines of one kind: by currency, the largest difference first."""
    keys = scopes.preview_keys(connection, run.id, kind)
    for first in range(0, len(keys), ROWS_AT_A_TIME):
        yield from map(_preview, scopes.preview_rows(connection, keys[first : first + ROWS_AT_A_TIME]))


def preview_pages(database: Database, run: Run, kind: str) -> Iterator[Preview]:
    """As ``preview_lines``, for a reader who takes their time: see ``engine/store/pages.py``."""
    keys = array("q")

    def read(connection: Connection, first: int | None) -> tuple[list[Preview], int | None]:
        if first is None:
            first = 0
            keys.extend(scopes.preview_keys(connection, run.id, kind))
        after = first + ROWS_AT_A_TIME
        rows = scopes.preview_rows(connection, keys[first:after])
        return [_preview(row) for row in rows], after if after < len(keys) else None

    return pages(database, read)


def _preview(row: Any) -> Preview:
    amount = None if row.amount is None else Amount(row.amount, row.currency)
    change = None
    if row.currency is not None:
        change = Change(row.amount_before, row.amount_after, row.currency)
    detail: dict[str, Any] = json.loads(row.detail)
    return Preview(row.kind, row.record_id, amount, detail, change, row.customer_id)


def _entry(done: bool, reported: Outcome | None) -> Outcome:
    if not done:
        return Outcome("not_reached", "", "")
    return reported or Outcome("ok", "", "")
