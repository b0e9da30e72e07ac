"""The figures a forecast is summed from.

What is charged is identified by the product and unit of the prices that it was charged with: the asset may have another
product by now, and one schedule may hold usage in several units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Select, func, or_, select, true

from batchwright.billing.exact import ZERO
from batchwright.billing.records.billing_schedules import LIVE
from batchwright.billing.records.pages import chunks, stream
from batchwright.billing.tables import (
    asset_line_item,
    billing_schedule,
    customer,
    price,
    usage_input,
    usage_schedule,
)


class Kind(NamedTuple):
    """What identifies the figures of a usage schedule.

    `rated_product, rated_uom` are those of the prices it was charged with, empty where no input was. `draft_product,
    draft_uom` are those of the asset's drafts; `several_drafts` where these are several.
    """

    period_start_date: date
    rated_product: str | None
    rated_uom: str | None
    currency: str | None
    customer_id: str
    customer_name: str
    product: str
    draft_product: str | None
    draft_uom: str | None
    several_drafts: bool | None


Figures = tuple[int, tuple[Any, ...], bool | None, Decimal | None, int | None, Decimal, int]
_NO_PRICES: Final = (None, None, None)
_RATED: Final = usage_input.c.status == "Rated"


def figures(connection: Connection, first_asset: int, last_asset: int) -> Iterator[Figures]:
    """Draft beside rated of every live usage schedule of the assets with these keys that has one of them.

    Each as its key, the fields of its `Kind`, whether the prices that it was charged with are of several products or
    units (see `charged_inputs`), then `draft_rated_quantity, draft_fee_amount, actual_quantity, fee_amount`. Quantities
    are summed by the caller: SQLite would add them up as floats.
    """

    def mine(key: Column[int]) -> ColumnElement[bool]:
        return key.between(first_asset, last_asset)

    # Not one statement: PostgreSQL cannot tell how few rows these ranges have together, and joins by reading tables.
    rated = _priced(connection, usage_input.c.rated_schedule_key, usage_input.c.rated_price_key, _RATED, mine)
    drafts = _priced(connection, usage_input.c.asset_key, usage_input.c.draft_price_key, true(), mine)
    names = (asset_line_item.c.currency, customer.c.customer_id, customer.c.name, asset_line_item.c.product)
    owned = select(asset_line_item.c.id, *names).join_from(asset_line_item, customer)
    assets = {
        key: (*of_asset, *drafts.get(key, _NO_PRICES))
        for key, *of_asset in connection.execute(owned.where(mine(asset_line_item.c.id))).all()
    }
    not_live = select(billing_schedule.c.id).where(~LIVE, mine(billing_schedule.c.asset_key))
    replaced = set(connection.execute(not_live).scalars())
    # A hot loop: a look goes through each schedule of the blocks that have changed.
    scheduled = _schedules().where(mine(usage_schedule.c.asset_key))
    for key, asset, schedule, start, *amounts in connection.execute(scheduled).all():
        if schedule not in replaced:
            product, uom, several = rated.get(key, _NO_PRICES)
            yield (key, (start, product, uom, *assets[asset]), several, *amounts)


def _schedules() -> Select[Any]:
    drafted, fee, quantity = (
        usage_schedule.c.draft_fee_amount,
        usage_schedule.c.fee_amount,
        usage_schedule.c.actual_quantity,
    )
    return select(
        usage_schedule.c.id,
        usage_schedule.c.asset_key,
        usage_schedule.c.billing_schedule_key,
        usage_schedule.c.period_start_date,
        usage_schedule.c.draft_rated_quantity,
        drafted,
        quantity,
        fee,
    ).where(or_(drafted.is_not(None), fee != 0, quantity != ZERO))


def charged_inputs(connection: Connection, schedule_keys: Sequence[int]) -> Iterator[RowMapping]:
    """Of the Rated inputs of these usage schedules: `schedule_key, product, product_uom, quantity, amount`."""
    columns = (
        usage_input.c.rated_schedule_key.label("schedule_key"),
        price.c.product,
        price.c.product_uom,
        usage_input.c.quantity,
        usage_input.c.rated_amount.label("amount"),
    )
    statement = select(*columns).join_from(usage_input, price, price.c.id == usage_input.c.rated_price_key)
    for chunk in chunks(schedule_keys):
        mine = statement.where(usage_input.c.rated_schedule_key.in_(chunk), usage_input.c.status == "Rated")
        yield from stream(connection, mine.where(~usage_input.c.deleted))


def _priced(
    connection: Connection,
    key: Column[int],
    price_key: Column[int],
    which: ColumnElement[bool],
    mine: Callable[[Column[int]], ColumnElement[bool]],
) -> dict[int, tuple[Any, ...]]:
    """By this key product and unit of the prices that inputs have, and whether these are several."""
    product, uom = func.min(price.c.product), func.min(price.c.product_uom)
    several = or_(product != func.max(price.c.product), uom != func.max(price.c.product_uom))
    statement = select(key, product, uom, several).join_from(usage_input, price, price.c.id == price_key)
    statement = statement.where(
        ~usage_input.c.deleted, key.is_not(None), mine(usage_input.c.asset_key), which
    )
    return {of: tuple(prices) for of, *prices in connection.execute(statement.group_by(key)).all()}
