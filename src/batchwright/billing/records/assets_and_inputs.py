"""What forecasts and ratings are computed from: sets of rows, on the raw driver.

Every one that reads and then writes an asset's inputs or schedules goes through :func:`lock_assets` first. What a
forecast writes stands in ``drafts``, what rating and unrating write in ``ratings``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from batchwright.billing.periods import Day
from batchwright.billing.records.driver import Driver
from batchwright.billing.records.forecast_blocks import mark_changed
from batchwright.billing.records.inputs import InputStatus


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

    ``quantity`` is the text of a decimal. ``unusual`` is None for a Loaded input, as nearly all are; else its status,
    who put it in Error after a space («Error draft»), or «deleted».
    """

    asset_key: int
    usage_date: Day
    key: int
    quantity: str
    product_uom: str
    unusual: str | None

    @property
    def deleted(self) -> bool:
        """Deleted for everybody; its status is not shown."""
        return self.unusual == "deleted"

    @property
    def status(self) -> InputStatus:
        """Not to be asked of a deleted one."""
        if self.unusual is None:
            return InputStatus.LOADED
        status, _, _ = self.unusual.partition(" ")
        return InputStatus(status)

    @property
    def error_by(self) -> str | None:
        """Who put it in Error: draft, rating or unrating."""
        _, _, error_by = (self.unusual or "").partition(" ")
        return error_by or None


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
    rated_inputs: int
    has_draft: bool | int
    status: str
    window_start: Day
    window_end: Day


GOOD: Final = (None, InputStatus.RATED)
"""What is ``unusual`` about inputs that are not in Error."""

InputTuple = tuple[int, Day, int, str, str, str | None]
"""The fields of :class:`InputRow`. Rows stay the plain tuples that the driver gives: a named one costs as much
again, and there are a million of them.
"""

ScheduleTuple = tuple[int, Day, bool | int, int, Day, str, int, bool | int, str, Day, Day]
"""The fields of :class:`ScheduleRow`."""

# Positions in the plain tuples, by name; literal numbers, so that mypy knows the type there.
ASSET_KEY: Final = 0  # of an input as of a schedule
USAGE_DATE: Final = 1
UNUSUAL: Final = 5

START: Final = 1
PENDING: Final = 2
SCHEDULE_KEY: Final = 3
END: Final = 4
ACTUAL_QUANTITY: Final = 5
RATED_INPUTS: Final = 6
HAS_DRAFT: Final = 7
STATUS: Final = 8
WINDOW: Final = 9  # from here to the end


class ErrorOfInput(NamedTuple):
    """What is written to a bad input; ``status`` is the one it was read with."""

    code: str
    message: str
    key: int
    status: str


def lock_assets(connection: Connection, asset_keys: Sequence[int]) -> list[AssetRow]:
    """The assets in order of key, locked until the transaction ends (on SQLite every writer is alone).

    What the forecast knows of them is not to be trusted from then on.
    """
    mark_changed(connection, asset_keys)
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
        "SELECT u.asset_key, {day:u.usage_date}, u.id, {number:u.quantity}, u.product_uom, CASE WHEN u.deleted"
        " THEN 'deleted' WHEN u.status = 'Loaded' THEN NULL WHEN u.status = 'Error'"
        " THEN 'Error ' || coalesce(u.error_by, '') ELSE u.status END"
        " FROM {each} JOIN usage_input AS u ON u.id = k.value",
        driver.keys(sorted(keys)),
    )
    rows.sort()
    return rows


def read_schedules(connection: Connection, asset_keys: Sequence[int]) -> list[ScheduleTuple]:
    """All usage schedules of the assets, superseded ones too, by asset and start."""
    driver = Driver(connection)
    rows: list[Any] = driver.rows(
        "SELECT s.asset_key, {day:s.period_start_date}, b.status = 'Pending Billing', s.id,"
        " {day:s.period_end_date}, {number:s.actual_quantity}, s.rated_inputs, s.draft_rated_quantity IS NOT NULL,"
        " b.status, {day:b.period_start_date}, {day:b.period_end_date}"
        " FROM usage_schedule AS s JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
        " WHERE s.asset_key {among}",
        driver.keys(asset_keys),
    )
    rows.sort()
    return rows


def clear_errors(connection: Connection, keys: Sequence[int], by: str) -> int:
    """Make inputs that a forecast (``draft``) or a ``rating`` had put in Error Loaded again; how many were so."""
    return Driver(connection).each(
        "UPDATE usage_input SET status = 'Loaded', error_by = NULL, code = NULL, message = NULL"
        " WHERE id = ? AND status = 'Error' AND error_by = ?",
        [(key, by) for key in keys],
    )
