"""Rating and unrating in tests, and looking at what they left behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

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
    usage_schedules = (
        *(meter.usage_schedule_id, meter.billing_schedule_key, meter.period_start_date),
        *(meter.actual_quantity, meter.fee_amount, meter.rated_inputs, meter.included_quantity),
    )
    schedules = (
        *(bill.billing_schedule_id, bill.asset_key, bill.period_start_date, bill.period_end_date),
        *(bill.fee_amount, bill.ready_for_invoice_date, bill.status),
    )
    with app.database.read() as connection:
        return {
            "inputs": [tuple(row) for row in connection.execute(select(*inputs).order_by(one.id))],
            "meters": [tuple(row) for row in connection.execute(select(*usage_schedules).order_by(meter.id))],
            "bills": [tuple(row) for row in connection.execute(select(*schedules).order_by(bill.id))],
        }


def assert_books_balance(app: Application) -> None:
    """Schedules in force hold just what their Rated inputs sum to, and count them for the prices they were rated by.

    For companies whose schedules began with nothing.

    Superseded ones hold what they held when they were amended away, and no Rated input is part of them.
    """
    meter, bill, one = tables.usage_schedule, tables.billing_schedule, tables.usage_input
    sums: dict[int, tuple[Decimal, int, int]] = defaultdict(lambda: (Decimal(0), 0, 0))
    of_bills: dict[int, int] = defaultdict(int)
    counts: dict[tuple[int, int], tuple[Decimal, int]] = defaultdict(lambda: (Decimal(0), 0))
    with app.database.read() as connection:
        same = _first_of_same(connection)
        for row in connection.execute(select(one).where(one.c.status == "Rated")):
            quantity, fee, inputs = sums[row.rated_schedule_key]
            sums[row.rated_schedule_key] = (
                EXACT.add(quantity, row.quantity),
                fee + row.rated_amount,
                inputs + 1,
            )
            counted, number = counts[key := (row.rated_schedule_key, same[row.rated_price_key])]
            counts[key] = EXACT.add(counted, row.quantity), number + 1
        in_force = set(connection.execute(select(bill.c.id).where(LIVE)).scalars())
        live = {}
        for row in connection.execute(select(meter)):
            live[row.id] = row.billing_schedule_key in in_force
            if row.billing_schedule_key not in in_force:
                assert row.id not in sums, row.usage_schedule_id
                continue
            found = (row.actual_quantity, row.fee_amount, row.rated_inputs)
            assert found == sums[row.id], row.usage_schedule_id
            of_bills[row.billing_schedule_key] += row.fee_amount
        for row in connection.execute(select(bill).where(LIVE)):
            assert row.fee_amount == of_bills[row.id], row.billing_schedule_id
        found_counts = {
            (schedule, price): (quantity, inputs)
            for schedule, price, quantity, inputs in connection.execute(select(tables.usage_count))
            if live[schedule]
        }
    assert found_counts == counts


def assert_windows_are_whole(app: Application, but: Collection[str] = ()) -> None:
    """In each window, for each price, one input starts where those before it ended, and the first at nothing.

    Left out are windows of the billing schedules ``but``: what was invoiced states where it started then.
    """
    meter, bill, one = tables.usage_schedule, tables.billing_schedule, tables.usage_input
    window = (bill.c.asset_key, bill.c.period_start_date, bill.c.period_end_date)
    joined = select(one, bill.c.billing_schedule_id, *window).select_from(
        one.join(meter, meter.c.id == one.c.rated_schedule_key).join(
            bill, bill.c.id == meter.c.billing_schedule_key
        )
    )
    with app.database.read() as connection:
        same = _first_of_same(connection)
        schedules = connection.execute(select(*window).where(bill.c.billing_schedule_id.in_(list(but))))
        left_out = {tuple(row) for row in schedules}
        parts: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        for row in connection.execute(joined.where(one.c.status == "Rated")):
            parts[row[-3:], same[row.rated_price_key]].append(row)
    for (of_window, _), rows in parts.items():
        if tuple(of_window) in left_out:
            continue
        rows.sort(
            key=lambda row: (
                row.rated_prior_quantity or 0,
                row.rated_prior_quantity is not None,
                row.quantity > 0,
            )
        )
        so_far = Decimal(0)
        for place, row in enumerate(rows):
            stated = [(one.usage_input_id, str(one.rated_prior_quantity), str(one.quantity)) for one in rows]
            assert row.rated_prior_quantity == (so_far if place else None), (row.usage_input_id, stated)
            so_far = EXACT.add(so_far, row.quantity)


def _first_of_same(connection: Connection) -> dict[int, int]:
    """By price revision the first of the same book, product and day with its model, unit and package size."""
    first: dict[tuple[Any, ...], int] = {}
    table = tables.price.c
    columns = (
        *(table.price_book_key, table.product, table.effective_from),
        *(table.model, table.product_uom, table.package_size),
    )
    return {
        key: first.setdefault(tuple(identity), key)
        for key, *identity in connection.execute(select(table.id, *columns).order_by(table.revision))
    }


def previewed(app: Application, run: View, kind: str) -> dict[str, View]:
    """The lines of that kind of a dry run's preview, by record."""
    return {
        line["record_id"]: line for line in run_preview(app, run["run_id"]) if line["kind"].endswith(kind)
    }
