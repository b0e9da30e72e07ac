"""From a price and a quantity to an amount, and on to the net amount, with a line for every step.

The order is fixed: included quantity, the price's model, minimum and maximum, discount, rounding.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

from batchwright.billing.exact import EXACT, ZERO, canonical, exactly
from batchwright.billing.money import round_half_up, to_decimal
from batchwright.billing.rating import (
    discrete,
    flat,
    package,
    per_unit,
    percentage,
    stairstep,
    tiered,
    volume,
)
from batchwright.billing.rating.errors import NegativeQuantity, PriceError
from batchwright.billing.rating.line import Charge, Part, RatingLine, to_line
from batchwright.billing.rating.price import Price

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
Charging = Callable[[Decimal, Decimal, bool], Charge]
"""Quantity, prior quantity and whether the input is the first in its window -> what it is charged."""

_ONE: Final = Decimal(1)
_HUNDRED: Final = Decimal(100)


class NetAmount(NamedTuple):
    """What an input costs: whole minor units of `currency`, after `discount` (major units, unrounded)."""

    rating: "Rating"
    currency: str
    discount: Decimal
    amount_minor: int

    @property
    def lines(self) -> tuple[RatingLine, ...]:
        """The rating's lines, then discount and rounding if there is any; they sum to the rounded amount."""
        parts = list(self.rating.parts)
        with exactly():
            if self.discount:
                parts.append(("discount", 0, None, None, -self.discount))
            net = self.rating.amount - self.discount
            rounding = to_decimal(self.amount_minor, self.currency) - net
        if rounding:
            parts.append(("rounding", 0, None, None, rounding))
        return tuple(map(to_line, parts))


class Rating(NamedTuple):
    """The unrounded amount of one input in major units, and the parts that it is the sum of."""

    amount: Decimal
    parts: tuple[Part, ...]

    @property
    def lines(self) -> tuple[RatingLine, ...]:
        """The parts as named lines."""
        return tuple(map(to_line, self.parts))

    def rounded(self, currency: str) -> Decimal:
        """The amount, rounded half up to the currency's decimals.  Raises AmountOutOfRange, CurrencyError."""
        return to_decimal(round_half_up(self.amount, currency), currency)

    def net(self, currency: str, discount_percent: Decimal = ZERO) -> NetAmount:
        """The amount less a discount of 0 to 100 percent, then rounded, once, half up.

        Raises AmountOutOfRange, CurrencyError, PriceError (a discount beyond 0 to 100).
        """
        kept = kept_share(discount_percent)
        with exactly():
            discount = self.amount * (_ONE - kept) if discount_percent else ZERO
            return NetAmount(self, currency, discount, round_half_up(self.amount * kept, currency))


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
    with exactly():
        if prior_quantity < ZERO:
            raise NegativeQuantity(prior_quantity)
        return Rating(*charging(price, indexed)(quantity, prior_quantity, first_in_window))


def charging(price: Price, indexed: bool) -> Charging:
    """What `rate` does, made ready for one price and not dressed as a Rating: a run rates a million inputs by few
    prices, and shows few of their lines.

    To be called, and the result as well, in a block of `exactly()`.
    """
    model = _CHARGES[price.model]

    def in_window(quantity: Decimal, prior: Decimal, first_in_window: bool) -> Charge:
        if quantity < ZERO:
            raise NegativeQuantity(quantity)
        return model(price, prior, prior + quantity, quantity, first_in_window and not prior)

    def alone(quantity: Decimal, prior: Decimal, first_in_window: bool) -> Charge:
        if quantity < ZERO:
            raise NegativeQuantity(quantity)
        return model(price, ZERO, quantity, quantity, True)

    def after_included(quantity: Decimal, prior: Decimal, first_in_window: bool) -> Charge:
        if quantity < ZERO:
            raise NegativeQuantity(quantity)
        return _charge_beyond(price, quantity, prior, indexed, first_in_window)

    charge = after_included if price.included_quantity else in_window if indexed else alone
    if not price.has_limits:
        return charge
    return lambda quantity, prior, first: _limited(price, *charge(quantity, prior, first))


def kept_share(discount_percent: Decimal) -> Decimal:
    """What a discount of 0 to 100 percent leaves of an amount: 7.5 → 0.925.  Raises PriceError beyond that."""
    if not ZERO <= discount_percent <= _HUNDRED:
        shown = canonical(discount_percent)
        raise PriceError("discount_percent", f"{shown} is not a share of the amount", "give 0 to 100")
    return EXACT.subtract(_ONE, discount_percent.scaleb(-2, EXACT)) if discount_percent else _ONE


def _charge_beyond(
    price: Price, quantity: Decimal, prior: Decimal, indexed: bool, first_in_window: bool
) -> Charge:
    """What is charged beyond the included quantity, which the window spends first."""
    included = price.included_quantity
    start = prior - included if prior > included else ZERO
    end = prior + quantity
    end = end - included if end > included else ZERO
    billable = end - start
    model = _CHARGES[price.model]
    if indexed:
        amount, parts = model(price, start, end, billable, first_in_window and not prior)
    else:
        amount, parts = model(price, ZERO, billable, billable, True)
    if billable != quantity:
        parts = (("included", 0, quantity - billable, ZERO, ZERO), *parts)
    return amount, parts


def _limited(price: Price, amount: Decimal, parts: tuple[Part, ...]) -> Charge:
    """The amount within the price's minimum and maximum."""
    low, high = price.minimum_amount, price.maximum_amount
    if low is not None and amount < low:
        return low, (*parts, ("minimum", 0, None, None, low - amount))
    if high is not None and amount > high:
        return high, (*parts, ("maximum", 0, None, None, high - amount))
    return amount, parts
