"""Rating and unrating in tests, and looking at what they left behind."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from batchwright.billing import tables
from batchwright.billing.exact import EXACT
from batchwright.billing.records.billing_schedules import LIVE
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import (
    list_billing_schedules,
    set_billing_schedule_status,
)
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.views import View
from tests.jobs.drafting import draft
from tests.support.application import ACTOR

RATING, UNRATING = "usage-rating", "usage-unrating"
BASIS = ("rated_price_key", "rated_contract_key", "rated_discount_percent", "rated_prior_quantity")


def rate(app: Application, parameters: dict[str, Any] | None = None, **values: Any) -> View:
    """The JSON of a rating that has ended."""
    return draft(app, parameters, job=RATING, **values)


def unrate(app: Application, parameters: dict[str, Any] | None = None, **values: Any) -> View:
    """The JSON of an unrating that has ended."""
    return draft(app, parameters, job=UNRATING, **values)


def rated(app: Application) -> dict[str, str | None]:
    """Rated Amount of every input."""
    return {row["usage_input_id"]: row["rated_amount"] for row in list_usage_inputs(app)}


def figures(app: Application) -> dict[str, tuple[str, str]]:
    """Actual Quantity and Fee Amount of the usage schedules that have any."""
    return {
        row["usage_schedule_id"]: (row["actual_quantity"], row["fee_amount"])
        for row in list_usage_schedules(app)
        if Decimal(row["actual_quantity"]) or Decimal(row["fee_amount"])
    }


def fees(app: Application) -> dict[str, str]:
    """Fee Amount of the billing schedules that have any."""
    return {
        row["billing_schedule_id"]: row["fee_amount"]
        for row in list_billing_schedules(app)
        if Decimal(row["fee_amount"])
    }


def invoice(app: Application, *ids: str, status: str = "invoiced") -> None:
    set_billing_schedule_status(app, ids, status, actor=ACTOR)


def stored(app: Application, usage_input_id: str) -> dict[str, Any]:
    """The row of an input."""
    table = tables.usage_input
    with app.database.read() as connection:
        statement = select(table).where(table.c.usage_input_id == usage_input_id)
        return dict(connection.execute(statement).one()._mapping)


def rated_results(app: Application) -> dict[str, list[tuple[Any, ...]]]:
    """All that ratings write, but for which run wrote it."""
    one, meter, bill = tables.usage_input.c, tables.usage_schedule.c, tables.billing_schedule.c
    inputs = (
        *(one.usage_input_id, one.status, one.error_by, one.code, one.message, one.rated_amount),
        *(one[name] for name in (*BASIS, "rated_schedule_key")),
    )
    meters = (
        *(meter.usage_schedule_id, meter.billing_schedule_key, meter.period_start_date),
        *(meter.actual_quantity, meter.fee_amount, meter.rated_inputs, meter.included_quantity),
    )
    bills = (
        *(bill.billing_schedule_id, bill.asset_key, bill.period_start_date, bill.period_end_date),
        *(bill.fee_amount, bill.ready_for_invoice_date, bill.status),
    )
    with app.database.read() as connection:
        return {
            "inputs": [tuple(row) for row in connection.execute(select(*inputs).order_by(one.id))],
            "meters": [tuple(row) for row in connection.execute(select(*meters).order_by(meter.id))],
            "bills": [tuple(row) for row in connection.execute(select(*bills).order_by(bill.id))],
        }


def assert_books_balance(app: Application) -> None:
    """Schedules in force hold just what their Rated inputs sum to. For companies whose schedules began with nothing.

    Superseded ones hold what they held when they were amended away, and no Rated input is part of them.
    """
    meter, bill, one = tables.usage_schedule, tables.billing_schedule, tables.usage_input
    sums: dict[int, tuple[Decimal, int, int]] = defaultdict(lambda: (Decimal(0), 0, 0))
    of_bills: dict[int, int] = defaultdict(int)
    with app.database.read() as connection:
        for row in connection.execute(select(one).where(one.c.status == "Rated")):
            quantity, fee, inputs = sums[row.rated_schedule_key]
            sums[row.rated_schedule_key] = (
                EXACT.add(quantity, row.quantity),
                fee + row.rated_amount,
                inputs + 1,
            )
        in_force = set(connection.execute(select(bill.c.id).where(LIVE)).scalars())
        for row in connection.execute(select(meter)):
            if row.billing_schedule_key not in in_force:
                assert row.id not in sums, row.usage_schedule_id
                continue
            found = (row.actual_quantity, row.fee_amount, row.rated_inputs)
            assert found == sums[row.id], row.usage_schedule_id
            of_bills[row.billing_schedule_key] += row.fee_amount
        for row in connection.execute(select(bill).where(LIVE)):
            assert row.fee_amount == of_bills[row.id], row.billing_schedule_id


def previewed(app: Application, run: View, kind: str) -> dict[str, View]:
    """The lines of that kind of a dry run's preview, by record."""
    return {
        line["record_id"]: line for line in run_preview(app, run["run_id"]) if line["kind"].endswith(kind)
    }
