"""flat: one fee, whatever the quantity."""

from decimal import Decimal

from batchwright.billing.exact import ZERO
from batchwright.billing.rating.line import Charge
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """The fee: to the first input of the window (`window`), or to every input (`input`)."""
    if first or price.fee_per_input:
        return price.flat_fee, (("fee", 0, None, None, price.flat_fee),)
    return ZERO, ()
