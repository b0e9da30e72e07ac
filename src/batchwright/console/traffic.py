"""What one caller may take of this process, and the lanes that keep what is slow from what is quick."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from anyio import CapacityLimiter

from batchwright.console.problems import Problem
from batchwright.console.waiting import RunWatch
from batchwright.operations.app import Application

REQUESTS_PER_SECOND: Final = 20
BURST: Final = 60
"""So many requests of one caller are answered at once; then so many a second."""
WAITS: Final = 4
HEAVY_READS: Final = 2
"""So many of one caller are at work at a time."""
HEAVY_LANE: Final = 4
"""So many heavy reads of all callers are at work at a time: each takes a thread and a connection."""
PAGE_SECONDS: Final = 5.0
"""So long a page may be read; a stream is read in short pages, and takes as long as its reader."""
_MOST_CALLERS: Final = 1_000
"""Above that, those who have been quiet are forgotten."""


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class Limits:
    """Counts what callers do, of whom each has a name; from any thread.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        per_second: float = REQUESTS_PER_SECOND,
        burst: float = BURST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second, self._burst, self._now = per_second, burst, now
        self._lock = threading.Lock()
        self._allowances: dict[str, _Allowance] = {}
        self._at_work: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        """How often somebody was refused, by the name of the limit."""

    def admit(self, caller: str) -> None:
        """Count one request. Raises `Problem` (429) where the caller sends too many."""
        with self._lock:
            now = self._now()
            known = self._allowances.setdefault(caller, _Allowance(self._burst, now))
            left = min(self._burst, known.left + (now - known.at) * self._per_second)
            known.at, known.left = now, max(left - 1, 0) if left >= 1 else left
            if len(self._allowances) > _MOST_CALLERS:
                self._forget(now)
        if left < 1:
            seconds = (1 - left) / self._per_second
            raise self._too_many("requests", f"more than {self._per_second:g} requests a second", seconds)

    def _forget(self, now: float) -> None:
        full = self._burst / self._per_second
        self._allowances = {name: one for name, one in self._allowances.items() if now - one.at < full}

    @contextmanager
    def at_a_time(self, what: str, caller: str, most: int) -> Iterator[None]:
        """Count something as long as it lasts. Raises `Problem` (429) where the caller has so many already."""
        with self._lock:
            at_most = self._at_work[what, caller] >= most
            if not at_most:
                self._at_work[what, caller] += 1
        if at_most:
            raise self._too_many(what, f"more than {most} {what} at a time", 1)
        try:
            yield
        finally:
            with self._lock:
                self._at_work[what, caller] -= 1
                if not self._at_work[what, caller]:
                    del self._at_work[what, caller]

    def _too_many(self, limit: str, said: str, seconds: float) -> Problem:
        self.refused[limit] += 1
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"This is {said} by one caller",
            remedy="Ask again after the time named in Retry-After",
            retry_after=max(1, math.ceil(seconds)),
        )


class Traffic:
    """What all requests of one process share."""

    def __init__(self, app: Application, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.watch = RunWatch(app)
        self.heavy_lane = CapacityLimiter(HEAVY_LANE)
        self.passwords_lane = CapacityLimiter(2)
        """For hashing passwords, of which each takes 64 MiB."""
