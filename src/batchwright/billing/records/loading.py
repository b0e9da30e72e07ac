"""Writing in bulk: sets of rows through the raw driver, COPY on PostgreSQL and executemany on SQLite.

SQLAlchemy's own executemany is several times slower at this.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    String,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    or_,
    select,
    text,
    update,
)

from batchwright.billing.exact import canonical
from batchwright.billing.periods import Period
from batchwright.billing.records.assets import lock_where
from batchwright.billing.tables import (
    account,
    billing_schedule,
    contract,
    contract_account,
    price_book,
    usage_input,
    usage_schedule,
)
from batchwright.billing.tables import asset_line_item as asset
from batchwright.engine.errors import Conflict
from batchwright.engine.store.types import instant_text

# What a driver of either database takes as it is.
Stored = str | int | bool | None
_ROWS_AT_A_TIME: Final = 10_000
_SEPARATOR: Final = "\x1f"  # In no id: they are printable.


def stored(value: date | datetime | Decimal | Stored) -> Stored:
    """A value as both databases take it in bulk: exact decimals, dates and instants as text."""
    if isinstance(value, Decimal):
        return canonical(value)
    if isinstance(value, datetime):
        return instant_text(value)
    return value.isoformat() if isinstance(value, date) else value


def insert_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Stored]]
) -> None:
    """Insert the rows in their order. Raises ``Refused`` when somebody else took one of their ids meanwhile."""
    driver = connection.connection.driver_connection
    cursor = driver.cursor()  # type: ignore[union-attr]
    names = ", ".join(columns)
    try:
        if connection.dialect.name == "postgresql":
            with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join("?" * len(columns))
            cursor.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)
    except connection.dialect.loaded_dbapi.IntegrityError as error:
        raise Conflict(
            f"{table.name}: another act wrote the same or related records meanwhile ({str(error).strip()})",
            remedy="Try again",
        ) from error
    finally:
        cursor.close()


def update_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Set, in the row whose key is ``key``, the other columns that each mapping names (all the same ones)."""
    if rows:
        connection.execute(update(table).where(table.c.id == bindparam("key")), rows)


def new_keys(connection: Connection, table: Table, count: int) -> Sequence[int]:
    """``count`` rising keys for rows about to be inserted, so that rows that point at them can be made as well."""
    if connection.dialect.name == "postgresql":
        statement = text(
            f"SELECT nextval(pg_get_serial_sequence('{table.name}', 'id')) FROM generate_series(1, :count)"
        )
        return sorted(connection.execute(statement, {"count": count}).scalars())
    first = highest_key(connection, table) + 1
    return range(first, first + count)


def highest_key(connection: Connection, table: Table) -> int:
    """The highest key of the table, 0 when it is empty."""
    highest: int = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return highest


def among(connection: Connection, column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """The condition that the column has one of these texts or keys, whose number has no limit."""
    if connection.dialect.name == "postgresql":
        # One text that the server splits: psycopg takes longer to write an array than the server to use it.
        split = func.string_to_array(_SEPARATOR.join(map(str, values)), _SEPARATOR)
        item = Text() if isinstance(column.type, String) else BigInteger()
        return column == any_(cast(split, ARRAY(item)))
    listed = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(listed.c.value))


def texts_there(connection: Connection, column: ColumnElement[str], values: Sequence[str]) -> set[str]:
    """Those of the texts that the column has already."""
    return {
        value
        for start in range(0, len(values), _ROWS_AT_A_TIME)
        for value in connection.execute(
            select(column).where(among(connection, column, values[start : start + _ROWS_AT_A_TIME]))
        )
        .scalars()
        .all()
    }


# --- assets, schedules and inputs ---------------------------------------------------------------------------------


class Asset(NamedTuple):
    """What an import must know of an asset that is there."""

    key: int
    customer_key: int
    start_date: date
    end_date: date
    first_billing_date: date
    billing_frequency: str
    usage_frequency: str
    book_key: int | None
    currency: str | None
    selling_frequency: str | None
    price_type: str
    list_price: Decimal | None
    account_id: str | None
    price_book_id: str | None


class NewAsset(NamedTuple):
    """What the schedules of an asset are made from."""

    key: int
    customer_key: int
    account_key: int | None
    product: str
    end_date: date
    first_billing_date: date
    billing_frequency: str
    usage_frequency: str
    book_key: int | None


class BillingSchedule(NamedTuple):
    """A billing schedule that usage schedules hang on."""

    key: int
    asset_key: int
    period: Period
    status: str


class KnownInput(NamedTuple):
    """A usage input that is there."""

    key: int
    status: str
    deleted: bool
    description: str | None


def assets(connection: Connection, ids: Collection[str]) -> dict[str, Asset]:
    """Assets by id."""
    columns = (
        "asset_line_item_id id customer_key start_date end_date first_billing_date billing_frequency"
        " usage_frequency price_book_key currency selling_frequency price_type list_price"
    ).split()
    statement = (
        select(*asset.c[*columns], account.c.account_id, price_book.c.price_book_id)
        .outerjoin(account, account.c.id == asset.c.account_key)
        .outerjoin(price_book, price_book.c.id == asset.c.price_book_key)
        .where(among(connection, asset.c.asset_line_item_id, ids))
    )
    return {an_id: Asset(*row) for an_id, *row in connection.execute(statement).all()}


