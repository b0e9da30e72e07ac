"""The preview of a dry run, compared with what would happen now: who applies it does just that, or nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.clock import Clock
from batchwright.engine.errors import PreviewOutdated
from batchwright.engine.job import (
    ENDED_PROCESS,
    UNFORESEEN,
    BatchJob,
    DryRunJob,
    Outcome,
    Preview,
    Scope,
    StartContext,
    check_line,
)
from batchwright.engine.job_code import JOB_CODE, each
from batchwright.engine.plan import split_into_scopes
from batchwright.engine.run import Run
from batchwright.engine.store import scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.lending import lent
from batchwright.engine.submit import stored_selection

MOST_NAMED = 5
"""How many changes an error names."""
SET_ASIDE = (UNFORESEEN, ENDED_PROCESS)
"""Codes of records that the job did not get through."""
Line = Mapping[str, Any]
"""A preview line as it is stored."""


class _RollBack(Exception):
    """Ends a scope that was executed for comparison: nothing of it may stay."""


def check_preview(
    database: Database, clock: Clock, preview: Run, job: BatchJob, stop: Callable[[], bool]
) -> bool:
    """Raise ``PreviewOutdated`` where the job would do something else now than the dry run ``preview`` showed.

    Looks for new records, then computes scope after scope again as the dry run did, and at last what ``finish`` would
    write; writes nothing. ``False`` where ``stop`` says so before the last scope.
    """
    with database.read() as reading, lent(reading, "start"):
        _refuse(_new_records(reading, preview, job))
        keys = scopes.keys_of(reading, preview.id)
    found: list[str] = []
    for key in keys:
        if stop():
            return False
        found += _changes_now(database, clock, preview, job, key)
        if len(found) > MOST_NAMED:
            break
    _refuse(found)
    with database.read() as reading:
        _refuse(_finish_changes(reading, preview.id, job, preview))
    return True


def check_scope(connection: Connection, preview_key: int, job: BatchJob, scope: Scope) -> None:
    """Raise ``PreviewOutdated`` where an executed scope did something else than the preview shows.

    The transaction still holds the locks under which it computed, and rolls back then: what commits is what was
    shown.
    """
    _refuse(_changes(connection, scopes.by_number(connection, preview_key, scope.number), job, scope))


def record_finish_preview(connection: Connection, run: Run, job: BatchJob) -> None:
    """Store what ``finish`` of a dry run would write as lines of its preview."""
    if isinstance(job, DryRunJob):
        lines = map(scopes.preview_values, _finish_lines(job, connection, run))
        scopes.insert_previews(connection, [{"run_id": run.id, "scope_id": None, **line} for line in lines])


def check_finish(connection: Connection, preview_key: int, job: BatchJob, run: Run) -> None:
    """Raise ``PreviewOutdated`` where ``finish`` of the run would write something else than the preview shows.

    Called in the transaction that ends the run.
    """
    _refuse(_finish_changes(connection, preview_key, job, run))


def _finish_changes(connection: Connection, preview_key: int, job: BatchJob, run: Run) -> Iterator[str]:
    """How what ``finish`` of the run would write differs from the preview."""
    lines = _finish_lines(job, connection, run) if isinstance(job, DryRunJob) else ()
    yield from _line_changes(scopes.previews_of_finish(connection, preview_key), lines)


def _finish_lines(job: DryRunJob, connection: Connection, run: Run) -> Iterator[Preview]:
    with JOB_CODE:
        lines = job.preview_finish(connection, run)
    return map(check_line, each(lines))


def _refuse(changes: Iterable[str]) -> None:
    """Raise ``PreviewOutdated`` naming the first changes, if there are any."""
    found = list(islice(changes, MOST_NAMED + 1))
    if found:
        more = "; and more" if len(found) > MOST_NAMED else ""
        raise PreviewOutdated(
            f"the preview no longer holds: {'; '.join(found[:MOST_NAMED])}{more}",
            field="run_id",
            remedy="Run the job with --dry-run again, look at the new preview, and apply that",
        )


def _new_records(reading: Connection, preview: Run, job: BatchJob) -> Iterator[str]:
    """Records that the job would take now and the dry run did not see. Those that are gone show in their scope."""
    known = {key for scope in scopes.read_all(reading, preview.id) for key in scope.keys}
    context = StartContext(reading, lambda: stored_selection(reading, preview.id))
    with JOB_CODE:
        records = job.start(context)
    for scope in split_into_scopes(each(records), preview.scope_size):
        new = [key for key in scope.keys if key not in known]
        ids = job.record_ids(reading, new) if new else {}
        yield from (f"{ids.get(key, key)} came since" for key in new)


def _changes_now(database: Database, clock: Clock, preview: Run, job: BatchJob, scope_key: int) -> list[str]:
    """How a scope of the dry run would differ if it were executed now; that is tried, and rolled back."""
    changes: list[str] = []
    with suppress(_RollBack), database.write(patient=True) as connection:
        stored = scopes.read(connection, scope_key)
        outcomes = scopes.outcomes_of(connection, scope_key)
        raised = {key: outcome for key, outcome in outcomes.items() if outcome.code in SET_ASIDE}
        scope = Scope(
            run=preview,
            number=stored.number,
            connection=connection,
            now=clock.now(),
            keys=[key for key in stored.keys if key not in raised],
            planned_keys=stored.keys,
            groups=stored.groups,
            set_aside=raised,
        )
        with lent(connection, f"scope {stored.number}", stored.began), JOB_CODE:
            job.execute(scope)
        scope.outcomes.update(raised)
        changes = list(islice(_changes(connection, stored, job, scope), MOST_NAMED + 1))
        raise _RollBack
    return changes


def _changes(
    connection: Connection, stored: scopes.StoredScope, job: BatchJob, scope: Scope
) -> Iterator[str]:
    """How an executed scope differs from the preview, a record at a time."""
    yield from _outcome_changes(connection, stored, job, scope)
    yield from _line_changes(scopes.previews_of(connection, stored.id), scope.previews)


def _line_changes(expected_lines: Iterable[Line], actual_lines: Iterable[Preview]) -> Iterator[str]:
    missing = dict(_named(expected_lines))
    for name, actual in _named(map(scopes.preview_values, actual_lines)):
        expected = missing.pop(name, None)
        if expected is None:
            yield f"{actual['record_id']} would be written, too"
        elif expected != actual:
            yield f"{actual['record_id']}: {', '.join(_differences(expected, actual))}"
    yield from (f"{line['record_id']} would not be written" for line in missing.values())


def _named(lines: Iterable[Line]) -> Iterator[tuple[tuple[str, str, int], Line]]:
    """Each line by its kind, its record, and how many of that record came before: a job may have several."""
    seen: Counter[tuple[str, str]] = Counter()
    for line in lines:
        name = line["kind"], line["record_id"]
        yield (*name, seen[name]), line
        seen[name] += 1


def _outcome_changes(
    connection: Connection, stored: scopes.StoredScope, job: BatchJob, scope: Scope
) -> Iterator[str]:
    expected, actual = _codes(scopes.outcomes_of(connection, stored.id)), _codes(scope.outcomes)
    differing = [key for key in scope.planned_keys if expected.get(key) != actual.get(key)]
    ids = job.record_ids(connection, differing) if differing else {}
    for key in differing:
        outcome = "ok" if key not in actual else " ".join(actual[key])
        yield f"{ids.get(key, key)} would be {outcome}"


def _codes(outcomes: Mapping[int, Outcome]) -> dict[int, tuple[str, str]]:
    return {key: (outcome.outcome, outcome.code) for key, outcome in outcomes.items()}


def _differences(expected: Line, actual: Line) -> Iterator[str]:
    """Which parts of a line differ: what the amount was computed with, and amounts that stand or would stand there."""
    expected_detail, actual_detail = json.loads(expected["detail"]), json.loads(actual["detail"])
    for name in sorted(expected_detail.keys() | actual_detail.keys()):
        before, now = expected_detail.get(name), actual_detail.get(name)
        if before != now:
            values = f" {before} is now {now}" if _is_plain(before) and _is_plain(now) else ""
            yield f"{name.replace('_', ' ')}{values}"
    if expected["amount_before"] != actual["amount_before"]:
        yield "the amount that stands there"
    if expected["amount_after"] != actual["amount_after"]:
        yield "what it comes to"
    if any(expected[name] != actual[name] for name in ("customer_id", "currency")):
        yield "customer or currency"


def _is_plain(value: object) -> bool:
    return not isinstance(value, list | dict)
