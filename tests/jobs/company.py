"""Records for forecasts: prices with tiers, and assets with a year of schedules."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from batchwright.billing import tables
from batchwright.billing.exact import EXACT
from tests.support.records import Books

Tier = tuple[str | None, str | None, str | None]
"""Upper bound, unit price, flat fee."""

NUMBERS = (
    *("unit_price", "flat_fee", "percentage", "package_size"),
    *("included_quantity", "minimum_amount", "maximum_amount"),
)
INDEXED_TIERS: tuple[Tier, ...] = (("10", "3", None), ("20", "2", None), (None, "1", None))


class Company(Books):
    """Books with prices by model and assets with schedules."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._to = connection

    def priced(
        self,
        product: str,
        model: str = "per_unit",
        *,
        currency: str = "USD",
        tiers: Sequence[Tier] = (),
        **values: Any,
    ) -> int:
        """A price in the book of that currency, its numbers given as text; its key."""
        known = self._to.execute(
            select(tables.price_book.c.id).where(tables.price_book.c.price_book_id == f"PB-{currency}")
        ).scalar_one_or_none()
        book = known or self.price_book(f"PB-{currency}", currency)
        return self.priced_in(book, product, model, tiers=tiers, **values)

    def priced_in(
        self, book: int, product: str, model: str = "per_unit", *, tiers: Sequence[Tier] = (), **values: Any
    ) -> int:
        """A price in that book; its key."""
        numbers = {name: _number(values.pop(name, None)) for name in NUMBERS}
        price = self.price(book, product, model=model, **numbers, **values)
        bound = "0"
        for ordinal, (to, unit_price, flat_fee) in enumerate(tiers, start=1):
            row = {
                "price_key": price,
                "ordinal": ordinal,
                "from_quantity": Decimal(bound),
                "to_quantity": _number(to),
                "unit_price": _number(unit_price),
                "flat_fee": _number(flat_fee),
            }
            self._to.execute(insert(tables.price_tier).values(row))
            bound = to or bound
        return price

    def metered(
        self,
        name: str = "AL-1",
        product: str = "data",
        *,
        months: int = 7,
        months_per_schedule: int = 1,
        statuses: Mapping[int, str] | None = None,
        actual: Mapping[int, str] | None = None,
        **values: Any,
    ) -> int:
        """An asset of 2023 with a usage schedule for each of its first months, US-<name>-01 and so on; its key.

        `months_per_bill` months make a billing schedule. `statuses` are those of the billing schedules by their
        number, from 1; `actual` are the actual quantities of the usage schedules by month.
        """
        asset = self.asset(name, product=product, **values)
        for first in range(1, months + 1, months_per_schedule):
            number = (first - 1) // months_per_schedule + 1
            status = (statuses or {}).get(number, "Pending Billing")
            schedule = self.billing_schedule_from(
                asset, f"BS-{name}-{number:02}", first, months_per_schedule, status=status
            )
            for month in range(first, first + months_per_schedule):
                quantity = (actual or {}).get(month, "0")
                self.usage_schedule_of(
                    asset, schedule, f"US-{name}-{month:02}", month, actual_quantity=Decimal(quantity)
                )
        return asset

    def billing_schedule_from(self, asset: int, name: str, month: int, months: int = 1, **values: Any) -> int:
        """A billing schedule of so many months of 2023."""
        start, end = date(2023, month, 1), last_day(month + months - 1)
        return self.billing_schedule(asset, name, period_start_date=start, period_end_date=end, **values)

    def usage_schedule_of(self, asset: int, bill: int, name: str, month: int, **values: Any) -> int:
        """A usage schedule of a month of 2023."""
        start, end = date(2023, month, 1), last_day(month)
        return self.usage_schedule(asset, bill, name, period_start_date=start, period_end_date=end, **values)

    def rated(self, usage_input: int, meter: str, price: int, amount: int = 0) -> None:
        """Make an input Rated, by that price, and add it to the figures and the count of its usage schedule."""
        one, schedule, count = tables.usage_input, tables.usage_schedule, tables.usage_count
        quantity = self._to.execute(select(one.c.quantity).where(one.c.id == usage_input)).scalar_one()
        row = self._to.execute(select(schedule).where(schedule.c.usage_schedule_id == meter)).one()
        same = (count.c.usage_schedule_key == row.id) & (count.c.price_key == price)
        before = self._to.execute(select(count.c.quantity, count.c.inputs).where(same)).one_or_none()
        counted, inputs = before or (Decimal(0), 0)
        self._to.execute(delete(count).where(same))
        self._to.execute(
            insert(count).values(
                usage_schedule_key=row.id,
                price_key=price,
                quantity=EXACT.add(counted, quantity),
                inputs=inputs + 1,
            )
        )
        figures = {
            "actual_quantity": EXACT.add(row.actual_quantity, quantity),
            "fee_amount": row.fee_amount + amount,
            "rated_inputs": row.rated_inputs + 1,
        }
        self._to.execute(update(schedule).where(schedule.c.id == row.id).values(figures))
        rests_on = {"rated_price_key": price, "rated_schedule_key": row.id, "rated_amount": amount}
        self._to.execute(update(one).where(one.c.id == usage_input).values(status="Rated", **rests_on))

    def account(self, name: str, customer_id: str = "CU-1") -> int:
        """An account of the customer."""
        row = {"account_id": name, "customer_key": self.customer(customer_id), "name": name}
        return int(
            self._to.execute(insert(tables.account).values(row).returning(tables.account.c.id)).scalar_one()
        )

    def contract_of_accounts(self, book: int, accounts: Sequence[int]) -> int:
        """A contract of CU-1 that is limited to these accounts."""
        key = self.contract(self.customer(), book)
        for account in accounts:
            row = {"contract_key": key, "account_key": account}
            self._to.execute(insert(tables.contract_account).values(row))
        return key

    def used(self, asset: int, name: str, day: str, quantity: str = "10", **values: Any) -> int:
        """A usage input of a day of 2023, such as "06-05"."""
        when = date.fromisoformat(f"2023-{day}")
        return self.usage_input(asset, name, usage_date=when, quantity=Decimal(quantity), **values)


def last_day(month: int) -> date:
    return date(2023, month, monthrange(2023, month)[1])


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


CHEAPER: tuple[Tier, ...] = (("100", "1", None), (None, "0.5", None))


def indexed(books: Company) -> None:
    """80 and then 80 of a price of 1 up to 100 in a month, and of 0.5 above."""
    books.priced("data", "tiered", tiers=CHEAPER, usage_indexing=True)
    asset = books.metered()
    books.used(asset, "first", "06-05", "80")
    books.used(asset, "second", "06-10", "80")
