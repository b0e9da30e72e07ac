"""Pruning runs: what became of their records is deleted, and their rows stay.

One transaction marks the runs: from then on nobody is shown their records, and nothing begins that needs them. Then
`delete_some` deletes these in portions, whoever calls it: a process that dies in between leaves the rest to the next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
    update,
)

from batchwright.engine.run import ENDED, RETRY
from batchwright.engine.store.database import Database
from batchwright.engine.store.scopes import reported_counts
from batchwright.engine.store.tables import (
    MAY_BE_PRUNED,
    ROWS_LEFT,
    outcome,
    preview_line,
    run,
    run_selection,
    run_warning,
    scope,
)

KEYS_AT_A_TIME: Final = 1_000
RUNS_AT_A_TIME: Final = 50
SCOPES_AT_A_TIME: Final = 50
ROWS: Final = 2_000
"""Rows, about, that are deleted in one transaction: on SQLite nobody else writes meanwhile."""
RECORDS_A_ROW: Final = 100
"""So many packed keys are as much work as a row."""
WARNINGS_KEPT: Final = 100
"""Of the warnings about records the first; those of the run itself stay."""
PRUNED: Final = "pruned"
"""The code of the warning that says how many others were pruned."""

_child, _followed = run.alias("child"), run.alias("followed")
_live = select(_child.c.parent_id.label("id")).where(_child.c.state.not_in(list(ENDED))).cte(recursive=True)
_again = select(_followed.c.parent_id).join(_live, _followed.c.id == _live.c.id)
_needed = _live.union(_again.where(_followed.c.trigger == RETRY))
_NEEDED = run.c.id.in_(select(_needed.c.id).where(_needed.c.id.is_not(None)))
"""A run that follows this one has not ended: it does its records again, or applies its preview. The retry of a retry
may do the end of the first one again.
"""


@dataclass(frozen=True, slots=True)
class Old:
    """Which runs: those that ended ``before``, of these ``jobs`` if any. ``needed`` says which have to stay."""

    before: datetime
    jobs: Sequence[str]
    needed: ColumnElement[bool]

    @property
    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """What holds of the runs, also of those that have to stay."""
        yield and_(MAY_BE_PRUNED, run.c.ended_at < self.before)
        if self.jobs:
            yield run.c.job.in_(self.jobs)

    @property
    def stays(self) -> ColumnElement[bool]:
        """What holds of those that have to stay."""
        return or_(_NEEDED, self.needed)


class Figures(NamedTuple):
    """How many runs of a job there are, their records, and when the first and the last of them ended."""

    job: str
    runs: int
    records: int
    oldest: datetime
    newest: datetime


def figures(connection: Connection, old: Old) -> tuple[list[Figures], int]:
    """The runs that can be pruned, by job, and how many have to stay."""
    stays = case((old.stays, 1), else_=0).label("stays")
    ended = select(stays, run.c.job, run.c.total, run.c.ended_at).where(*old.conditions).subquery().c
    sums = (func.count(), func.coalesce(func.sum(ended.total), 0))
    ends = (func.min(ended.ended_at), func.max(ended.ended_at))
    found = select(ended.stays, ended.job, *sums, *ends).group_by(ended.stays, ended.job)
    rows = connection.execute(found.order_by(ended.job)).all()
    return (
        [Figures(job, number, int(total), *ends) for stay, job, number, total, *ends in rows if not stay],
        sum(number for stay, _, number, *_ in rows if stay),
    )


def scopes_of(connection: Connection, old: Old) -> int:
    """How many scopes the runs have that can be pruned."""
    mine = select(run.c.id).where(*old.conditions, not_(old.stays))
    counted = select(func.count()).select_from(scope).where(scope.c.run_id.in_(mine))
    return connection.execute(counted).scalar_one()


def any_of(connection: Connection, job: str) -> bool:
    """Whether there was ever a run of the job."""
    return connection.execute(select(exists().where(run.c.job == job))).scalar_one()


def mark(connection: Connection, old: Old, now: datetime) -> tuple[list[Figures], list[str]]:
    """Mark the runs as pruned; what they were, by job, and their ids. One that somebody is about to need stays."""
    # Locked before it is asked who needs them: who was faster has committed then, and is seen.
    wanted = select(run.c.id).where(*old.conditions).order_by(run.c.id)
    keys = connection.execute(wanted.with_for_update(skip_locked=True, key_share=True)).scalars().all()
    marked: dict[str, Figures] = {}
    ids: list[str] = []
    for first in range(0, len(keys), KEYS_AT_A_TIME):
        some = run.c.id.in_(keys[first : first + KEYS_AT_A_TIME])
        done = update(run).where(some, *old.conditions, not_(old.stays)).values(pruned_at=now, rows_left=True)
        for run_id, job, total, ended_at in connection.execute(
            done.returning(run.c.run_id, run.c.job, run.c.total, run.c.ended_at)
        ):
            ids.append(run_id)
            sums = marked.get(job, Figures(job, 0, 0, ended_at, ended_at))
            ends = min(sums.oldest, ended_at), max(sums.newest, ended_at)
            marked[job] = Figures(job, sums.runs + 1, sums.records + (total or 0), *ends)
    return [marked[job] for job in sorted(marked)], ids


def number_left(connection: Connection) -> int:
    """How many pruned runs have rows that are still to be deleted."""
    left = select(func.count()).select_from(run).where(ROWS_LEFT)
    return connection.execute(left).scalar_one()


def newest_pruned(connection: Connection, jobs: Collection[str]) -> dict[str, datetime]:
    """When the last of the runs of each job ended that are pruned; without the jobs of which none is."""
    ended = func.max(run.c.ended_at).label("ended_at")
    by_job = [
        select(literal(job), ended).where(run.c.job == job, run.c.pruned_at.is_not(None)) for job in jobs
    ]
    return {job: at for job, at in connection.execute(union_all(*by_job)) if at is not None}


def codes_of(connection: Connection, run_key: int) -> list[tuple[str, str, int]]:
    """Outcome, code and number of the errors and skips that a run has, or had before it was pruned."""
    kept = connection.execute(select(run.c.pruned_codes).where(run.c.id == run_key)).scalar_one()
    return reported_counts(connection, run_key) if kept is None else [tuple(one) for one in json.loads(kept)]


def delete_some(database: Database) -> bool:
    """Delete some of the rows that pruned runs have left, if there are any. Any number may at once."""
    with database.read() as reading:
        codes = _codes_of_next(reading)
    if not codes:
        return False
    rows = 0
    with database.write() as connection:
        for key, counted in codes.items():
            # One process at a time for each run; another may be through with it by now.
            mine = select(run.c.id).where(run.c.id == key, ROWS_LEFT).with_for_update(key_share=True)
            if connection.execute(mine).first() is None:
                continue
            if counted is not None:
                _begin(connection, key, counted)
            rows += _delete_of(connection, key, ROWS - rows)
            if rows >= ROWS:
                break
            connection.execute(update(run).where(run.c.id == key).values(rows_left=False))
    return True


def _codes_of_next(reading: Connection) -> dict[int, list[tuple[str, str, int]] | None]:
    """The codes of the next runs by key, or ``None`` where they are kept already: of those that a transaction does."""
    columns = (run.c.id, run.c.pruned_codes, run.c.total, run.c.errored, run.c.skipped)
    left = select(*columns).where(ROWS_LEFT).order_by(run.c.id).limit(RUNS_AT_A_TIME)
    found: dict[int, list[tuple[str, str, int]] | None] = {}
    rows = 0
    for key, codes, total, errored, skipped in reading.execute(left).all():
        if rows >= ROWS:
            break
        found[key] = reported_counts(reading, key) if codes is None else None
        rows += (errored or 0) + (skipped or 0) + (total or 0) // RECORDS_A_ROW + 1
    return found


def _begin(connection: Connection, run_key: int, codes: Sequence[tuple[str, str, int]]) -> None:
    """Keep what stays of a run's records, before the first of them is deleted."""
    begun = update(run).where(run.c.id == run_key, run.c.pruned_codes.is_(None))
    if connection.execute(begun.values(pruned_codes=json.dumps(codes))).rowcount == 0:
        return
    of_records = (run_warning.c.run_id == run_key, run_warning.c.scope_id.is_not(None))
    keys = select(run_warning.c.id).where(*of_records).order_by(run_warning.c.id)
    kept = connection.execute(keys.limit(WARNINGS_KEPT)).scalars().all()
    connection.execute(update(run_warning).where(run_warning.c.id.in_(kept)).values(scope_id=null()))
    more = connection.execute(select(func.count()).select_from(run_warning).where(*of_records)).scalar_one()
    if more:
        message = f"{more:,} more warnings about records were pruned"
        connection.execute(insert(run_warning).values(run_id=run_key, code=PRUNED, message=message))


