"""What an import loaded into the catalogue, as people look at it: in order of its ids, each in its newest revision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
)

from batchwright.billing.records.assets import shown_assets
from batchwright.billing.records.loading import among
from batchwright.billing.tables import (
    account,
    asset_line_item,
    contract,
    contract_account,
    custom_line_item,
    customer,
    price,
    price_book,
    price_tier,
)
from batchwright.engine.store.pages import Listing


@dataclass(frozen=True)
class Records:
    """The records of one kind.

    Attributes:
        statement: reads them.
        key: orders them.
        names: the columns that an id says, in the key's order.
        texts: the columns that a search for words looks through.
        filters: columns with an index of their own, by the name of the id or text that a filter gives.
        others: the same of columns without one.
        in_force: the condition that they are in force on a day.
    """

    statement: Select[Any]
    key: tuple[Column[Any], ...]
    names: tuple[Column[Any], ...]
    texts: tuple[Column[Any], ...] = ()
    filters: Mapping[str, Column[Any]] = field(default_factory=dict)
    others: Mapping[str, Column[Any]] = field(default_factory=dict)
    in_force: Callable[[date], ColumnElement[bool]] | None = None

    def listing(self, limit: int | None = None, conditions: Sequence[ColumnElement[bool]] = ()) -> Listing:
        """Those that meet the conditions, `limit` at most."""
        return Listing(self.statement.where(*conditions), self.key, limit)

    def walk(self, conditions: Sequence[ColumnElement[bool]]) -> Listing:
        """The sort keys alone, of each revision; for conditions that an index finds."""
        return Listing(select(*self.key).where(*conditions), self.key)

    def has_words(self, words: str) -> ColumnElement[bool]:
        """The condition that an id or name has these words, whatever the case; on SQLite that of ASCII alone."""
        asked = words.lower()
        return or_(
            *(func.lower(text).contains(asked, autoescape=True) for text in self.texts),
            *(text.contains(words, autoescape=True) for text in self.texts),
        )

    def named(self, connection: Connection, parts: Sequence[str | date]) -> RowMapping | None:
        """The one with these values in the columns that an id says."""
        # An id is printable; other text is nobody's id, and PostgreSQL could not even be asked for it.
        if not all(isinstance(part, date) or part.isprintable() for part in parts):
            return None
        wanted = (column == part for column, part in zip(self.names, parts, strict=True))
        return connection.execute(self.statement.where(*wanted)).mappings().one_or_none()


def _newest(table: Table, *identity: Column[Any]) -> ColumnElement[bool]:
    newer = table.alias()
    same = (newer.c[column.name] == column for column in identity)
    # OFFSET 0 has PostgreSQL look for each row; else it makes a join that reads all rows before the page.
    return ~select(newer.c.id).where(*same, newer.c.revision > table.c.revision).offset(0).exists()


_PRICE: Final = (price.c.price_book_key, price.c.product, price.c.effective_from)
_PRICES: Final = select(price, price_book.c.price_book_id, price_book.c.currency).join_from(price, price_book)

_COVERED: Final = (
    select(func.aggregate_strings(account.c.account_id, ";"))
    .join_from(contract_account, account)
    .where(contract_account.c.contract_key == contract.c.id)
    .correlate(contract)
    .scalar_subquery()
    .label("account_ids")
)
_CONTRACTS: Final = (
    select(contract, customer.c.customer_id, price_book.c.price_book_id, price_book.c.currency, _COVERED)
    .join_from(contract, customer)
    .join(price_book, price_book.c.id == contract.c.price_book_key)
)
_NEWEST_CONTRACT: Final = _newest(contract, contract.c.contract_id)


def _within(
    first: Column[date], last: Column[Any], *conditions: ColumnElement[bool]
) -> Callable[[date], ColumnElement[bool]]:
    return lambda on: and_(first <= on, or_(last.is_(None), last >= on), *conditions)


def _price_in_force(on: date) -> ColumnElement[bool]:
    newer = price.alias()
    same = (newer.c.price_book_key == price.c.price_book_key, newer.c.product == price.c.product)
    later = (newer.c.effective_from > price.c.effective_from, newer.c.effective_from <= on)
    return and_(price.c.effective_from <= on, ~select(newer.c.id).where(*same, *later).offset(0).exists())


def _by_id(source: FromClause, own: Column[Any], *others: Column[Any], **more: Any) -> Records:
    return Records(select(own.table, *others).select_from(source), (own,), (own,), **more)


_CONTRACT_IN_FORCE: Final = _within(contract.c.start_date, contract.c.end_date, contract.c.status == "Active")

_CUSTOM_ITEM_WITHIN: Final = _within(custom_line_item.c.start_date, custom_line_item.c.end_date)

CUSTOMERS: Final = _by_id(customer, customer.c.customer_id, texts=(customer.c.customer_id, customer.c.name))
ACCOUNTS: Final = _by_id(
    account.join(customer),
    account.c.account_id,
    customer.c.customer_id,
    texts=(account.c.account_id, account.c.name),
    filters={"customer_id": account.c.customer_key},
)
PRICE_BOOKS: Final = _by_id(
    price_book, price_book.c.price_book_id, texts=(price_book.c.price_book_id, price_book.c.name)
)
PRICES: Final = Records(
    _PRICES.where(_newest(price, *_PRICE)),
    _PRICE,
    (price_book.c.price_book_id, price.c.product, price.c.effective_from),
    texts=(price.c.product,),
    filters={"price_book_id": price.c.price_book_key},
    in_force=_price_in_force,
)
CONTRACTS: Final = Records(
    _CONTRACTS.where(_NEWEST_CONTRACT),
    (contract.c.contract_id,),
    (contract.c.contract_id,),
    texts=(contract.c.contract_id,),
    filters={"customer_id": contract.c.customer_key},
    others={"status": contract.c.status},
    in_force=_CONTRACT_IN_FORCE,
)
CUSTOM_LINE_ITEMS: Final = _by_id(
    custom_line_item.outerjoin(account, account.c.id == custom_line_item.c.account_key)
    .join(contract, and_(contract.c.contract_id == custom_line_item.c.contract_id, _NEWEST_CONTRACT))
    .join(price_book, price_book.c.id == contract.c.price_book_key),
    custom_line_item.c.line_item_id,
    account.c.account_id,
    price_book.c.currency,
    texts=(custom_line_item.c.line_item_id, custom_line_item.c.description),
    filters={"contract_id": custom_line_item.c.contract_id},
    in_force=lambda on: and_(_CUSTOM_ITEM_WITHIN(on), _CONTRACT_IN_FORCE(on)),
)

ASSETS: Final = Records(
    shown_assets(),
    (asset_line_item.c.id,),
    (asset_line_item.c.asset_line_item_id,),
    texts=(asset_line_item.c.asset_line_item_id, asset_line_item.c.asset_number),
    filters={"customer_id": asset_line_item.c.customer_key, "product": asset_line_item.c.product},
    in_force=lambda on: and_(asset_line_item.c.start_date <= on, asset_line_item.c.end_date >= on),
)
"""The asset line items in the order they came."""


def price_on(connection: Connection, price_book_id: str, product: str, on: date) -> RowMapping | None:
    """The price of a product that is in force on a day: the one with the latest first day that has come."""
    statement = PRICES.statement.where(
        price_book.c.price_book_id == price_book_id, price.c.product == product, price.c.effective_from <= on
    )
    newest = statement.order_by(price.c.effective_from.desc()).limit(1)
    return connection.execute(newest).mappings().one_or_none()


def prices_on(
    connection: Connection, price_book_ids: Collection[str], product: str, on: date
) -> dict[str, RowMapping]:
    """The same of several price books, by the id of the book."""
    of_books = price_book.c.price_book_id.in_(price_book_ids)
    statement = PRICES.statement.where(of_books, price.c.product == product, _price_in_force(on))
    return {row["price_book_id"]: row for row in connection.execute(statement).mappings()}


def books_on(
    connection: Connection, asset: RowMapping, on: date, most: int
) -> Sequence[tuple[str, str | None]]:
    """The price books for an asset on a day, each with the contract that names it: its own, with ``None``, else those
    of so many contracts that are in force then for its account, or for its customer.
    """
    if asset["price_book_id"] is not None:
        return [(asset["price_book_id"], None)]
    key = asset["account_key"]
    mine = contract.c.customer_key == asset["customer_key"] if key is None else covers_account(key)
    statement = select(price_book.c.price_book_id, contract.c.contract_id).join_from(
        contract, price_book, price_book.c.id == contract.c.price_book_key
    )
    in_force = statement.where(_NEWEST_CONTRACT, _CONTRACT_IN_FORCE(on), mine)
    rows = connection.execute(in_force.order_by(contract.c.contract_id).limit(most))
    return [(book, contract_id) for book, contract_id in rows]


def price_revisions(connection: Connection, row: RowMapping) -> Sequence[RowMapping]:
    """All revisions of a price, the newest first."""
    same = (column == row[column.name] for column in _PRICE)
    return connection.execute(_PRICES.where(*same).order_by(price.c.revision.desc())).mappings().all()


def tiers(connection: Connection, price_keys: Collection[int]) -> dict[int, list[RowMapping]]:
    """The tiers of these prices, by the price's key, in order."""
    found: dict[int, list[RowMapping]] = {key: [] for key in price_keys}
    statement = select(price_tier).where(among(connection, price_tier.c.price_key, price_keys))
    for row in connection.execute(statement.order_by(price_tier.c.ordinal)).mappings():
        found[row["price_key"]].append(row)
    return found


