"""The flex queue: at most so many runs are active, the rest hold, and no key starves the others."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from engine.run import State
from engine.store import runs


def promote(connection: Connection, max_active_runs: int) -> None:
    """Move Holding runs into the free slots.

    Next is the head of the key with the fewest runs in slots, ties by position. Runs in their caller's thread take
    no slot.
    """
    runs.lock_queue(connection)
    rows = runs.queue_rows(connection)
    in_slots = Counter(row.queue_key for row in rows if row.state != State.HOLDING)
    holding = [row for row in rows if row.state == State.HOLDING]
    while holding and in_slots.total() < max_active_runs:
        head = min(holding, key=lambda row: (in_slots[row.queue_key], row.queue_position))
        runs.move(connection, runs.by_key(connection, head.id), State.QUEUED)
        in_slots[head.queue_key] += 1
        holding.remove(head)
