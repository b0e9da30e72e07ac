"""The run log in pages: the newest start first, and by its creation a run that waits.

A run that starts moves to the top, and whoever pages would miss it. So pages that belong together have each run where
it stood at the first of them: starts are numbered, committed in that order, and one above the newest of then counts as
none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, true, tuple_

from batchwright.engine.run import ENDED, Run, State
from batchwright.engine.store.live_counts import Counting, live_counts
from batchwright.engine.store.runs import with_live_counts
from batchwright.engine.store.tables import ERRORED, OF_PERIODS, scope
from batchwright.engine.store.tables import run as run_table

LIVE = tuple(state for state in State if state not in ENDED)
_NEWEST = select(
    func.coalesce(func.max(run_table.c.start_number), 0), func.coalesce(func.max(run_table.c.id), 0)
)
_HAS_ERRORS = and_(
    run_table.c.total.is_not(None),
    exists().where(scope.c.run_id == run_table.c.id, scope.c.state == "done", scope.c.errored > 0),
)

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs: those for which all that is given holds.

    ``equal`` are values of `job`, `customer_id`, `actor`, `schedule`, `trigger`; ``period`` is one of the run's months.
    They begun from ``since`` on and before ``before``; ``with_errors`` means of records, of a run at work so far.
    """

    states: tuple[State, ...] | None = None
    equal: dict[str, str] = field(default_factory=dict)
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
    wanted: Wanted,
    size: int,
    after: Place | None = None,
    counts: Counting = live_counts,
) -> tuple[list[Run], Place | None]:
    """So many runs after a place, with live counts, and the place of the last; ``None`` with the last of all."""
    newest = Newest(*(connection.execute(_NEWEST).one() if after is None else after[:2]))
    found = [connection.execute(one.limit(size + 1)).all() for one in _parts(wanted, newest, after)]
    rows = list(islice(merge(*found, key=lambda row: _place(row, newest), reverse=True), size + 1))
    more = len(rows) > size
    last = _place(rows[size - 1], newest) if more else None
    return with_live_counts(connection, rows[:size], counts), last


def _place(row: Any, newest: Newest) -> Place:
    has_started_since = (row.start_number or 0) > newest.start
    return Place(*newest, row.created_at if has_started_since else row.begun_at, row.id)


def _parts(wanted: Wanted, newest: Newest, after: Place | None) -> Iterator[Select[Any]]:
    """Statements that give the runs, no run twice, each in the order of an index."""
    number = run_table.c.start_number
    for condition in _conditions(wanted):
        as_then = or_(number.is_(None), number <= newest.start)
        yield _in_order(run_table.c.begun_at, wanted, after).where(condition, as_then)
    if after is not None:
        since = _in_order(run_table.c.created_at, wanted, after).where(number > newest.start)
        was_there = func.coalesce(run_table.c.id, 0) <= newest.key
        yield since.where(was_there, or_(*_conditions(wanted, by_index=False)))


def _in_order(at: ColumnElement[datetime], wanted: Wanted, after: Place | None) -> Select[Any]:
    statement = select(run_table).order_by(at.desc(), run_table.c.id.desc())
    if after is not None:
        statement = statement.where(tuple_(at, run_table.c.id) < (after.at, after.key))
    if wanted.since is not None:
        statement = statement.where(at >= wanted.since)
    if wanted.before is not None:
        statement = statement.where(at < wanted.before)
    return statement


def _conditions(wanted: Wanted, *, by_index: bool = True) -> Iterator[Condition]:
    """What holds of the runs, as alternatives that exclude each other: for each there is an index in order."""

    def of(name: str) -> ColumnElement[Any]:
        """The column; in a form that no index has, where the rows are found by another one already."""
        return run_table.c[name] if by_index else func.coalesce(run_table.c[name], "")

    common: list[Any] = [of(name) == value for name, value in wanted.equal.items()]
    if wanted.period is not None:
        common += [OF_PERIODS] if by_index else []
        common += [of("periods").contains(f'"{wanted.period}"')]
    states = wanted.states
    if wanted.with_errors:
        in_states = [] if states is None else [of("state").in_(states)]
        yield and_(ERRORED, *in_states, *common)
        # Those at work are few. What they have done so far stands with their scopes alone.
        yield and_(of("state").in_(LIVE), _HAS_ERRORS, *in_states, *common)
    elif states is None:
        yield and_(true(), *common)
    else:
        yield from (and_(of("state") == state, *common) for state in states)
