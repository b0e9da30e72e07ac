"""The first table of the vendor's page, from CSV files to the forecast.

Tiers 0-20 = 200 and 21-40 = 400, billed half-yearly, metered monthly. Its second table contradicts its own prices
and is not imitated.
"""

from __future__ import annotations

from pathlib import Path

from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from tests.jobs.drafting import draft
from tests.support.application import ACTOR
from tests.support.seed_table import FILES


def test_the_first_table_comes_out_of_csv_files(app: Application, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    import_paths(app, [tmp_path], actor=ACTOR)

    run = draft(app)

    assert (run["badge"], run["totals"]) == ("Complete", {"draft_fee_amount": {"USD": "6000.00"}})
    assert [
        (
            row["usage_input_id"],
            row["status"],
            row["quantity"],
            row["rated_amount"],
            row["draft_rated_amount"],
        )
        for row in list_usage_inputs(app)
    ] == [
        ("IN-00007052", "Loaded", "20.00", None, "4000.00"),
        ("IN-00007053", "Loaded", "10.00", None, "2000.00"),
    ]
    assert [
        (row["period_start_date"], row["period_end_date"], row["fee_amount"], row["ready_for_invoice_date"])
        for row in list_billing_schedules(app)
    ] == [
        ("2023-01-01", "2023-06-30", "0.00", "2023-07-01"),
        ("2023-07-01", "2023-12-31", "0.00", "2024-01-01"),
    ]
    usage_schedules = list(list_usage_schedules(app))
    assert len(usage_schedules) == 12
    assert [
        (
            row["period_start_date"],
            row["period_end_date"],
            row["draft_rated_quantity"],
            row["draft_fee_amount"],
        )
        for row in usage_schedules
        if row["draft_fee_amount"] is not None
    ] == [
        ("2023-06-01", "2023-06-30", "20.00", "4000.00"),
        ("2023-07-01", "2023-07-31", "10.00", "2000.00"),
    ]
    assert {(row["status"], row["actual_quantity"], row["fee_amount"]) for row in usage_schedules} == {
        ("Pending Billing", "0.00", "0.00")
    }
