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

FILES = {
    "customers.csv": "customer_id,name\nC-1,Computer hardware\n",
    "price_books.csv": "price_book_id,name,currency\nPB-1,List,USD\n",
    "prices.csv": (
        "price_book_id,product,effective_from,model,product_uom\nPB-1,Internet Plans,2023-01-01,volume,Each\n"
    ),
    "price_tiers.csv": (
        "price_book_id,product,effective_from,from_quantity,to_quantity,unit_price,flat_fee\n"
        "PB-1,Internet Plans,2023-01-01,0,20,200,\n"
        "PB-1,Internet Plans,2023-01-01,21,40,400,\n"
    ),
    "contracts.csv": (
        "contract_id,customer_id,price_book_id,start_date,end_date,status\nK-1,C-1,PB-1,2023-01-01,,Active\n"
    ),
    "asset_line_items.csv": (
        "asset_line_item_id,asset_number,customer_id,product,start_date,end_date,billing_frequency,"
        "usage_frequency,first_billing_date,selling_frequency,price_type,list_price\n"
        "AL-1,akdsjs,C-1,Internet Plans,2023-01-01,2023-12-31,Half Yearly,Monthly,2023-01-01,Yearly,Usage,100\n"
    ),
    "usage_inputs.csv": (
        "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n"
        "IN-00007052,AL-1,2023-06-05,20.00,Each\n"
        "IN-00007053,AL-1,2023-07-08,10.00,Each\n"
    ),
}


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
    meters = list(list_usage_schedules(app))
    assert len(meters) == 12
    assert [
        (
            row["period_start_date"],
            row["period_end_date"],
            row["draft_rated_quantity"],
            row["draft_fee_amount"],
        )
        for row in meters
        if row["draft_fee_amount"] is not None
    ] == [
        ("2023-06-01", "2023-06-30", "20.00", "4000.00"),
        ("2023-07-01", "2023-07-31", "10.00", "2000.00"),
    ]
    assert {(row["status"], row["actual_quantity"], row["fee_amount"]) for row in meters} == {
        ("Pending Billing", "0.00", "0.00")
    }
