"""Statements on runs that ended badly: failed or aborted ones, and completed ones of whose records some have errors.

A dry run is none of these. Nor is a run whose retry completed: what that left is wrong with the retry.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, select, union_all

from batchwright.engine.run import ENDED, RETRY, Run, State
from batchwright.engine.store.runs import from_row
from batchwright.engine.store.tables import ERRORED
from batchwright.engine.store.tables import run as run_table

_retry, _earlier = run_table.alias("retry"), run_table.alias("earlier")


def _does_again(retry: Any) -> ColumnElement[bool]:
    """Whether it is a retry that writes; those since then, as what they retry is older."""
    return and_(
        retry.c.trigger == RETRY,
        retry.c.mode != "dry_run",
        retry.c.begun_at >= bindparam("since"),
    )


_settled = (
    select(_retry.c.parent_id.label("id"))
    .where(_does_again(_retry), _retry.c.state == State.COMPLETED)
    .cte("settled", recursive=True)
)
_settled = _settled.union(
    select(_earlier.c.parent_id).join(_settled, _earlier.c.id == _settled.c.id).where(_does_again(_earlier))
)
_IS_OPEN: Final = and_(
    run_table.c.begun_at >= bindparam("since"),
    run_table.c.mode != "dry_run",
    run_table.c.id.not_in(select(_settled.c.id).where(_settled.c.id.is_not(None))),
)

# Each of these conditions has an index in the order of the log.
_FAILED: Final = (run_table.c.state == State.FAILED, run_table.c.state == State.ABORTED)
_ERRED: Final = (and_(ERRORED, run_table.c.state == State.COMPLETED),)


def _newest(conditions: Iterable[ColumnElement[bool]]) -> Any:
    """The newest of each condition, in one statement."""
    whole = [select(run_table).where(condition) for condition in conditions]
    parts = [
        one.order_by(run_table.c.begun_at.desc(), run_table.c.id.desc()).limit(bindparam("most"))
        for one in whole
    ]
    return union_all(*(select(part.subquery()) for part in parts))


_BADLY: Final = _newest(and_(condition, _IS_OPEN) for condition in (*_FAILED, *_ERRED))
_LAST: Final = _newest(run_table.c.state == state for state in ENDED)


def ended_badly(connection: Connection, since: datetime, most: int) -> tuple[list[Run], list[Run]]:
    """The newest runs begun since then that failed or were aborted, and the newest with errors; so many of each."""
    rows = connection.execute(_BADLY, {"since": since, "most": most}).all()
    rows = sorted(rows, key=lambda row: (row.begun_at, row.id), reverse=True)
    erred = [from_row(row) for row in rows if row.state == State.COMPLETED]
    return [from_row(row) for row in rows if row.state != State.COMPLETED][:most], erred[:most]


def count_ended_badly(connection: Connection, since: datetime, at_most: int) -> dict[str, int]:
    """How many there are, ``failed`` and ``erred``; counted no further than so many."""

    def number(conditions: tuple[ColumnElement[bool], ...]) -> Any:
        parts = [select(run_table.c.id).where(one, _IS_OPEN).limit(at_most) for one in conditions]
        every = union_all(*(select(part.subquery()) for part in parts)).limit(at_most).subquery()
        return select(func.count()).select_from(every).scalar_subquery()

    counts: Select[Any] = select(number(_FAILED).label("failed"), number(_ERRED).label("erred"))
    return dict(connection.execute(counts, {"since": since}).one()._mapping)


def last_ended(connection: Connection) -> Run | None:
    """The run that ended, of those the one that began last."""
    rows = connection.execute(_LAST, {"most": 1}).all()
    newest = max(rows, key=lambda row: (row.begun_at, row.id), default=None)
    return None if newest is None else from_row(newest)
