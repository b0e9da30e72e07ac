"""Statements that load the contracts and prices a scope needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import Connection

from batchwright.billing.catalog import Catalog, ContractRevision, PriceRevision
from batchwright.billing.exact import ZERO, canonical
from batchwright.billing.periods import Day
from batchwright.billing.rating import Price
from batchwright.billing.records.assets_and_inputs import AssetRow
from batchwright.billing.records.counts import COUNTS_AS
from batchwright.billing.records.driver import Driver

MOST_CACHED_PRICES = 20_000
MakeCatalog = Callable[
    [Iterable[ContractRevision], Mapping[tuple[int, str], Sequence[PriceRevision]]], Catalog
]
_AMOUNTS: Final = (
    "unit_price",
    "flat_fee",
    "percentage",
    "package_size",
    "included_quantity",
    "minimum_amount",
    "maximum_amount",
)
_Number = Decimal | str | None
"""A decimal as the database gives it: NUMERIC, or canonical text."""


class _PriceRow(NamedTuple):
    """A price revision, with the fields of `_COLUMNS`."""

    key: int
    price_book_key: int
    product: str
    effective_from: Day
    product_uom: str
    usage_indexing: bool | int
    currency: str
    model: str
    unit_price: _Number
    flat_fee: _Number
    percentage: _Number
    package_size: _Number
    included_quantity: _Number
    minimum_amount: _Number
    maximum_amount: _Number
    flat_fee_per: str
    counts_as: int


_COLUMNS = (
    "p.id, p.price_book_key, p.product, {day:p.effective_from}, p.product_uom, p.usage_indexing, k.currency,"
    " p.model, p.unit_price, p.flat_fee, p.percentage, p.package_size, p.included_quantity,"
    f" p.minimum_amount, p.maximum_amount, p.flat_fee_per, {COUNTS_AS}"
)


class _ContractRow(NamedTuple):
    contract_id: str
    key: int
    customer_key: int
    price_book_key: int
    currency: str
    start_date: Day
    end_date: Day | None
    status: str
    discount_percent: _Number


class CatalogLoader:
    """Loads the catalog of a scope.

    Which revision counts is asked anew for every scope; only what a revision says is kept, for it never changes.
    ``make`` makes the catalog of contracts and prices.
    """

    def __init__(self, make: MakeCatalog = Catalog) -> None:
        self._make = make
        self._revisions: dict[int, PriceRevision] = {}

    def load(self, connection: Connection, assets: Sequence[AssetRow]) -> Catalog:
        """The contracts of the assets' customers, and the prices of their products in every book in question."""
        contracts = _contracts(connection, {asset.customer_key for asset in assets})
        books_of_customer: dict[int, set[int]] = {}
        for contract in contracts:
            books_of_customer.setdefault(contract.customer_key, set()).add(contract.price_book_key)
        pairs: set[tuple[int, str]] = set()
        for asset in assets:
            if asset.price_book_key is not None:
                pairs.add((asset.price_book_key, asset.product))
            else:
                pairs.update((book, asset.product) for book in books_of_customer.get(asset.customer_key, ()))
        return self._make(contracts, self._load_prices(connection, pairs))

    def _load_prices(
        self, connection: Connection, pairs: Collection[tuple[int, str]]
    ) -> dict[tuple[int, str], list[PriceRevision]]:
        driver = Driver(connection)
        rows = _price_rows(driver, pairs)
        if len(self._revisions) > MOST_CACHED_PRICES:
            self._revisions.clear()
        self._revisions |= _made(driver, [row for row in rows if row.key not in self._revisions])
        newest: dict[tuple[int, str], dict[Day, PriceRevision]] = {}
        for row in rows:  # in order of revision: the last one of a day counts
            by_day = newest.setdefault((row.price_book_key, row.product), {})
            by_day[row.effective_from] = self._revisions[row.key]
        return {
            pair: sorted(by_day.values(), key=lambda revision: revision.effective_from)
            for pair, by_day in newest.items()
        }


