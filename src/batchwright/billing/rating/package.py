"""package: a started package is charged in full."""

from decimal import Decimal

from batchwright.billing.rating.line import Charge
from batchwright.billing.rating.price import Price

_ONE = Decimal(1)


def charge(price: Price, start: Decimal, end: Decimal, billable: Decimal, first: bool) -> Charge:
    """unit_price * the packages that this input starts: those of the window with it less those without it."""
    packages = _packages(end, price.package_size)
    if start:
        packages -= _packages(start, price.package_size)
    amount = packages * price.unit_price
    return amount, (("package", 0, packages, price.unit_price, amount),)


def _packages(quantity: Decimal, size: Decimal) -> Decimal:
    full, rest = divmod(quantity, size)
    return full + _ONE if rest else full
