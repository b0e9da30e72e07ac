"""A recalculation of many inputs after a price change: previewed, run, run again; and killed at random moments.

What is killed is a run of its own, or one that applies a preview.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from sqlalchemy import text

from batchwright.engine.store.database import Database
from bench.company import Company, fill, settle
from tests.soak.crash import started, targets, under_fire, wait_for_end
from tests.soak.state import Rows, differences, run_of

Say = Callable[[str], None]

MONTHS: Final = tuple(f"2023-0{number}" for number in range(1, 7))
_ONE_CUSTOMER: Final = (
    "UPDATE asset_line_item SET customer_key = 1, account_key = 1, currency = 'USD'",
    "INSERT INTO custom_line_item (id, line_item_id, contract_id, description, kind, amount, start_date)"
    " VALUES (1, 'L-1', 'CT-000001', 'Rebate', 'percentage_discount', '1.5', '2023-01-01')",
)
_DEARER: Final = (
    """
    INSERT INTO price (id, price_book_key, product, effective_from, revision, model, product_uom, unit_price,
    flat_fee, percentage, package_size, included_quantity, minimum_amount, maximum_amount, usage_indexing,
    flat_fee_per, created_at)
    SELECT id + 1000, price_book_key, product, effective_from, 2, model, product_uom, '19.75', flat_fee, percentage,
    package_size, included_quantity, minimum_amount, maximum_amount, usage_indexing, flat_fee_per, created_at
    FROM price WHERE model IN ('per_unit', 'package')""",
    """
    INSERT INTO contract (id, contract_id, revision, customer_key, price_book_key, start_date, status,
    discount_percent, created_at) SELECT id + 100000, contract_id, 2, customer_key, price_book_key, start_date, status,
    '7.5', created_at FROM contract WHERE id = 1""",
)
"""Units and packages cost more, and the discount of the contract, for all models, is another one."""
_STATEMENTS: Final = {
    "usage inputs": """
        SELECT usage_input_id, status, rated_amount, rated_price_key, rated_contract_key, rated_discount_percent,
        rated_prior_quantity, rated_schedule_key FROM usage_input ORDER BY id""",
    "usage schedules": """
        SELECT usage_schedule_id, actual_quantity, fee_amount, rated_inputs FROM usage_schedule ORDER BY id""",
    "billing schedules": "SELECT billing_schedule_id, status, fee_amount FROM billing_schedule ORDER BY id",
    "account charges": """
        SELECT account_key, month, line_item_key, base, amount, currency FROM account_charge ORDER BY 1, 2, 3, 6""",
}


@dataclass
class Found:
    """Seconds of each run in peace, its totals, and what was wrong."""

    seconds: dict[str, float] = field(default_factory=dict)
    totals: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def compare(
    calm_url: str,
    crash_url: str,
    *,
    inputs: int,
    kills: int,
    scope_size: int,
    seed: int,
    say: Say,
    applied: bool = False,
) -> Found:
    """Rate two companies alike, change prices, recalculate one in peace and one under `kills` SIGKILLs.

    The latter in a run of its own, or with `applied` in one that applies its preview.
    """
    found = Found()
    calm, crashed = Database(calm_url), Database(crash_url)
    for database, url in ((calm, calm_url), (crashed, crash_url)):
        _rated(database, url, inputs, found, say)
    _in_peace(calm, calm_url, found, scope_size, say)
    expected = {**_records(calm), **run_of(calm, "JR-00000003")}
    scopes = -(-inputs // scope_size)
    aims = targets(scopes, kills, Random(seed))
    words, run_id = _words(scope_size), "JR-00000002"
    if applied:
        _timed(found, "preview to apply", crash_url, (*words, "--dry-run"), say)
        words, run_id = ("runs", "apply", run_id, "--no-mail"), "JR-00000003"
    sent = under_fire(crash_url, crashed, words, run_id, aims, say)
    if sent != kills:
        found.faults.append(f"only {sent} of {kills} kills were sent before the run had ended")
    found.faults += differences(expected, {**_records(crashed), **run_of(crashed, run_id)})
    calm.close()
    crashed.close()
    return found


def _rated(database: Database, url: str, inputs: int, found: Found, say: Say) -> None:
    fill(database, Company(inputs))
    _execute(database, _ONE_CUSTOMER)
    _timed(found, "rating", url, ("run", "usage-rating", "--no-mail"), say)
    _execute(database, _DEARER)
    settle(database)


def _in_peace(database: Database, url: str, found: Found, scope_size: int, say: Say) -> None:
    words = _words(scope_size)
    before = _records(database)
    preview = _timed(found, "preview", url, (*words, "--dry-run"), say)
    found.faults += differences(before, _records(database))
    run = _timed(found, "run", url, words, say)
    first = _records(database)
    again = _timed(found, "run again", url, words, say)
    found.totals = run["totals"]
    found.faults += differences(first, _records(database))
    found.faults += list(_wrong(preview, run, again))


def _wrong(preview: dict[str, Any], run: dict[str, Any], again: dict[str, Any]) -> Iterator[str]:
    if preview["totals"] != run["totals"]:
        yield f"the preview foretold {preview['totals']}, the run came to {run['totals']}"
    if run["processed"] != run["total"] or run["totals"]["difference"] == {"USD": 0}:
        yield f"the run did not change what it should: {run}"
    if again["totals"]["difference"] != {"USD": 0} or again["total"] != run["total"]:
        yield f"the second run changed something: {again['totals']}"


def _timed(found: Found, name: str, url: str, words: tuple[str, ...], say: Say) -> dict[str, Any]:
    began = time.monotonic()
    with started(url, *words) as process:
        wait_for_end(process)
    found.seconds[name] = time.monotonic() - began
    say(f"{name}: {found.seconds[name]:.1f} s")
    return _newest_run(url)


def _newest_run(url: str) -> dict[str, Any]:
    """What it came to, in minor units, read from the database: what the process says goes to a file of its own."""
    database = Database(url)
    statement = text("SELECT total, processed, totals FROM run ORDER BY id DESC LIMIT 1")
    with database.read() as connection:
        total, processed, totals = connection.execute(statement).one()
    database.close()
    return {"total": total, "processed": processed, "totals": json.loads(totals)}


def _words(scope_size: int) -> tuple[str, ...]:
    months = [word for month in MONTHS for word in ("--period", month)]
    why = ("--reason", "Incorrect Charges", "--no-mail", "--scope-size", str(scope_size))
    return ("run", "data-recalculation", "--customer", "C-000001", *months, *why)


def _execute(database: Database, statements: tuple[str, ...]) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def _records(database: Database) -> Rows:
    with database.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(text(statement))]
            for name, statement in _STATEMENTS.items()
        }
