"""asset_line_items.csv."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, NamedTuple

from batchwright.billing.importing.cells import Day, Id, NotNegative, Text, one_of, short_text
from batchwright.billing.importing.loader import TableLoader, unknown
from batchwright.billing.importing.schema import Fault, file_kind
from batchwright.billing.periods import FREQUENCIES, divides
from batchwright.billing.records import catalog
from batchwright.billing.records.catalog import Account, Book
from batchwright.billing.records.loading import Asset, Stored, assets, give_currencies, stored
from batchwright.billing.tables import asset_line_item

Frequency = Annotated[str, one_of(*FREQUENCIES)]


class AssetCells(NamedTuple):
    asset_line_item_id: Id
    asset_number: Text
    customer_id: Id
    account_id: Id | None
    product: Id
    start_date: Day
    end_date: Day
    billing_frequency: Frequency
    usage_frequency: Frequency | None
    first_billing_date: Day | None
    price_book_id: Id | None
    selling_frequency: Frequency | None
    price_type: Annotated[str, short_text(16)] | None
    list_price: NotNegative | None

    @property
    def usage(self) -> str:
        return self.usage_frequency or "Monthly"

    @property
    def first_billing(self) -> date:
        return self.first_billing_date or self.start_date


ASSETS = file_kind("asset_line_items.csv", AssetCells)
# Changing one of these would leave the schedules standing on other terms than the asset's.
_FIXED = ("start_date", "end_date", "first_billing_date", "billing_frequency", "usage_frequency")


class _References(NamedTuple):
    customers: dict[str, int]
    accounts: dict[str, Account]
    books: dict[str, Book]


class AssetLoader(TableLoader[AssetCells, Asset]):
    """Asset line items. An update changes neither dates, frequencies and price book nor the customer."""

    kind = ASSETS
    table = asset_line_item
    columns: ClassVar = (
        "asset_line_item_id asset_number customer_key account_key product start_date end_date"
        " billing_frequency usage_frequency first_billing_date price_book_key selling_frequency price_type"
        " list_price currency"
    ).split()
    _references: _References

    def existing(self, chunk: Collection[AssetCells]) -> Mapping[str, Asset]:
        connection = self.connection
        self.session.lock_for_update()
        there = assets(connection, {cells.asset_line_item_id for cells in chunk})
        named: list[AssetCells | Asset] = [*chunk, *there.values()]
        self._references = _References(
            catalog.customers(connection, {cells.customer_id for cells in chunk}),
            catalog.accounts(connection, {one.account_id for one in named if one.account_id}),
            catalog.price_books(connection, {one.price_book_id for one in named if one.price_book_id}),
        )
        return there

    def current(self, found: Asset) -> Mapping[str, Any]:
        return {column.name: getattr(found, column.name) for column in ASSETS.columns if column.optional}

    def faults(self, cells: AssetCells, found: Asset | None) -> Iterator[Fault]:
        if found is not None:
            yield from _amendments(cells, found, self._references)
        yield from _date_faults(cells)
        yield from _reference_faults(cells, self._references)

    def new(self, cells: AssetCells) -> list[Stored]:
        book = self._references.books[cells.price_book_id] if cells.price_book_id else None
        return [
            cells.asset_line_item_id,
            cells.asset_number,
            self._references.customers[cells.customer_id],
            self._account_key(cells),
            cells.product,
            stored(cells.start_date),
            stored(cells.end_date),
            cells.billing_frequency,
            cells.usage,
            stored(cells.first_billing),
            book.key if book else None,
            cells.selling_frequency,
            cells.price_type or "Usage",
            stored(cells.list_price),
            book.currency if book else None,
        ]

    def change(self, cells: AssetCells) -> dict[str, Any]:
        return {
            "asset_number": cells.asset_number,
            "account_key": self._account_key(cells),
            "product": cells.product,
            "selling_frequency": cells.selling_frequency,
            "price_type": cells.price_type or "Usage",
            "list_price": cells.list_price,
        }

    def finish(self) -> None:
        give_currencies(self.connection, self.ceiling)

    def _account_key(self, cells: AssetCells) -> int | None:
        return self._references.accounts[cells.account_id].key if cells.account_id else None


def _amendments(cells: AssetCells, there: Asset, references: _References) -> Iterator[Fault]:
    book = references.books.get(cells.price_book_id) if cells.price_book_id else None
    given = {
        "start_date": cells.start_date,
        "end_date": cells.end_date,
        "first_billing_date": cells.first_billing,
        "billing_frequency": cells.billing_frequency,
        "usage_frequency": cells.usage,
    }
    for name in _FIXED:
        if given[name] != getattr(there, name):
            problem = f"would change the asset's {name} from {getattr(there, name)} to {given[name]}"
            yield Fault(name, problem, "an import does not do that: amend the asset")
    if (book.key if book else None) != there.book_key:
        yield Fault(
            "price_book_id",
            "would change the asset's price book",
            "an import does not do that: amend the asset",
        )
    if references.customers.get(cells.customer_id, there.customer_key) != there.customer_key:
        yield Fault(
            "customer_id", "is not the asset's customer", "an asset stays with its customer: make another one"
        )


def _date_faults(cells: AssetCells) -> Iterator[Fault]:
    if cells.end_date < cells.start_date:
        yield Fault(
            "end_date", f"is before start_date {cells.start_date.isoformat()}", "give a day on or after it"
        )
    elif not cells.start_date <= cells.first_billing <= cells.end_date:
        problem = f"is not within {cells.start_date.isoformat()} to {cells.end_date.isoformat()}"
        yield Fault(
            "first_billing_date", problem, "give a day from start_date to end_date, or leave it blank"
        )
    if not divides(cells.usage, cells.billing_frequency):
        problem = f"{cells.usage} usage periods do not fill a {cells.billing_frequency} billing period"
        yield Fault(
            "usage_frequency", f"does not divide the billing frequency: {problem}", "give a shorter one"
        )


def _reference_faults(cells: AssetCells, references: _References) -> Iterator[Fault]:
    customer_key = references.customers.get(cells.customer_id)
    if customer_key is None:
        yield unknown("customer_id", "customer")
    if cells.account_id is not None:
        found = references.accounts.get(cells.account_id)
        if found is None:
            yield unknown("account_id", "account")
        elif customer_key is not None and found.customer_key != customer_key:
            yield Fault("account_id", "is an account of another customer", f"name one of {cells.customer_id}")
    if cells.price_book_id is not None and cells.price_book_id not in references.books:
        yield unknown("price_book_id", "price book")
