"""What rating and unrating read and write: sets of rows, on the raw driver.

The assets are locked (``assets_and_inputs.lock_assets``). Sums are worked out by the caller and written over those that
were read: SQLite keeps quantities as text, and a figure that somebody changed without the lock is not overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.billing.periods import Day
from batchwright.billing.records.assets_and_inputs import ErrorOfInput
from batchwright.billing.records.counts import COUNTS_AS
from batchwright.billing.records.driver import Driver
from batchwright.billing.records.ids import next_ids
from batchwright.billing.records.loading import Stored, insert_rows, new_keys
from batchwright.billing.tables import billing_schedule, usage_schedule


class Charged(NamedTuple):
    """What a usage schedule and its billing schedule have been charged with so far.

    ``quantity`` is the text of a decimal, fees are minor units; ``status`` is the billing schedule's.
    """

    key: int
    billing_key: int
    quantity: str
    fee: int
    inputs: int
    billing_fee: int
    status: str


RatedInput = tuple[int, int, int | None, str, str | None, int, int]
"""What a rating writes to a good input, and what the amount rests on: minor units, price key, contract key, discount
percent, prior quantity (both as canonical text; no prior quantity for the first of its window), the key of the usage
schedule, input key.
"""

NewFigures = tuple[str, int, int, int, int]
"""What a usage schedule comes to: quantity as canonical text, minor units, number of inputs, its key; and the minor
units that it had."""

NewFee = tuple[int, int, int]
"""What a billing schedule comes to in minor units, its key, and what it had."""


class LateBilling(NamedTuple):
    """A billing schedule to be made beside one that is billed: its asset, period, fee and ready for invoice date."""

    asset_key: int
    start: Day
    end: Day
    fee: int
    ready: Day


class LateUsage(NamedTuple):
    """A usage schedule to be made for late usage; ``billing_key`` is that of a pending billing schedule."""

    billing_key: int
    asset_key: int
    start: Day
    end: Day
    quantity: str
    fee: int
    inputs: int


class Owed(NamedTuple):
    """The rated amount of an input in minor units, its currency, the usage schedule that it is part of, and what its
    price counts as there."""

    amount: int
    currency: str
    schedule_key: int
    counts_as: int


class LeftInError(NamedTuple):
    """How many usage inputs a rating left in Error: those that were ``unrated``, and all others."""

    errored: int
    unrated: int


def left_in_error(
    connection: Connection, run_key: int, asset_keys: Sequence[int] | None, *, named: bool
) -> LeftInError:
    """Inputs in Error that could still be charged with their billing schedule, which is Pending Billing.

    Of these assets, of all where none are given; where the inputs were ``named``, of those alone that the run
    skipped. What errored in the run itself is counted there.
    """
    driver = Driver(connection)
    condition = "o.outcome = 'skipped'" if named else "(o.outcome IS NULL OR o.outcome <> 'error')"
    among: tuple[object, ...] = ()
    if asset_keys is not None:
        condition += " AND u.asset_key {among}"
        among = (driver.keys(asset_keys),)
    [(errored, unrated)] = driver.rows(
        "SELECT coalesce(sum(CASE WHEN u.code = 'unrated' THEN 0 ELSE 1 END), 0),"
        " coalesce(sum(CASE WHEN u.code = 'unrated' THEN 1 ELSE 0 END), 0)"
        " FROM usage_input AS u LEFT JOIN outcome AS o ON o.run_id = ? AND o.record_key = u.id"
        f" WHERE NOT u.deleted AND u.status = 'Error' AND {condition}"
        " AND EXISTS (SELECT 1 FROM usage_schedule AS s JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
        " WHERE s.asset_key = u.asset_key AND b.status = 'Pending Billing'"
        " AND u.usage_date BETWEEN s.period_start_date AND s.period_end_date)",
        run_key,
        *among,
    )
    return LeftInError(int(errored), int(unrated))


def read_charged(connection: Connection, asset_keys: Sequence[int]) -> dict[int, Charged]:
    """What the usage schedules of the assets have been charged with, by key; superseded ones, too."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT s.id, b.id, {number:s.actual_quantity}, s.fee_amount, s.rated_inputs, b.fee_amount, b.status"
        " FROM usage_schedule AS s JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
        " WHERE s.asset_key {among}",
        driver.keys(asset_keys),
    )
    return {row.key: row for row in map(Charged._make, rows)}


