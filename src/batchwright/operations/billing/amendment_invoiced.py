"""What stays invoiced of a window that loses usage before it to an amendment: it was charged as coming after that.

There is such a window where an invoice was cancelled, and that of its late usage was not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping

from batchwright.billing.records import restating
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.catalog_of_rating import price_revisions
from batchwright.billing.restating import Window, WindowSchedule, restate


class Stays(NamedTuple):
    """A billing schedule, what was rated under it after usage that goes, and what that would be: in minor units.

    ``would_be`` is None where it could not be priced.
    """

    schedule: RowMapping
    amount: int
    would_be: int | None
    currency: str


def stays_invoiced(
    connection: Connection,
    asset_key: int,
    billing: Sequence[RowMapping],
    usage: Sequence[RowMapping],
    taken: Collection[int],
) -> list[Stays]:
    """What would be another amount without the Rated inputs ``taken``, of all schedules of an asset."""
    live = {row["id"]: row for row in billing if row["status"] != SUPERSEDED}
    pending = {_window(row) for row in live.values() if row["status"] == PENDING_BILLING}
    schedule_of = {row["id"]: live[key] for row in usage if (key := row["billing_schedule_key"]) in live}
    schedules = {
        row["id"]: WindowSchedule(window, row["actual_quantity"], billed=row["status"] != PENDING_BILLING)
        for row in usage
        if row["id"] in schedule_of and (window := _window(schedule_of[row["id"]])) in pending
    }
    if not taken or not any(one.billed for one in schedules.values()):
        return []
    inputs = {one.key: one for one in restating.read_windows(connection, [asset_key], list(schedules))}
    prices = price_revisions(connection, {usage_input.price_key for usage_input in inputs.values()})
    found = restate(list(inputs.values()), taken, schedules, prices)
    stays: dict[int, Stays] = {}
    for later in found.later:
        schedule = schedule_of[later.before.schedule_key]
        one = stays.get(schedule["id"], Stays(schedule, 0, 0, later.price.currency))
        would_be = (one.would_be or 0) + later.amount
        stays[schedule["id"]] = one._replace(amount=one.amount + later.before.amount, would_be=would_be)
    for blocked in found.blocked:
        later_one = inputs[blocked.later_key]
        schedule = schedule_of[later_one.schedule_key]
        one = stays.get(schedule["id"], Stays(schedule, 0, 0, prices[later_one.price_key].currency))
        stays[schedule["id"]] = one._replace(amount=one.amount + later_one.amount, would_be=None)
    return [stay for stay in stays.values() if stay.amount != stay.would_be]


def _window(schedule: RowMapping) -> Window:
    return schedule["period_start_date"], schedule["period_end_date"]