def _delete_of(connection: Connection, run_key: int, most: int) -> int:
    """Delete rows of a run's records, ``most`` of them about, or as many as there are left; how many these were."""
    rows = 0
    while rows < most and (some := _next_scopes(connection, run_key, most - rows)):
        for table in (outcome, preview_line, run_warning):
            rows += connection.execute(delete(table).where(table.c.scope_id.in_(some))).rowcount
        connection.execute(delete(scope).where(scope.c.id.in_(some)))
        rows += sum(some.values()) // RECORDS_A_ROW + len(some)
    if rows < most:
        lines = select(preview_line.c.id).where(preview_line.c.run_id == run_key).limit(most - rows)
        rows += connection.execute(delete(preview_line).where(preview_line.c.id.in_(lines))).rowcount
    if rows < most:
        mine, key = run_selection.c.run_id == run_key, run_selection.c.key
        first = select(key).where(mine).order_by(key).limit((most - rows) * 10).subquery()
        last = connection.execute(select(func.max(first.c.key))).scalar()
        if last is not None:
            rows += -(-connection.execute(delete(run_selection).where(mine, key <= last)).rowcount // 10)
    return rows


def _next_scopes(connection: Connection, run_key: int, most: int) -> Mapping[int, int]:
    """The records of the next scopes, by key: as many of them as have ``most`` rows about, and one at least."""
    columns = (scope.c.id, scope.c.records, scope.c.errored, scope.c.skipped)
    # By the index of progress: the row has the packed keys before the counts.
    next_ones = select(*columns).where(scope.c.run_id == run_key).order_by(scope.c.state, scope.c.number)
    scopes = connection.execute(next_ones.limit(SCOPES_AT_A_TIME)).all()
    of_scope = preview_line.c.scope_id
    counted = (
        select(of_scope, func.count()).where(of_scope.in_([one.id for one in scopes])).group_by(of_scope)
    )
    lines: dict[int, int] = dict(connection.execute(counted).all())
    found: dict[int, int] = {}
    rows = 0
    for key, records, errored, skipped in scopes:
        rows += (errored or 0) + (skipped or 0) + lines.get(key, 0) + records // RECORDS_A_ROW + 1
        if found and rows > most:
            break
        found[key] = records
    return found
