"""Account charges: what custom line items come to for an account and a month, as the last recalculation left them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, case, delete, exists, func, insert, or_, select, tuple_

from batchwright.billing.periods import Day
from batchwright.billing.records.assets import lock_where
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.pages import chunks
from batchwright.billing.tables import (
    account,
    account_charge,
    asset_line_item,
    billing_schedule,
    custom_line_item,
    customer,
)
from batchwright.engine.store.database import Database
from batchwright.engine.store.pages import ROWS_AT_A_TIME, Listing, pages
from batchwright.engine.store.tables import run

_ACCOUNTS_AT_A_TIME = 50


class Customer(NamedTuple):
    """A customer."""

    key: int
    customer_id: str
    name: str


class CustomItem(NamedTuple):
    """A custom line item; ``account_key`` is None for every account, ``end`` for no end. Days are inclusive.

    ``rate`` is an amount of money, or a percentage, by its kind.
    """

    key: int
    line_item_id: str
    contract_id: str
    account_key: int | None
    kind: str
    rate: Decimal
    start: Day
    end: Day | None


class AccountCharge(NamedTuple):
    """What an item comes to for an account and a month: minor units, below zero for a discount.

    ``base`` is what a percentage was taken of, in minor units; none of a fixed amount.
    """

    account_key: int
    month: str
    line_item_key: int
    contract_revision: int
    rate: Decimal
    base: int | None
    amount: int
    currency: str


class CurrentCharge(NamedTuple):
    """A current charge: minor units of a currency, by account, month (YYYY-MM) and line item."""

    account_key: int
    month: str
    line_item_key: int
    line_item_id: str
    amount: int
    currency: str


def lock_customer(connection: Connection, customer_id: str) -> int:
    """The key of the customer of that id, held until the transaction ends (on SQLite every writer is alone).

    Who only adds rows that point at the customer need not wait.
    """
    statement = select(customer.c.id).where(customer.c.customer_id == customer_id)
    return int(connection.execute(statement.with_for_update(key_share=True)).scalar_one())


def customers(connection: Connection, customer_id: str | None = None) -> list[Customer]:
    """All customers by id; or the one of that id, if there is one."""
    statement = select(customer.c.id, customer.c.customer_id, customer.c.name)
    if customer_id is not None:
        if not customer_id.isprintable():
            return []  # nobody's id, and PostgreSQL could not even be asked for it
        statement = statement.where(customer.c.customer_id == customer_id)
    return [Customer(*row) for row in connection.execute(statement.order_by(customer.c.customer_id))]


def customers_found(connection: Connection, words: str, limit: int) -> list[Customer]:
    """The first customers with these words in their id or name, whatever the case; those that begin so come first.

    SQLite tells capitals from small letters outside ASCII.
    """
    if not words.isprintable():
        return []
    texts = [func.lower(customer.c.customer_id), func.lower(customer.c.name)]
    asked = words.lower()
    begins = or_(*(text.startswith(asked, autoescape=True) for text in texts))
    has = or_(
        *(text.contains(asked, autoescape=True) for text in texts),
        customer.c.name.contains(words, autoescape=True),
    )
    statement = select(customer.c.id, customer.c.customer_id, customer.c.name).where(has)
    ordered = statement.order_by(case((begins, 0), else_=1), customer.c.customer_id).limit(limit)
    return [Customer(*row) for row in connection.execute(ordered)]


def accounts_of(connection: Connection, customer_keys: Sequence[int]) -> dict[int, dict[int, str]]:
    """The accounts of these customers, 1,000 at most: by customer their ids by key, in order of key."""
    columns = (account.c.customer_key, account.c.id, account.c.account_id)
    found: dict[int, dict[int, str]] = {key: {} for key in customer_keys}
    statement = select(*columns).where(account.c.customer_key.in_(customer_keys)).order_by(account.c.id)
    for customer_key, key, account_id in connection.execute(statement):
        found[customer_key][key] = account_id
    return found


def items_of(connection: Connection, contract_ids: Sequence[str]) -> list[CustomItem]:
    """The custom line items of these contracts, in order of key."""
    item, found = custom_line_item.c, list[CustomItem]()
    for chunk in chunks(contract_ids):
        for row in connection.execute(select(custom_line_item).where(item.contract_id.in_(chunk))):
            end = None if row.end_date is None else row.end_date.isoformat()
            found.append(
                CustomItem(
                    *(row.id, row.line_item_id, row.contract_id, row.account_key, row.kind, row.amount),
                    *(row.start_date.isoformat(), end),
                )
            )
    return sorted(found)


def replace_charges(
    connection: Connection,
    run_key: int,
    accounts: Sequence[int],
    months: Sequence[str],
    charges: Sequence[AccountCharge],
    now: datetime,
    billed: Set[tuple[int, str]] = frozenset(),
) -> None:
    """Put these charges in the place of all that the accounts had in these months, but for what is ``billed``."""
    for month in months:
        for chunk in chunks([key for key in accounts if (key, month) not in billed]):
            mine = (account_charge.c.account_key.in_(chunk), account_charge.c.month == month)
            connection.execute(delete(account_charge).where(*mine))
    if charges:
        rows = [{**charge._asdict(), "run_key": run_key, "created_at": now} for charge in charges]
        connection.execute(insert(account_charge), rows)


def current(connection: Connection, accounts: Sequence[int], months: Sequence[str]) -> list[CurrentCharge]:
    """What the accounts have been charged in these months."""
    one, item = account_charge.c, custom_line_item.c
    statement = select(
        one.account_key, one.month, one.line_item_key, item.line_item_id, one.amount, one.currency
    ).join_from(account_charge, custom_line_item, item.id == one.line_item_key)
    found = list[CurrentCharge]()
    for chunk in chunks(accounts):
        mine = (one.account_key.in_(chunk), one.month.in_(months))
        found += [CurrentCharge(*row) for row in connection.execute(statement.where(*mine))]
    return found


def lock_assets_of(connection: Connection, customer_key: int) -> None:
    """Hold the customer's assets, so that none of their schedules changes its status until the transaction ends."""
    lock_where(connection, asset_line_item.c.customer_key == customer_key)


