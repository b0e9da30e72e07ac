"""The floor: the least a database must do for a draft rating.

For every scope the inputs and the usage schedules are read, with the columns that decide an amount, and the columns
that a draft writes are written back, in one transaction: through the same driver, with the fastest statement found
for each database. No rating, no ledger, no mail. Values written are taken from what was read, so nothing can be
left out as unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from batchwright.engine.store.database import Database

_INPUTS: Final = """
SELECT id, asset_key, usage_date, quantity, product_uom, status, error_by, deleted FROM usage_input
WHERE asset_key BETWEEN {0} AND {0} ORDER BY asset_key, id"""
_SCHEDULES: Final = """
SELECT s.id, s.asset_key, s.period_start_date, s.period_end_date, s.actual_quantity, s.draft_rated_quantity,
b.status, b.period_start_date, b.period_end_date
FROM usage_schedule AS s JOIN billing_schedule AS b ON b.id = s.billing_schedule_key
WHERE s.asset_key BETWEEN {0} AND {0} ORDER BY s.asset_key, s.period_start_date"""

# What an amount rests on, besides the amount itself: run, price, contract, discount, starting quantity.
_SQLITE_INPUT: Final = """
UPDATE usage_input SET draft_rated_amount = ?, draft_run_key = ?, draft_price_key = ?, draft_contract_key = ?,
draft_discount_percent = ?, draft_prior_quantity = ? WHERE id = ?"""
_SQLITE_SCHEDULE: Final = (
    "UPDATE usage_schedule SET draft_rated_quantity = ?, draft_fee_amount = ? WHERE id = ?"
)

# Arrays as text: psycopg spends more on adapting two thousand numbers than the server on reading them.
_POSTGRES_INPUTS: Final = """
UPDATE usage_input AS i SET draft_rated_amount = v.amount, draft_run_key = v.run, draft_price_key = v.price,
draft_contract_key = v.contract, draft_discount_percent = v.discount, draft_prior_quantity = v.prior
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[])
AS v(id, amount, run, price, contract, discount, prior) WHERE i.id = v.id"""
_POSTGRES_SCHEDULES: Final = """
UPDATE usage_schedule AS s SET draft_rated_quantity = v.quantity, draft_fee_amount = v.amount
FROM unnest(%s::bigint[], %s::numeric[], %s::bigint[]) AS v(id, quantity, amount) WHERE s.id = v.id"""

Row = tuple[Any, ...]


def touch_all(database: Database, assets: int, assets_per_scope: int) -> int:
    """Read and write back every input and every schedule that has one, a scope at a time; number of inputs."""
    write = _write_sqlite if database.is_sqlite else _write_postgres
    mark = "?" if database.is_sqlite else "%s"
    read_inputs, read_schedules = _INPUTS.format(mark), _SCHEDULES.format(mark)
    count = 0
    with database.engine.connect() as connection:
        for first in range(1, assets + 1, assets_per_scope):
            bounds = (first, first + assets_per_scope - 1)
            with database.transaction(connection):
                cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
                inputs = cursor.execute(read_inputs, bounds).fetchall()
                schedules = cursor.execute(read_schedules, bounds).fetchall()
                write(cursor, inputs, _with_inputs(schedules, inputs))
            count += len(inputs)
    return count


def _with_inputs(schedules: list[Row], inputs: list[Row]) -> list[Row]:
    """The monthly schedules that an input falls into: a run leaves the others as they are."""
    months = {(row[1], str(row[2])[:7]) for row in inputs}
    return [row for row in schedules if (row[1], str(row[2])[:7]) in months]


def _write_sqlite(cursor: Any, inputs: list[Row], schedules: list[Row]) -> None:
    cursor.executemany(_SQLITE_INPUT, [(row[0], 1, row[1], row[1], "5", row[3], row[0]) for row in inputs])
    cursor.executemany(_SQLITE_SCHEDULE, [("12.5", row[0], row[0]) for row in schedules])


def _write_postgres(cursor: Any, inputs: list[Row], schedules: list[Row]) -> None:
    ids, assets = _array(row[0] for row in inputs), _array(row[1] for row in inputs)
    runs, discounts = _array(["1"] * len(inputs)), _array(["5"] * len(inputs))
    priors = _array(row[3] for row in inputs)
    cursor.execute(_POSTGRES_INPUTS, (ids, ids, runs, assets, assets, discounts, priors))
    ids = _array(row[0] for row in schedules)
    cursor.execute(_POSTGRES_SCHEDULES, (ids, _array(["12.5"] * len(schedules)), ids))


def _array(values: Iterable[Any]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
