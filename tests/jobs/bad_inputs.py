"""An input that is bad in each way that a forecast knows, by its code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tests.jobs.company import Company

JUNE = "06-05"


def _not_active(books: Company) -> None:
    books.used(books.metered(end_date=date(2023, 6, 4)), "IN-1", JUNE)


def _before_first_billing(books: Company) -> None:
    books.used(books.metered(first_billing_date=date(2023, 7, 1)), "IN-1", JUNE)


def _no_schedule(books: Company) -> None:
    books.used(books.metered(months=5), "IN-1", JUNE)


def _superseded(books: Company) -> None:
    books.used(books.metered(statuses={6: "Superseded"}), "IN-1", JUNE)


def _no_contract(books: Company) -> None:
    books.used(books.metered(price_book_key=None), "IN-1", JUNE)


def _no_price(books: Company) -> None:
    books.priced("data", unit_price="2", effective_from=date(2023, 6, 6))
    books.used(books.metered(), "IN-1", JUNE)


def _uom(books: Company) -> None:
    books.used(books.metered(), "IN-1", JUNE, product_uom="Gallon")


def _negative(books: Company) -> None:
    books.used(books.metered(), "IN-1", JUNE, "-1")


def _no_tier(books: Company) -> None:
    books.priced("data", "volume", tiers=[("5", "2", None)])
    books.used(books.metered(), "IN-1", JUNE)


def _out_of_range(books: Company) -> None:
    books.used(books.metered(), "IN-1", JUNE, "9" * 18)


BAD: dict[str, tuple[Callable[[Company], None], str]] = {
    "asset_not_active": (_not_active, "active from 2023-01-01 to 2023-06-04"),
    "before_first_billing_date": (_before_first_billing, "before the first billing date 2023-07-01"),
    "no_usage_schedule": (_no_schedule, "no usage schedule of AL-1 covers 2023-06-05"),
    "superseded_only": (_superseded, "only superseded usage schedules cover 2023-06-05"),
    "no_contract": (_no_contract, "no active contract covers AL-1 on 2023-06-05"),
    "no_price": (_no_price, "the price book has no price for data on 2023-06-05"),
    "uom_mismatch": (_uom, "the input is in Gallon, its price in Each"),
    "negative_quantity": (_negative, "give a quantity of zero or more"),
    "no_tier": (_no_tier, "add a tier, or open the last"),
    "amount_out_of_range": (_out_of_range, "check the quantity and the unit price"),
}
