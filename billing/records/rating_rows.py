"""Statements of the rating hot path: sets of rows in and out, on the raw driver.

Every one that reads and then writes an asset's inputs or schedules goes through :func:`lock_assets` first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from billing.periods import Day
from billing.records.driver import Driver, array_text
from billing.tables import DRAFT_CANDIDATE

PAGE = 20_000
ASSETS_PER_PAGE = 500
CANDIDATE_OR_RATED = f"NOT deleted AND (status = 'Rated' OR ({DRAFT_CANDIDATE}))"


class AssetRow(NamedTuple):
    """An asset as rating needs it."""

    key: int
    asset_line_item_id: str
    customer_key: int
    account_key: int | None
    product: str
    start_date: Day
    end_date: Day
    first_billing_date: Day
    price_book_key: int | None
    currency: str | None


class InputRow(NamedTuple):
    """A usage input as rating needs it; they sort by asset, usage date and order of arrival.

    ``quantity`` is the text of a decimal.
    """

    asset_key: int
    usage_date: Day
    key: int
    quantity: str
    product_uom: str
    status: str
    error_by: str | None
    deleted: bool | int


class ScheduleRow(NamedTuple):
    """A usage schedule, with status and period of its billing schedule; they sort by asset and start.

    Of two with one start the pending one comes last: late usage has its own beside the invoiced one. The billing
    schedule's period, ``window_start`` and ``window_end``, is the window of usage indexing. ``actual_quantity`` is
    the text of a decimal, ``0`` for most.
    """

    asset_key: int
    start: Day
    pending: bool | int
    key: int
    end: Day
    actual_quantity: str
    has_draft: bool | int
    status: str
    window_start: Day
    window_end: Day


InputTuple = tuple[int, Day, int, str, str, str, str | None, bool | int]
"""The fields of :class:`InputRow`. Rows stay the plain tuples that the driver gives: a named one costs as much
again, and there are a million of them.
"""

ScheduleTuple = tuple[int, Day, bool | int, int, Day, str, bool | int, str, Day, Day]
"""The fields of :class:`ScheduleRow`."""

DraftOfInput = tuple[int, int, int | None, str, str, int]
"""What a forecast writes to a good input, and what the amount rests on: minor units, price key, contract key,
discount percent, prior quantity (both as canonical text), input key.
"""


class ErrorOfInput(NamedTuple):
    """What a forecast writes to a bad input."""

    code: str
    message: str
    key: int
    status: str


DraftOfSchedule = tuple[str | None, int | None, int]
"""What a forecast writes to a usage schedule: the quantity as canonical text, minor units (both empty where nothing
good fell on it), and the schedule's key."""


def lock_assets(connection: Connection, asset_keys: Sequence[int]) -> list[AssetRow]:
    """The assets in order of key, locked until the transaction ends (on SQLite every writer is alone)."""
    driver = Driver(connection)
    # No key changes: who only inserts rows that point at the assets, an import, need not wait.
    lock = " FOR NO KEY UPDATE" if driver.is_postgresql else ""
    rows = driver.rows(
        "SELECT id, asset_line_item_id, customer_key, account_key, product, {day:start_date}, {day:end_date},"
        " {day:first_billing_date}, price_book_key, currency FROM asset_line_item"
        f" WHERE id {{among}} ORDER BY id{lock}",
        driver.keys(sorted(asset_keys)),
    )
    return list(map(AssetRow._make, rows))


def read_inputs(connection: Connection, keys: Sequence[int]) -> list[InputTuple]:
    """The inputs, by asset, usage date and order of arrival; deleted ones, too."""
    driver = Driver(connection)
    rows: list[Any] = driver.rows(
        "SELECT asset_key, {day:usage_date}, id, {number:quantity}, product_uom, status, error_by, deleted"
        " FROM usage_input WHERE id {among}",
        driver.keys(keys),
    )
    rows.sort()
    return rows


def read_schedules(connection: Connection, asset_keys: Sequence[int]) -> list[ScheduleTuple]:
    """All usage schedules of the assets, superseded ones too, by asset and start."""
    driver = Driver(connection)
    rows: list[Any] = driver.rows(
        "SELECT s.asset_key, {day:s.period_start_date}, b.status = 'Pending Billing', s.id,"
        " {day:s.period_end_date}, {number:s.actual_quantity}, s.draft_rated_quantity IS NOT NULL, b.status,"
        " {day:b.period_start_date}, {day:b.period_end_date}"
        " FROM usage_schedule AS s JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
        " WHERE s.asset_key {among}",
        driver.keys(asset_keys),
    )
    rows.sort()
    return rows


def count_candidates(connection: Connection, with_rated: bool) -> int:
    """How many inputs a forecast of everything takes."""
    wanted = CANDIDATE_OR_RATED if with_rated else DRAFT_CANDIDATE
    return int(Driver(connection).rows(f"SELECT count(*) FROM usage_input WHERE {wanted}")[0][0])


