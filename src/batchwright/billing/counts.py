"""What windows have used: of each usage schedule by price, as its Rated inputs were priced. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from batchwright.billing.exact import EXACT, ZERO, canonical
from batchwright.billing.records.counts import Count


@dataclass(slots=True)
class Tally:
    """A quantity, and the number of inputs that it is the sum of."""

    quantity: Decimal = ZERO
    inputs: int = 0


class Share(NamedTuple):
    """What an input is of a count: of which usage schedule and price, and its quantity."""

    schedule_key: int
    counts_as: int
    quantity: Decimal


_NONE: Mapping[int, Tally] = {}


class Counts:
    """What usage schedules hold of each price. A price is named by the key that all its revisions count as."""

    def __init__(self, stored: Iterable[Count] = (), left_out: Iterable[Share] = ()) -> None:
        """``left_out`` are Rated inputs that are being rated again: they do not count twice."""
        self._stored = tuple(stored)
        self._rated: dict[int, Decimal] = {}
        self._tallies: dict[int, dict[int, Tally]] = defaultdict(dict)
        for schedule, price, quantity, inputs in self._stored:
            tally = Tally(Decimal(quantity), inputs)
            self._tallies[schedule][price] = tally
            self._rated[schedule] = EXACT.add(self._rated.get(schedule, ZERO), tally.quantity)
        for share in left_out:
            tally = self._tallies[share.schedule_key][share.counts_as]
            tally.quantity = max(ZERO, EXACT.subtract(tally.quantity, share.quantity))
            tally.inputs -= 1

    def without(self, shares: Iterable[Share]) -> Counts:
        """The same, but for these inputs."""
        return Counts(self._stored, shares)

    def of(self, schedule_key: int) -> Mapping[int, Tally]:
        """What the schedule holds, by price."""
        return self._tallies.get(schedule_key, _NONE)

    def imported(self, schedule_key: int, actual_quantity: Decimal) -> Decimal:
        """What the schedule was imported with: the part of its quantity that no Rated input stands for."""
        return max(ZERO, EXACT.subtract(actual_quantity, self._rated.get(schedule_key, ZERO)))

    def plus(self, schedule_key: int, counts_as: int, tally: Tally) -> Count:
        """What a count comes to when a tally is added to it."""
        quantity, inputs = tally.quantity, tally.inputs
        before = self.of(schedule_key).get(counts_as)
        if before is not None:
            quantity, inputs = EXACT.add(before.quantity, quantity), before.inputs + inputs
        return Count(schedule_key, counts_as, canonical(quantity), inputs)

    def after(self, changes: Iterable[tuple[int, int, Tally]]) -> list[Count]:
        """What counts come to when tallies are added to them: each with the keys of its usage schedule and price."""
        sums: dict[tuple[int, int], Tally] = defaultdict(Tally)
        for schedule, price, change in changes:
            tally = sums[schedule, price]
            tally.quantity = EXACT.add(tally.quantity, change.quantity)
            tally.inputs += change.inputs
        return [self.plus(*keys, tally) for keys, tally in sums.items()]
