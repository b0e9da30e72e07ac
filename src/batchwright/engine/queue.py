"""The flex queue: at most so many runs are active, the rest hold, and no key starves the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.store import queue, runs
from batchwright.engine.store.queue import EVERYTHING, Runnable


@dataclass(frozen=True, slots=True)
class Slots:
    """The flex queue in a transaction that holds it: nobody else moves runs out of the line until it ends.

    ``queued`` and ``active`` are the runs in slots, in their order, ``left_over`` Queued ones whose caller is gone:
    runs in their caller's thread take no slot.
    """

    number: int
    queued: list[Run]
    active: list[Run]
    left_over: list[Run]

    @property
    def waiting(self) -> list[Run]:
        """The runs that a process could claim, in no order."""
        return [*self.left_over, *self.queued]

    @property
    def next(self) -> Run | None:
        """The Queued run that a process should claim now; ``None`` when there is none, or no slot for it.

        A run whose caller is gone first; then as runs are promoted, by the runs at work of each key.
        """
        if self.left_over:
            return self.left_over[0]
        if len(self.active) >= self.number:
            return None
        busy = Counter(run.queue_key for run in self.active)
        return min(self.queued, key=lambda run: (busy[run.queue_key], *_place(run)), default=None)

    @property
    def any_after(self) -> bool:
        """Whether another run can be claimed once ``next`` is."""
        if self.left_over:
            return True
        return len(self.queued) > 1 and len(self.active) + 1 < self.number


def promote(connection: Connection, max_active_runs: int, runnable: Runnable = EVERYTHING) -> Slots:
    """Move Holding runs into the free slots, of those that this process can do.

    Next is the head of the key with the fewest runs in slots, ties by position. A Queued run that cannot be done here
    has no slot here: it keeps nobody waiting. At work are never more than there are slots, whoever claims.
    """
    queue.lock_queue(connection)
    line = [run for run in queue.queued_in_order(connection) if runnable.counts(run)]
    in_slots = Counter(run.queue_key for run in line if not run.in_caller)
    free = max_active_runs - in_slots.total()
    queued = [run for run in line if run.state is State.QUEUED and not run.in_caller]
    active = [run for run in line if run.state in ACTIVE and not run.in_caller]
    may_claim = free > 0 or (bool(queued) and len(active) < max_active_runs)
    holding = queue.queue_heads(connection, max_active_runs, runnable) if may_claim else []
    # Somebody who cannot do them may have given a slot to one behind them: order within a key holds all the same.
    last = {run.queue_key: _place(run) for run in queued}
    for passed in [run for run in holding if _place(run) < last.get(run.queue_key, (0, 0))]:
        queued.append(runs.move(connection, passed, State.QUEUED))
        in_slots[passed.queue_key] += 1
        holding.remove(passed)
        free -= 1
    for _ in range(min(max(free, 0), len(holding))):
        head = min(holding, key=lambda run: (in_slots[run.queue_key], *_place(run)))
        queued.append(runs.move(connection, head, State.QUEUED))
        in_slots[head.queue_key] += 1
        holding.remove(head)
    return Slots(
        number=max_active_runs,
        queued=queued,
        active=active,
        left_over=[run for run in line if run.state is State.QUEUED and run.in_caller],
    )


def fill_slots(connection: Connection, max_active_runs: int) -> None:
    """Promote, where a run waits for the slot that this transaction makes free, whoever can do it.

    One that is submitted at the same moment is not seen here, and is promoted by whoever claims next.
    """
    if queue.any_holding(connection):
        promote(connection, max_active_runs)


def _place(run: Run) -> tuple[int, int]:
    return run.queue_position, run.id
