"""tiered (graduated): each unit at the price of the tier it falls into."""

from bisect import bisect_left, bisect_right
from decimal import Decimal

from batchwright.billing.exact import ZERO
from batchwright.billing.rating.errors import NoTier
from batchwright.billing.rating.line import Charge, Part
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """For each tier the units between `start` and `end` that lie in it, and its fee if this input owes it.

    Raises NoTier when `end` lies beyond the last tier.
    """
    bounds, tiers = price.bounds, price.tiers
    last = bisect_left(bounds, end)
    if last == len(tiers):
        raise NoTier(price.model, end, bounds)
    units_from = bisect_right(bounds, start) if billable else last
    fees_from = _fees_from(price, start, units_from, first)
    amount = ZERO
    parts: list[Part] = []
    for place in range(min(units_from, fees_from), last + 1):
        tier = tiers[place]
        if billable and place >= units_from:
            upper = end if place == last else bounds[place]
            units = upper - start
            due = units * tier.unit_price
            parts.append(("usage", place + 1, units, tier.unit_price, due))
            amount += due
            start = upper
        if place >= fees_from and tier.flat_fee:
            parts.append(("fee", place + 1, None, None, tier.flat_fee))
            amount += tier.flat_fee
    return amount, tuple(parts)


def _fees_from(price: Price, start: Decimal, units_from: int, first: bool) -> int:
    """Place of the first tier whose fee this input owes; it owes those from there to the tier it reaches.

    By window, the inputs up to `start` have paid the tiers up to there, the first tier even by a quantity of
    zero. By input, an input without billable units touches the tier that it stands in.
    """
    if first:
        return 0
    if price.fee_per_input:
        return units_from if start else 0
    return bisect_left(price.bounds, start) + 1
