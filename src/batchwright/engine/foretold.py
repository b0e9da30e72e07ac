"""What a dry run foretold, held against what would happen now: who applies its preview does just that, or nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.clock import Clock
from batchwright.engine.errors import PreviewOutdated
from batchwright.engine.job import UNFORESEEN, BatchJob, DryRunJob, Outcome, Preview, Scope, StartContext
from batchwright.engine.plan import cut
from batchwright.engine.run import Run
from batchwright.engine.store import scopes
from batchwright.engine.store.database import Database
from batchwright.engine.submit import stored_selection

MOST_NAMED = 5
"""How many changes an error names."""
Line = Mapping[str, Any]


class _Undo(Exception):
    """Ends a look at what would happen: nothing of it may stay."""


def check_preview(database: Database, clock: Clock, preview: Run, job: BatchJob) -> None:
    """Raise ``PreviewOutdated`` where the job would do something else now than its dry run foretold.

    Looks for records that came since, then computes scope after scope again as the dry run did, and at last what its
    end would write; writes nothing.
    """
    with database.read() as reading:
        came = _came_since(reading, preview, job)
        keys = scopes.keys_of(reading, preview.id)
        _refuse(came)
    _refuse(change for key in keys for change in _changes_of(database, clock, preview, job, key))
    with database.read() as reading:
        _refuse(_finish_changes(reading, preview.id, job, preview))


def check_scope(connection: Connection, preview_key: int, job: BatchJob, scope: Scope) -> None:
    """Raise ``PreviewOutdated`` where an executed scope did something else than the dry run foretold of it.

    The transaction still holds the locks under which it computed, and rolls back then: what commits is what was
    foretold.
    """
    _refuse(_changes(connection, scopes.by_number(connection, preview_key, scope.number), job, scope))


def before_finish(connection: Connection, run: Run, job: BatchJob) -> None:
    """Note what ``finish`` would write, of a dry run; of a run that applies a preview hold it against what was noted.

    Raises ``PreviewOutdated`` where it would write something else, in the transaction that ends the run.
    """
    if run.is_dry and isinstance(job, DryRunJob):
        lines = map(scopes.preview_values, job.preview_finish(connection, run))
        scopes.insert_previews(connection, [{"run_id": run.id, "scope_id": None, **line} for line in lines])
    if run.preview_key is not None:
        _refuse(_finish_changes(connection, run.preview_key, job, run))


def _finish_changes(connection: Connection, preview_key: int, job: BatchJob, run: Run) -> Iterator[str]:
    """How what ``finish`` of the run would write differs from what was foretold of it."""
    lines = job.preview_finish(connection, run) if isinstance(job, DryRunJob) else ()
    yield from _line_changes(scopes.previews_of_finish(connection, preview_key), lines)


def _refuse(changes: Iterable[str]) -> None:
    """Raise ``PreviewOutdated`` naming the first changes, if there are any."""
    found = list(islice(changes, MOST_NAMED + 1))
    if found:
        more = "; and more" if len(found) > MOST_NAMED else ""
        raise PreviewOutdated(
            f"the preview does not hold any more: {'; '.join(found[:MOST_NAMED])}{more}",
            field="run_id",
            remedy="Run the job with --dry-run again, look at the new preview, and apply that",
        )


def _came_since(reading: Connection, preview: Run, job: BatchJob) -> Iterator[str]:
    """Records that the job would take now and did not foretell. Of those that are gone their scope tells."""
    known = {key for scope in scopes.read_all(reading, preview.id) for key in scope.keys}
    context = StartContext(reading, lambda: stored_selection(reading, preview.id))
    for scope in cut(job.start(context), preview.scope_size):
        came = [key for key in scope.keys if key not in known]
        ids = job.record_ids(reading, came) if came else {}
        yield from (f"{ids.get(key, key)} came since" for key in came)


def _changes_of(database: Database, clock: Clock, preview: Run, job: BatchJob, scope_key: int) -> list[str]:
    changes: list[str] = []
    with suppress(_Undo), database.write() as connection:
        stored = scopes.read(connection, scope_key)
        told = scopes.outcomes_of(connection, scope_key)
        raised = {key: one for key, one in told.items() if one.code == UNFORESEEN}
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
        job.execute(scope)
        scope.outcomes.update(raised)
        changes = list(islice(_changes(connection, stored, job, scope), MOST_NAMED + 1))
        raise _Undo
    return changes


def _changes(
    connection: Connection, stored: scopes.StoredScope, job: BatchJob, scope: Scope
) -> Iterator[str]:
    """How an executed scope differs from what was foretold of it, a record at a time."""
    yield from _outcome_changes(connection, stored, job, scope)
    yield from _line_changes(scopes.previews_of(connection, stored.id), scope.previews)


def _line_changes(stored: Iterable[Line], now: Iterable[Preview]) -> Iterator[str]:
    then = dict(_named(stored))
    for name, line in _named(map(scopes.preview_values, now)):
        was = then.pop(name, None)
        if was is None:
            yield f"{line['record_id']} would be written, too"
        elif was != line:
            yield f"{line['record_id']}: {', '.join(_parts(was, line))}"
    yield from (f"{line['record_id']} would not be written" for line in then.values())


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
    then, now = _codes(scopes.outcomes_of(connection, stored.id)), _codes(scope.outcomes)
    differing = [key for key in scope.planned_keys if then.get(key) != now.get(key)]
    ids = job.record_ids(connection, differing) if differing else {}
    for key in differing:
        outcome = "ok" if key not in now else " ".join(now[key])
        yield f"{ids.get(key, key)} would be {outcome}"


def _codes(outcomes: Mapping[int, Outcome]) -> dict[int, tuple[str, str]]:
    return {key: (one.outcome, one.code) for key, one in outcomes.items()}


def _parts(was: Line, line: Line) -> Iterator[str]:
    """Which parts of a line differ: what the amount was computed with, and amounts that stand or would stand there."""
    then, now = json.loads(was["detail"]), json.loads(line["detail"])
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            values = (
                f" {then.get(name)} is now {now.get(name)}" if _plain(then.get(name), now.get(name)) else ""
            )
            yield f"{name.replace('_', ' ')}{values}"
    for name, said in (
        ("amount_before", "the amount that stands there"),
        ("amount_after", "what it comes to"),
    ):
        if was[name] != line[name]:
            yield said
    if (was["customer_id"], was["currency"]) != (line["customer_id"], line["currency"]):
        yield "customer or currency"


def _plain(*values: object) -> bool:
    return not any(isinstance(value, list | dict) for value in values)
