"""The forecast: draft beside rated, by month, customer and product, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.forecast import forecast
from tests.support.records import Books

Write = Callable[[Callable[[Books], Any]], Any]


def add(
    books: Books, asset: int, number: int, month: int, status: str = "Pending Billing", **figures: Any
) -> None:
    period = {"period_start_date": date(2023, month, 1), "period_end_date": date(2023, month, 28)}
    key = books.billing_schedule(asset, f"BS-{number}", status=status, **period)
    books.usage_schedule(asset, key, f"US-{number}", **period, **figures)


def drafted(quantity: str, amount: int) -> dict[str, Any]:
    return {"draft_rated_quantity": Decimal(quantity), "draft_fee_amount": amount}


def rated(quantity: str, amount: int) -> dict[str, Any]:
    return {"actual_quantity": Decimal(quantity), "fee_amount": amount}


@pytest.fixture
def company(write: Write) -> None:
    def fill(books: Books) -> None:
        data = books.asset("AL-1", customer_id="CU-1", product="data")
        voice = books.asset("AL-2", customer_id="CU-2", product="voice")
        yen = books.asset("AL-3", customer_id="CU-2", product="voice", currency="JPY")
        add(books, data, 1, 6, **drafted("0.1", 100), **rated("5", 50))
        add(books, data, 2, 7, status="Invoiced", **drafted("0.2", 200))
        add(books, data, 3, 7, status="Superseded", **drafted("1000", 100_000))
        add(books, voice, 4, 6, **rated("7", 70))
        add(books, voice, 5, 8)
        add(books, yen, 6, 6, **drafted("3", 300))

    write(fill)


def line(currency: str, drafted: tuple[str, str] | None, rated: tuple[str, str]) -> dict[str, str | None]:
    quantity, amount = drafted or (None, None)
    return {
        "currency": currency,
        "draft_rated_quantity": quantity,
        "draft_fee_amount": amount,
        "actual_quantity": rated[0],
        "fee_amount": rated[1],
    }


@pytest.mark.usefixtures("company")
def test_the_months_show_drafts_beside_rated_figures_per_currency_without_superseded_schedules(
    app: Application,
) -> None:
    assert forecast(app, "month") == [
        {"month": "2023-06", **line("JPY", ("3.00", "300"), ("0.00", "0"))},
        {"month": "2023-06", **line("USD", ("0.10", "1.00"), ("12.00", "1.20"))},
        {"month": "2023-07", **line("USD", ("0.20", "2.00"), ("0.00", "0.00"))},
    ]


@pytest.mark.usefixtures("company")
def test_quantities_are_summed_exactly(app: Application) -> None:
    (first, *_) = forecast(app, "customer")
    names = {"customer_id": "CU-1", "customer_name": "Customer CU-1"}
    assert first == {**names, **line("USD", ("0.30", "3.00"), ("5.00", "0.50"))}


@pytest.mark.usefixtures("company")
def test_a_product_without_a_draft_shows_none_and_not_zero(app: Application) -> None:
    assert forecast(app, "product") == [
        {"product": "data", **line("USD", ("0.30", "3.00"), ("5.00", "0.50"))},
        {"product": "voice", **line("JPY", ("3.00", "300"), ("0.00", "0"))},
        {"product": "voice", **line("USD", None, ("7.00", "0.70"))},
    ]


@pytest.mark.usefixtures("company")
def test_each_line_can_be_of_a_customer_a_product_and_some_months_alone(app: Application) -> None:
    assert forecast(app, "month", customer_id="CU-2") == [
        {"month": "2023-06", **line("JPY", ("3.00", "300"), ("0.00", "0"))},
        {"month": "2023-06", **line("USD", None, ("7.00", "0.70"))},
    ]
    names = {"customer_id": "CU-1", "customer_name": "Customer CU-1"}
    assert forecast(app, "customer", product="data", since="2023-07", until="2023-07") == [
        {**names, **line("USD", ("0.20", "2.00"), ("0.00", "0.00"))}
    ]
    assert forecast(app, "product", customer_id="CU-1", until="2023-06") == [
        {"product": "data", **line("USD", ("0.10", "1.00"), ("5.00", "0.50"))}
    ]
    assert forecast(app, "month", since="2023-07") == forecast(app, "month")[2:]
    assert forecast(app, "product", product="fax") == []


@pytest.mark.parametrize(
    ("only", "field"),
    [
        ({"customer_id": "CU-9"}, "customer_id"),
        ({"customer_id": "CU\0"}, "customer_id"),
        ({"since": "2023-13"}, "from"),
        ({"until": "0000-01"}, "to"),
        ({"until": "2023"}, "to"),
        ({"since": "2023-02", "until": "2023-01"}, "to"),
    ],
)
def test_what_a_forecast_cannot_be_narrowed_down_to_is_refused(
    app: Application, only: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        forecast(app, **only)
    assert refused.value.field == field


def test_sums_beyond_a_bigint_are_shown_in_full(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        for number in (1, 2):
            add(books, asset, number, 6, **drafted("1", 2**63 - 1))

    write(fill)
    assert forecast(app)[0]["draft_fee_amount"] == "184467440737095516.14"


def test_a_forecast_by_anything_else_is_refused(app: Application) -> None:
    with pytest.raises(Refused, match="by 'year' is not known"):
        forecast(app, "year")  # type: ignore[arg-type]


def charged(
    books: Books, asset: int, an_id: str, price: int, quantity: str, amount: int, **values: Any
) -> None:
    """A Rated input of the usage schedule US-1."""
    basis = {"status": "Rated", "rated_price_key": price, "rated_amount": amount, "rated_schedule_key": 1}
    books.usage_input(asset, an_id, quantity=Decimal(quantity), **{**basis, **values})


def two_products(books: Books, figures: dict[str, Any] | None = None, **second: Any) -> None:
    """An asset of calls, charged while it was one of data: US-1 holds 5 units for 0.50, then 2 of `second` for 0.90."""
    asset = books.asset("AL-1", product="calls")
    book = books.price_book("PB-1")
    data = books.price(book, "data", product_uom="GB")
    other = books.price(book, **{"product": "data", "product_uom": "GB", "revision": 2, **second})
    add(books, asset, 1, 6, **(figures or rated("7", 140)))
    charged(books, asset, "IN-1", data, "5", 50)
    charged(books, asset, "IN-2", other, "2", 90)
    charged(books, asset, "IN-3", other, "9", 99, deleted=True)


def test_what_is_charged_stays_with_the_product_it_was_charged_as(app: Application, write: Write) -> None:
    write(two_products)
    assert forecast(app, "product") == [{"product": "data", **line("USD", None, ("7.00", "1.40"))}]


@pytest.mark.on_both
def test_a_schedule_that_was_charged_as_two_products_is_told_apart(app: Application, write: Write) -> None:
    write(lambda books: two_products(books, product="voice"))
    assert forecast(app, "product") == [
        {"product": "data", **line("USD", None, ("5.00", "0.50"))},
        {"product": "voice", **line("USD", None, ("2.00", "0.90"))},
    ]
    assert forecast(app, "month") == [{"month": "2023-06", **line("USD", None, ("7.00", "1.40"))}]


@pytest.mark.parametrize("by", ["month", "customer", "product"])
def test_quantities_of_different_units_are_not_added(app: Application, write: Write, by: Any) -> None:
    write(lambda books: two_products(books, product_uom="TB"))
    [found] = forecast(app, by)
    assert (found["actual_quantity"], found["fee_amount"]) == (None, "1.40")


@pytest.mark.on_both
def test_drafts_of_different_units_are_not_added(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        book = books.price_book("PB-1")
        for number, (product, unit) in enumerate((("data", "GB"), ("voice", "Hour")), 1):
            asset = books.asset(f"AL-{number}", product=product)
            price = books.price(book, product, product_uom=unit)
            add(books, asset, number, 6, **drafted("3", 30))
            books.usage_input(asset, f"IN-{number}", draft_price_key=price)

    write(fill)
    [month] = forecast(app, "month")
    assert (month["draft_rated_quantity"], month["draft_fee_amount"]) == (None, "0.60")
    assert [one["draft_rated_quantity"] for one in forecast(app, "product")] == ["3.00", "3.00"]


@pytest.mark.on_both
def test_what_a_charged_schedule_was_imported_with_is_not_lost(app: Application, write: Write) -> None:
    write(lambda books: two_products(books, rated("10", 200), product="voice"))
    assert [
        (one["product"], one["actual_quantity"], one["fee_amount"]) for one in forecast(app, "product")
    ] == [
        ("calls", "3.00", "0.60"),
        ("data", "5.00", "0.50"),
        ("voice", "2.00", "0.90"),
    ]
