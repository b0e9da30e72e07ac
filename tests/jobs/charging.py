"""Customers with custom line items, and the account charges that they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchwright.operations.app import Application
from batchwright.operations.billing.recalculation import list_account_charges
from tests.jobs.recalculating import Contracted

Write = Callable[[Callable[[Contracted], object]], None]
Fill = Callable[[Contracted], object]


@pytest.fixture
def write(app: Application) -> Write:
    def call(fill: Callable[[Contracted], object]) -> None:
        with app.database.write() as connection:
            fill(Contracted(connection))

    return call


def company(*items: tuple[str, ...], **values: Any) -> Fill:
    """20.00 of usage of AC-1 in June, 10.00 in May; an account AC-2 without usage; line items of CO-1."""

    def fill(books: Contracted) -> None:
        books.begin()
        asset = books.of_account()
        books.used(asset, "IN-1", "06-05", "10")
        books.used(asset, "IN-2", "05-05", "5")
        books.account("AC-2")
        for item in items:
            books.line_item(*item, **values)

    return fill


def charges(app: Application) -> list[tuple[str, str, str, str | None, str]]:
    """Account, month, line item, what a percentage was taken of, amount."""
    return [
        (row["account_id"], row["period"], row["line_item_id"], row["base_amount"], row["amount"])
        for row in list_account_charges(app)
    ]
