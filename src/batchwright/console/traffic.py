"""What one caller may take of this process, and the lanes that keep what is slow from what is quick."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from anyio import CapacityLimiter

from batchwright.config.settings import Settings
from batchwright.console.problems import Problem
from batchwright.console.waiting import RunWatcher
from batchwright.operations.actor import Unauthenticated, network_of
from batchwright.operations.app import Application

REQUESTS_PER_SECOND: Final = 20
BURST: Final = 60
"""So many requests of one caller are answered at once; then so many a second."""
WAITS: Final = 4
HEAVY_READS: Final = 2
"""So many of one caller are at work at a time."""
HEAVY_LANE: Final = 4
"""So many heavy reads of all callers are at work at a time: each takes a thread and a connection."""
READS_LANE: Final = 5
"""The same of all other reads of the API, and of looks at who calls: as many as the pool keeps connections, each of
which has a cache. More threads would take turns at the interpreter, and memory."""
SYNCHRONOUS_RUNS: Final = 4
"""So many runs are done at a time in the requests of those who wait for their outcomes."""
CONNECTIONS_OF_A_RUN: Final = 3
"""One as long as it lasts, and up to two more now and then, while it has that."""
PAGE_SECONDS: Final = 5.0
"""So long a page may be read; a stream is read in short pages, and takes as long as its reader."""
STRANGERS_PER_SECOND: Final = 5
STRANGERS_BURST: Final = 30
"""So many calls from one address without a valid token are answered at once; then so many a second."""
MOST_KNOWN: Final = 10_000
"""Above that, those are forgotten who have been quiet for longest."""


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class Limits:
    """Counts what callers do, of whom each has a name; from any thread.

    Args:
        now: seconds of a clock that never goes back.
        requests: what the requests are called.
        by: whose they are.
    """

    def __init__(
        self,
        per_second: float = REQUESTS_PER_SECOND,
        burst: float = BURST,
        now: Callable[[], float] = time.monotonic,
        requests: str = "requests",
        by: str = "by one caller",
    ) -> None:
        self._per_second, self._burst, self._now = per_second, burst, now
        self._requests, self._by = requests, by
        self._lock = threading.Lock()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._at_work: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()
        """How often somebody was refused, by the name of the limit."""

    def admit(self, caller: str) -> None:
        """Count one request. Raises `Problem` (429) where the caller sends too many."""
        self._take(caller, 1)

    def check(self, caller: str) -> None:
        """Raise `Problem` (429) where one more request would be too many."""
        self._take(caller, 0)

    def _take(self, caller: str, number: int) -> None:
        with self._lock:
            now = self._now()
            known = self._allowances.setdefault(caller, _Allowance(self._burst, now))
            left = min(self._burst, known.left + (now - known.at) * self._per_second)
            known.at, known.left = now, left - number if left >= 1 else left
            self._allowances.move_to_end(caller)
            if len(self._allowances) > MOST_KNOWN:
                self._allowances.popitem(last=False)
        if left < 1:
            said = f"more than {self._per_second:g} {self._requests} a second"
            raise self._too_many(self._requests, said, (1 - left) / self._per_second)

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
            f"This is {said} {self._by}",
            remedy="Ask again after the time named in Retry-After",
            retry_after=max(1, math.ceil(seconds)),
        )


class AnonymousLimits:
    """Who calls without a valid token, by address: their guesses are counted, and nobody else pays for them.

    A token that was let in before is looked at whatever else comes from its address: several callers may share one.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._let_in: OrderedDict[bytes, None] = OrderedDict()

    @contextmanager
    def admit(self, address: str, token: str) -> Iterator[None]:
        """Look at the token in this block. Raises `Problem` (429) after too many that raised `Unauthenticated`."""
        source, known_by = network_of(address), sha256(token.encode()).digest()
        with self._lock:
            is_known = known_by in self._let_in
        if not is_known:
            self.limits.check(source)
        try:
            yield
        except Unauthenticated:
            with self._lock:
                self._let_in.pop(known_by, None)
            self.limits.admit(source)
            raise
        with self._lock:
            self._let_in[known_by] = None
            self._let_in.move_to_end(known_by)
            if len(self._let_in) > MOST_KNOWN:
                self._let_in.popitem(last=False)


def synchronous_runs(settings: Settings) -> int:
    """So many runs at a time that, whatever each has, one of them finds the connections that it needs to end.

    The settings leave room for two at least.
    """
    if settings.max_overflow == -1:
        return SYNCHRONOUS_RUNS
    connections = settings.pool_size + settings.max_overflow
    return min(SYNCHRONOUS_RUNS, (connections - 1) // (CONNECTIONS_OF_A_RUN - 1))


class Traffic:
    """What all requests of one process share."""

    def __init__(
        self, app: Application, limits: Limits | None = None, anonymous: Limits | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.anonymous = AnonymousLimits(
            anonymous
            or Limits(
                STRANGERS_PER_SECOND,
                STRANGERS_BURST,
                requests="calls without a valid token",
                by="from one address",
            )
        )
        self.watch = RunWatcher(app)
        self.heavy_lane = CapacityLimiter(HEAVY_LANE)
        self.reads_lane = CapacityLimiter(READS_LANE)
        self.runs_lane = CapacityLimiter(synchronous_runs(app.settings))
        self.passwords_lane = CapacityLimiter(2)
        """For hashing passwords, of which each takes 64 MiB."""
