"""Prices in fractions, for oracles that share nothing with the code that they judge."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

from tests.jobs.company import Company

DIGITS = {"USD": 2, "JPY": 0, "BHD": 3}
TIERS = ((Fraction(10), Fraction(3)), (Fraction(25), Fraction("1.995")), (None, Fraction("0.5")))


@dataclass(frozen=True)
class Rule:
    """A price: its model, whether it is indexed, its number, and the included quantity."""

    model: str
    indexed: bool
    number: Fraction
    included: Fraction

    def charge(self, quantity: Fraction, prior: Fraction, first: bool) -> Fraction:
        nothing = Fraction(0)
        quantity -= min(max(self.included - prior, nothing), quantity)
        start = max(prior - self.included, nothing) if self.indexed else nothing
        if self.model == "per_unit":
            return quantity * self.number
        if self.model == "flat":
            return self.number if first or not self.indexed else nothing
        if self.model == "package":
            return (math.ceil((start + quantity) / 10) - math.ceil(start / 10)) * self.number
        if self.model == "volume":
            reached = next(price for to, price in TIERS if to is None or start + quantity <= to)
            return quantity * reached * self.number
        total, low, end = nothing, nothing, start + quantity
        for to, price in TIERS:
            high = end if to is None else to
            total += max(min(end, high) - max(start, low), nothing) * price * self.number
            low = high
        return total


def random_rule(chance: Random) -> Rule:
    """A price of any kind."""
    model = chance.choice(("per_unit", "flat", "package", "volume", "tiered"))
    included = Fraction(chance.choice((0, 0, 7)))
    return Rule(model, chance.random() < 0.6, Fraction(chance.randint(1, 900), 125), included)


def minor_units(exact: Fraction, currency: str) -> int:
    """Rounded half up, away from zero."""
    whole = math.floor(abs(exact) * int(10 ** DIGITS[currency]) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def write_price(books: Company, book: int, product: str, start: date, rule: Rule, revision: int) -> None:
    number = decimal_of(rule.number)
    tiers = [
        (None if to is None else str(to), str(decimal_of(price * rule.number)), None) for to, price in TIERS
    ]
    named: dict[str, Any] = {
        "per_unit": {"unit_price": str(number)},
        "flat": {"flat_fee": str(number)},
        "package": {"unit_price": str(number), "package_size": "10"},
    }.get(rule.model, {"tiers": tiers})
    if rule.included:
        named["included_quantity"] = str(rule.included)
    books.priced_in(
        *(book, product, rule.model),
        effective_from=start,
        revision=revision,
        usage_indexing=rule.indexed,
        **{"unit_price": None, **named},
    )


def decimal_of(exact: Fraction) -> Decimal:
    return Decimal(exact.numerator) / Decimal(exact.denominator)
