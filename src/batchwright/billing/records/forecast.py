"""The figures a forecast is summed from.

What is charged is told by the product and unit of the prices that it was charged with: the asset may have another
product by now, and one schedule may hold usage in several units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Subquery, func, or_, select

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


def figures(connection: Connection, first_asset: int, last_asset: int) -> Iterator[RowMapping]:
    """Draft beside rated of every live usage schedule of the assets with these keys that has one of them.

    `rated_product, rated_uom` are those of the prices it was charged with, empty where no input was; `several` is true
    where these are several: see `charged_inputs`. `draft_product, draft_uom` are those of the asset's drafts, empty
    where these are several. Quantities are summed by the caller: SQLite would add them up as floats.
    """
    mine = usage_input.c.asset_key.between(first_asset, last_asset)
    rated = _priced(usage_input.c.rated_schedule_key, usage_input.c.rated_price_key, "rated", mine)
    draft = _priced(usage_input.c.asset_key, usage_input.c.draft_price_key, "draft", mine)
    statement = (
        select(
            usage_schedule.c.id,
            rated.c.product.label("rated_product"),
            rated.c.uom.label("rated_uom"),
            rated.c.several,
            draft.c.product.label("draft_product"),
            draft.c.uom.label("draft_uom"),
            draft.c.several.label("several_drafts"),
            usage_schedule.c.period_start_date,
            usage_schedule.c.draft_rated_quantity,
            usage_schedule.c.draft_fee_amount,
            usage_schedule.c.actual_quantity,
            usage_schedule.c.fee_amount,
            asset_line_item.c.product,
            asset_line_item.c.currency,
            customer.c.customer_id,
            customer.c.name.label("customer_name"),
        )
        .join_from(
            usage_schedule, billing_schedule, billing_schedule.c.id == usage_schedule.c.billing_schedule_key
        )
        .join(asset_line_item, asset_line_item.c.id == usage_schedule.c.asset_key)
        .join(customer, customer.c.id == asset_line_item.c.customer_key)
        .outerjoin(rated, rated.c.key == usage_schedule.c.id)
        .outerjoin(draft, draft.c.key == usage_schedule.c.asset_key)
        .where(
            LIVE,
            usage_schedule.c.asset_key.between(first_asset, last_asset),
            or_(
                usage_schedule.c.draft_fee_amount.is_not(None),
                usage_schedule.c.fee_amount != 0,
                usage_schedule.c.actual_quantity != ZERO,
            ),
        )
    )
    return stream(connection, statement)


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


def _priced(key: Column[int], price_key: Column[int], name: str, mine: ColumnElement[bool]) -> Subquery:
    """By this key product and unit of the prices that inputs have, and whether these are several."""
    product, uom = func.min(price.c.product), func.min(price.c.product_uom)
    several = or_(product != func.max(price.c.product), uom != func.max(price.c.product_uom))
    statement = (
        select(key.label("key"), product.label("product"), uom.label("uom"), several.label("several"))
        .join_from(usage_input, price, price.c.id == price_key)
        .where(~usage_input.c.deleted, key.is_not(None), mine)
    )
    if name == "rated":
        statement = statement.where(usage_input.c.status == "Rated")
    return statement.group_by(key).subquery(name)
