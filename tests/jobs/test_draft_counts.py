"""Counts and totals of any mixture: the run, its ledger, its mail and the tables say the same."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.looking import run_outcomes, show_run
from tests.jobs.company import Company
from tests.jobs.conftest import Open
from tests.jobs.drafting import draft, empty, mail_facts
from tests.support.rungs import depth

COUNTS = ("total", "processed", "errored", "skipped", "not_reached")
OUTCOMES = {"processed": "ok", "errored": "error", "skipped": "skipped", "not_reached": "not_reached"}
KINDS: dict[str, dict[str, Any]] = {
    "good": {},
    "in error by a forecast": {"status": "Error", "error_by": "draft", "code": "no_price", "message": "none"},
    "gallons": {"product_uom": "Gallon"},
    "negative": {"quantity": "-1"},
    "huge": {"quantity": "9" * 18},
    "late": {"day": "12-24"},
    "rated": {"status": "Rated", "rated_amount": 5},
    "unrated": {"status": "Error", "error_by": "unrating"},
}
mixtures = st.lists(
    st.tuples(
        st.sampled_from(["USD", "JPY", "BHD"]),
        st.sampled_from(sorted(KINDS)),
        st.integers(1, 6),
        st.decimals(0, 1000, places=3).map(str),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_run_ledger_mail_and_tables_agree(applications: Open, kind: str) -> None:
    app = applications(kind)

    @settings(max_examples=depth(4, 12))
    @given(mixtures, st.booleans(), st.integers(1, 4), st.sampled_from([None, "2", "40%"]))
    def agree(mixture: list[Any], by_id: bool, scope_size: int, ceiling: str | None) -> None:
        empty(app)
        with app.database.write() as connection:
            _write(Company(connection), mixture)
        names = [f"IN-{number}" for number in range(len(mixture))]
        run = draft(
            app,
            {"usage_input_ids": names} if by_id else {},
            mail_actor=True,
            scope_size=scope_size,
            error_ceiling=ceiling,
        )
        assert run["status"] == "Completed" or ceiling is not None
        _check(app, run)

    agree()


def _write(books: Company, mixture: list[Any]) -> None:
    assets = {}
    for currency in ("USD", "JPY", "BHD"):
        books.priced("data", currency=currency, unit_price="0.4567")
        assets[currency] = books.metered(currency, currency=currency, months=6)
    for number, (currency, kind, month, quantity) in enumerate(mixture):
        values = {"day": f"{month:02}-05", "quantity": quantity, **KINDS[kind]}
        books.used(assets[currency], f"IN-{number}", values.pop("day"), values.pop("quantity"), **values)


def _check(app: Application, run: dict[str, Any]) -> None:
    shown = show_run(app, run["run_id"])
    (facts,) = mail_facts(app)
    for name in (*COUNTS, "totals", "warnings", "status", "badge"):
        assert run[name] == shown[name] == facts[name], name
    ledger = list(run_outcomes(app, run["run_id"]))
    counted = Counter(row["outcome"] for row in ledger)
    assert {name: counted[outcome] for name, outcome in OUTCOMES.items()} == {
        name: run[name] for name in OUTCOMES
    }
    assert run["total"] == len(ledger) == len({row["record_id"] for row in ledger})
    totals = run["totals"].get("draft_fee_amount", {})
    assert totals == _sums(ledger, "amount")
    assert totals == _sums(list_usage_inputs(app), "draft_rated_amount")
    assert totals == _sums(list_usage_schedules(app), "draft_fee_amount")
    ok = {row["record_id"] for row in ledger if row["outcome"] == "ok"}
    bad = {row["record_id"]: row["code"] for row in ledger if row["outcome"] == "error"}
    table = tables.usage_input
    with app.database.read() as connection:
        for row in connection.execute(table.select()):
            if row.usage_input_id in ok:
                assert (row.status, row.code, row.error_by) == ("Loaded", None, None)
            if row.usage_input_id in bad:
                assert (row.status, row.code, row.error_by) == ("Error", bad[row.usage_input_id], "draft")
            assert (row.draft_rated_amount is not None) == (row.usage_input_id in ok)


def _sums(rows: Any, column: str) -> dict[str, str]:
    by_currency: dict[str, Decimal] = {}
    for row in rows:
        if row[column] is not None:
            currency = row["currency"]
            by_currency[currency] = by_currency.get(currency, Decimal(0)) + Decimal(row[column])
    return {currency: str(amount) for currency, amount in by_currency.items()}
