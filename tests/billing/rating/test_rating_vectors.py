"""The vendors' own numbers: every row of rating.csv that our models describe."""

import csv
import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from batchwright.billing.rating import Price, rate

VECTORS = Path(__file__).parents[2] / "vectors" / "rating.csv"


def rows() -> list[tuple[int, dict[str, str]]]:
    with VECTORS.open(encoding="utf-8", newline="") as file:
        numbered = list(enumerate(csv.DictReader(file), start=2))
    return [(line, row) for line, row in numbered if row["check"] == "agree"]


def test_the_vectors_hold_210_rows_that_must_agree() -> None:
    assert len(rows()) == 210


@pytest.mark.parametrize("row", [pytest.param(row, id=f"row{line}") for line, row in rows()])
def test_the_amount_is_the_vendors(row: dict[str, str]) -> None:
    price = Price.from_mapping(json.loads(row["price"]))
    rating = rate(price, Decimal(row["quantity"]), Decimal(row["prior_quantity"]))
    expected = Decimal(row["expected_amount"])
    assert rating.amount.quantize(expected, rounding=ROUND_HALF_UP) == expected, row["note"]