def asset_keys(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """Keys of assets by id."""
    statement = select(asset.c.asset_line_item_id, asset.c.id)
    chosen = statement.where(among(connection, asset.c.asset_line_item_id, ids))
    return dict(connection.execute(chosen).all())


def give_currencies(connection: Connection, ceiling: int) -> None:
    """Give each asset that has no currency that of its customer's contract, where there is one.

    Of the contracts that cover the asset's account and overlap its dates, whatever their status, the earliest
    counts, in its newest revision. ``ceiling`` is the highest key that others can see: those assets are locked
    first, in key order.
    """
    other = contract.alias()
    newest = (
        select(func.max(other.c.revision))
        .where(other.c.contract_id == contract.c.contract_id)
        .scalar_subquery()
    )
    limited = select(contract_account.c.account_key).where(contract_account.c.contract_key == contract.c.id)
    of_contract = (
        select(price_book.c.currency)
        .join(contract, contract.c.price_book_key == price_book.c.id)
        .where(
            contract.c.customer_key == asset.c.customer_key,
            contract.c.revision == newest,
            contract.c.start_date <= asset.c.end_date,
            or_(contract.c.end_date.is_(None), contract.c.end_date >= asset.c.start_date),
            or_(~limited.exists(), asset.c.account_key.in_(limited)),
        )
        .order_by(contract.c.start_date, contract.c.contract_id)
        .limit(1)
        .correlate(asset)
        .scalar_subquery()
    )
    lacking = and_(asset.c.currency.is_(None), of_contract.is_not(None))
    lock_where(connection, lacking, asset.c.id <= ceiling)
    connection.execute(update(asset).where(lacking).values(currency=of_contract))


def assets_without_schedules(connection: Connection, after: int, count: int) -> list[NewAsset]:
    """Some assets whose key is above ``after`` and that have no billing schedule, in key order."""
    scheduled = select(billing_schedule.c.id).where(billing_schedule.c.asset_key == asset.c.id)
    columns = (
        "id customer_key account_key product end_date first_billing_date billing_frequency"
        " usage_frequency price_book_key"
    ).split()
    statement = select(*asset.c[*columns]).where(asset.c.id > after, ~scheduled.exists())
    return [NewAsset(*row) for row in connection.execute(statement.order_by(asset.c.id).limit(count))]


def billing_schedules(connection: Connection, ids: Collection[str]) -> dict[str, BillingSchedule]:
    """Billing schedules by id."""
    columns = "billing_schedule_id id asset_key period_start_date period_end_date status".split()
    statement = select(*billing_schedule.c[*columns]).where(
        among(connection, billing_schedule.c.billing_schedule_id, ids)
    )
    return {
        an_id: BillingSchedule(key, asset_key, Period(start, end), status)
        for an_id, key, asset_key, start, end, status in connection.execute(statement)
    }


def live_periods(connection: Connection, asset_keys: Collection[int]) -> dict[int, list[tuple[str, Period]]]:
    """Id and period of the billing schedules of each of these assets, superseded ones left out."""
    columns = "asset_key billing_schedule_id period_start_date period_end_date".split()
    statement = select(*billing_schedule.c[*columns]).where(
        among(connection, billing_schedule.c.asset_key, asset_keys), billing_schedule.c.status != "Superseded"
    )
    found: dict[int, list[tuple[str, Period]]] = defaultdict(list)
    for asset_key, an_id, start, end in connection.execute(statement):
        found[asset_key].append((an_id, Period(start, end)))
    return found


def usage_schedule_keys(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    """Keys of usage schedules by id."""
    statement = select(usage_schedule.c.usage_schedule_id, usage_schedule.c.id)
    chosen = statement.where(among(connection, usage_schedule.c.usage_schedule_id, ids))
    return dict(connection.execute(chosen).all())


def usage_periods(
    connection: Connection, billing_keys: Collection[int]
) -> dict[int, list[tuple[str, Period]]]:
    """Id and period of the usage schedules of each of these billing schedules."""
    columns = "billing_schedule_key usage_schedule_id period_start_date period_end_date".split()
    statement = select(*usage_schedule.c[*columns]).where(
        among(connection, usage_schedule.c.billing_schedule_key, billing_keys)
    )
    found: dict[int, list[tuple[str, Period]]] = defaultdict(list)
    for billing_key, an_id, start, end in connection.execute(statement):
        found[billing_key].append((an_id, Period(start, end)))
    return found


def usage_inputs(connection: Connection, ids: Collection[str]) -> dict[str, KnownInput]:
    """Usage inputs by id, deleted ones too: their ids stay taken."""
    columns = "usage_input_id id status deleted description".split()
    statement = select(*usage_input.c[*columns]).where(among(connection, usage_input.c.usage_input_id, ids))
    return {an_id: KnownInput(*row) for an_id, *row in connection.execute(statement).all()}


def rename_input(connection: Connection, key: int, usage_input_id: str) -> None:
    """Give a usage input another id."""
    connection.execute(
        update(usage_input).where(usage_input.c.id == key).values(usage_input_id=usage_input_id)
    )
