"""Asset line items as people see them, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from batchwright.billing import tables
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import list_asset_line_items, show_asset_line_item
from batchwright.operations.billing.loaded import Kind, prices_of_asset, show_loaded
from tests.support.records import Books

Write = Callable[[Callable[[Books], Any]], Any]


def test_an_asset_is_shown_as_the_columns_of_its_file_and_its_currency(
    app: Application, write: Write
) -> None:
    write(lambda books: books.asset(list_price=Decimal("100.50"), selling_frequency="Yearly"))
    assert show_asset_line_item(app, "AL-1") == {
        "asset_line_item_id": "AL-1",
        "asset_number": "number of AL-1",
        "customer_id": "CU-1",
        "account_id": None,
        "product": "data",
        "start_date": "2023-01-01",
        "end_date": "2023-12-31",
        "billing_frequency": "Monthly",
        "usage_frequency": "Monthly",
        "first_billing_date": "2023-01-01",
        "price_book_id": "PB-USD",
        "selling_frequency": "Yearly",
        "price_type": "Usage",
        "list_price": "100.50",
        "currency": "USD",
    }


def test_assets_are_listed_in_the_order_they_came_also_those_without_a_price_book(
    app: Application, write: Write
) -> None:
    def fill(books: Books) -> None:
        books.asset("AL-2")
        books.asset("AL-1", price_book_key=None)

    write(fill)
    listed = list(list_asset_line_items(app))
    assert [(row["asset_line_item_id"], row["price_book_id"]) for row in listed] == [
        ("AL-2", "PB-USD"),
        ("AL-1", None),
    ]
    assert len(list(list_asset_line_items(app, limit=1))) == 1


def test_an_unknown_asset_is_refused_with_where_to_look(app: Application) -> None:
    with pytest.raises(Refused) as refusal:
        show_asset_line_item(app, "AL-9")
    assert str(refusal.value) == (
        "unknown asset line item: AL-9. Look the id up with `batchwright asset-line-items list`"
    )


@pytest.mark.on_both
def test_the_prices_of_an_asset_without_a_book_are_those_of_its_contracts_in_force(
    app: Application, write: Write
) -> None:
    def fill(books: Books) -> None:
        customer = books.customer("CU-1")
        with_price, without, newer = (books.price_book(name) for name in ("PB-1", "PB-2", "PB-3"))
        terms: dict[str, Any] = {"unit_price": Decimal("2.5"), "effective_from": date(2023, 3, 1)}
        books.price(with_price)
        books.price(with_price, **terms)
        books.price(with_price, **terms | {"revision": 2, "unit_price": Decimal(3)})
        tiered = books.price(newer, model="volume", unit_price=None)
        tier = {"price_key": tiered, "ordinal": 1, "from_quantity": Decimal(0), "unit_price": Decimal(9)}
        books.contract(customer, with_price, "CO-1")
        books.contract(customer, without, "CO-2")
        books.contract(customer, newer, "CO-3")
        books.contract(customer, newer, "CO-4", status="Draft")
        books.contract(customer, newer, "CO-5", end_date=date(2023, 2, 28))
        limited = books.contract(customer, newer, "CO-6")
        books.contract(books.customer("CU-2"), with_price, "CO-7")
        books.asset("AL-1", price_book_key=None)
        accounts = [{"account_id": name, "customer_key": customer, "name": name} for name in ("A-1", "A-2")]
        books._connection.execute(insert(tables.account), accounts)
        books.asset("AL-2", price_book_key=None, account_key=1)
        books.asset("AL-3", price_book_key=None, account_key=2)
        books.asset("AL-4")
        books._connection.execute(insert(tables.contract_account).values(contract_key=limited, account_key=1))
        books._connection.execute(insert(tables.price_tier).values(tier))

    def told(asset: str, on: str) -> list[tuple[str | None, str]]:
        prices = prices_of_asset(app, asset, on)
        for price in prices:
            shown = show_loaded(app, Kind.PRICE, f"{price['price_book_id']}/data", on)
            assert {**shown, **price} == {**shown, "contract_id": price["contract_id"]}
        return [(one["contract_id"], one["price_book_id"]) for one in prices]

    write(fill)
    of_all, with_account = [("CO-1", "PB-1"), ("CO-3", "PB-3")], [("CO-6", "PB-3")]
    assert told("AL-1", "2023-02-28") == [*of_all, ("CO-5", "PB-3"), *with_account]
    assert told("AL-1", "2023-03-01") == told("AL-2", "2023-03-01") == [*of_all, *with_account]
    assert told("AL-3", "2023-03-01") == of_all
    assert told("AL-4", "2023-03-01") == [(None, "PB-USD")]
    assert told("AL-1", "1999-12-31") == []
    with pytest.raises(Refused):
        prices_of_asset(app, "AL-1", "yesterday")
