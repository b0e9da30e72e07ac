"""Data recalculation is killed at every point, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from batchwright.billing import tables
from batchwright.jobs import DataRecalculationJob
from tests.jobs.recalculating import Contracted

Check = Callable[..., None]


def company(connection: Connection) -> None:
    """Three assets rated at 3 a piece, of which the newest price makes 2; one is invoiced; and custom line items."""
    books = Contracted(connection)
    books.begin()
    book = books.key_of(tables.price_book, "PB-USD")
    older = books.price(book, "data", revision=2, unit_price=Decimal(3))
    books.price(book, "data", revision=3, unit_price=Decimal(2))
    books.line_item("L-1", "fixed_charge", "5")
    books.line_item("L-2", "percentage_discount", "10")
    for number in range(3):
        name = f"AL-{number}"
        asset = books.of_account(name, statuses={5: "Invoiced"} if number == 2 else None)
        schedule = books.key_of(tables.usage_schedule, f"US-{name}-05")
        for place in range(2):
            books.used(
                asset,
                f"IN-{number}-{place}",
                f"05-0{place + 1}",
                "10",
                status="Rated",
                rated_amount=3000,
                rated_price_key=older,
                rated_discount_percent=Decimal(0),
                rated_schedule_key=schedule,
            )
        books.charge(f"US-{name}-05", f"BS-{name}-05", quantity=Decimal(20), fee=6000, inputs=2)
    books.used(asset, "IN-LOADED", "05-09", "10")


def job() -> DataRecalculationJob:
    return DataRecalculationJob("CU-1", ["2023-05"], "Incorrect Charges")


@pytest.mark.long
def test_a_recalculation_on_sqlite_can_be_killed_anywhere(assert_restart_safe: Check) -> None:
    assert_restart_safe(job(), company)


@pytest.mark.long
def test_a_recalculation_on_postgresql_can_be_killed_anywhere(assert_restart_safe_on_postgres: Check) -> None:
    assert_restart_safe_on_postgres(job(), company)
