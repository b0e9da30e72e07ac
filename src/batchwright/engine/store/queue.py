"""Statements on the queue: which runs wait, in whose turn, and which are at work."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, text

from batchwright.engine.run import ACTIVE, Run, State
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
_ANY_TO_CLAIM = text(
    f"""
    SELECT EXISTS (SELECT 1 FROM run WHERE state = 'Queued' AND in_caller)
    OR (
        EXISTS (
            SELECT 1 FROM run WHERE NOT in_caller
            AND (state = 'Queued' OR (state = 'Holding' AND {_NOT_BEHIND}))
        )
        AND (SELECT count(*) FROM run WHERE state IN ('Preparing', 'Processing') AND NOT in_caller) < :slots
    )
    """
)

MOST_SECONDS_IDLE_WITH_QUEUE = 10.0
"""How long a process may do nothing in a transaction that has locked the queue; such a one takes milliseconds."""
_LOCK_QUEUE = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :timeout, true),"
    " pg_advisory_xact_lock(hashtext('batchwright.flex_queue'))"
)

# What is Queued or at work, in its order.
_IN_LINE = (
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


def in_line(connection: Connection) -> list[Run]:
    """The runs that are Queued or at work, in their order; without live counts."""
    return [from_row(row) for row in connection.execute(_IN_LINE)]


def first_in_lines(connection: Connection, number: int) -> list[Run]:
    """The first so many Holding runs of each queue key that may begin, in their order."""
    held = (run_table.c.in_caller.is_(False), run_table.c.state == State.HOLDING, text(_NOT_BEHIND))
    in_order = (run_table.c.queue_position, run_table.c.id)
    place = func.row_number().over(partition_by=run_table.c.queue_key, order_by=in_order)
    placed = select(run_table.c.id, place.label("place")).where(*held).subquery()
    first = select(run_table).join(placed, placed.c.id == run_table.c.id).where(placed.c.place <= number)
    return [from_row(row) for row in connection.execute(first.order_by(*in_order))]


def any_holding(connection: Connection) -> bool:
    """Whether a run waits for a slot."""
    statement = text("SELECT EXISTS (SELECT 1 FROM run WHERE state = 'Holding')")
    return bool(connection.execute(statement).scalar_one())


def any_to_claim(connection: Connection, max_active_runs: int) -> bool:
    """Whether a run waits that could be claimed now. Cheap, and takes no lock."""
    return bool(connection.execute(_ANY_TO_CLAIM, {"slots": max_active_runs}).scalar_one())


def active(connection: Connection) -> list[Run]:
    """The runs that processes work on, or should; without live counts."""
    statement = select(run_table).where(run_table.c.state.in_(ACTIVE)).order_by(run_table.c.id)
    return [from_row(row) for row in connection.execute(statement)]