def contract_revisions(connection: Connection, contract_id: str) -> Sequence[RowMapping]:
    """All revisions of a contract, the newest first."""
    statement = _CONTRACTS.where(contract.c.contract_id == contract_id)
    return connection.execute(statement.order_by(contract.c.revision.desc())).mappings().all()


def contracts_on(connection: Connection, on: date, *conditions: ColumnElement[bool]) -> list[str]:
    """The ids of the contracts that are Active and within their dates on a day, and meet the conditions."""
    statement = select(contract.c.contract_id).where(_NEWEST_CONTRACT, _CONTRACT_IN_FORCE(on), *conditions)
    return list(connection.execute(statement.order_by(contract.c.contract_id)).scalars())


def covers_account(account_key: int) -> ColumnElement[bool]:
    """The condition that a contract is for this account, or for all of its customer's."""
    limited = exists().where(contract_account.c.contract_key == contract.c.id)
    named = limited.where(contract_account.c.account_key == account_key)
    customer_key = select(account.c.customer_key).where(account.c.id == account_key).scalar_subquery()
    return and_(contract.c.customer_key == customer_key, or_(~limited, named))


def counts_of_customer(connection: Connection, customer_key: int) -> tuple[int, int]:
    """How many accounts and how many contracts a customer has."""
    accounts = select(func.count()).where(account.c.customer_key == customer_key)
    contracts = select(func.count(contract.c.contract_id.distinct())).where(
        contract.c.customer_key == customer_key
    )
    return connection.execute(accounts).scalar_one(), connection.execute(contracts).scalar_one()


def counts_of_book(connection: Connection, book_key: int, on: date) -> tuple[int, int]:
    """How many prices a price book has, and for how many products one is in force on a day."""
    of_book = price.c.price_book_key == book_key
    prices = select(func.count()).select_from(
        select(price.c.product, price.c.effective_from).where(of_book).distinct().subquery()
    )
    products = select(func.count(price.c.product.distinct())).where(of_book, price.c.effective_from <= on)
    return connection.execute(prices).scalar_one(), connection.execute(products).scalar_one()
