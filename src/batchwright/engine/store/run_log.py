"""The run log in pages: the newest start first, and by its creation a run that waits.

A run that starts moves to the top, and whoever pages would miss it. So pages that belong together have each run where
it stood at the first of them: starts are numbered, committed in that order, and one above the newest of then counts as
none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from heapq import merge
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    true,
    tuple_,
)

from batchwright.engine.run import LIVE, Run, State
from batchwright.engine.store.live_counts import Counting, live_counts
from batchwright.engine.store.runs import with_live_counts
from batchwright.engine.store.tables import ERRORED, OF_PERIODS, scope
from batchwright.engine.store.tables import run as run_table

# Each by itself: for both at once SQLite reads a whole index.
_NEWEST = select(
    *(
        func.coalesce(select(func.max(column)).scalar_subquery(), 0)
        for column in (run_table.c.start_number, run_table.c.id)
    )
)
_OTHER: Final = run_table.alias("other")
_ERRED: Final = select(scope.c.id).where(
    scope.c.run_id == run_table.c.id, scope.c.state == "done", scope.c.errored > 0
)
# OFFSET 0 has PostgreSQL look for each run; else it reads the scopes of all there have been.
_HAS_ERRORS = and_(run_table.c.total.is_not(None), _ERRED.offset(0).exists())
KEYS_AT_A_TIME: Final = 1_000
_MOST_TELLING: Final = ("customer_id", "schedule", "actor", "job", "trigger")
"""Columns with an index in order; the earlier one is likely to have fewer runs of a value."""

Condition = ColumnElement[bool]
Narrowing = Callable[[str, Sequence[str]], Condition]
"""The condition that a column has one of these values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs: those for which all that is given holds.

    ``equal`` are values of `job`, `customer_id`, `actor`, `schedule`, `trigger`; ``period`` is one of the run's months.
    They begun from ``since`` on and before ``before``; ``with_errors`` means of records, of a run at work so far.
    """

    states: tuple[State, ...] | None = None
    equal: dict[str, str] = field(default_factory=dict, hash=False)
    period: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    with_errors: bool = False


class Newest(NamedTuple):
    """The newest number of a start, and the newest key, when the first page was read."""

    start: int
    key: int


class Place(NamedTuple):
    """Where a run stands: as it did when the first page was read."""

    newest_start: int
    newest_key: int
    at: datetime
    key: int


def page(
    connection: Connection,
    wanted: RunQuery,
    size: int,
    after: Place | None = None,
    counts: Counting = live_counts,
) -> tuple[list[Run], Place | None]:
    """So many runs after a place, with live counts, and the place of the last; ``None`` with the last of all."""
    newest = Newest(*(connection.execute(_NEWEST).one() if after is None else after[:2]))
    parts = [*_in_log(connection.dialect.name, wanted, after), *_started(connection, wanted, newest, after)]
    given = {"most": size + 1, "newest_start": newest.start}
    found = [connection.execute(part, given).all() for part in parts]
    rows = list(islice(merge(*found, key=lambda row: _place(row, newest), reverse=True), size + 1))
    more = len(rows) > size
    last = _place(rows[size - 1], newest) if more else None
    return with_live_counts(connection, rows[:size], counts), last


def newest_completed(connection: Connection, job: str, size: int) -> Sequence[Any]:
    """Of so many of the newest runs of a job that completed `run_id, customer_id, periods, mode, started_at, ended_at`,
    as they are stored.
    """
    column = run_table.c
    # Those of the job are led to in order: by its own choice SQLite may read all that completed.
    has = _has_in_row if connection.dialect.name == "sqlite" else _has
    columns = run_table.c["run_id", "customer_id", "periods", "mode", "started_at", "ended_at"]
    statement = select(*columns).where(column.job == job, has("state", (State.COMPLETED,)))
    newest = statement.order_by(column.begun_at.desc(), column.id.desc()).limit(size)
    return connection.execute(newest).all()


def seconds_taken(connection: Connection, job: str, size: int) -> Iterator[tuple[str, int, float]]:
    """Customer, number of months and seconds of these; dry ones are left out."""
    for _, customer_id, periods, mode, started_at, ended_at in newest_completed(connection, job, size):
        months = len(json.loads(periods or "[]"))
        if mode != "dry_run" and customer_id and months and started_at and ended_at:
            yield customer_id, months, max((ended_at - started_at).total_seconds(), 0.0)


def _place(row: Any, newest: Newest) -> Place:
    has_started_since = (row.start_number or 0) > newest.start
    return Place(*newest, row.created_at if has_started_since else row.begun_at, row.id)


# Who follows the log asks for the same page again, and to make its statements takes longer than to read it.
@lru_cache(64)
def _in_log(dialect: str, wanted: RunQuery, after: Place | None) -> Sequence[Select[Any]]:
    """Statements that give the runs that stand where they stood, no run twice, each in the order of an index."""
    number, begun = run_table.c.start_number, run_table.c.begun_at

    def by_keys(name: str, values: Sequence[str]) -> Condition:
        """Held against keys that an index gives: SQLite would read the row of each run that another one leads to."""
        keys = _in_range(select(_OTHER.c.id), _OTHER, _OTHER.c.begun_at, wanted, after)
        return func.coalesce(run_table.c.id, 0).in_(keys.where(_OTHER.c[name].in_(values)))

    further = by_keys if dialect == "sqlite" else _has
    as_then = or_(number.is_(None), number <= bindparam("newest_start"))
    return [
        _in_order(begun, wanted, after).where(condition, as_then)
        for condition in _conditions(wanted, _has, further)
    ]


def _started(
    connection: Connection, wanted: RunQuery, newest: Newest, after: Place | None
) -> Iterator[Select[Any]]:
    """Statements that give those that have started since the first page was read."""
    keys = [] if after is None else _started_since(connection, newest)
    for first in range(0, len(keys), KEYS_AT_A_TIME):
        found = run_table.c.id.in_(keys[first : first + KEYS_AT_A_TIME])
        as_asked = or_(*_conditions(wanted, _has_in_row, _has_in_row))
        yield _in_order(run_table.c.created_at, wanted, after).where(found, as_asked)


def _started_since(connection: Connection, newest: Newest) -> list[int]:
    """The keys of the runs that waited when the first page was read, and have started since."""
    key = run_table.c.id
    # Not by the index of keys: that of the starts has them, too.
    waited = func.coalesce(key, 0) <= newest.key
    since = select(key).where(run_table.c.start_number > newest.start, waited)
    return list(connection.execute(since).scalars())


def _in_order(at: ColumnElement[datetime], wanted: RunQuery, after: Place | None) -> Select[Any]:
    statement = _in_range(select(run_table), run_table, at, wanted, after)
    return statement.order_by(at.desc(), run_table.c.id.desc()).limit(bindparam("most", type_=Integer))


def _in_range(
    statement: Select[Any],
    table: FromClause,
    at: ColumnElement[datetime],
    wanted: RunQuery,
    after: Place | None,
) -> Select[Any]:
    if after is not None:
        statement = statement.where(tuple_(at, table.c.id) < (after.at, after.key))
    if wanted.since is not None:
        statement = statement.where(at >= wanted.since)
    if wanted.before is not None:
        statement = statement.where(at < wanted.before)
    return statement


def _has(name: str, values: Sequence[str]) -> Condition:
    column = run_table.c[name]
    return column == values[0] if len(values) == 1 else column.in_(values)


def _has_in_row(name: str, values: Sequence[str]) -> Condition:
    """In a form that no index has, where the rows are found already."""
    return func.coalesce(run_table.c[name], "").in_(values)


def _conditions(wanted: RunQuery, leading: Narrowing, further: Narrowing) -> Iterator[Condition]:
    """What holds of the runs, as alternatives that exclude each other: for each an index leads to them in order."""
    asked = [(name, (wanted.equal[name],)) for name in sorted(wanted.equal, key=_MOST_TELLING.index)]
    states = wanted.states
    of_state = [] if states is None else [further("state", states)]
    if wanted.period is None:
        months: list[Condition] = []
    else:
        of_month = run_table.c.periods.contains(f'"{wanted.period}"')
        months = [OF_PERIODS, of_month]  # type: ignore[list-item]
    if wanted.with_errors:
        rest = [further(*condition) for condition in asked] + months
        yield and_(ERRORED, *of_state, *rest)
        # Those at work are few. What they have done so far stands with their scopes alone.
        live = [state for state in LIVE if states is None or state in states]
        if live:
            yield and_(leading("state", live), _HAS_ERRORS, *rest)
    elif months:
        yield and_(*months, *of_state, *(further(*condition) for condition in asked))
    elif asked:
        yield and_(leading(*asked[0]), *of_state, *(further(*condition) for condition in asked[1:]))
    elif states is None:
        yield true()
    else:
        yield from (leading("state", (state,)) for state in states)
