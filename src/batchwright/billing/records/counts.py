"""What usage schedules hold of each price, on the raw driver: how far their windows have come.

The assets are locked (``assets_and_inputs.lock_assets``). A window counts for each price by itself. Revisions of one
price (the same price book, product and first day) with the same model, unit of measure and package size count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from batchwright.billing.records.driver import Driver

COUNTS_AS: Final = (
    "(SELECT q.id FROM price AS q WHERE q.price_book_key = p.price_book_key AND q.product = p.product"
    " AND q.effective_from = p.effective_from AND q.model = p.model AND q.product_uom = p.product_uom"
    " AND coalesce(q.package_size, '0') = coalesce(p.package_size, '0') ORDER BY q.revision LIMIT 1)"
)
"""The expression for what a price revision ``p`` counts as: the key of the first that it shares a count with."""


class Count(NamedTuple):
    """What a usage schedule holds of a price: the text of a decimal, and the number of Rated inputs."""

    schedule_key: int
    counts_as: int
    quantity: str
    inputs: int


def read_counts(connection: Connection, schedule_keys: Sequence[int]) -> list[Count]:
    """The counts of these usage schedules."""
    if not schedule_keys:
        return []
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT usage_schedule_key, price_key, {number:quantity}, inputs FROM usage_count"
        " WHERE usage_schedule_key {among}",
        driver.keys(schedule_keys),
    )
    return list(map(Count._make, rows))


def read_shares(connection: Connection, keys: Sequence[int]) -> list[tuple[int, int, str]]:
    """What these Rated inputs are of the counts: usage schedule, price, and quantity as the text of a decimal."""
    if not keys:
        return []
    driver = Driver(connection)
    rated = driver.rows(
        "SELECT rated_schedule_key, rated_price_key, {number:quantity} FROM usage_input"
        " WHERE id {among} AND status = 'Rated' AND rated_price_key IS NOT NULL",  # one loaded as Rated has none
        driver.keys(keys),
    )
    prices = {price for _, price, _ in rated}  # few: asked for once each, not for every input
    counts_as = dict(
        driver.rows(
            f"SELECT p.id, {COUNTS_AS} FROM price AS p WHERE p.id {{among}}", driver.keys(list(prices))
        )
    )
    return [(schedule, counts_as[price], quantity) for schedule, price, quantity in rated]


def write_counts(connection: Connection, counts: Sequence[Count]) -> int:
    """Write what counts come to; those of no input go. How many rows were written."""
    driver = Driver(connection)
    gone = [(schedule, price) for schedule, price, _, inputs in counts if not inputs]
    written = driver.update(
        [count for count in counts if count.inputs],
        "INSERT INTO usage_count (usage_schedule_key, price_key, quantity, inputs)"
        " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::numeric[], %s::integer[])"
        " ON CONFLICT (usage_schedule_key, price_key)"
        " DO UPDATE SET quantity = excluded.quantity, inputs = excluded.inputs",
        "INSERT INTO usage_count (usage_schedule_key, price_key, quantity, inputs) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (usage_schedule_key, price_key)"
        " DO UPDATE SET quantity = excluded.quantity, inputs = excluded.inputs",
    )
    return written + driver.update(
        gone,
        "DELETE FROM usage_count AS c USING unnest(%s::bigint[], %s::bigint[]) AS d (schedule, price)"
        " WHERE c.usage_schedule_key = d.schedule AND c.price_key = d.price",
        "DELETE FROM usage_count WHERE usage_schedule_key = ? AND price_key = ?",
    )
