"""What restating reads and writes: windows whole, the inputs that start elsewhere, and what became of them.

On the raw driver. The assets are locked (``assets_and_inputs.lock_assets``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.billing.records.driver import Driver


class WindowInput(NamedTuple):
    """A Rated input in its window. ``amount`` is minor units, quantities and the discount are canonical texts.

    ``prior_quantity`` is what the window had counted before it; None for the first.
    """

    key: int
    schedule_key: int
    price_key: int
    quantity: str
    amount: int
    discount_percent: str | None
    prior_quantity: str | None


NewStart = tuple[int, str | None, int, int]
"""What is written to a Rated input: minor units, prior quantity as canonical text, its key; and what it had."""


class Restatement(NamedTuple):
    """What a run restated: an input by the id that people see, its amounts in minor units, and their currency."""

    record_id: str
    before: int
    after: int
    currency: str


def read_windows(
    connection: Connection, asset_keys: Sequence[int], schedule_keys: Sequence[int]
) -> list[WindowInput]:
    """The Rated inputs of these assets on these usage schedules."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT id, rated_schedule_key, rated_price_key, {number:quantity}, rated_amount,"
        " {number:rated_discount_percent}, {number:rated_prior_quantity} FROM usage_input"
        " WHERE asset_key {among} AND status = 'Rated' AND NOT deleted AND rated_schedule_key {among}"
        " AND rated_price_key IS NOT NULL",
        driver.keys(asset_keys),
        driver.keys(schedule_keys),
    )
    return list(map(WindowInput._make, rows))


def write_starts(connection: Connection, starts: Sequence[NewStart]) -> int:
    """Write where inputs start and what they come to; how many were Rated still, at the amount that was read."""
    return Driver(connection).update(
        starts,
        "UPDATE usage_input AS u SET rated_amount = d.amount, rated_prior_quantity = d.prior"
        " FROM unnest(%s::bigint[], %s::numeric[], %s::bigint[], %s::bigint[]) AS d (amount, prior, id, had)"
        " WHERE u.id = d.id AND u.status = 'Rated' AND u.rated_amount = d.had",
        "UPDATE usage_input SET rated_amount = ?, rated_prior_quantity = ?"
        " WHERE id = ? AND status = 'Rated' AND rated_amount = ?",
    )


def add_restatements(
    connection: Connection, run_key: int, restated: Sequence[tuple[int, int, int, str]]
) -> None:
    """Note what a run restated: key, minor units before and after, currency of each input.

    One that it restated twice, since it was given to another asset meanwhile, has what it came to in the end.
    """
    again = " ON CONFLICT (run_key, input_key) DO UPDATE SET amount_after = excluded.amount_after"
    Driver(connection).update(
        restated,
        "INSERT INTO restatement (run_key, input_key, amount_before, amount_after, currency)"
        f" SELECT {run_key:d}, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[]){again}",
        "INSERT INTO restatement (run_key, input_key, amount_before, amount_after, currency)"
        f" VALUES ({run_key:d}, ?, ?, ?, ?){again}",
    )


def restatements_in(connection: Connection, run_key: int, limit: int | None = None) -> list[Restatement]:
    """What a run restated, in order of arrival; ``limit`` of them at most."""
    rows = Driver(connection).rows(
        "SELECT u.usage_input_id, r.amount_before, r.amount_after, r.currency FROM restatement AS r"
        " JOIN usage_input AS u ON u.id = r.input_key WHERE r.run_key = ? ORDER BY r.input_key"
        + ("" if limit is None else f" LIMIT {limit:d}"),
        run_key,
    )
    return list(map(Restatement._make, rows))


def number_restated(connection: Connection, run_key: int) -> int:
    """How many inputs a run restated."""
    [(number,)] = Driver(connection).rows("SELECT count(*) FROM restatement WHERE run_key = ?", run_key)
    return int(number)


def restatements_of(connection: Connection, input_key: int) -> dict[int, Restatement]:
    """What became of an input by the key of the run that restated it, oldest first."""
    rows = Driver(connection).rows(
        "SELECT r.run_key, u.usage_input_id, r.amount_before, r.amount_after, r.currency FROM restatement AS r"
        " JOIN usage_input AS u ON u.id = r.input_key WHERE r.input_key = ? ORDER BY r.run_key",
        input_key,
    )
    return {run_key: Restatement(*restated) for run_key, *restated in rows}