def write_drafts(connection: Connection, run_key: int, drafts: Sequence[DraftOfInput]) -> int:
    """Write forecasts to good inputs, whose status stays; how many there were."""
    driver = Driver(connection)
    if driver.is_postgresql:
        return _update_from_arrays(
            driver,
            f"UPDATE usage_input AS u SET draft_rated_amount = d.amount, draft_run_key = {run_key:d},"
            " draft_price_key = d.price_key, draft_contract_key = d.contract_key,"
            " draft_discount_percent = d.discount, draft_prior_quantity = d.prior"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[])"
            " AS d (amount, price_key, contract_key, discount, prior, id) WHERE u.id = d.id",
            drafts,
        )
    driver.cursor.executemany(
        f"UPDATE usage_input SET draft_rated_amount = ?, draft_run_key = {run_key:d}, draft_price_key = ?,"
        " draft_contract_key = ?, draft_discount_percent = ?, draft_prior_quantity = ? WHERE id = ?",
        drafts,
    )
    return int(driver.cursor.rowcount) if drafts else 0


def write_errors(connection: Connection, errors: Sequence[ErrorOfInput]) -> int:
    """Put bad inputs in Error, without a draft amount; how many still had the status they were read with."""
    return _each(
        connection,
        "UPDATE usage_input SET status = 'Error', error_by = 'draft', code = ?, message = ?,"
        " draft_rated_amount = NULL, draft_run_key = NULL, draft_price_key = NULL, draft_contract_key = NULL,"
        " draft_discount_percent = NULL, draft_prior_quantity = NULL WHERE id = ? AND status = ?",
        errors,
    )


def clear_errors(connection: Connection, keys: Sequence[int]) -> int:
    """Make inputs that a forecast had put in Error Loaded again; how many were so."""
    return _each(
        connection,
        "UPDATE usage_input SET status = 'Loaded', error_by = NULL, code = NULL, message = NULL"
        " WHERE id = ? AND status = 'Error' AND error_by = 'draft'",
        [(key,) for key in keys],
    )


def write_schedule_drafts(connection: Connection, drafts: Sequence[DraftOfSchedule]) -> int:
    """Overwrite the draft values of usage schedules."""
    driver = Driver(connection)
    if driver.is_postgresql:
        return _update_from_arrays(
            driver,
            "UPDATE usage_schedule AS s SET draft_rated_quantity = d.quantity, draft_fee_amount = d.fee"
            " FROM unnest(%s::numeric[], %s::bigint[], %s::bigint[]) AS d (quantity, fee, id) WHERE s.id = d.id",
            drafts,
        )
    driver.cursor.executemany(
        "UPDATE usage_schedule SET draft_rated_quantity = ?, draft_fee_amount = ? WHERE id = ?", drafts
    )
    return int(driver.cursor.rowcount) if drafts else 0


def all_candidates(connection: Connection, with_rated: bool) -> Iterator[tuple[int, list[int]]]:
    """Every asset that has inputs a forecast takes, in order of key, with their keys; Rated ones too if asked."""
    last = 0
    while page := _grouped(connection, with_rated, "asset_key > ?", last, "LIMIT ?", ASSETS_PER_PAGE):
        yield from page
        last = page[-1][0]


def candidates_of(
    connection: Connection, asset_keys: Sequence[int], with_rated: bool
) -> dict[int, list[int]]:
    """The same of these assets; those without such an input are missing."""
    keys = Driver(connection).keys(asset_keys)
    return dict(_grouped(connection, with_rated, "asset_key {among}", keys))


def _grouped(
    connection: Connection, with_rated: bool, condition: str, value: Any, limit: str = "", *more: Any
) -> list[tuple[int, list[int]]]:
    # One row for an asset, its keys as text: ten times fewer rows to fetch.
    driver = Driver(connection)
    listed = "string_agg(id::text, ',')" if driver.is_postgresql else "group_concat(id)"
    wanted = CANDIDATE_OR_RATED if with_rated else DRAFT_CANDIDATE
    rows = driver.rows(
        f"SELECT asset_key, {listed} FROM usage_input WHERE {wanted} AND {condition}"
        f" GROUP BY asset_key ORDER BY asset_key {limit}",
        value,
        *more,
    )
    return [(asset, sorted(map(int, keys.split(",")))) for asset, keys in rows]


def owners_of(connection: Connection, input_keys: Sequence[int]) -> list[tuple[int, int]]:
    """(asset key, input key) of these inputs, whatever their status."""
    driver = Driver(connection)
    return driver.rows("SELECT asset_key, id FROM usage_input WHERE id {among}", driver.keys(input_keys))


def stale_assets(connection: Connection) -> Iterator[int]:
    """Assets with draft values on a pending schedule, in order of key."""
    driver = Driver(connection)
    last = 0
    while True:
        page = driver.rows(
            "SELECT DISTINCT s.asset_key FROM usage_schedule AS s"
            " JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
            " WHERE s.draft_rated_quantity IS NOT NULL AND b.status = 'Pending Billing' AND s.asset_key > ?"
            " ORDER BY s.asset_key LIMIT ?",
            last,
            PAGE,
        )
        if not page:
            return
        yield from (row[0] for row in page)
        last = page[-1][0]


def _each(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
    driver = Driver(connection)
    if not rows:
        return 0
    driver.cursor.executemany(statement.replace("?", "%s") if driver.is_postgresql else statement, rows)
    return int(driver.cursor.rowcount)


def _update_from_arrays(driver: Driver, update: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """One UPDATE from a set of rows, passed as an array for each column."""
    if not rows:
        return 0
    driver.cursor.execute(update, [array_text(column) for column in zip(*rows, strict=True)])
    return int(driver.cursor.rowcount)
