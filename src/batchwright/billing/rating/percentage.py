"""percentage: a share of the quantity, which is itself an amount of money."""

from decimal import Decimal

from batchwright.billing.rating.line import Charge
from batchwright.billing.rating.price import Price


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """billable * percentage / 100; the line's unit price is the fraction (0.029 for 2.9 percent)."""
    amount = billable * price.fraction
    return amount, (("usage", 0, billable, price.fraction, amount),)
