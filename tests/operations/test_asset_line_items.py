"""Asset line items as people see them, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import list_asset_line_items, show_asset_line_item
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
