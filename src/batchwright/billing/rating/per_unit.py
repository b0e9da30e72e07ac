"""per_unit: every unit at the same price."""

from decimal import Decimal

from batchwright.billing.rating.line import Charge
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """billable * unit_price."""
    amount = billable * price.unit_price
    return amount, (("usage", 0, billable, price.unit_price, amount),)
