"""The company of the vendor's page as CSV files, with the ids and schedules that the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from tests.support.application import ACTOR
from tests.support.seed_table import FILES

# The page bills half-yearly and meters monthly; 6/31 and 12/3 are read as the last days of June and December.
PLANTED: Mapping[str, str] = {
    **FILES,
    "billing_schedules.csv": (
        "billing_schedule_id,asset_line_item_id,period_start_date,period_end_date,fee_amount,"
        "ready_for_invoice_date,type,status,superseded\n"
        "BS-01311820,AL-1,2023-01-01,2023-06-30,0.00,2023-07-01,Contracted,Pending Billing,false\n"
        "BS-01311821,AL-1,2023-07-01,2023-12-31,0.00,2024-01-01,Contracted,Pending Billing,false\n"
    ),
    "usage_schedules.csv": (
        "usage_schedule_id,billing_schedule_id,asset_line_item_id,period_start_date,period_end_date,"
        "included_quantity,actual_quantity,fee_amount,draft_rated_quantity,draft_fee_amount,type,status,superseded\n"
        "US-00008316,BS-01311820,AL-1,2023-06-01,2023-06-30,0,0,0.00,,,Usage,Pending Billing,false\n"
        "US-00008317,BS-01311821,AL-1,2023-07-01,2023-07-31,0,0,0.00,,,Usage,Pending Billing,false\n"
    ),
}
OLD_BILLING_SCHEDULES = ("BS-01311820", "BS-01311821")
OLD_USAGE_SCHEDULES = ("US-00008316", "US-00008317")
JUNE, JULY = "IN-00007052", "IN-00007053"

Shown = dict[str, tuple[Any, ...]]


def plant(app: Application, folder: Path, files: Mapping[str, str] = PLANTED) -> None:
    """Import the company."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    import_paths(app, [folder], actor=ACTOR)


def inputs(app: Application) -> Shown:
    """Status, Rated Amount and (Draft) Rated Amount by input, as the page's tables show them."""
    return {
        row["usage_input_id"]: (row["status"], row["rated_amount"], row["draft_rated_amount"])
        for row in list_usage_inputs(app)
    }


def usage_schedules(app: Application) -> Shown:
    """Status, Actual Quantity, Fee Amount and draft figures by usage schedule."""
    return {
        row["usage_schedule_id"]: (
            *(row["status"], row["actual_quantity"], row["fee_amount"]),
            *(row["draft_rated_quantity"], row["draft_fee_amount"]),
        )
        for row in list_usage_schedules(app)
    }


def billing_schedules(app: Application) -> Shown:
    """Period, Fee Amount, Ready for Invoice Date and status by billing schedule."""
    return {
        row["billing_schedule_id"]: (
            *(row["period_start_date"], row["period_end_date"], row["fee_amount"]),
            *(row["ready_for_invoice_date"], row["status"]),
        )
        for row in list_billing_schedules(app)
    }
