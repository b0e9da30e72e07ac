"""Which runs this process can do: it has the job, and the job takes the parameters.

While a new version is deployed, processes differ in that. A run that cannot be done here is not a bad run: it is left
to one that can, and takes nothing from those that can be done. Parameters are tried once a run, never under a lock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from batchwright.engine.clock import Clock
from batchwright.engine.errors import Refused
from batchwright.engine.registry import Registry
from batchwright.engine.retry import remedy_of_ended
from batchwright.engine.run import Run
from batchwright.engine.store.queue import Candidate, Runnable

SECONDS_UNTIL_TRIED_AGAIN = 60.0
"""After an error that says nothing about the parameters: a job's constructor may call a service that is down."""

MOST_NAMED = 100
"""Of so many runs that are left to others it says which and why."""

log = structlog.get_logger()


W = TypeVar("W", Run, Candidate)


class Capabilities:
    """What this process can do. Threads may share it."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._accepted: set[int] = set()
        self._refused: dict[int, float] = {}
        self._orphaned: frozenset[int] = frozenset()
        self._left: dict[int, tuple[str, str]] = {}
        self._logged: set[tuple[str, str]] = set()

    def runnable(self) -> Runnable:
        """What is to be asked of the queue. Loads the jobs: not under a lock."""
        now = self._clock.monotonic()
        refused = frozenset(key for key, until in list(self._refused.items()) if now < until)
        return Runnable(tuple(self._registry.names()), refused, self._orphaned)

    def has(self, job: str) -> bool:
        """Whether the job is here. Loads the jobs."""
        return job in self._registry.names()

    def refusal(self, job: str, parameters: Mapping[str, Any]) -> BaseException | None:
        """Why the job does not take the parameters, or is not here; ``None`` when it does."""
        try:
            self._registry.make(job, parameters)
        # Whatever the job's constructor raises, it did not take them.
        except Exception as refusal:
            return refusal
        return None

    def accepts(self, run: Run | Candidate) -> bool:
        """Whether it was found that this process can do the run. Asks no job: also under a lock."""
        return run.id in self._accepted

    def runnable_of(self, runs: Iterable[W]) -> list[W]:
        """Those of the runs that this process can do; what cannot be done is logged once, with the reason."""
        return [run for run in runs if self._can_do(run)]

    def leave_orphaned(self, dead: Sequence[Run]) -> list[Run]:
        """Those of the runs without an owner that this process can do; the others take no slot from now on."""
        runnable = self.runnable_of(dead)
        self._orphaned = frozenset(run.id for run in dead) - {run.id for run in runnable}
        return runnable

    def require(self, run: Run | Candidate) -> None:
        """Raise ``Refused`` for a run that this process cannot do."""
        if (refusal := self.refusal(run.job, run.parameters)) is not None:
            raise Refused(
                f"{run.run_id} cannot be driven here: {why(refusal)}",
                field="run_id",
                remedy="It waits for a process that can: start a worker with the job, or name it in BATCHWRIGHT_JOBS",
            )

    def remedy_of_ended(self, connection: Connection, run: Run) -> str:
        """What to do about an ended run that somebody wants to go on with."""
        return remedy_of_ended(connection, self._registry, run)

    def left(self) -> dict[str, str]:
        """Ids of runs that are left to others, with the reason; the first hundred."""
        return dict(islice(list(self._left.values()), MOST_NAMED))

    def examined(self) -> set[int]:
        """Keys of the runs of which something was found."""
        return self._accepted | self._left.keys()

    def forget_all_but(self, run_keys: set[int]) -> None:
        """Forget what was found of runs that have ended."""
        self._accepted &= run_keys
        for gone in self._left.keys() - run_keys:
            self._left.pop(gone, None)
            self._refused.pop(gone, None)

    def forget(self, run: Run | Candidate) -> None:
        """Forget what was found of a run that is claimed."""
        self._accepted.discard(run.id)

    def _can_do(self, run: Run | Candidate) -> bool:
        if run.id in self._accepted:
            return True
        if not self.has(run.job):
            self._tell(run, f"there is no job named {run.job!r} here")
            return False
        if self._refused.get(run.id, 0.0) > self._clock.monotonic():
            return False
        refusal = self.refusal(run.job, run.parameters)
        if refusal is None:
            self._accepted.add(run.id)
            self._left.pop(run.id, None)
            return True
        if isinstance(refusal, Refused | TypeError):
            self._refused[run.id] = math.inf
        else:
            self._refused[run.id] = self._clock.monotonic() + SECONDS_UNTIL_TRIED_AGAIN
        self._tell(run, why(refusal))
        return False

    def _tell(self, run: Run | Candidate, reason: str) -> None:
        """Note it; logged once for each job and reason: a thousand runs of one job need no thousand lines."""
        self._left[run.id] = run.run_id, reason
        if (run.job, reason) not in self._logged:
            self._logged.add((run.job, reason))
            log.warning("run left to a worker that can do it", run_id=run.run_id, job=run.job, reason=reason)


def why(refusal: BaseException) -> str:
    """Why a job does not take parameters, for people."""
    return refusal.message if isinstance(refusal, Refused) else f"{type(refusal).__name__}: {refusal}"
