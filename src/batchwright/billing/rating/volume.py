"""volume: all units of the input at the price of the tier that the window's quantity reaches."""

from bisect import bisect_left
from decimal import Decimal

from batchwright.billing.rating.errors import NoTier
from batchwright.billing.rating.line import Charge, Part
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """billable * the unit price of the tier that holds `end`, and that tier's fee.

    The fee is owed by the first input whose end lies in the tier (`window`) or by every such input (`input`).
    Raises NoTier when `end` lies beyond the last tier.
    """
    bounds = price.bounds
    place = bisect_left(bounds, end)
    if place == len(price.tiers):
        raise NoTier(price.model, end, bounds)
    tier = price.tiers[place]
    amount = billable * tier.unit_price
    usage: Part = ("usage", place + 1, billable, tier.unit_price, amount)
    if tier.flat_fee and (first or price.fee_per_input or bisect_left(bounds, start) != place):
        return amount + tier.flat_fee, (usage, ("fee", place + 1, None, None, tier.flat_fee))
    return amount, (usage,)
