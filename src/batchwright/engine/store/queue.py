"""Statements on the queue: which runs wait, in whose turn, and which are at work."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    TextClause,
    bindparam,
    func,
    literal_column,
    select,
    text,
)

from batchwright.engine.run import ACTIVE, ENDED, Run, State
from batchwright.engine.store.runs import from_row
from batchwright.engine.store.tables import run as run_table

# A run that holds until earlier ones of its schedule have ended (overlap policy queue) is passed over as long.
_NOT_BEHIND = """
    NOT (run.after_earlier AND EXISTS (
        SELECT 1 FROM run AS earlier
        WHERE earlier.schedule = run.schedule AND earlier.id < run.id
        AND earlier.state NOT IN ('Completed', 'Failed', 'Aborted')
    ))
"""

# A Queued run of a caller that is gone takes no slot; any other needs one.
_TO_CLAIM = f"""
    SELECT id, run_id, job, parameters FROM run
    WHERE state IN ('Queued', 'Holding') AND {{mine}} AND (
        (in_caller AND state = 'Queued')
        OR (
            NOT in_caller AND (state = 'Queued' OR {_NOT_BEHIND})
            AND (
                SELECT count(*) FROM run AS other
                WHERE other.state IN ('Preparing', 'Processing') AND NOT other.in_caller
                AND other.id NOT IN :orphaned
            ) < :slots
        )
    )
    LIMIT :most
"""

MOST_SECONDS_IDLE_WITH_QUEUE = 10.0
"""How long a process may do nothing in a transaction that has locked the queue; such a one takes milliseconds."""
_LOCK_QUEUE = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :timeout, true),"
    " pg_advisory_xact_lock(hashtext('batchwright.flex_queue'))"
)


class Runnable(NamedTuple):
    """Which runs a process can do. Others it passes over, and they take no slot from those.

    ``jobs`` are the names of its jobs; ``None`` for any. ``refused`` are keys of runs whose parameters its jobs do not
    take, ``orphaned`` keys of runs at work that it cannot do, and whose owners are dead.
    """

    jobs: tuple[str, ...] | None = None
    refused: frozenset[int] = frozenset()
    orphaned: frozenset[int] = frozenset()

    def counts(self, run: Run) -> bool:
        """Whether a run that is Queued or at work has a slot, as this process sees it."""
        if run.state in ACTIVE:
            return run.id not in self.orphaned
        return (self.jobs is None or run.job in self.jobs) and run.id not in self.refused


EVERYTHING = Runnable()


class Candidate(NamedTuple):
    """A run that could be claimed, by a process that can do it."""

    id: int
    run_id: str
    job: str
    parameters: dict[str, Any]


# What is Queued or at work, in its order.
_QUEUED_IN_ORDER = (
    select(run_table)
    .where(run_table.c.state.in_([State.QUEUED, *ACTIVE]))
    .order_by(run_table.c.queue_position, run_table.c.id)
)


def lock_queue(connection: Connection) -> None:
    """One process at a time moves runs out of Holding. On SQLite every write transaction is alone anyway.

    A process that is stopped (SIGSTOP, a suspended machine) while it has the lock loses its session to the server, and
    with it the lock: no run could begin or end any more, and nobody knows whom to end.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_QUEUE, {"timeout": f"{MOST_SECONDS_IDLE_WITH_QUEUE * 1000:.0f}ms"})


def queued_in_order(connection: Connection) -> list[Run]:
    """The runs that are Queued or at work, in their order; without live counts."""
    return [from_row(row) for row in connection.execute(_QUEUED_IN_ORDER)]


def queue_heads(connection: Connection, number: int, runnable: Runnable = EVERYTHING) -> list[Run]:
    """The first so many Holding runs of each queue key that may begin, and that can be done, in their order."""
    values = {**_values(runnable), "number": number}
    return [from_row(row) for row in connection.execute(_queue_heads(runnable.jobs is None), values)]


