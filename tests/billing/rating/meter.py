"""A slow meter that knows nothing of how rating is written, and random prices for it.

It keeps a window's state input by input (what was used, which fees were paid) and counts in fractions.
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any


class OutOfTable(Exception):
    """The meter's word for a quantity without a tier."""


@dataclass
class Meter:
    """One window of one price, told its inputs in order."""

    price: dict[str, Any]
    indexed: bool
    used: Fraction = Fraction(0)
    position: Fraction = Fraction(0)
    paid: set[int] = field(default_factory=set)
    step_paid: Fraction = Fraction(0)

    def number(self, name: str) -> Fraction:
        return Fraction(self.price.get(name) or 0)

    def rate(self, quantity: Fraction) -> Fraction:
        free = min(quantity, max(Fraction(0), self.number("included_quantity") - self.used))
        self.used += quantity
        if not self.indexed:
            self.position, self.paid, self.step_paid = Fraction(0), set(), Fraction(0)
        try:
            due: Fraction = getattr(self, "_" + self.price["model"])(quantity - free)
        finally:
            self.position += quantity - free
        if self.price.get("minimum_amount") is not None:
            due = max(due, self.number("minimum_amount"))
        if self.price.get("maximum_amount") is not None:
            due = min(due, self.number("maximum_amount"))
        return due

    def _per_unit(self, units: Fraction) -> Fraction:
        return units * self.number("unit_price")

    def _percentage(self, units: Fraction) -> Fraction:
        return units * self.number("percentage") / 100

    def _flat(self, units: Fraction) -> Fraction:
        return self._fees({0: self.number("flat_fee")})

    def _package(self, units: Fraction) -> Fraction:
        size = self.number("package_size")
        return (ceil((self.position + units) / size) - ceil(self.position / size)) * self.number("unit_price")

    def _discrete(self, units: Fraction) -> Fraction:
        for tier in self.price["tiers"]:
            if Fraction(tier["to"]) == units:
                return units * Fraction(tier["unit_price"]) + Fraction(tier["flat_fee"])
        if self.number("included_quantity") and units == 0:
            return Fraction(0)
        raise OutOfTable

    def _tiered(self, units: Fraction) -> Fraction:
        due, low, fees = Fraction(0), Fraction(0), {}
        end = self.position + units
        stands = self._holder(self.position) if units == 0 or self.position == 0 else None
        self._holder(end)
        for number, tier in enumerate(self.price["tiers"]):
            high = end if tier["to"] is None else Fraction(tier["to"])
            inside = max(Fraction(0), min(high, end) - max(low, self.position))
            due += inside * Fraction(tier["unit_price"])
            if inside or number == stands:
                fees[number] = Fraction(tier["flat_fee"])
            low = max(low, high)
        return due + self._fees(fees)

    def _volume(self, units: Fraction) -> Fraction:
        number = self._holder(self.position + units)
        tier = self.price["tiers"][number]
        return units * Fraction(tier["unit_price"]) + self._fees({number: Fraction(tier["flat_fee"])})

    def _stairstep(self, units: Fraction) -> Fraction:
        fee = Fraction(self.price["tiers"][self._holder(self.position + units)]["flat_fee"])
        paid, self.step_paid = self.step_paid, fee
        return fee if self.price["flat_fee_per"] == "input" else fee - paid

    def _holder(self, quantity: Fraction) -> int:
        for number, tier in enumerate(self.price["tiers"]):
            if tier["to"] is None or quantity <= Fraction(tier["to"]):
                return number
        raise OutOfTable

    def _fees(self, fees: dict[int, Fraction]) -> Fraction:
        if self.price["flat_fee_per"] == "window":
            fees = {number: fee for number, fee in fees.items() if number not in self.paid}
            self.paid.update(fees)
        return sum(fees.values(), Fraction(0))


def number(rng: random.Random, top: int) -> str:
    whole = rng.randint(0, top)
    digits = rng.choice([0, 0, 1, 2, 12])
    return f"{whole}.{rng.randrange(10**digits):0{digits}}" if digits else str(whole)


def random_tiers(rng: random.Random, model: str) -> list[dict[str, Any]]:
    values = {Decimal(number(rng, 40)) for _ in range(rng.randint(1, 5))}
    if rng.random() < 0.2:
        values.add(Decimal(0))
    bounds: list[str | None] = [format(value, "f") for value in sorted(values)]
    if model != "discrete" and rng.random() < 0.7:
        bounds.append(None)
    unit_price = "0" if model == "stairstep" else None
    return [
        {"to": to, "unit_price": unit_price or number(rng, 9), "flat_fee": rng.choice(["0", number(rng, 99)])}
        for to in bounds
    ]


def random_price(rng: random.Random, model: str, *, limits: bool = True) -> dict[str, Any]:
    price: dict[str, Any] = {"model": model, "flat_fee_per": rng.choice(["window", "input"])}
    needs = {
        "per_unit": ["unit_price"],
        "package": ["unit_price"],
        "flat": ["flat_fee"],
        "percentage": ["percentage"],
    }
    price |= {name: number(rng, 30) for name in needs.get(model, [])}
    if model == "package":
        price["package_size"] = rng.choice(["1", "2.5", "10", "0.3", "7.000000000001"])
    if model in ("tiered", "volume", "stairstep", "discrete"):
        price["tiers"] = random_tiers(rng, model)
    if rng.random() < 0.5:
        price["included_quantity"] = number(rng, 15)
    if limits and rng.random() < 0.3:
        price["minimum_amount"] = str(rng.randint(0, 40))
    if limits and rng.random() < 0.3:
        price["maximum_amount"] = str(rng.randint(40, 200))
    return price


def random_quantity(rng: random.Random, price: dict[str, Any]) -> Decimal:
    exact = [tier["to"] for tier in price.get("tiers", []) if tier["to"] is not None]
    return Decimal(rng.choice(["0", *exact]) if rng.random() < 0.4 else number(rng, 20))
