"""What became of every single record of a run, read back from its scopes, which `engine/scope.py` has written.

An error or a skip is a row; ``ok`` is a key of a done scope without such a row; ``not_reached`` is a key of a scope
that was not done. Ten million records cost some ten thousand rows.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from batchwright.engine.errors import Pruned, error_text
from batchwright.engine.faults import is_transient
from batchwright.engine.job import Amount, BatchJob, Change, Outcome, Preview
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.run import Run
from batchwright.engine.store import scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.lending import ends_refused
from batchwright.engine.store.pages import ROWS_AT_A_TIME, pages

log = structlog.get_logger()

K = TypeVar("K")
T = TypeVar("T")
D = TypeVar("D")

OUTCOMES = ("ok", "error", "skipped", "not_reached")
REPORTED = ("error", "skipped")
"""Outcomes that have rows of their own, each with a code."""

PLACE_OF_ROW = (str, str, int)
"""Outcome, code and key of a row."""
PLACE_IN_RUN = (int, int)
"""Number of a scope, and the position of a record in it."""
Place = tuple[Any, ...]
START: Place = (1, -1)


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


def _check_kept(connection: Connection, run: Run) -> None:
    """Refuse to go on with a run that was pruned meanwhile: what is left would look like all there is."""
    if (pruned_at := scopes.pruned_at(connection, run.id)) is not None:
        raise Pruned(run.run_id, pruned_at)


def place_of(outcome: str | None, code: str | None) -> tuple[type, ...]:
    """What the places of a listing of that outcome and code are made of."""
    return PLACE_IN_RUN if code is None and outcome not in REPORTED else PLACE_OF_ROW


def place_before(connection: Connection, run: Run, record: int) -> Place:
    """The place in the order of the run right before its record of this number, counted from 1."""
    number, first_record = scopes.of_record(connection, run.id, record)
    return number, record - first_record - 1


Chosen = tuple[int, int, Outcome]
"""The position of a record in its scope, its key, what became of it."""


@dataclass(frozen=True, slots=True)
class OutcomeReader:
    """Reads what became of the records of a run: of all, or of those of one outcome or code.

    Without its ``job`` records have their keys for ids, and no facts.
    """

    run: Run
    job: BatchJob | None
    outcome: str | None = None
    code: str | None = None
    with_facts: bool = False

    def all(self, connection: Connection) -> Iterator[RecordOutcome]:
        """In the order of the run, a scope at a time."""
        for stored in scopes.read_all(connection, self.run.id, self.outcome):
            yield from self._of_scope(connection, stored)

    def pages(self, database: Database, after: Place = START) -> Iterator[RecordOutcome]:
        """As ``all``, for a reader who takes their time: see ``engine/store/pages.py``; those ``after`` a place."""
        at_a_time = -(-ROWS_AT_A_TIME // self.run.scope_size)

        def read(connection: Connection, last: int | None) -> tuple[list[RecordOutcome], int | None]:
            _check_kept(connection, self.run)
            found: list[RecordOutcome] = []
            begin = last or after[0] - 1
            for stored in scopes.read_all(connection, self.run.id, self.outcome, begin, at_a_time):
                found += self._of_scope(connection, stored, after)
                if len(found) >= ROWS_AT_A_TIME:
                    return found, stored.number
            return found, None

        return pages(database, read)

    def of_record(self, connection: Connection, record_id: str) -> list[RecordOutcome]:
        """Of the record that people know by this id; empty where the run has none, or not of that outcome."""
        job = self.job
        known = _by_job(connection, job.record_keys, [record_id], lambda an_id: None) if job else {}
        key = known.get(record_id)
        if key is None and re.fullmatch("[0-9]{1,18}", record_id):
            key = int(record_id)
        stored = None if key is None else scopes.with_record(connection, self.run.id, key)
        if stored is None:
            return []
        chosen = [one for one in self._chosen(connection, stored) if one[1] == key]
        return [one for one in self._described(connection, stored, chosen) if one.record_id == record_id]

    def page(
        self, connection: Connection, size: int, after: Place | None
    ) -> tuple[list[RecordOutcome], Place | None]:
        """So many after a place, and the place of the last; ``None`` with the last of all.

        Of one outcome or code that has rows by outcome, code and the order of their commits, found by an index; else in
        the order of the run, from the scopes that an index says hold such records.
        """
        if place_of(self.outcome, self.code) is PLACE_OF_ROW:
            return self._page_of_rows(connection, size, after)
        after = after or START
        found: list[RecordOutcome] = []
        places: list[Place] = []
        begin, at_a_time = max(after[0], 1) - 1, min(50, -(-(size + 1) // self.run.scope_size))
        for stored in scopes.read_all(connection, self.run.id, self.outcome, begin, at_a_time):
            chosen = self._chosen(connection, stored, after)[: size + 1 - len(places)]
            places += ((stored.number, one[0]) for one in chosen)
            found += self._described(connection, stored, chosen)
            if len(places) > size:
                return found[:size], places[size - 1]
        return found, None

    def _page_of_rows(
        self, connection: Connection, size: int, after: Place | None
    ) -> tuple[list[RecordOutcome], Place | None]:
        outcomes = [one for one in REPORTED if self.outcome in (None, one)]
        if not outcomes or (after is not None and after[0] not in outcomes):
            return [], None
        place = None if after is None else scopes.ReportedPlace(*after)
        rows = scopes.reported_page(connection, self.run.id, outcomes, self.code, size + 1, place)
        shown = rows[:size]
        of_scopes: dict[int, list[int]] = {}
        for row in shown:
            of_scopes.setdefault(row.scope_id, []).append(row.record_key)
        amounts = scopes.amounts_of(connection, of_scopes)
        entries = [(row.record_key, Outcome(row.outcome, row.code, row.message)) for row in shown]
        found = list(self._records(connection, entries, amounts.get))
        last = shown[-1] if len(rows) > size else None
        return found, None if last is None else (last.outcome, last.code, last.id)

    def _of_scope(
        self, connection: Connection, stored: scopes.StoredScope, after: Place = START
    ) -> Iterator[RecordOutcome]:
        return self._described(connection, stored, self._chosen(connection, stored, after))

    def _chosen(
        self, connection: Connection, stored: scopes.StoredScope, after: Place = START
    ) -> list[Chosen]:
        seen = after[1] if stored.number == after[0] else -1
        reported = scopes.outcomes_of(connection, stored.id) if stored.done else {}
        return [
            (position, key, entry)
            for position, key in enumerate(stored.keys)
            if position > seen
            for entry in [_entry(stored.done, reported.get(key))]
            if self.outcome in (None, entry.outcome) and self.code in (None, entry.code)
        ]

    def _described(
        self, connection: Connection, stored: scopes.StoredScope, chosen: Sequence[Chosen]
    ) -> Iterator[RecordOutcome]:
        places = {key: position for position, key, _ in chosen}
        entries = [(key, entry) for _, key, entry in chosen]
        return self._records(connection, entries, lambda key: stored.amount_of(places[key]))

    def _records(
        self,
        connection: Connection,
        entries: Sequence[tuple[int, Outcome]],
        amount_of: Callable[[int], Amount | None],
    ) -> Iterator[RecordOutcome]:
        job, keys = self.job, [key for key, _ in entries]
        ids = _by_job(connection, job.record_ids, keys, lambda key: f"{key} (damaged)") if job else {}
        facts: Mapping[int, Mapping[str, str]] = {}
        if job and self.with_facts:
            facts = _by_job(connection, job.record_facts, keys, lambda key: {"damaged": "yes"})
        for key, entry in entries:
            yield RecordOutcome(
                record_key=key,
                record_id=str(ids.get(key, key)),
                outcome=entry.outcome,
                code=entry.code or None,
                message=entry.message or None,
                amount=amount_of(key),
                facts={str(name): str(value) for name, value in facts.get(key, {}).items()},
            )


def _by_job(
    connection: Connection,
    ask: Callable[[Connection, Sequence[K]], Mapping[K, T]],
    keys: Sequence[K],
    damaged: Callable[[K], D],
) -> Mapping[K, T | D]:
    """What the job knows of records; of those over which it raises ``damaged``, and a line in the log."""
    raised: dict[K, str] = {}
    known = dict(_known_in_halves(connection, ask, keys, raised)) if keys else {}
    if raised:
        log.warning(
            "the job cannot describe records", records=len(raised), reason=next(iter(raised.values()))
        )
    return {**known, **{key: damaged(key) for key in raised}}


def _known_in_halves(
    connection: Connection,
    ask: Callable[[Connection, Sequence[K]], Mapping[K, T]],
    keys: Sequence[K],
    raised: dict[K, str],
) -> Iterator[tuple[K, T]]:
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
            yield from _known_in_halves(connection, ask, some, raised)
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
        _check_kept(connection, run)
        if first is None:
            first = 0
            keys.extend(scopes.preview_keys(connection, run.id, kind))
        after = first + ROWS_AT_A_TIME
        rows = scopes.preview_rows(connection, keys[first:after])
        return [_preview(row) for row in rows], after if after < len(keys) else None

    return pages(database, read)


def preview_page(
    connection: Connection, run: Run, kind: str, size: int, after: scopes.PreviewPlace | None
) -> list[tuple[scopes.PreviewPlace, Preview]]:
    """So many lines of one kind behind a place, in the order of ``preview_lines``, each with its own place."""
    found = scopes.preview_page(connection, run.id, kind, size, after)
    return [(place, _preview(row)) for place, row in found]


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
