"""Billing records for tests, inserted directly: customers, prices, contracts, assets, schedules, usage inputs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from batchwright.billing import tables

NOW = datetime(2023, 6, 15, 12, 0, tzinfo=UTC)
UOM = "Each"


class Books:
    """Writes rows through one connection. Every method returns the key of the row it made.

    `asset` makes what it hangs on by itself: a customer, a price book in its currency and a contract for both.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = count(1)

    def customer(self, customer_id: str = "CU-1", name: str | None = None) -> int:
        return self._once(tables.customer, "customer_id", customer_id, name=name or f"Customer {customer_id}")

    def price_book(self, price_book_id: str = "PB-1", currency: str = "USD") -> int:
        return self._once(
            tables.price_book, "price_book_id", price_book_id, name=f"Book {price_book_id}", currency=currency
        )

    def price(self, price_book_key: int, product: str = "data", **values: Any) -> int:
        """A price of one unit price, 2 by default; other models by their columns."""
        row = {
            "price_book_key": price_book_key,
            "product": product,
            "effective_from": date(2000, 1, 1),
            "revision": 1,
            "model": "per_unit",
            "product_uom": UOM,
            "unit_price": Decimal(2),
            "usage_indexing": False,
            "flat_fee_per": "window",
            "created_at": NOW,
        }
        return self._insert(tables.price, {**row, **values})

    def contract(
        self, customer_key: int, price_book_key: int, contract_id: str | None = None, **values: Any
    ) -> int:
        row = {
            "contract_id": contract_id or f"CO-{next(self._numbers)}",
            "revision": 1,
            "customer_key": customer_key,
            "price_book_key": price_book_key,
            "start_date": date(2000, 1, 1),
            "status": "Active",
            "created_at": NOW,
        }
        return self._insert(tables.contract, {**row, **values})

    def asset(
        self,
        asset_line_item_id: str = "AL-1",
        *,
        customer_id: str = "CU-1",
        currency: str = "USD",
        product: str = "data",
        **values: Any,
    ) -> int:
        """An asset of the year 2023, billed and metered monthly, with its own price book in its currency."""
        price_book_id = f"PB-{currency}"
        known = self._key(tables.price_book, "price_book_id", price_book_id)
        price_book_key = known or self.price_book(price_book_id, currency)
        if not self._has_price(price_book_key, product):
            self.price(price_book_key, product)
        row = {
            "asset_line_item_id": asset_line_item_id,
            "asset_number": f"number of {asset_line_item_id}",
            "customer_key": self.customer(customer_id),
            "product": product,
            "start_date": date(2023, 1, 1),
            "end_date": date(2023, 12, 31),
            "billing_frequency": "Monthly",
            "usage_frequency": "Monthly",
            "first_billing_date": date(2023, 1, 1),
            "price_book_key": price_book_key,
            "price_type": "Usage",
            "currency": currency,
        }
        return self._insert(tables.asset_line_item, {**row, **values})

    def billing_schedule(self, asset_key: int, billing_schedule_id: str = "BS-1", **values: Any) -> int:
        """A schedule of June 2023, Pending Billing."""
        row = {
            "billing_schedule_id": billing_schedule_id,
            "asset_key": asset_key,
            "period_start_date": date(2023, 6, 1),
            "period_end_date": date(2023, 6, 30),
            "fee_amount": 0,
            "ready_for_invoice_date": date(2023, 7, 1),
            "type": "Contracted",
            "status": "Pending Billing",
        }
        return self._insert(tables.billing_schedule, {**row, **values})

    def usage_schedule(
        self, asset_key: int, billing_schedule_key: int, usage_schedule_id: str = "US-1", **values: Any
    ) -> int:
        """A schedule of June 2023 without a draft."""
        row = {
            "usage_schedule_id": usage_schedule_id,
            "billing_schedule_key": billing_schedule_key,
            "asset_key": asset_key,
            "period_start_date": date(2023, 6, 1),
            "period_end_date": date(2023, 6, 30),
            "included_quantity": Decimal(0),
            "actual_quantity": Decimal(0),
            "fee_amount": 0,
            "type": "Usage",
        }
        return self._insert(tables.usage_schedule, {**row, **values})

    def usage_input(self, asset_key: int, usage_input_id: str = "IN-1", **values: Any) -> int:
        """A Loaded input of 5 June 2023, quantity 10."""
        row = {
            "usage_input_id": usage_input_id,
            "asset_key": asset_key,
            "usage_date": date(2023, 6, 5),
            "quantity": Decimal(10),
            "product_uom": UOM,
            "status": "Loaded",
            "deleted": False,
        }
        return self._insert(tables.usage_input, {**row, **values})

    def _has_price(self, price_book_key: int, product: str) -> bool:
        statement = select(tables.price.c.id).where(
            tables.price.c.price_book_key == price_book_key, tables.price.c.product == product
        )
        return self._connection.execute(statement).first() is not None

    def _once(self, table: Table, id_column: str, an_id: str, **values: Any) -> int:
        return self._key(table, id_column, an_id) or self._insert(table, {id_column: an_id, **values})

    def _key(self, table: Table, id_column: str, an_id: str) -> int | None:
        return self._connection.execute(
            select(table.c.id).where(table.c[id_column] == an_id)
        ).scalar_one_or_none()

    def _insert(self, table: Table, row: dict[str, Any]) -> int:
        return int(self._connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())
