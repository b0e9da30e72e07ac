"""The vendors' own numbers: every row of rating.csv that our models describe."""

import csv
import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from batchwright.billing.rating import Price, rate
from tests.support.vectors import Row, assert_every_row

VECTORS = Path(__file__).parents[2] / "vectors" / "rating.csv"


def rows() -> list[tuple[int, Row]]:
    with VECTORS.open(encoding="utf-8", newline="") as file:
        numbered = list(enumerate(csv.DictReader(file), start=2))
    return [(line, row) for line, row in numbered if row["check"] == "agree"]


def test_the_amounts_are_the_vendors() -> None:
    def check(row: Row) -> None:
        price = Price.from_mapping(json.loads(row["price"]))
        rating = rate(price, Decimal(row["quantity"]), Decimal(row["prior_quantity"]))
        expected = Decimal(row["expected_amount"])
        assert rating.amount.quantize(expected, rounding=ROUND_HALF_UP) == expected, row["note"]

    assert len(rows()) == 210
    assert_every_row(rows(), check)
