"""What a forecast writes: sets of rows, on the raw driver.

The assets are locked (``assets_and_inputs.lock_assets``).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from batchwright.billing.records.assets_and_inputs import ErrorOfInput
from batchwright.billing.records.driver import Driver

DraftOfInput = tuple[int, int, int | None, str, str | None, int]
"""What a forecast writes to a good input, and what the amount rests on: minor units, price key, contract key,
discount percent, prior quantity (both as canonical text; no prior quantity for the first of its window), input key.
"""

DraftOfSchedule = tuple[str | None, int | None, int]
"""What a forecast writes to a usage schedule: the quantity as canonical text, minor units (both empty where nothing
good fell on it), and the schedule's key."""


def write_drafts(connection: Connection, run_key: int, drafts: Sequence[DraftOfInput]) -> int:
    """Write forecasts to good inputs, whose status stays; how many there were."""
    return Driver(connection).update(
        drafts,
        f"UPDATE usage_input AS u SET draft_rated_amount = d.amount, draft_run_key = {run_key:d},"
        " draft_price_key = d.price_key, draft_contract_key = d.contract_key,"
        " draft_discount_percent = d.discount, draft_prior_quantity = d.prior"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[])"
        " AS d (amount, price_key, contract_key, discount, prior, id) WHERE u.id = d.id",
        f"UPDATE usage_input SET draft_rated_amount = ?, draft_run_key = {run_key:d}, draft_price_key = ?,"
        " draft_contract_key = ?, draft_discount_percent = ?, draft_prior_quantity = ? WHERE id = ?",
    )


def write_errors(connection: Connection, errors: Sequence[ErrorOfInput]) -> int:
    """Put bad inputs in Error, without a draft amount; how many still had the status they were read with."""
    return Driver(connection).each(
        "UPDATE usage_input SET status = 'Error', error_by = 'draft', code = ?, message = ?,"
        " draft_rated_amount = NULL, draft_run_key = NULL, draft_price_key = NULL, draft_contract_key = NULL,"
        " draft_discount_percent = NULL, draft_prior_quantity = NULL WHERE id = ? AND status = ?",
        errors,
    )


def write_schedule_drafts(connection: Connection, drafts: Sequence[DraftOfSchedule]) -> int:
    """Overwrite the draft values of usage schedules."""
    return Driver(connection).update(
        drafts,
        "UPDATE usage_schedule AS s SET draft_rated_quantity = d.quantity, draft_fee_amount = d.fee"
        " FROM unnest(%s::numeric[], %s::bigint[], %s::bigint[]) AS d (quantity, fee, id) WHERE s.id = d.id",
        "UPDATE usage_schedule SET draft_rated_quantity = ?, draft_fee_amount = ? WHERE id = ?",
    )
