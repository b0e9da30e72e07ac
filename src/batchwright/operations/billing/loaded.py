"""What was loaded: customers, accounts, price books, prices, contracts and custom line items, as people look at them.

A list has the columns of the file that a kind is imported from, no more and no less, so that it can be imported
again; a record that is shown has the same columns with the same values, and what a day makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, Unpack

from sqlalchemy import Connection, RowMapping

from batchwright.billing.importing import cells
from batchwright.billing.importing.contracts import CONTRACTS, CUSTOM_ITEMS
from batchwright.billing.importing.customers import ACCOUNTS, CUSTOMERS
from batchwright.billing.importing.prices import BOOKS, PRICES, TIERS
from batchwright.billing.importing.schema import FileKind
from batchwright.billing.records import charges, loaded
from batchwright.billing.tables import contract
from batchwright.engine.errors import NotFound, Refused
from batchwright.engine.store import pages
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import asset_row
from batchwright.operations.billing.fields import read_field
from batchwright.operations.billing.narrowing import Narrowing, filters_of, narrowed
from batchwright.operations.checks import Unknown, check_limit
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View

MOST_NAMED: Final = 5
"""Of so many customers that a text may mean each is named."""
MOST_READ: Final = 200
MOST_CONTRACTS: Final = 5
"""Contracts in force of whose prices an asset without a price book is told."""


class SeveralCustomers(Refused):
    """A text could mean any of these customers, of which the first few are named."""

    def __init__(self, words: str, found: Sequence[charges.Customer]) -> None:
        self.customers = [(one.customer_id, one.name) for one in found[:MOST_NAMED]]
        named = ", ".join(f"{customer_id} ({name})" for customer_id, name in self.customers)
        more = " and others" if len(found) > MOST_NAMED else ""
        super().__init__(
            f"{words!r} could be several customers: {named}{more}",
            field="customer_id",
            remedy="Give the id of the one that is meant",
        )


Detail = Callable[[Connection, RowMapping, date], View]


class Kind(StrEnum):
    """A kind of records that only an import makes."""

    CUSTOMER = "customer"
    ACCOUNT = "account"
    PRICE_BOOK = "price_book"
    PRICE = "price"
    CONTRACT = "contract"
    CUSTOM_LINE_ITEM = "custom_line_item"

    @property
    def noun(self) -> str:
        """As it is called: "price book"."""
        return self.replace("_", " ")


def columns_of(kind: Kind) -> list[str]:
    """The columns that a list of the kind has: those of its file."""
    return _columns(_KINDS[kind].file)


def list_loaded(
    app: Application, kind: Kind, limit: int | None = None, *, actor: Actor | None = None
) -> Iterator[View]:
    """The records of a kind with the columns of its file, each in its newest revision; streamed.

    By id; prices by price book in order of arrival, product and first day. `account_ids` is a list, empty for all.
    """
    permit(app, actor, Right.LOOK, f"{kind}.list")
    check_limit(limit)
    found = _KINDS[kind]
    return map(partial(_view, found.file), pages.rows(app.database, found.records.listing(limit)))


def loaded_page(
    app: Application,
    kind: Kind,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
    **by: Unpack[Narrowing],
) -> Page[View]:
    """A page of the records of a kind, each in its newest revision, in the order of `list_loaded`.

    One that is narrowed down may be short, and yet not the last.
    """
    permit(app, actor, Right.LOOK, f"{kind}.list")
    found = _KINDS[kind]
    view = partial(_view, found.file)
    listing, walk = narrowed(app, kind.noun, found.records, by)
    return page_of(app.database, kind, listing, by, view, limit=limit, after=after, walk=walk)


def customer_named(app: Application, text: str, *, actor: Actor | None = None) -> str | None:
    """The id of the customer that somebody means: one that has the text as id or name, or alone has it within these.

    `None` where nobody has it. Refuses a text that several have.
    """
    permit(app, actor, Right.LOOK, f"{Kind.CUSTOMER}.list")
    words = text.strip()
    with app.database.read() as connection:
        if charges.customers(connection, words):
            return words
        found = charges.customers_found(connection, words, MOST_READ) if words else []
    called = [one for one in found if one.name.casefold() == words.casefold()] or found
    if len(called) > 1:
        raise SeveralCustomers(words, called)
    return called[0].customer_id if called else None


def filters_of_kind(kind: Kind) -> tuple[str, ...]:
    """What `loaded_page` of the kind can be narrowed down by."""
    return filters_of(_KINDS[kind].records)


def show_loaded(
    app: Application, kind: Kind, record_id: str, on: str | None = None, *, actor: Actor | None = None
) -> View:
    """One record: the columns of a list, and what a day makes of it; the day is `on` (YYYY-MM-DD; default: today).

    A price's id is `BOOK/PRODUCT/YYYY-MM-DD` with its first day, a `/` within the first two written `%2F`, a `%`
    `%25`; `BOOK/PRODUCT` is the price of the product that is in force on the day.

    Adds `on`, and of a customer `account_count, contract_count, contracts_in_force`, of an account
    `contracts_in_force` (ids of those that cover it), of a price book `price_count, products_in_force`, of a price
    `price_id, revision, created_at, currency, tiers, in_force, price_in_force, revisions`, of a contract `revision,
    created_at, currency, in_force, revisions`, of a custom line item `currency, in_force`.
    """
    permit(app, actor, Right.LOOK, f"{kind}.show")
    day, found = _day(app, on), _KINDS[kind]
    with app.database.read() as connection:
        row = (
            _priced(connection, record_id, day)
            if kind is Kind.PRICE
            else found.records.named(connection, [record_id])
        )
        if row is None:
            raise Unknown(kind.noun, [record_id], field=_id_field(kind))
        return {
            **_view(found.file, row),
            **found.detail(connection, row, day),
            "on": views.day(day),
        }


def prices_of_asset(
    app: Application, asset_line_item_id: str, on: str | None = None, *, actor: Actor | None = None
) -> list[View]:
    """The prices in force for an asset line item on a day, as `show_loaded` takes it: that of its own price book, else
    those of the first five contracts in force.

    Each the columns of a list, with `currency, tiers, contract_id`; the last is `None` where the asset names the book.
    """
    permit(app, actor, Right.LOOK, "price.show")
    day = _day(app, on)
    with app.database.read() as connection:
        asset = asset_row(app, connection, asset_line_item_id)
        books = loaded.books_on(connection, asset, day, MOST_CONTRACTS)
        prices = loaded.prices_on(connection, {book for book, _ in books}, asset["product"], day)
        tiers = loaded.tiers(connection, [row["id"] for row in prices.values()])
    return [
        {**_view(PRICES, row), "currency": row["currency"], "tiers": _tiers(row, tiers), "contract_id": an_id}
        for book, an_id in books
        if (row := prices.get(book))
    ]


def _day(app: Application, on: str | None) -> date:
    return (
        app.clock.now().astimezone(app.zone).date() if on is None else read_field(cells.day, on, field="on")
    )


def price_id(row: views.Row) -> str:
    """The id of a price, of a row or of a view of it: `BOOK/PRODUCT/YYYY-MM-DD`."""
    parts = (row["price_book_id"], row["product"], str(row["effective_from"]))
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


def _priced(connection: Connection, record_id: str, on: date) -> RowMapping | None:
    parts = [part.replace("%2F", "/").replace("%25", "%") for part in record_id.split("/")]
    try:
        book, product, *rest = parts
        first_day = cells.day("/".join(rest)) if rest else None
    except (ValueError, cells.CellError):
        raise NotFound(
            f"{record_id!r} is not the id of a price",
            field="price_id",
            remedy="Write BOOK/PRODUCT/YYYY-MM-DD, or BOOK/PRODUCT for the one in force; a / within is %2F",
        ) from None
    if first_day is not None:
        return loaded.PRICES.named(connection, [book, product, first_day])
    if not (book.isprintable() and product.isprintable()):
        return None
    return loaded.price_on(connection, book, product, on)


def _id_field(kind: Kind) -> str:
    return "price_id" if kind is Kind.PRICE else _columns(_KINDS[kind].file)[0]


def _columns(file: FileKind[Any]) -> list[str]:
    return [column.name for column in file.columns]


def _view(file: FileKind[Any], row: views.Row, left_out: Sequence[str] = ()) -> View:
    """The columns of a file, but for those that are `left_out`."""
    return {name: _value(name, row) for name in _columns(file) if name not in left_out}


_PRICES: Final = ("unit_price", "flat_fee", "minimum_amount", "maximum_amount")


def _value(name: str, row: views.Row) -> Any:
    value = row[name]
    if name == "account_ids":
        return sorted(value.split(";")) if value else []
    if isinstance(value, date):
        return views.day(value)
    if isinstance(value, Decimal):
        is_price = name in _PRICES or (name == "amount" and row["kind"].startswith("fixed_"))
        return views.price(value, row["currency"]) if is_price else views.quantity(value)
    return value


def _of_customer(connection: Connection, row: RowMapping, on: date) -> View:
    accounts, contracts = loaded.counts_of_customer(connection, row["id"])
    in_force = loaded.contracts_on(connection, on, contract.c.customer_key == row["id"])
    return {"account_count": accounts, "contract_count": contracts, "contracts_in_force": in_force}


def _of_account(connection: Connection, row: RowMapping, on: date) -> View:
    return {"contracts_in_force": loaded.contracts_on(connection, on, loaded.covers_account(row["id"]))}


def _of_price_book(connection: Connection, row: RowMapping, on: date) -> View:
    prices, products = loaded.counts_of_book(connection, row["id"], on)
    return {"price_count": prices, "products_in_force": products}


def _of_price(connection: Connection, row: RowMapping, on: date) -> View:
    revisions = loaded.price_revisions(connection, row)
    tiers = loaded.tiers(connection, [revision["id"] for revision in revisions])
    in_force = loaded.price_on(connection, row["price_book_id"], row["product"], on)

    def terms_of(revision: RowMapping) -> View:
        return {**_view(PRICES, revision, _IDENTITY), "tiers": _tiers(revision, tiers)}

    return {
        "price_id": price_id(row),
        **_revision(row),
        "currency": row["currency"],
        "tiers": _tiers(row, tiers),
        "in_force": in_force is not None and in_force["id"] == row["id"],
        "price_in_force": in_force and price_id(in_force),
        "revisions": [{**_revision(one), **terms_of(one)} for one in revisions],
    }


def _tiers(row: RowMapping, tiers: Mapping[int, Sequence[RowMapping]]) -> list[View]:
    """Those of a price, which are in its currency."""
    return [_view(TIERS, {**tier, "currency": row["currency"]}, _IDENTITY) for tier in tiers[row["id"]]]


def _of_contract(connection: Connection, row: RowMapping, on: date) -> View:
    revisions = loaded.contract_revisions(connection, row["contract_id"])
    own = contract.c.contract_id == row["contract_id"]
    return {
        **_revision(row),
        "currency": row["currency"],
        "in_force": bool(loaded.contracts_on(connection, on, own)),
        "revisions": [
            {**_revision(one), **_view(CONTRACTS, one, ("contract_id", "customer_id"))} for one in revisions
        ],
    }


def _of_custom_line_item(connection: Connection, row: RowMapping, on: date) -> View:
    end = row["end_date"]
    within = row["start_date"] <= on and (end is None or on <= end)
    under = loaded.contracts_on(connection, on, contract.c.contract_id == row["contract_id"])
    return {"currency": row["currency"], "in_force": within and bool(under)}


def _revision(row: RowMapping) -> View:
    return {"revision": row["revision"], "created_at": views.instant(row["created_at"])}


_IDENTITY: Final = ("price_book_id", "product", "effective_from")


@dataclass(frozen=True)
class _Shown:
    """How a kind is shown: the file it comes from, where it stands, and what its detail adds."""

    file: FileKind[Any]
    records: loaded.Records
    detail: Detail


_KINDS: Final[Mapping[Kind, _Shown]] = {
    Kind.CUSTOMER: _Shown(CUSTOMERS, loaded.CUSTOMERS, _of_customer),
    Kind.ACCOUNT: _Shown(ACCOUNTS, loaded.ACCOUNTS, _of_account),
    Kind.PRICE_BOOK: _Shown(BOOKS, loaded.PRICE_BOOKS, _of_price_book),
    Kind.PRICE: _Shown(PRICES, loaded.PRICES, _of_price),
    Kind.CONTRACT: _Shown(CONTRACTS, loaded.CONTRACTS, _of_contract),
    Kind.CUSTOM_LINE_ITEM: _Shown(CUSTOM_ITEMS, loaded.CUSTOM_LINE_ITEMS, _of_custom_line_item),
}
