"""What a run left behind, in a form that two runs can be compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text

from batchwright.engine import ledger
from batchwright.engine.registry import Registry
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database

Rows = Mapping[str, list[tuple[Any, ...]]]

# Everything but the numbers that the runs themselves have: they differ, and say nothing about the result.
_STATEMENTS: Final = {
    "usage inputs": """
        SELECT usage_input_id, status, error_by, code, message, rated_amount, draft_rated_amount, draft_price_key,
        draft_contract_key, draft_discount_percent, draft_prior_quantity FROM usage_input ORDER BY id""",
    "usage schedules": """
        SELECT usage_schedule_id, actual_quantity, fee_amount, draft_rated_quantity, draft_fee_amount
        FROM usage_schedule ORDER BY id""",
    "billing schedules": "SELECT billing_schedule_id, status, fee_amount FROM billing_schedule ORDER BY id",
}


def state_of(database: Database, run_id: str) -> Rows:
    """Amounts, schedules, outcomes and figures of a run that has ended, by what they are."""
    return {**records_of(database), **run_of(database, run_id)}


def records_of(database: Database) -> Rows:
    """What stands in the records that a draft run writes to."""
    with database.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(text(statement))]
            for name, statement in _STATEMENTS.items()
        }


def run_of(database: Database, run_id: str) -> Rows:
    """Outcomes and figures of a run that has ended."""
    with database.read() as connection:
        run = runs.by_id(connection, run_id)
        job = Registry(()).get(run.job)(**run.parameters)
        outcomes = [
            (one.record_id, one.outcome, one.code, one.message, one.amount)
            for one in ledger.OutcomeReader(run, job).all(connection)
        ]
        figures = (run.state, run.total, run.processed, run.errored, run.skipped, run.not_reached, run.totals)
    return {"outcomes": outcomes, "figures": [figures]}


def differences(expected: Rows, found: Rows) -> list[str]:
    """What is not the same, a line each, at most five of a kind; empty when all is."""
    lines = []
    for name, rows in expected.items():
        if len(rows) != len(found[name]):
            lines.append(f"{name}: {len(rows)} expected, {len(found[name])} found")
        unlike = [pair for pair in zip(rows, found[name], strict=False) if pair[0] != pair[1]]
        lines.extend(f"{name}: expected {one}, found {other}" for one, other in unlike[:5])
    return lines
