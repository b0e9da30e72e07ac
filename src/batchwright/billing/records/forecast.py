"""The figures a forecast is summed from."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, RowMapping, or_, select

from batchwright.billing.exact import ZERO
from batchwright.billing.records.billing_schedules import LIVE
from batchwright.billing.records.pages import stream
from batchwright.billing.tables import asset_line_item, billing_schedule, customer, usage_schedule


def figures(connection: Connection) -> Iterator[RowMapping]:
    """Draft beside rated of every live usage schedule that has one of them.

    Quantities are summed by the caller: SQLite would add them up as floats.
    """
    statement = (
        select(
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
        .where(
            LIVE,
            or_(
                usage_schedule.c.draft_fee_amount.is_not(None),
                usage_schedule.c.fee_amount != 0,
                usage_schedule.c.actual_quantity != ZERO,
            ),
        )
    )
    return stream(connection, statement)
