"""Generated records: N usage inputs on N/10 assets, every price model, half of the prices indexed.

The rows are the same at every call with the same `Company`. They go straight into the tables, which takes seconds
where an import, checking every cell, takes minutes. Dates and decimals are text, as COPY and SQLite both take them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from random import Random
from typing import Any, Final

from batchwright.engine.store.database import Database

ASSETS_PER_CUSTOMER: Final = 1000
_CREATED: Final = "2023-01-01T00:00:00.000000Z"
_MONTHS: Final = tuple(date(2023, month, 1) for month in range(1, 8))  # six months and the day after them
_DAYS: Final = (_MONTHS[-1] - _MONTHS[0]).days
_STEPS: Final = ("20", "100", None)

# Model, what its price needs, and the columns of its tiers: (to, unit_price, flat_fee).
_MODELS: Final[tuple[tuple[str, dict[str, str], tuple[tuple[str | None, str | None, str | None], ...]], ...]] = (
    ("per_unit", {"unit_price": "1.25", "included_quantity": "10"}, ()),
    ("tiered", {}, tuple(zip(_STEPS, ("3.10", "2.45", "1.999"), ("5", None, None), strict=True))),
    ("volume", {}, tuple(zip(_STEPS, ("3.10", "2.45", "1.999"), (None, None, None), strict=True))),
    ("stairstep", {}, tuple(zip(_STEPS, (None, None, None), ("49", "199", "599"), strict=True))),
    ("package", {"unit_price": "18", "package_size": "25"}, ()),
    ("flat", {"flat_fee": "95"}, ()),
    ("discrete", {}, tuple((str(units), "7.5", None) for units in range(1, 41))),
    ("percentage", {"percentage": "2.9", "minimum_amount": "0.35", "maximum_amount": "1.10"}, ()),
)  # fmt: skip
_AMOUNTS: Final = (
    "unit_price",
    "flat_fee",
    "percentage",
    "package_size",
    "included_quantity",
    "minimum_amount",
    "maximum_amount",
)
_PRODUCTS: Final = tuple(
    (f"{model}, {'indexed' if indexed else 'alone'}", model, indexed, parts, tiers)
    for model, parts, tiers in _MODELS
    for indexed in (False, True)
)
_COLUMNS: Final = {
    "customer": "id,customer_id,name",
    "account": "id,account_id,customer_key,name",
    "price_book": "id,price_book_id,name,currency",
    "price": "id,price_book_key,product,effective_from,revision,model,product_uom,unit_price,flat_fee,percentage,"
    "package_size,included_quantity,minimum_amount,maximum_amount,usage_indexing,flat_fee_per,created_at",
    "price_tier": "id,price_key,ordinal,from_quantity,to_quantity,unit_price,flat_fee",
    "contract": "id,contract_id,revision,customer_key,price_book_key,start_date,end_date,status,discount_percent,"
    "created_at",
    "asset_line_item": "id,asset_line_item_id,asset_number,customer_key,account_key,product,start_date,end_date,"
    "billing_frequency,usage_frequency,first_billing_date,price_type,currency",
    "billing_schedule": "id,billing_schedule_id,asset_key,period_start_date,period_end_date,fee_amount,"
    "ready_for_invoice_date,type,status",
    "usage_schedule": "id,usage_schedule_id,billing_schedule_key,asset_key,period_start_date,period_end_date,"
    "included_quantity,actual_quantity,fee_amount,type",
    "usage_input": "id,usage_input_id,asset_key,usage_date,quantity,product_uom,status,deleted",
}  # fmt: skip

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Company:
    """How much to generate. `bad_every`: each such input has a negative quantity; 0 = all are good."""

    inputs: int
    inputs_per_asset: int = 10
    bad_every: int = 0

    @property
    def assets(self) -> int:
        return max(1, self.inputs // self.inputs_per_asset)

    @property
    def customers(self) -> int:
        return -(-self.assets // ASSETS_PER_CUSTOMER)


def fill(database: Database, company: Company) -> None:
    """Bring an empty or missing database to the newest revision and write the company into it."""
    database.upgrade()
    with database.write() as connection:
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        for table, columns in _COLUMNS.items():
            rows = _ROWS[table](company)
            if database.is_sqlite:
                marks = ",".join("?" * len(columns.split(",")))
                cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
            else:
                _copy(cursor, f"COPY {table} ({columns}) FROM STDIN", rows)
    settle(database)


def settle(database: Database) -> None:
    """Tidy up after a run, so that the next one starts as the one before did: checkpoint, statistics."""
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        if database.is_sqlite:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return
        raw.autocommit = True
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            raw.execute(statement)
        raw.autocommit = False


def _copy(cursor: Any, statement: str, rows: Iterable[Row]) -> None:
    with cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _customers(company: Company) -> Iterator[Row]:
    for key in range(1, company.customers + 1):
        yield key, f"C-{key:06d}", f"Customer {key}"


def _accounts(company: Company) -> Iterator[Row]:
    for key in range(1, company.customers + 1):
        yield key, f"ACC-{key:06d}", key, f"Account {key}"


def _price_books(_company: Company) -> Iterator[Row]:
    yield 1, "PB-USD", "List in dollars", "USD"
    yield 2, "PB-JPY", "List in yen", "JPY"


def _prices(_company: Company) -> Iterator[Row]:
    for book in (1, 2):
        for place, (product, model, indexed, parts, _tiers) in enumerate(_PRODUCTS):
            key = (book - 1) * len(_PRODUCTS) + place + 1
            amounts = [parts.get(name) for name in _AMOUNTS]
            yield key, book, product, "2023-01-01", 1, model, "Each", *amounts, indexed, "window", _CREATED


def _price_tiers(_company: Company) -> Iterator[Row]:
    key = 0
    for price in range(1, 2 * len(_PRODUCTS) + 1):
        previous: str | None = "0"
        tiers = _PRODUCTS[(price - 1) % len(_PRODUCTS)][4]
        for ordinal, (to, unit_price, flat_fee) in enumerate(tiers, start=1):
            key += 1
            yield key, price, ordinal, previous, to, unit_price, flat_fee
            previous = to


def _contracts(company: Company) -> Iterator[Row]:
    for key in range(1, company.customers + 1):
        discount = "5" if key % 2 else None
        book = 2 if key % 4 == 0 else 1
        yield key, f"CT-{key:06d}", 1, key, book, "2023-01-01", None, "Active", discount, _CREATED


def _assets(company: Company) -> Iterator[Row]:
    first, last = _MONTHS[0].isoformat(), (_MONTHS[-1] - timedelta(days=1)).isoformat()
    for key in range(1, company.assets + 1):
        customer = (key - 1) // ASSETS_PER_CUSTOMER + 1
        product = _PRODUCTS[key % len(_PRODUCTS)][0]
        currency = "JPY" if customer % 4 == 0 else "USD"
        yield (
            key, f"ALI-{key:08d}", f"asset {key}", customer, customer, product, first, last,
            "Half Yearly", "Monthly", first, "Usage", currency,
        )  # fmt: skip


def _billing_schedules(company: Company) -> Iterator[Row]:
    first, ready = _MONTHS[0].isoformat(), _MONTHS[-1].isoformat()
    last = (_MONTHS[-1] - timedelta(days=1)).isoformat()
    for key in range(1, company.assets + 1):
        yield key, f"BS-{key:08d}", key, first, last, 0, ready, "Contracted", "Pending Billing"


def _usage_schedules(company: Company) -> Iterator[Row]:
    periods = [
        (start.isoformat(), (after - timedelta(days=1)).isoformat()) for start, after in pairwise(_MONTHS)
    ]
    key = 0
    for asset in range(1, company.assets + 1):
        for start, end in periods:
            key += 1
            yield key, f"US-{key:08d}", asset, asset, start, end, "0", "0", 0, "Usage"


def _usage_inputs(company: Company) -> Iterator[Row]:
    """In order of arrival: a day's readings of every asset, then the next round."""
    draw = Random(company.inputs).random
    days = [(_MONTHS[0] + timedelta(days=day)).isoformat() for day in range(_DAYS)]
    for key in range(1, company.inputs + 1):
        asset = (key - 1) % company.assets + 1
        # Every third quantity has decimals, but those of discrete prices, which are looked up in a table.
        quantity = str(1 + int(draw() * 40))
        if key % 3 == 0 and _PRODUCTS[asset % len(_PRODUCTS)][1] != "discrete":
            quantity += ".375"
        if company.bad_every and key % company.bad_every == 0:
            quantity = f"-{quantity}"
        yield key, f"IN-{key:08d}", asset, days[int(draw() * _DAYS)], quantity, "Each", "Loaded", False


_ROWS: Final = {
    "customer": _customers,
    "account": _accounts,
    "price_book": _price_books,
    "price": _prices,
    "price_tier": _price_tiers,
    "contract": _contracts,
    "asset_line_item": _assets,
    "billing_schedule": _billing_schedules,
    "usage_schedule": _usage_schedules,
    "usage_input": _usage_inputs,
}