def billed_accounts(connection: Connection, customer_key: int, days: tuple[Day, Day]) -> list[int]:
    """Accounts of the customer with schedules between these days, both inclusive, none of which is still pending."""
    first, last = (date.fromisoformat(day) for day in days)
    asset, schedule = asset_line_item.c, billing_schedule.c
    pending = func.sum(case((schedule.status == PENDING_BILLING, 1), else_=0))
    statement = (
        select(asset.account_key)
        .join_from(asset_line_item, billing_schedule, schedule.asset_key == asset.id)
        .where(asset.customer_key == customer_key, asset.account_key.is_not(None))
        .where(
            schedule.period_start_date <= last,
            first <= schedule.period_end_date,
            schedule.status != SUPERSEDED,
        )
        .group_by(asset.account_key)
        .having(pending == 0)
    )
    return list(connection.execute(statement).scalars())


def listing(database: Database, customer_id: str | None = None) -> Iterator[RowMapping]:
    """The charges by customer, account, month, line item and currency, in pages of some accounts each.

    By accounts, for what orders them stands in four tables, and no index finds the place where a page of rows begins.
    """

    def read(connection: Connection, last: RowMapping | None) -> tuple[list[RowMapping], RowMapping | None]:
        found: list[RowMapping] = []
        while len(found) < ROWS_AT_A_TIME:
            accounts = connection.execute(_charged_accounts(customer_id, last)).mappings().all()
            found += connection.execute(_charges_of([row["id"] for row in accounts])).mappings()
            if len(accounts) < _ACCOUNTS_AT_A_TIME:
                return found, None
            last = accounts[-1]
        return found, last

    return pages(database, read)


class Place(NamedTuple):
    """A charge's place in the order of `listing`."""

    customer_id: str
    account_id: str
    month: str
    line_item_id: str
    currency: str


def page(
    connection: Connection, customer_id: str | None, size: int, after: Place | None = None
) -> list[tuple[Place, RowMapping]]:
    """So many charges behind a place, each with its own, in the order of `listing`."""
    found: list[RowMapping] = []
    last: RowMapping | Mapping[str, Any] | None = None
    if after is not None:
        last = after._asdict()
        rest = tuple_(account_charge.c.month, custom_line_item.c.line_item_id, account_charge.c.currency)
        same = _charges().where(account.c.account_id == after.account_id, rest > after[2:])
        found += connection.execute(same.limit(size)).mappings()
    while len(found) < size:
        accounts = connection.execute(_charged_accounts(customer_id, last)).mappings().all()
        charged = _charges_of([row["id"] for row in accounts]).limit(size - len(found))
        found += connection.execute(charged).mappings()
        if len(accounts) < _ACCOUNTS_AT_A_TIME:
            break
        last = accounts[-1]
    return [(Place(*(row[name] for name in Place._fields)), row) for row in found]


def _charged_accounts(customer_id: str | None, last: RowMapping | Mapping[str, Any] | None) -> Select[Any]:
    key = (customer.c.customer_id, account.c.account_id)
    statement = (
        select(account.c.id, *key)
        .join_from(account, customer, customer.c.id == account.c.customer_key)
        .where(exists().where(account_charge.c.account_key == account.c.id))
    )
    if customer_id is not None:
        statement = statement.where(customer.c.customer_id == customer_id)
    return Listing(statement, key).page(last, _ACCOUNTS_AT_A_TIME)


def _charges_of(accounts: Sequence[int]) -> Select[Any]:
    return _charges().where(account_charge.c.account_key.in_(accounts))


def _charges() -> Select[Any]:
    return (
        select(
            customer.c.customer_id,
            account.c.account_id,
            account_charge,
            custom_line_item.c.line_item_id,
            custom_line_item.c.contract_id,
            custom_line_item.c.kind,
            custom_line_item.c.description,
            run.c.run_id,
        )
        .join_from(account_charge, account, account.c.id == account_charge.c.account_key)
        .join(customer, customer.c.id == account.c.customer_key)
        .join(custom_line_item, custom_line_item.c.id == account_charge.c.line_item_key)
        .outerjoin(run, run.c.id == account_charge.c.run_key)
        .order_by(customer.c.customer_id, account.c.account_id, account_charge.c.month)
        .order_by(custom_line_item.c.line_item_id, account_charge.c.currency)
    )
