"""What later inputs of a window come to when earlier ones are taken back: they start where those did. Pure.

Only the starting quantity changes: price revision and discount are those that they were rated with.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from batchwright.billing.catalog import PriceRevision
from batchwright.billing.exact import ZERO, canonical, exactly
from batchwright.billing.money import AmountOutOfRange, whole_minor
from batchwright.billing.rating import NetAmount, RatingError, kept_share, rate
from batchwright.billing.records.restating import NewStart, WindowInput

Window = tuple[object, ...]
"""Names a window: asset and billing period."""


class Restated(NamedTuple):
    """A Rated input as it is, and what it comes to from where it starts now: minor units, canonical text."""

    before: WindowInput
    price: PriceRevision
    amount: int
    prior_quantity: str | None

    @property
    def difference(self) -> int:
        """Minor units that it comes to more."""
        return self.amount - self.before.amount

    @property
    def new_start(self) -> NewStart:
        """What is written to it."""
        return self.amount, self.prior_quantity, self.before.key, self.before.amount

    def net(self) -> NetAmount:
        """The amount with its lines, worked out again for a preview."""
        rating = rate(
            self.price.price,
            Decimal(self.before.quantity),
            Decimal(self.prior_quantity or 0),
            indexed=self.price.usage_indexing,
            first_in_window=self.prior_quantity is None,
        )
        return rating.net(self.price.currency, Decimal(self.before.discount_percent or 0))


class Blocked(NamedTuple):
    """Why inputs are not taken back: one after them could not be priced then."""

    keys: Collection[int]
    later_key: int
    code: str
    message: str


@dataclass(slots=True)
class Restating:
    """What becomes of the windows of inputs that are taken back, in the order of each.

    ``later`` are those whose starting quantity changes, whether their amount does or not.
    """

    later: list[Restated] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)


class WindowSchedule(NamedTuple):
    """A usage schedule: its window, its quantity with what it was imported with, and whether it is billed."""

    window: Window
    quantity: Decimal
    billed: bool


def restate(
    inputs: Sequence[WindowInput],
    taken: Collection[int],
    schedules: Mapping[int, WindowSchedule],
    prices: Mapping[int, PriceRevision],
) -> Restating:
    """Restate windows without the inputs ``taken``, each for every price by itself.

    ``inputs`` are all that are Rated in these windows, the taken ones too; ``schedules`` are all of the windows, and
    ``prices`` the revisions that the inputs were rated by, both by key.
    """
    restating = Restating()
    with exactly():
        for part, imported in _parts(inputs, schedules, prices):
            later: list[Restated] = []
            for one, prior in _moved(_in_order(part, imported, schedules), taken):
                price = prices[one.price_key]
                try:
                    later.append(Restated(one, price, _amount(one, price, prior), prior))
                except (RatingError, AmountOutOfRange) as error:
                    keys = [other.key for other in part if other.key in taken]
                    restating.blocked.append(Blocked(keys, one.key, error.code, str(error)))
                    break
            else:
                restating.later += later
    return restating


def _parts(
    inputs: Iterable[WindowInput],
    schedules: Mapping[int, WindowSchedule],
    prices: Mapping[int, PriceRevision],
) -> Iterator[tuple[list[WindowInput], Decimal]]:
    """What a window counted for one price, and the quantity that its schedules were imported with."""
    imported: dict[Window, Decimal] = defaultdict(Decimal)
    for schedule in schedules.values():
        imported[schedule.window] += schedule.quantity
    parts: dict[tuple[Window, int], list[WindowInput]] = defaultdict(list)
    for usage_input in inputs:
        window = schedules[usage_input.schedule_key].window
        parts[window, prices[usage_input.price_key].counts_as].append(usage_input)
        imported[window] -= Decimal(usage_input.quantity)
    for (window, _), part in parts.items():
        yield part, max(ZERO, imported[window])


def _in_order(
    inputs: Iterable[WindowInput], imported: Decimal, schedules: Mapping[int, WindowSchedule]
) -> Iterator[tuple[WindowInput, Decimal]]:
    """The inputs as the window counted them, one after another, each with where it starts.

    The next is one whose prior quantity is what there was so far, whether or not what was imported counted for its
    price then. Where there is none, a billed one stands there: it keeps what it was invoiced with when those before it
    go. Where there is none of these either, we go on at the next that is known.
    """
    left = {usage_input.key: usage_input for usage_input in sorted(inputs, key=_place)}
    billed = deque(key for key, one in left.items() if schedules[one.schedule_key].billed)
    starts: dict[Decimal, deque[int]] = defaultdict(deque)
    for key, one in left.items():
        starts[Decimal(one.prior_quantity or 0)].append(key)
    so_far = base = ZERO
    while left:
        start = next((at for at in (so_far + base, so_far, so_far + imported) if starts.get(at)), None)
        if start is not None:
            key = starts[start].popleft()
        else:
            while billed and billed[0] not in left:
                billed.popleft()
            key = billed[0] if billed else next(iter(left))
            stated = Decimal(left[key].prior_quantity or 0)
            starts[stated].remove(key)
            start = so_far + base if billed else stated
        one = left.pop(key)
        yield one, start
        base = start - so_far
        so_far += Decimal(one.quantity)


def _place(one: WindowInput) -> tuple[Decimal, bool, bool, int]:
    """Its place by what was written to it. The first has no prior quantity; inputs of nothing leave it as it is."""
    prior = one.prior_quantity
    return Decimal(prior or 0), prior is not None, Decimal(one.quantity) > ZERO, one.key


def _moved(
    inputs: Iterable[tuple[WindowInput, Decimal]], taken: Collection[int]
) -> Iterator[tuple[WindowInput, str | None]]:
    """Those after a taken one that start elsewhere than they say without it, each with its new prior quantity."""
    gone: Decimal | None = None
    begun = False
    for one, start in inputs:
        if one.key in taken:
            gone = (gone or ZERO) + Decimal(one.quantity)
            continue
        if gone is not None:
            now = max(ZERO, start - gone)
            prior = canonical(now) if now else "0" if begun else None
            if prior != one.prior_quantity:
                yield one, prior
        begun = True


def _amount(one: WindowInput, price: PriceRevision, prior: str | None) -> int:
    charge, _, currency, in_minor_units = price.rating_inputs(kept_share(Decimal(one.discount_percent or 0)))
    gross, _ = charge(Decimal(one.quantity), Decimal(prior or 0), prior is None)
    return whole_minor(gross * in_minor_units, currency)