def read_owed(connection: Connection, keys: Sequence[int]) -> dict[int, Owed]:
    """The rated amounts of these Rated inputs, by key."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT u.id, u.rated_amount, u.rated_schedule_key, u.rated_price_key"
        " FROM {each} JOIN usage_input AS u ON u.id = k.value",  # no more: old statistics say that none is Rated
        driver.keys(sorted(keys)),
    )
    prices = driver.rows(  # few: asked for once each, not for every input
        f"SELECT p.id, k.currency, {COUNTS_AS} FROM price AS p JOIN price_book AS k ON k.id = p.price_book_key"
        " WHERE p.id {among}",
        driver.keys(sorted({price for *_, price in rows if price is not None})),
    )
    of_price = {price: (currency, counts_as) for price, currency, counts_as in prices}
    owed: dict[int, Owed] = {}
    for key, amount, schedule, price in rows:
        if price is not None:  # one loaded as Rated has none
            currency, counts_as = of_price[price]
            owed[key] = Owed(amount, currency, schedule, counts_as)
    return owed


def write_rated(connection: Connection, run_key: int, rated: Sequence[RatedInput]) -> int:
    """Move good inputs from Loaded to Rated with their amounts; how many were Loaded still."""
    return Driver(connection).update(
        rated,
        "UPDATE usage_input AS u SET status = 'Rated', rated_amount = d.amount,"
        f" rated_run_key = {run_key:d}, rated_price_key = d.price_key, rated_contract_key = d.contract_key,"
        " rated_discount_percent = d.discount, rated_prior_quantity = d.prior, rated_schedule_key = d.schedule"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[],"
        " %s::bigint[]) AS d (amount, price_key, contract_key, discount, prior, schedule, id)"
        " WHERE u.id = d.id AND u.status = 'Loaded' AND NOT u.deleted",
        f"UPDATE usage_input SET status = 'Rated', rated_amount = ?, rated_run_key = {run_key:d},"
        " rated_price_key = ?, rated_contract_key = ?, rated_discount_percent = ?, rated_prior_quantity = ?,"
        " rated_schedule_key = ? WHERE id = ? AND status = 'Loaded' AND NOT deleted",
    )


def write_errors(connection: Connection, errors: Sequence[ErrorOfInput]) -> int:
    """Put bad inputs in Error, without a rated amount; how many still had the status they were read with."""
    return Driver(connection).each(
        "UPDATE usage_input SET status = 'Error', error_by = 'rating', code = ?, message = ?, rated_amount = NULL,"
        " rated_run_key = NULL, rated_price_key = NULL, rated_contract_key = NULL, rated_discount_percent = NULL,"
        " rated_prior_quantity = NULL, rated_schedule_key = NULL WHERE id = ? AND status = ?",
        errors,
    )


def write_unrated(connection: Connection, keys: Sequence[int]) -> int:
    """Move inputs from Rated to Error, without a rated amount; how many were Rated still."""
    driver = Driver(connection)
    return driver.execute(
        "UPDATE usage_input SET status = 'Error', error_by = 'unrating', code = 'unrated', message = 'unrated',"
        " rated_amount = NULL, rated_run_key = NULL, rated_price_key = NULL, rated_contract_key = NULL,"
        " rated_discount_percent = NULL, rated_prior_quantity = NULL, rated_schedule_key = NULL"
        " WHERE id {among} AND status = 'Rated'",
        driver.keys(keys),
    )


def write_figures(connection: Connection, figures: Sequence[NewFigures]) -> int:
    """Write what usage schedules come to; how many still had the fee that was read."""
    return Driver(connection).update(
        figures,
        "UPDATE usage_schedule AS s SET actual_quantity = d.quantity, fee_amount = d.fee, rated_inputs = d.inputs"
        " FROM unnest(%s::numeric[], %s::bigint[], %s::integer[], %s::bigint[], %s::bigint[])"
        " AS d (quantity, fee, inputs, id, had) WHERE s.id = d.id AND s.fee_amount = d.had",
        "UPDATE usage_schedule SET actual_quantity = ?, fee_amount = ?, rated_inputs = ?"
        " WHERE id = ? AND fee_amount = ?",
    )


def write_fees(connection: Connection, fees: Sequence[NewFee]) -> int:
    """Write what billing schedules come to; how many are pending still, with the fee that was read."""
    return Driver(connection).update(
        fees,
        "UPDATE billing_schedule AS b SET fee_amount = d.fee"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d (fee, id, had)"
        " WHERE b.id = d.id AND b.fee_amount = d.had AND b.status = 'Pending Billing'",
        "UPDATE billing_schedule SET fee_amount = ?"
        " WHERE id = ? AND fee_amount = ? AND status = 'Pending Billing'",
    )


def make_late_billing(connection: Connection, schedules: Sequence[LateBilling]) -> Sequence[int]:
    """Make billing schedules for late usage, Pending Billing; their keys, in the same order."""
    if not schedules:
        return ()
    keys = new_keys(connection, billing_schedule, len(schedules))
    ids = next_ids(connection, "BS-", len(schedules))
    rows: list[list[Stored]] = [
        [key, an_id, *schedule, "Contracted", "Pending Billing"]
        for key, an_id, schedule in zip(keys, ids, schedules, strict=True)
    ]
    columns = (
        "id billing_schedule_id asset_key period_start_date period_end_date fee_amount"
        " ready_for_invoice_date type status"
    ).split()
    insert_rows(connection, billing_schedule, columns, rows)
    return keys


def make_late_usage(connection: Connection, schedules: Sequence[LateUsage]) -> Sequence[int]:
    """Make usage schedules for late usage; their keys, in the same order.

    They include nothing: what the window includes stands on its first schedules, and is spent once.
    """
    if not schedules:
        return ()
    keys = new_keys(connection, usage_schedule, len(schedules))
    ids = next_ids(connection, "US-", len(schedules))
    rows: list[list[Stored]] = [
        [key, an_id, *schedule, "0", "Usage"]
        for key, an_id, schedule in zip(keys, ids, schedules, strict=True)
    ]
    columns = (
        "id usage_schedule_id billing_schedule_key asset_key period_start_date period_end_date"
        " actual_quantity fee_amount rated_inputs included_quantity type"
    ).split()
    insert_rows(connection, usage_schedule, columns, rows)
    return keys
