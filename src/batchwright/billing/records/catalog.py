"""Customers, accounts, price books, prices and contracts: the lookups that an import needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, func, select, tuple_

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


class Account(NamedTuple):
    """An account and the customer it is of."""

    key: int
    customer_key: int


class Book(NamedTuple):
    """A price book."""

    key: int
    currency: str


class KnownPrice(NamedTuple):
    """The newest revision of a price."""

    key: int
    revision: int
    model: str
    row: Row[Any]
    """All its columns."""


class CustomItem(NamedTuple):
    """A custom line item that is there: its key, and what an import may leave unsaid."""

    key: int
    account_id: str | None
    end_date: date | None


class KnownTier(NamedTuple):
    """A tier of a stored price."""

    from_quantity: Decimal
    to_quantity: Decimal | None
    unit_price: Decimal | None
    flat_fee: Decimal | None


class ContractTerms(NamedTuple):
    """The newest revision of a contract: whom it is with, when, and which accounts it covers (none = all)."""

    contract_id: str
    revision: int
    customer_key: int
    book_key: int
    start_date: date
    end_date: date | None
    status: str
    discount_percent: Decimal | None
    accounts: frozenset[int]

    def covers(self, account_key: int | None) -> bool:
        """True when the contract is for this account, or for all of them."""
        return not self.accounts or account_key in self.accounts

    def overlaps(self, other: ContractTerms) -> bool:
        """True when some day and some account belong to both."""
        days = (self.end_date is None or other.start_date <= self.end_date) and (
            other.end_date is None or self.start_date <= other.end_date
        )
        return days and (not self.accounts or not other.accounts or bool(self.accounts & other.accounts))


class Included(NamedTuple):
    """From when on a product of a price book includes how much."""

    book_key: int
    effective_from: date
    quantity: Decimal


def customers(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """Keys of customers by id."""
    statement = select(customer.c.customer_id, customer.c.id)
    return dict(_all(connection, statement.where(among(connection, customer.c.customer_id, ids))))


def accounts(connection: Connection, ids: Collection[str]) -> dict[str, Account]:
    """Accounts by id."""
    statement = select(account.c.account_id, account.c.id, account.c.customer_key)
    rows = _all(connection, statement.where(among(connection, account.c.account_id, ids)))
    return {an_id: Account(key, customer_key) for an_id, key, customer_key in rows}


def price_books(connection: Connection, ids: Collection[str]) -> dict[str, Book]:
    """Price books by id."""
    statement = select(price_book.c.price_book_id, price_book.c.id, price_book.c.currency)
    rows = _all(connection, statement.where(among(connection, price_book.c.price_book_id, ids)))
    return {an_id: Book(key, currency) for an_id, key, currency in rows}


def currencies_of_books(connection: Connection, keys: Collection[int]) -> dict[int, str]:
    """Currencies of price books by key."""
    statement = select(price_book.c.id, price_book.c.currency)
    return dict(_all(connection, statement.where(among(connection, price_book.c.id, keys))))


def prices(connection: Connection, book_keys: Collection[int]) -> dict[tuple[int, str, date], KnownPrice]:
    """The newest revision of each price of these books, by book, product and first day."""
    statement = select(price).order_by(price.c.revision)
    rows = _all(connection, statement.where(among(connection, price.c.price_book_key, book_keys)))
    return {
        (row.price_book_key, row.product, row.effective_from): KnownPrice(
            row.id, row.revision, row.model, row
        )
        for row in rows
    }


def tiers(connection: Connection, price_key: int) -> list[KnownTier]:
    """The tiers of a stored price, in order."""
    statement = select(*(price_tier.c[name] for name in KnownTier._fields)).order_by(price_tier.c.ordinal)
    return [
        KnownTier(*row) for row in connection.execute(statement.where(price_tier.c.price_key == price_key))
    ]


def included_quantities(
    connection: Connection, book_keys: Collection[int]
) -> dict[tuple[int, str], list[Included]]:
    """What each product of these books includes, by book and product, the newest revisions in order of time."""
    statement = select(
        price.c.price_book_key, price.c.product, price.c.effective_from, price.c.included_quantity
    ).order_by(price.c.revision)
    rows = _all(connection, statement.where(among(connection, price.c.price_book_key, book_keys)))
    newest = {(book, product, start): quantity for book, product, start, quantity in rows}
    found: dict[tuple[int, str], list[Included]] = defaultdict(list)
    for (book, product, start), quantity in sorted(newest.items(), key=lambda item: item[0]):
        found[book, product].append(Included(book, start, quantity or Decimal(0)))
    return found


def contracts(connection: Connection, ids: Collection[str]) -> dict[str, ContractTerms]:
    """The newest revision of each of these contracts, by id."""
    return {terms.contract_id: terms for terms in _terms(connection, contract.c.contract_id, ids)}


def contracts_of(connection: Connection, customer_keys: Collection[int]) -> dict[int, list[ContractTerms]]:
    """The newest revisions of the contracts of these customers, by customer, in order of start and id."""
    found: dict[int, list[ContractTerms]] = defaultdict(list)
    for terms in _terms(connection, contract.c.customer_key, customer_keys):
        found[terms.customer_key].append(terms)
    for listed in found.values():
        listed.sort(key=lambda terms: (terms.start_date, terms.contract_id))
    return found


def custom_line_items(connection: Connection, ids: Collection[str]) -> dict[str, CustomItem]:
    """Custom line items by id."""
    item = custom_line_item.c
    columns = (item.line_item_id, item.id, account.c.account_id, item.end_date)
    statement = select(*columns).outerjoin(account, account.c.id == item.account_key)
    rows = _all(connection, statement.where(among(connection, item.line_item_id, ids)))
    return {an_id: CustomItem(*known) for an_id, *known in rows}


def _terms(connection: Connection, column: Any, values: Collection[Any]) -> Iterator[ContractTerms]:
    """The newest revisions of the contracts whose column has one of the values.

    A contract's customer never changes, so the newest of the selected revisions is the newest of all.
    """
    chosen = among(connection, column, values)
    newest = (
        select(contract.c.contract_id, func.max(contract.c.revision))
        .where(chosen)
        .group_by(contract.c.contract_id)
    )
    covered = select(contract_account.c.contract_key, contract_account.c.account_key).join(
        contract, contract.c.id == contract_account.c.contract_key
    )
    accounts_of: dict[int, set[int]] = defaultdict(set)
    for contract_key, account_key in _all(connection, covered.where(chosen)):
        accounts_of[contract_key].add(account_key)
    columns = (
        "id contract_id revision customer_key price_book_key start_date end_date status discount_percent"
    ).split()
    statement = select(*contract.c[*columns]).where(
        and_(chosen, tuple_(contract.c.contract_id, contract.c.revision).in_(newest))
    )
    for key, *terms in _all(connection, statement):
        yield ContractTerms._make((*terms, frozenset(accounts_of[key])))


def _all(connection: Connection, statement: Select[Any]) -> list[Any]:
    return list(connection.execute(statement))
