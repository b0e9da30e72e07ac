"""What a recalculation reads and writes: Rated inputs by customer and month, and their new amounts. On the raw driver.

The assets are locked (``assets_and_inputs.lock_assets``) when amounts are read to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.billing.periods import Day
from batchwright.billing.records.assets_and_inputs import ScheduleRow, ScheduleTuple, read_schedules
from batchwright.billing.records.billing_schedules import SUPERSEDED
from batchwright.billing.records.counts import COUNTS_AS
from batchwright.billing.records.driver import Driver

_ASSETS_PER_PAGE = 500

Span = tuple[Day, Day]
"""A first and a last day, both inclusive."""

Window = tuple[int, Day, Day]
"""Names a window: asset key, first and last day of the billing period."""


class CurrentRating(NamedTuple):
    """What a Rated input's amount is, and what it rests on.

    ``amount`` is minor units; discount and prior quantity are canonical texts, the latter ``None`` for the first of
    its window. ``counts_as`` is what its price counts as.
    """

    key: int
    amount: int
    schedule_key: int
    price_key: int
    contract_key: int | None
    discount_percent: str
    prior_quantity: str | None
    counts_as: int

    @property
    def basis(self) -> tuple[int, int, int | None, str, str | None]:
        """The amount and what it rests on."""
        return (
            self.amount,
            self.price_key,
            self.contract_key,
            self.discount_percent,
            self.prior_quantity,
        )


NewAmount = tuple[int, int, int | None, str, str | None, int, int]
"""What is written to a Rated input: minor units, price key, contract key, discount percent, prior quantity (both as
canonical text), input key; and the minor units that it had."""


def rated_inputs(
    connection: Connection, customer_key: int, months: Sequence[Span]
) -> Iterator[tuple[int, list[int]]]:
    """Every asset of the customer with Rated inputs in the windows of these months, and their keys, in order.

    A window is a billing period with a usage schedule, not superseded, that overlaps a month: what is used in it
    counts as a whole, since amounts may depend on the usage before.
    """
    driver, last = Driver(connection), 0
    while page := _assets_after(driver, customer_key, last):
        schedule_keys = windows_of(read_schedules(connection, page), months)
        if schedule_keys:
            yield from rated_on(connection, page, schedule_keys)
        last = page[-1]


def count_rated_inputs(connection: Connection, customer_key: int, months: Sequence[Span]) -> int:
    """How many inputs `rated_inputs` has, by the usage schedules' own counts: no input is read."""
    driver = Driver(connection)
    day = _day(driver)
    overlaps = " OR ".join([f"s.period_start_date <= {day} AND {day} <= s.period_end_date"] * len(months))
    ((number,),) = driver.rows(
        "SELECT coalesce(sum(w.rated), 0) FROM (SELECT sum(s.rated_inputs) AS rated FROM asset_line_item AS a"
        " JOIN usage_schedule AS s ON s.asset_key = a.id JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
        f" WHERE a.customer_key = ? AND b.status <> '{SUPERSEDED}'"
        " GROUP BY s.asset_key, b.period_start_date, b.period_end_date"
        f" HAVING max(CASE WHEN {overlaps} THEN 1 ELSE 0 END) = 1) AS w",
        customer_key,
        *(bound for first, last in months for bound in (last, first)),
    )
    return int(number)


def windows_of(schedules: Iterable[ScheduleTuple], months: Sequence[Span]) -> dict[int, Window]:
    """The usage schedules in the windows of these months, by key, each with its window; superseded ones left out."""
    rows = [row for row in map(ScheduleRow._make, schedules) if row.status != SUPERSEDED]
    touched = {
        _window(row) for row in rows if any(row.start <= last and first <= row.end for first, last in months)
    }
    return {row.key: _window(row) for row in rows if _window(row) in touched}


def rated_windows(connection: Connection, customer_key: int, at_most: int) -> list[Span] | None:
    """The first and the last day of each window in which something of the customer is rated.

    `None` where more than so many usage schedules would have to be looked at.
    """
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT {day:w.starts}, {day:w.ends}, max(w.rated), count(*) FROM (SELECT b.period_start_date AS starts,"
        " b.period_end_date AS ends, CASE WHEN s.rated_inputs > 0 AND b.status <> 'Superseded' THEN 1 ELSE 0 END"
        " AS rated FROM asset_line_item AS a JOIN usage_schedule AS s ON s.asset_key = a.id JOIN billing_schedule AS b"
        " ON b.id = s.billing_schedule_key WHERE a.customer_key = ? LIMIT ?) AS w GROUP BY w.starts, w.ends",
        customer_key,
        at_most + 1,
    )
    is_whole = sum(count for *_, count in rows) <= at_most
    return [(first, last) for first, last, is_rated, _ in rows if is_rated] if is_whole else None


def _window(row: ScheduleRow) -> Window:
    return row.asset_key, row.window_start, row.window_end


def _assets_after(driver: Driver, customer_key: int, last: int) -> list[int]:
    rows = driver.rows(
        f"SELECT id FROM asset_line_item WHERE customer_key = ? AND id > ? ORDER BY id LIMIT {_ASSETS_PER_PAGE}",
        customer_key,
        last,
    )
    return [key for (key,) in rows]


