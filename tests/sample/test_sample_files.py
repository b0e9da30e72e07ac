"""The sample company's files as they stand, before anything is imported."""

import csv
from collections import Counter

import pytest

from batchwright.billing.rating import Price
from batchwright.billing.rating.price import MODELS
from batchwright.billing.sample import folder, usage

# not_found, not_eligible, invoiced and unforeseen need more than imported records.
CODES = {
    "asset_not_active",
    "before_first_billing_date",
    "no_usage_schedule",
    "superseded_only",
    "no_contract",
    "no_price",
    "uom_mismatch",
    "negative_quantity",
    "no_tier",
    "amount_out_of_range",
}

PRICE_KEYS = (
    "model",
    "unit_price",
    "flat_fee",
    "percentage",
    "package_size",
    "included_quantity",
    "minimum_amount",
    "maximum_amount",
    "flat_fee_per",
)


def rows(name: str) -> list[dict[str, str]]:
    with (folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_has_three_customers_and_two_currencies_and_a_dozen_assets() -> None:
    assert len(rows("customers.csv")) == 3
    assert {book["currency"] for book in rows("price_books.csv")} == {"USD", "EUR"}
    assert len(rows("asset_line_items.csv")) == 12


def test_it_has_every_price_model() -> None:
    assert {price["model"] for price in rows("prices.csv")} == set(MODELS)


def test_it_has_every_billing_frequency() -> None:
    frequencies = {asset["billing_frequency"] for asset in rows("asset_line_items.csv")}
    assert frequencies == {"Monthly", "Quarterly", "Half Yearly", "Yearly"}


@pytest.mark.parametrize(
    "column",
    ["included_quantity", "minimum_amount", "maximum_amount", "percentage", "package_size", "flat_fee"],
)
def test_some_price_uses_each_of_the_optional_parts(column: str) -> None:
    assert any(price[column] for price in rows("prices.csv"))


def test_prices_are_indexed_and_not_and_flat_fees_are_paid_per_window_and_per_input() -> None:
    prices = rows("prices.csv")
    assert {price["usage_indexing"] for price in prices} == {"true", "false"}
    assert {"window", "input"} <= {price["flat_fee_per"] for price in prices}


def test_every_price_is_one_that_can_be_rated() -> None:
    for row in rows("prices.csv"):
        mine = [
            tier
            for tier in rows("price_tiers.csv")
            if all(tier[key] == row[key] for key in ("price_book_id", "product", "effective_from"))
        ]
        tiers = [
            {
                "to": tier["to_quantity"] or None,
                "unit_price": tier["unit_price"] or None,
                "flat_fee": tier["flat_fee"] or None,
            }
            for tier in mine
        ]
        price = Price.from_mapping({key: row[key] or None for key in PRICE_KEYS} | {"tiers": tiers or None})
        assert price.model == row["model"]


def test_a_contract_gives_a_discount_and_an_asset_has_a_price_book_of_its_own() -> None:
    assert any(contract["discount_percent"] for contract in rows("contracts.csv"))
    assert any(asset["price_book_id"] for asset in rows("asset_line_items.csv"))


def test_it_has_some_500_inputs_over_2023_and_into_2024() -> None:
    inputs = rows(usage.FILE_NAME)
    assert 450 <= len(inputs) <= 550
    years = Counter(row["usage_date"][:4] for row in inputs)
    assert set(years) == {"2023", "2024"}
    assert years["2024"] >= 20


def test_every_asset_has_inputs() -> None:
    assert {row["asset_line_item_id"] for row in rows(usage.FILE_NAME)} == {
        asset["asset_line_item_id"] for asset in rows("asset_line_items.csv")
    }


def test_the_inputs_of_the_vendors_page_are_in_it() -> None:
    inputs = {row["usage_input_id"]: row for row in rows(usage.FILE_NAME)}
    numbers = {asset["asset_line_item_id"]: asset["asset_number"] for asset in rows("asset_line_items.csv")}
    june, july = inputs["IN-00007052"], inputs["IN-00007053"]
    assert (june["usage_date"], june["quantity"]) == ("2023-06-05", "20")
    assert (july["usage_date"], july["quantity"]) == ("2023-07-08", "10")
    assert numbers[june["asset_line_item_id"]] == numbers[july["asset_line_item_id"]] == "akdsjs"


def test_the_schedules_of_the_vendors_page_are_taken_over() -> None:
    schedules = {row["usage_schedule_id"]: row for row in rows("usage_schedules.csv")}
    june, july = schedules["US-00008316"], schedules["US-00008317"]
    assert (june["billing_schedule_id"], june["period_start_date"]) == ("BS-01311820", "2023-06-01")
    assert (july["billing_schedule_id"], july["period_start_date"]) == ("BS-01311821", "2023-07-01")


def test_there_is_a_bad_input_for_every_code_that_imported_records_can_have() -> None:
    assert set(usage.BAD_INPUTS) == CODES


def test_the_file_of_inputs_is_what_its_generator_writes() -> None:
    assert (folder() / usage.FILE_NAME).read_text(encoding="utf-8") == usage.text()