def price_revisions(connection: Connection, keys: Collection[int]) -> dict[int, PriceRevision]:
    """The price revisions of these keys, whether or not they are in force."""
    driver = Driver(connection)
    rows = driver.rows(
        f"SELECT {_COLUMNS} FROM price AS p JOIN price_book AS k ON k.id = p.price_book_key WHERE p.id {{among}}",
        driver.keys(list(keys)),
    )
    return _made(driver, list(map(_PriceRow._make, rows)))


def _made(driver: Driver, rows: Sequence[_PriceRow]) -> dict[int, PriceRevision]:
    """The price revisions of these rows, by key."""
    if not rows:
        return {}
    tiers: dict[int, list[dict[str, str | None]]] = {}
    for price_key, to, unit_price, flat_fee in driver.rows(
        "SELECT price_key, to_quantity, unit_price, flat_fee FROM price_tier WHERE price_key {among}"
        " ORDER BY price_key, ordinal",
        driver.keys([row.key for row in rows]),
    ):
        tier = {"to": _text(to), "unit_price": _text(unit_price), "flat_fee": _text(flat_fee)}
        tiers.setdefault(price_key, []).append(tier)
    return {
        row.key: PriceRevision(
            row.key,
            row.effective_from,
            row.product_uom,
            bool(row.usage_indexing),
            row.currency,
            _price(row, tiers.get(row.key)),
            row.counts_as,
        )
        for row in rows
    }


def _price_rows(driver: Driver, pairs: Collection[tuple[int, str]]) -> list[_PriceRow]:
    order = "ORDER BY p.price_book_key, p.product, p.effective_from, p.revision"
    ordered = sorted(pairs)
    if driver.is_postgresql:
        rows = driver.rows(
            f"SELECT {_COLUMNS} FROM unnest(?::bigint[], ?::text[]) AS w(book, product)"
            " JOIN price AS p ON p.price_book_key = w.book AND p.product = w.product"
            f" JOIN price_book AS k ON k.id = p.price_book_key {order}",
            [book for book, _ in ordered],
            [product for _, product in ordered],
        )
    else:
        rows = driver.rows(
            f"SELECT {_COLUMNS} FROM json_each(?) AS w"
            " JOIN price AS p ON p.price_book_key = json_extract(w.value, '$[0]')"
            " AND p.product = json_extract(w.value, '$[1]')"
            f" JOIN price_book AS k ON k.id = p.price_book_key {order}",
            json.dumps(ordered),
        )
    return list(map(_PriceRow._make, rows))


def _price(row: _PriceRow, tiers: list[dict[str, str | None]] | None) -> Price:
    amounts = {name: _text(getattr(row, name)) for name in _AMOUNTS}
    return Price.from_mapping(
        {"model": row.model, **amounts, "flat_fee_per": row.flat_fee_per, "tiers": tiers}
    )


def _contracts(connection: Connection, customer_keys: Collection[int]) -> list[ContractRevision]:
    """The newest revision of every contract of these customers."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT c.contract_id, c.id, c.customer_key, c.price_book_key, k.currency, {day:c.start_date},"
        " {day:c.end_date}, c.status, c.discount_percent"
        " FROM contract AS c JOIN price_book AS k ON k.id = c.price_book_key"
        " WHERE c.customer_key {among} ORDER BY c.contract_id, c.revision",
        driver.keys(sorted(customer_keys)),
    )
    newest = {row.contract_id: row for row in map(_ContractRow._make, rows)}
    accounts: dict[int, set[int]] = {}
    for contract_key, account_key in driver.rows(
        "SELECT contract_key, account_key FROM contract_account WHERE contract_key {among}",
        driver.keys([row.key for row in newest.values()]),
    ):
        accounts.setdefault(contract_key, set()).add(account_key)
    return [
        ContractRevision(
            key=row.key,
            customer_key=row.customer_key,
            price_book_key=row.price_book_key,
            currency=row.currency,
            start=row.start_date,
            end=row.end_date,
            active=row.status == "Active",
            discount_percent=ZERO if row.discount_percent is None else Decimal(row.discount_percent),
            account_keys=frozenset(accounts.get(row.key, ())),
        )
        for row in newest.values()
    ]


def _text(number: _Number) -> str | None:
    """A decimal as canonical text."""
    return number if number is None or isinstance(number, str) else canonical(number)