@cache
def _queue_heads(any_job: bool) -> Select[Any]:
    held = (run_table.c.in_caller.is_(False), run_table.c.state == State.HOLDING, text(_NOT_BEHIND))
    in_order = (run_table.c.queue_position, run_table.c.id)
    place = func.row_number().over(partition_by=run_table.c.queue_key, order_by=in_order)
    mine = run_table.c.id.not_in(_keys("refused"))
    of_jobs = () if any_job else (run_table.c.job.in_(bindparam("jobs", expanding=True)),)
    placed = select(run_table.c.id, place.label("place")).where(*held, mine, *of_jobs).subquery()
    first = select(run_table).join(placed, placed.c.id == run_table.c.id)
    return first.where(placed.c.place <= bindparam("number")).order_by(*in_order)


def any_holding(connection: Connection) -> bool:
    """Whether a run waits for a slot."""
    statement = text("SELECT EXISTS (SELECT 1 FROM run WHERE state = 'Holding')")
    return bool(connection.execute(statement).scalar_one())


def to_claim(
    connection: Connection, max_active_runs: int, runnable: Runnable = EVERYTHING
) -> list[Candidate]:
    """Some of the runs that wait and could be claimed now, in any order; none where there is none. Takes no lock."""
    values = {**_values(runnable), "slots": max_active_runs, "most": max_active_runs}
    values["orphaned"] = list(runnable.orphaned)
    rows = connection.execute(_to_claim(runnable.jobs is None), values)
    return [Candidate(row.id, row.run_id, row.job, json.loads(row.parameters)) for row in rows]


@cache
def _to_claim(any_job: bool) -> TextClause:
    mine = "id NOT IN :refused" if any_job else "job IN :jobs AND id NOT IN :refused"
    of_jobs: list[BindParameter[Any]] = [] if any_job else [bindparam("jobs", expanding=True)]
    return text(_TO_CLAIM.format(mine=mine)).bindparams(_keys("refused"), _keys("orphaned"), *of_jobs)


def _keys(name: str) -> BindParameter[Any]:
    """Keys of runs, written into the statement: there may be more than a database takes as parameters."""
    return bindparam(name, type_=BigInteger, expanding=True, literal_execute=True)


def _values(runnable: Runnable) -> dict[str, Any]:
    jobs = {} if runnable.jobs is None else {"jobs": runnable.jobs}
    return {"refused": list(runnable.refused), **jobs}


def not_ended(connection: Connection, run_keys: Iterable[int]) -> set[int]:
    """Those of the runs that have not ended."""
    keys = list(run_keys)
    statement = select(run_table.c.id).where(run_table.c.id.in_(keys), run_table.c.state.not_in(ENDED))
    return set(connection.execute(statement).scalars())


def active(connection: Connection) -> list[Run]:
    """The runs that processes work on, or should; without live counts."""
    statement = select(run_table).where(run_table.c.state.in_(ACTIVE)).order_by(run_table.c.id)
    return [from_row(row) for row in connection.execute(statement)]


class Waiting(NamedTuple):
    """A run that waits, and its place among those that hold in the line of its key; 0 where it stands in none.

    ``behind_earlier``: it holds until earlier runs of its schedule have ended.
    """

    run: Run
    place: int
    behind_earlier: bool


def waiting(connection: Connection, number: int) -> list[Waiting]:
    """The first so many runs that wait or are paused, in their order."""
    in_order = (run_table.c.queue_position, run_table.c.id)
    holding = (run_table.c.state == State.HOLDING) & run_table.c.in_caller.is_(False)
    place = func.row_number().over(partition_by=(holding, run_table.c.queue_key), order_by=in_order)
    not_behind: ColumnElement[bool] = literal_column(_NOT_BEHIND)
    columns = (run_table.c.id, place.label("place"), not_behind.label("not_behind"))
    held = run_table.c.state.in_([State.HOLDING, State.QUEUED, State.PAUSED])
    found = select(*columns).where(held).order_by(*in_order).limit(number).subquery()
    rows = select(run_table, found.c.place, found.c.not_behind).join(found, found.c.id == run_table.c.id)
    return [_waiting(from_row(row), row) for row in connection.execute(rows.order_by(*in_order))]


def _waiting(run: Run, row: Any) -> Waiting:
    if run.state is not State.HOLDING or run.in_caller:
        return Waiting(run, 0, behind_earlier=False)
    return Waiting(run, row.place, behind_earlier=not row.not_behind)
