"""Ten thousand random windows, rated again by a slow meter that knows nothing of how rating is written.

The meter keeps a window's state input by input (what was used, which fees were paid) and counts in fractions;
`rate` is given only the sum of what came before.
"""

import random
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest

from batchwright.billing.rating import MODELS, NoTier, Price, rate
from tests.billing.rating.meter import Meter, OutOfTable, random_price, random_quantity

SEED = 20230605
CASES_PER_MODEL = 1250
ADDITIVE = ("per_unit", "percentage", "package", "tiered", "stairstep", "flat")


def metered(price: dict[str, Any], inputs: list[Decimal], indexed: bool) -> Fraction | None:
    """What the last of the inputs costs, or None when it has no tier."""
    meter = Meter(price, indexed)
    due: Fraction | None = None
    for quantity in inputs:
        try:
            due = meter.rate(Fraction(quantity))
        except OutOfTable:
            due = None
    return due


def half_up(amount: Fraction) -> int:
    rounded = floor(abs(amount) * 100 + Fraction(1, 2))
    return rounded if amount > 0 else -rounded


@pytest.mark.parametrize("model", MODELS)
def test_rating_agrees_with_the_meter_and_its_lines_with_the_amount(model: str) -> None:
    rated = 0
    for case in range(CASES_PER_MODEL):
        rng = random.Random(f"{SEED} {model} {case}")
        price, indexed = random_price(rng, model), rng.random() < 0.7
        *before, quantity = [random_quantity(rng, price) for _ in range(rng.choice([1, 2, 3, 4]))]
        expected = metered(price, [*before, quantity], indexed)
        message = f"seed {SEED!r} model {model} case {case}: {price} {before} {quantity} indexed={indexed}"
        given = (Price.from_mapping(price), quantity, sum(before, Decimal(0)))
        if expected is None:
            with pytest.raises(NoTier):
                rate(*given, indexed=indexed, first_in_window=not before)
            continue
        rating = rate(*given, indexed=indexed, first_in_window=not before)
        rated += 1
        assert Fraction(rating.amount) == expected, message
        assert sum(Fraction(line.amount) for line in rating.lines) == expected, message
        discount = Decimal(rng.choice(["0", "10", "33.333", "100"]))
        net = rating.net("USD", discount)
        assert net.amount_minor == half_up(expected * (100 - Fraction(discount)) / 100), message
        assert sum(Fraction(line.amount) for line in net.lines) == Fraction(net.amount_minor, 100), message
        assert len({line.key for line in net.lines}) == len(net.lines), message
    assert rated > CASES_PER_MODEL / 4


@pytest.mark.parametrize("model", ADDITIVE)
def test_the_inputs_of_a_window_sum_to_one_input_of_their_total(model: str) -> None:
    compared = 0
    for case in range(300):
        rng = random.Random(f"{SEED} {model} split {case}")
        mapping = random_price(rng, model, limits=False) | {"flat_fee_per": "window"}
        price = Price.from_mapping(mapping)
        inputs = [random_quantity(rng, mapping) for _ in range(rng.randint(2, 6))]
        total = sum(inputs, Decimal(0))
        try:
            whole = rate(price, total)
        except NoTier:
            continue
        starts = [sum(inputs[:n], Decimal(0)) for n in range(len(inputs))]
        pairs = enumerate(zip(inputs, starts, strict=True))
        parts = [rate(price, quantity, start, first_in_window=n == 0) for n, (quantity, start) in pairs]
        message = f"seed {SEED!r} model {model} case {case}: {mapping} {inputs}"
        assert sum(Fraction(part.amount) for part in parts) == Fraction(whole.amount), message
        compared += 1
    assert compared > 100
