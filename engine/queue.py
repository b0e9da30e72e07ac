"""The flex queue: at most so many runs are active, the rest hold, and no key starves the others."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from engine.run import ACTIVE, Run, State
from engine.store import runs


def promote(connection: Connection, max_active_runs: int) -> None:
    """Move Holding runs into the free slots.

    Next is the head of the key with the fewest runs in slots, ties by position. Runs in their caller's thread take
    no slot. Nobody else moves runs out of the line until the transaction ends.
    """
    runs.lock_queue(connection)
    in_slots = Counter(row.queue_key for row in runs.in_line(connection) if not row.in_caller)
    while in_slots.total() < max_active_runs and (heads := runs.heads(connection)):
        head = min(heads, key=lambda row: (in_slots[row.queue_key], row.queue_position, row.id))
        runs.move(connection, runs.uncounted(connection, head.id), State.QUEUED)
        in_slots[head.queue_key] += 1


def next_to_claim(connection: Connection, max_active_runs: int) -> Run | None:
    """The Queued run that a process should claim now; ``None`` when there is none, or no slot for it.

    A run whose caller is gone first: it takes no slot. Then as runs are promoted, by the runs at work of each key.
    """
    promote(connection, max_active_runs)
    line = runs.in_line(connection)
    queued = [row for row in line if row.state == State.QUEUED]
    for row in queued:
        if row.in_caller:
            return runs.uncounted(connection, row.id)
    at_work = Counter(row.queue_key for row in line if row.state in ACTIVE and not row.in_caller)
    if not queued or at_work.total() >= max_active_runs:
        return None
    head = min(queued, key=lambda row: (at_work[row.queue_key], row.queue_position, row.id))
    return runs.uncounted(connection, head.id)
