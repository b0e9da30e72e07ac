"""From a price and a quantity to an amount, and from an amount to a bill, with a line for every step.

The order is fixed: included quantity, the price's model, minimum and maximum, discount, rounding.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

from billing.exact import EXACT, ZERO, canonical
from billing.money import round_half_up, to_decimal
from billing.rating import discrete, flat, package, per_unit, percentage, stairstep, tiered, volume
from billing.rating.errors import NegativeQuantity, PriceError
from billing.rating.line import Charge, Line, Part, to_line
from billing.rating.price import Price

_CHARGES: Final[dict[str, Callable[[Price, Decimal, Decimal, Decimal, bool], Charge]]] = {
    "per_unit": per_unit.charge,
    "tiered": tiered.charge,
    "volume": volume.charge,
    "stairstep": stairstep.charge,
    "package": package.charge,
    "flat": flat.charge,
    "discrete": discrete.charge,
    "percentage": percentage.charge,
}
_HUNDRED: Final = Decimal(100)
_add = EXACT.add
_multiply = EXACT.multiply
_subtract = EXACT.subtract


class Bill(NamedTuple):
    """What an input costs: whole minor units of `currency`, after `discount` (major units, unrounded)."""

    rating: "Rating"
    currency: str
    discount: Decimal
    amount_minor: int

    @property
    def lines(self) -> tuple[Line, ...]:
        """The rating's lines, then discount and rounding if there is any; they sum to the rounded amount."""
        parts = list(self.rating.parts)
        if self.discount:
            parts.append(("discount", 0, None, None, EXACT.minus(self.discount)))
        net = _subtract(self.rating.amount, self.discount)
        rounding = _subtract(to_decimal(self.amount_minor, self.currency), net)
        if rounding:
            parts.append(("rounding", 0, None, None, rounding))
        return tuple(map(to_line, parts))


class Rating(NamedTuple):
    """The unrounded amount of one input in major units, and the parts that it is the sum of."""

    amount: Decimal
    parts: tuple[Part, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        """The parts as named lines."""
        return tuple(map(to_line, self.parts))

    def rounded(self, currency: str) -> Decimal:
        """The amount, rounded half up to the currency's decimals.  Raises AmountOutOfRange, CurrencyError."""
        return to_decimal(round_half_up(self.amount, currency), currency)

    def bill(self, currency: str, discount_percent: Decimal = ZERO) -> Bill:
        """The amount less a discount of 0 to 100 percent, then rounded, once, half up.

        Raises AmountOutOfRange, CurrencyError, PriceError (a discount beyond 0 to 100).
        """
        if not discount_percent:
            return Bill(self, currency, ZERO, round_half_up(self.amount, currency))
        if not ZERO <= discount_percent <= _HUNDRED:
            shown = canonical(discount_percent)
            raise PriceError("discount_percent", f"{shown} is not a share of the amount", "give 0 to 100")
        discount = _multiply(self.amount, discount_percent.scaleb(-2, EXACT))
        return Bill(self, currency, discount, round_half_up(_subtract(self.amount, discount), currency))


def rate(
    price: Price,
    quantity: Decimal,
    prior_quantity: Decimal = ZERO,
    *,
    indexed: bool = True,
    first_in_window: bool = True,
) -> Rating:
    """What `quantity` alone costs when the window (the billing schedule's period) has used `prior_quantity`.

    `indexed`: False prices the input in tiers of its own, as if nothing had come before; the prior quantity
    then only tells how much of the included quantity is spent. `first_in_window`: False when the prior
    quantity is zero because only inputs of zero came before, which have paid the window's first fee already;
    with a prior quantity above zero it has no say.

    Raises NegativeQuantity, NoTier: never an amount in place of an error.
    """
    if quantity < ZERO:
        raise NegativeQuantity(quantity)
    if prior_quantity or price.included_quantity:
        return _rate_in_window(price, quantity, prior_quantity, indexed, first_in_window)
    amount, parts = _CHARGES[price.model](price, ZERO, quantity, quantity, first_in_window or not indexed)
    return _limited(price, amount, parts)


def _rate_in_window(
    price: Price, quantity: Decimal, prior: Decimal, indexed: bool, first_in_window: bool
) -> Rating:
    if prior < ZERO:
        raise NegativeQuantity(prior)
    start = _beyond_included(price, prior)
    end = _beyond_included(price, _add(prior, quantity))
    billable = _subtract(end, start)
    if indexed:
        first = first_in_window and not prior
    else:
        start, end, first = ZERO, billable, True
    amount, parts = _CHARGES[price.model](price, start, end, billable, first)
    if billable != quantity:
        parts = (("included", 0, _subtract(quantity, billable), ZERO, ZERO), *parts)
    return _limited(price, amount, parts)


def _beyond_included(price: Price, used: Decimal) -> Decimal:
    included = price.included_quantity
    if not included:
        return used
    return _subtract(used, included) if used > included else ZERO


def _limited(price: Price, amount: Decimal, parts: tuple[Part, ...]) -> Rating:
    low, high = price.minimum_amount, price.maximum_amount
    if low is not None and amount < low:
        return Rating(low, (*parts, ("minimum", 0, None, None, _subtract(low, amount))))
    if high is not None and amount > high:
        return Rating(high, (*parts, ("maximum", 0, None, None, _subtract(high, amount))))
    return Rating(amount, parts)
