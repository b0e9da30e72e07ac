"""Asset line items: listing, showing, locking. Every statement on them that is not hot or in bulk."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from batchwright.billing.records.forecast_blocks import mark_changed
from batchwright.billing.records.pages import chunks, stream
from batchwright.billing.tables import account, asset_line_item, customer, price_book


def shown(connection: Connection, asset_line_item_id: str) -> RowMapping | None:
    """The asset line item of that id."""
    statement = shown_assets().where(asset_line_item.c.asset_line_item_id == asset_line_item_id)
    return connection.execute(statement).mappings().one_or_none()


def key_of(connection: Connection, asset_line_item_id: str) -> int | None:
    """The key of the asset line item of that id."""
    statement = select(asset_line_item.c.id).where(asset_line_item.c.asset_line_item_id == asset_line_item_id)
    return connection.execute(statement).scalar_one_or_none()


def newest(connection: Connection) -> int:
    """The highest key of an asset line item; zero where there is none."""
    return connection.scalar(select(func.max(asset_line_item.c.id))) or 0


def owners(connection: Connection, keys: Collection[int]) -> dict[int, RowMapping]:
    """Product and customer (`customer_id`, `customer_name`) of the assets of these keys."""
    statement = (
        select(asset_line_item.c.id, asset_line_item.c.product, customer.c.customer_id)
        .add_columns(customer.c.name.label("customer_name"))
        .join_from(asset_line_item, customer, customer.c.id == asset_line_item.c.customer_key)
        .where(asset_line_item.c.id.in_(keys))
    )
    return {row["id"]: row for row in connection.execute(statement).mappings()}


def lock(connection: Connection, keys: Iterable[int]) -> None:
    """Hold these assets until the transaction ends, so that nobody else changes their inputs and schedules.

    In key order, so that two who want the same assets cannot wait for each other. What the forecast knows of them is
    not to be trusted from then on.
    """
    keys = set(keys)
    mark_changed(connection, keys)
    for chunk in chunks(sorted(keys)):
        lock_where(connection, asset_line_item.c.id.in_(chunk))


def lock_where(connection: Connection, *conditions: ColumnElement[bool]) -> None:
    """Hold the assets that meet the conditions, all of them without any, in key order as :func:`lock` does.

    On SQLite the write transaction itself is the lock.
    """
    if connection.dialect.name == "sqlite":
        return
    # FOR NO KEY UPDATE: no key changes, so who only inserts rows that point at the assets need not wait.
    locking = select(asset_line_item.c.id).where(*conditions).order_by(asset_line_item.c.id)
    for _ in stream(connection, locking.with_for_update(key_share=True)):
        pass


def shown_assets() -> Select[tuple[object, ...]]:
    """The asset line items, with the ids of what they belong to."""
    return select(
        asset_line_item,
        customer.c.customer_id,
        account.c.account_id,
        price_book.c.price_book_id,
    ).select_from(
        asset_line_item.join(customer, customer.c.id == asset_line_item.c.customer_key)
        .outerjoin(account, account.c.id == asset_line_item.c.account_key)
        .outerjoin(price_book, price_book.c.id == asset_line_item.c.price_book_key)
    )
