"""discrete: a table of exact quantities, each with its own price."""

from bisect import bisect_left
from decimal import Decimal

from batchwright.billing.exact import ZERO
from batchwright.billing.rating.errors import NoTier
from batchwright.billing.rating.line import Charge, Part
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """The fee of the table's entry for exactly `billable`, and its unit price * billable.

    Every input pays its own entry, whatever came before. An input that the included quantity covers wholly is
    free. Raises NoTier when the quantity is not in the table.
    """
    bounds = price.bounds
    place = bisect_left(bounds, billable)
    if place == len(bounds) or bounds[place] != billable:
        if price.included_quantity and not billable:
            return ZERO, ()
        raise NoTier(price.model, billable, bounds)
    tier = price.tiers[place]
    fee: Part = ("fee", place + 1, None, None, tier.flat_fee)
    if not tier.unit_price:
        return tier.flat_fee, (fee,)
    due = billable * tier.unit_price
    return due + tier.flat_fee, (("usage", place + 1, billable, tier.unit_price, due), fee)
