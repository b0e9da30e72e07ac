"""stairstep: the fee of the step that the quantity reaches, and nothing for the steps below."""

from bisect import bisect_left
from decimal import Decimal

from batchwright.billing.rating.errors import NoTier
from batchwright.billing.rating.line import Charge, Part
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """The fee of the step that holds `end`, less that of the step the window has paid; by input, whole.

    Where fees fall from step to step the difference is negative: the window then ends at the lower fee.
    Raises NoTier when `end` lies beyond the last step.
    """
    bounds = price.bounds
    place = bisect_left(bounds, end)
    if place == len(price.tiers):
        raise NoTier(price.model, end, bounds)
    fee = price.tiers[place].flat_fee
    reached: Part = ("fee", place + 1, None, None, fee)
    if first or price.fee_per_input:
        return fee, (reached,)
    paid_place = bisect_left(bounds, start)
    paid_fee = price.tiers[paid_place].flat_fee
    paid: Part = ("paid", paid_place + 1, None, None, -paid_fee)
    return fee - paid_fee, (reached, paid)
