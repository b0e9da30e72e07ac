"""What an import loaded into the catalogue, as people look at it: in order of its ids, each in its newest revision."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
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

from batchwright.billing.records.loading import among
from batchwright.billing.tables import (
    account,
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
    """The records of one kind. `key` orders them; `names` are the columns that an id says, in the key's order."""

    statement: Select[Any]
    key: tuple[Column[Any], ...]
    names: tuple[Column[Any], ...]

    def listing(self, limit: int | None = None) -> Listing:
        """All of them, `limit` at most."""
        return Listing(self.statement, self.key, limit)

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


def _by_id(source: FromClause, own: Column[Any], *others: Column[Any]) -> Records:
    return Records(select(own.table, *others).select_from(source), (own,), (own,))


CUSTOMERS: Final = _by_id(customer, customer.c.customer_id)
ACCOUNTS: Final = _by_id(account.join(customer), account.c.account_id, customer.c.customer_id)
PRICE_BOOKS: Final = _by_id(price_book, price_book.c.price_book_id)
PRICES: Final = Records(
    _PRICES.where(_newest(price, *_PRICE)),
    _PRICE,
    (price_book.c.price_book_id, price.c.product, price.c.effective_from),
)
CONTRACTS: Final = Records(
    _CONTRACTS.where(_NEWEST_CONTRACT), (contract.c.contract_id,), (contract.c.contract_id,)
)
CUSTOM_LINE_ITEMS: Final = _by_id(
    custom_line_item.outerjoin(account, account.c.id == custom_line_item.c.account_key)
    .join(contract, and_(contract.c.contract_id == custom_line_item.c.contract_id, _NEWEST_CONTRACT))
    .join(price_book, price_book.c.id == contract.c.price_book_key),
    custom_line_item.c.line_item_id,
    account.c.account_id,
    price_book.c.currency,
)


def price_on(connection: Connection, price_book_id: str, product: str, on: date) -> RowMapping | None:
    """The price of a product that is in force on a day: the one with the latest first day that has come."""
    statement = PRICES.statement.where(
        price_book.c.price_book_id == price_book_id, price.c.product == product, price.c.effective_from <= on
    )
    newest = statement.order_by(price.c.effective_from.desc()).limit(1)
    return connection.execute(newest).mappings().one_or_none()


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
    statement = select(contract.c.contract_id).where(
        _NEWEST_CONTRACT,
        contract.c.status == "Active",
        contract.c.start_date <= on,
        or_(contract.c.end_date.is_(None), contract.c.end_date >= on),
        *conditions,
    )
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