def rated_on(
    connection: Connection, asset_keys: Sequence[int], schedule_keys: Iterable[int]
) -> list[tuple[int, list[int]]]:
    """The Rated inputs of these assets on these usage schedules: every asset that has some, and their keys in order."""
    driver = Driver(connection)
    # One row for an asset, its keys as text: far fewer rows to fetch.
    rows = driver.rows(
        f"SELECT asset_key, {driver.joined('id')} FROM usage_input WHERE asset_key {{among}} AND status = 'Rated'"
        " AND NOT deleted AND rated_schedule_key {among} GROUP BY asset_key ORDER BY asset_key",
        driver.keys(asset_keys),
        driver.keys(sorted(schedule_keys)),
    )
    return [(asset, sorted(map(int, keys.split(",")))) for asset, keys in rows]


def not_rated(connection: Connection, customer_key: int, months: Sequence[Span]) -> dict[str, int]:
    """How many Loaded and Error inputs the customer has in these months, by status."""
    driver = Driver(connection)
    counts: dict[str, int] = {}
    for first, last in months:
        rows = driver.rows(
            "SELECT u.status, count(*) FROM usage_input AS u JOIN asset_line_item AS a ON a.id = u.asset_key"
            " WHERE a.customer_key = ? AND NOT u.deleted AND u.status <> 'Rated'"
            f" AND u.usage_date BETWEEN {_day(driver)} AND {_day(driver)} GROUP BY u.status",
            customer_key,
            first,
            last,
        )
        for status, number in rows:
            counts[status] = counts.get(status, 0) + number
    return counts


def read_current(connection: Connection, keys: Sequence[int]) -> dict[int, CurrentRating]:
    """The amounts of those of these inputs that are Rated, by key."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT u.id, u.rated_amount, u.rated_schedule_key, u.rated_price_key, u.rated_contract_key,"
        f" {{number:u.rated_discount_percent}}, {{number:u.rated_prior_quantity}}, {COUNTS_AS}"
        " FROM usage_input AS u JOIN price AS p ON p.id = u.rated_price_key"
        " WHERE u.id {among} AND u.status = 'Rated'",
        driver.keys(keys),
    )
    return {row.key: row for row in map(CurrentRating._make, rows)}


def write_amounts(connection: Connection, run_key: int, amounts: Sequence[NewAmount]) -> int:
    """Write the new amounts of Rated inputs; how many were Rated still, at the amount that was read."""
    return Driver(connection).update(
        amounts,
        f"UPDATE usage_input AS u SET rated_amount = d.amount, rated_run_key = {run_key:d},"
        " rated_price_key = d.price_key, rated_contract_key = d.contract_key,"
        " rated_discount_percent = d.discount, rated_prior_quantity = d.prior"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[],"
        " %s::bigint[]) AS d (amount, price_key, contract_key, discount, prior, id, had)"
        " WHERE u.id = d.id AND u.status = 'Rated' AND u.rated_amount = d.had AND NOT u.deleted",
        f"UPDATE usage_input SET rated_amount = ?, rated_run_key = {run_key:d}, rated_price_key = ?,"
        " rated_contract_key = ?, rated_discount_percent = ?, rated_prior_quantity = ?"
        " WHERE id = ? AND status = 'Rated' AND rated_amount = ? AND NOT deleted",
    )


def rated_by_month(
    connection: Connection, customer_key: int, months: Sequence[Span], previewed_by: int | None = None
) -> dict[tuple[int, str], dict[str, int]]:
    """Minor units of the customer's Rated inputs, by account key and month (YYYY-MM) of usage, then by currency.

    With ``previewed_by``, the key of a dry run, an input counts with what that run previewed. Inputs of assets
    without an account are left out. Summed here and not by the database: a sum of many schedules may be more than a
    BIGINT holds.
    """
    driver = Driver(connection)
    sums: dict[tuple[int, str], dict[str, int]] = {}
    for first, last in months:
        rows = driver.rows(_rated(driver, "u.rated_amount", "usage_input AS u"), customer_key, first, last)
        if previewed_by is not None:
            # From the lines to their inputs, each found by its id: the other way round there is no index.
            lines = "preview_line AS f JOIN usage_input AS u ON u.usage_input_id = f.record_id"
            mine = "AND f.run_id = ? AND f.kind = 'usage_input'"
            more = _rated(driver, "f.amount_after - u.rated_amount", lines, mine)
            rows += driver.rows(more, customer_key, first, last, previewed_by)
        for account_key, currency, _, minor in rows:
            of_account = sums.setdefault((account_key, first[:7]), {})
            of_account[currency] = of_account.get(currency, 0) + int(minor)
    return sums


def _rated(driver: Driver, amount: str, inputs: str, mine: str = "") -> str:
    """Sums of an amount of a customer's Rated inputs between two days, by account, currency and usage schedule."""
    return (
        f"SELECT a.account_key, k.currency, u.rated_schedule_key, sum({amount}) FROM {inputs}"
        " JOIN asset_line_item AS a ON a.id = u.asset_key JOIN price AS p ON p.id = u.rated_price_key"
        " JOIN price_book AS k ON k.id = p.price_book_key"
        " WHERE a.customer_key = ? AND a.account_key IS NOT NULL AND NOT u.deleted AND u.status = 'Rated'"
        f" AND u.usage_date BETWEEN {_day(driver)} AND {_day(driver)} {mine}"
        " GROUP BY a.account_key, k.currency, u.rated_schedule_key"
    )


def _day(driver: Driver) -> str:
    return "?::date" if driver.is_postgresql else "?"
