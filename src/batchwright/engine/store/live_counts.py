"""What runs at work have done so far: summed from their scopes, since nothing of a scope writes the row of its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any

from sqlalchemy import Connection, select

from batchwright.engine.clock import Clock
from batchwright.engine.store.tables import scope

SECONDS_GOOD = 0.5
SECONDS_KEPT = 60.0
SCOPES_AT_A_TIME = 500

Counts = Mapping[str, Any]
"""``processed``, ``errored``, ``skipped`` and ``totals``."""
Counting = Callable[[Connection, Sequence[int]], Mapping[int, Counts]]

_COLUMNS = (scope.c.run_id, scope.c.number, scope.c.ok, scope.c.errored, scope.c.skipped, scope.c.totals)


def live_counts(connection: Connection, run_keys: Sequence[int]) -> dict[int, Counts]:
    """The counts of runs by key, as they stand; one without a done scope is left out."""
    tallies: dict[int, _Tally] = {}
    _count(connection, run_keys, tallies)
    return {key: tally.counts for key, tally in tallies.items()}


class LiveCounts:
    """The same, read twice a second at most for all who look in a process, and of each scope once.

    For people alone: what it says may be half a second old.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tallies: dict[int, _Tally] = {}
        self._read_at: dict[int, float] = {}

    def __call__(self, connection: Connection, run_keys: Sequence[int]) -> dict[int, Counts]:
        """The counts of runs by key; one without a done scope is left out."""
        with self._lock:
            now = self._clock.monotonic()
            old = [key for key in run_keys if now - self._read_at.get(key, -SECONDS_KEPT) >= SECONDS_GOOD]
            _count(connection, old, self._tallies)
            self._read_at |= dict.fromkeys(old, now)
            for key in [key for key, at in self._read_at.items() if now - at > SECONDS_KEPT]:
                self._tallies.pop(key, None)
                del self._read_at[key]
            return {key: self._tallies[key].counts for key in run_keys if key in self._tallies}


@dataclass(slots=True)
class _Tally:
    processed: int = 0
    errored: int = 0
    skipped: int = 0
    totals: dict[str, dict[str, int]] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)
    """Numbers of the scopes that are in it; one that is done never changes."""

    @property
    def counts(self) -> Counts:
        totals = {name: dict(amounts) for name, amounts in self.totals.items()}
        return {
            "processed": self.processed,
            "errored": self.errored,
            "skipped": self.skipped,
            "totals": totals,
        }


def _count(connection: Connection, run_keys: Sequence[int], tallies: dict[int, _Tally]) -> None:
    """Add the done scopes of the runs that are not counted yet."""
    if not run_keys:
        return
    done = scope.c.run_id.in_(list(run_keys)), scope.c.state == "done"
    if any(key in tallies for key in run_keys):
        # Which there are stands in an index; a row is read once, behind its keys.
        new: dict[int, list[int]] = {}
        for key, number in connection.execute(select(scope.c.run_id, scope.c.number).where(*done)):
            if key not in tallies or number not in tallies[key].counted:
                new.setdefault(key, []).append(number)
        for key, numbers in new.items():
            rest = iter(numbers)
            while some := list(islice(rest, SCOPES_AT_A_TIME)):
                _add(connection, tallies, scope.c.run_id == key, scope.c.number.in_(some))
    else:
        _add(connection, tallies, *done)


def _add(connection: Connection, tallies: dict[int, _Tally], *which: Any) -> None:
    for run_key, number, ok, errored, skipped, totals in connection.execute(select(*_COLUMNS).where(*which)):
        tally = tallies.setdefault(run_key, _Tally())
        tally.processed += ok
        tally.errored += errored
        tally.skipped += skipped
        add_totals(tally.totals, json.loads(totals))
        tally.counted.add(number)


def add_totals(into: dict[str, dict[str, int]], more: Any) -> None:
    """Add totals by name and currency. Anything else is left out: a run that reported it must still end."""
    for name, amounts in more.items() if isinstance(more, dict) else ():
        sums = into.setdefault(name, {})
        for currency, minor in amounts.items() if isinstance(amounts, dict) else ():
            if isinstance(minor, int):
                sums[currency] = sums.get(currency, 0) + minor
