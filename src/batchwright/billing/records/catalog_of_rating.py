"""Statements that load the contracts and prices a scope needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from batchwright.billing.catalog import Catalog, ContractRevision, PriceRevision
from batchwright.billing.exact import ZERO, canonical
from batchwright.billing.periods import Day
from batchwright.billing.rating import Price
from batchwright.billing.records.assets_and_inputs import AssetRow
from batchwright.billing.records.driver import Driver

MOST_CACHED_PRICES = 20_000
MakeCatalog = Callable[
    [Iterable[ContractRevision], Mapping[tuple[int, str], Sequence[PriceRevision]]], Catalog
]
_COLUMNS = (
    "p.id, p.price_book_key, p.product, {day:p.effective_from}, p.product_uom, p.usage_indexing, k.currency,"
    " p.model, p.unit_price, p.flat_fee, p.percentage, p.package_size, p.included_quantity,"
    " p.minimum_amount, p.maximum_amount, p.flat_fee_per"
)


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
        self._revisions |= _made(driver, [row for row in rows if row[0] not in self._revisions])
        newest: dict[tuple[int, str], dict[Day, PriceRevision]] = {}
        for row in rows:  # in order of revision: the last one of a day counts
            revision = self._revisions[row[0]]
            newest.setdefault((row[1], row[2]), {})[revision.effective_from] = revision
        return {
            pair: sorted(by_day.values(), key=lambda revision: revision.effective_from)
            for pair, by_day in newest.items()
        }


def price_revision(connection: Connection, key: int) -> PriceRevision:
    """The price revision of that key, whether or not it is in force."""
    driver = Driver(connection)
    rows = driver.rows(
        f"SELECT {_COLUMNS} FROM price AS p JOIN price_book AS k ON k.id = p.price_book_key WHERE p.id {{among}}",
        driver.keys([key]),
    )
    return _made(driver, rows)[key]


def _made(driver: Driver, rows: Sequence[tuple[Any, ...]]) -> dict[int, PriceRevision]:
    """The price revisions of rows of `_COLUMNS`, by key."""
    if not rows:
        return {}
    tiers: dict[int, list[dict[str, str | None]]] = {}
    for price_key, to, unit_price, flat_fee in driver.rows(
        "SELECT price_key, to_quantity, unit_price, flat_fee FROM price_tier WHERE price_key {among}"
        " ORDER BY price_key, ordinal",
        driver.keys([row[0] for row in rows]),
    ):
        tier = {"to": _text(to), "unit_price": _text(unit_price), "flat_fee": _text(flat_fee)}
        tiers.setdefault(price_key, []).append(tier)
    made = {}
    for row in rows:
        key, _, _, effective_from, uom, indexing, currency = row[:7]
        price = _price(row, tiers.get(key))
        made[key] = PriceRevision(key, effective_from, uom, bool(indexing), currency, price)
    return made


def _price_rows(driver: Driver, pairs: Collection[tuple[int, str]]) -> list[tuple[Any, ...]]:
    order = "ORDER BY p.price_book_key, p.product, p.effective_from, p.revision"
    ordered = sorted(pairs)
    if driver.is_postgresql:
        return driver.rows(
            f"SELECT {_COLUMNS} FROM unnest(?::bigint[], ?::text[]) AS w(book, product)"
            " JOIN price AS p ON p.price_book_key = w.book AND p.product = w.product"
            f" JOIN price_book AS k ON k.id = p.price_book_key {order}",
            [book for book, _ in ordered],
            [product for _, product in ordered],
        )
    return driver.rows(
        f"SELECT {_COLUMNS} FROM json_each(?) AS w"
        " JOIN price AS p ON p.price_book_key = json_extract(w.value, '$[0]')"
        " AND p.product = json_extract(w.value, '$[1]')"
        f" JOIN price_book AS k ON k.id = p.price_book_key {order}",
        json.dumps(ordered),
    )


def _price(row: tuple[Any, ...], tiers: list[dict[str, str | None]] | None) -> Price:
    names = (
        "unit_price",
        "flat_fee",
        "percentage",
        "package_size",
        "included_quantity",
        "minimum_amount",
        "maximum_amount",
    )
    amounts = {name: _text(value) for name, value in zip(names, row[8:15], strict=True)}
    return Price.from_mapping({"model": row[7], **amounts, "flat_fee_per": row[15], "tiers": tiers})


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
    newest = {row[0]: row for row in rows}
    accounts: dict[int, set[int]] = {}
    for contract_key, account_key in driver.rows(
        "SELECT contract_key, account_key FROM contract_account WHERE contract_key {among}",
        driver.keys([row[1] for row in newest.values()]),
    ):
        accounts.setdefault(contract_key, set()).add(account_key)
    return [
        ContractRevision(
            key=row[1],
            customer_key=row[2],
            price_book_key=row[3],
            currency=row[4],
            start=row[5],
            end=row[6],
            active=row[7] == "Active",
            discount_percent=ZERO if row[8] is None else Decimal(row[8]),
            account_keys=frozenset(accounts.get(row[1], ())),
        )
        for row in newest.values()
    ]


def _text(number: Any) -> str | None:
    """A decimal as the database gave it (NUMERIC, or canonical text), as text."""
    return number if number is None or isinstance(number, str) else canonical(number)
