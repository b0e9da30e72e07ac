"""A small company as CSV files, for the tests of the import."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from batchwright.billing.importing import ImportReport, Progress, import_files
from batchwright.billing.tables import (
    account,
    asset_line_item,
    billing_schedule,
    contract,
    contract_account,
    custom_line_item,
    customer,
    id_counter,
    price,
    price_book,
    price_tier,
    usage_input,
    usage_schedule,
)
from batchwright.engine.store.database import Database

NOW = datetime(2023, 7, 10, 12, tzinfo=UTC)

TABLES = (
    *(customer, account, price_book, price, price_tier, contract, contract_account, custom_line_item),
    *(asset_line_item, billing_schedule, usage_schedule, usage_input, id_counter),
)

# The asset of the vendor's page: tiers 0-20 = 200 and 21-40 = 400, billed half-yearly, its impossible dates mended.
COMPANY: dict[str, str] = {
    "customers.csv": "customer_id,name\nC-1,Hardware & Sons\nC-2,Zürich Netze AG\n",
    "accounts.csv": "account_id,customer_id,name\nA-1,C-1,North\nA-2,C-1,South\nA-9,C-2,Zürich\n",
    "price_books.csv": "price_book_id,name,currency\nPB-1,List 2023,USD\nPB-2,Liste,CHF\n",
    "prices.csv": (
        "price_book_id,product,effective_from,model,product_uom,unit_price,included_quantity,usage_indexing\n"
        "PB-1,internet,2023-01-01,volume,Each,,,false\n"
        "PB-1,calls,2023-01-01,per_unit,Hour,0.125,100,true\n"
        "PB-1,calls,2023-03-01,per_unit,Hour,0.15,50,true\n"
        "PB-2,internet,2023-01-01,per_unit,Each,3,,\n"
    ),
    "price_tiers.csv": (
        "price_book_id,product,effective_from,from_quantity,to_quantity,unit_price,flat_fee\n"
        "PB-1,internet,2023-01-01,0,20,200,\n"
        "PB-1,internet,2023-01-01,21,40,400,\n"
    ),
    "contracts.csv": (
        "contract_id,customer_id,price_book_id,start_date,end_date,status,discount_percent,account_ids\n"
        "K-1,C-1,PB-1,2023-01-01,2023-12-31,Active,,A-1;A-2\n"
        "K-2,C-2,PB-2,2023-01-01,,Active,12.5,\n"
    ),
    "custom_line_items.csv": (
        "line_item_id,contract_id,account_id,description,kind,amount,start_date,end_date\n"
        "L-1,K-1,A-1,Loyalty,percentage_discount,5,2023-01-01,\n"
        "L-2,K-1,,Port rental,fixed_charge,19.90,2023-01-01,2023-12-31\n"
    ),
    "asset_line_items.csv": (
        "asset_line_item_id,asset_number,customer_id,account_id,product,start_date,end_date,"
        "billing_frequency,usage_frequency,first_billing_date,price_book_id,selling_frequency,price_type,list_price\n"
        "AL-1,akdsjs,C-1,A-1,internet,2023-01-01,2023-12-31,Half Yearly,Monthly,2023-01-01,,Yearly,Usage,100\n"
        "AL-2,calls-1,C-1,A-2,calls,2023-01-31,2023-04-15,Monthly,,,PB-1,,,\n"
        "AL-3,netz-1,C-2,,internet,2023-01-01,2023-06-30,Quarterly,Quarterly,,,,,\n"
    ),
    "usage_inputs.csv": (
        "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom,description\n"
        "IN-00007052,AL-1,2023-06-05,20.00,Each,\n"
        "IN-00007053,AL-1,2023-07-08,10,Each,July\n"
        ",AL-2,2023-02-05,-3.5,Hour,\n"
    ),
}

BILLING_HEADER = (
    "billing_schedule_id,asset_line_item_id,period_start_date,period_end_date,fee_amount,"
    "ready_for_invoice_date,type,status,superseded\n"
)
USAGE_HEADER = (
    "usage_schedule_id,billing_schedule_id,asset_line_item_id,period_start_date,period_end_date,included_quantity,"
    "actual_quantity,fee_amount,draft_rated_quantity,draft_fee_amount,type,status,superseded\n"
)
TAKEN_OVER: dict[str, str] = {
    "billing_schedules.csv": BILLING_HEADER
    + "BS-01311820,AL-1,2023-01-01,2023-06-30,0.00,2023-07-01,Contracted,Pending Billing,false\n"
    + "BS-01311821,AL-1,2023-07-01,2023-12-31,12.50,2024-01-01,Contracted,Invoiced,\n",
    "usage_schedules.csv": USAGE_HEADER
    + "US-00008316,BS-01311820,AL-1,2023-06-01,2023-06-30,0,0,0.00,20.00,4000.00,Usage,Pending Billing,false\n"
    + "US-00008317,BS-01311821,AL-1,2023-07-01,2023-07-31,5,10.00,12.50,,,Usage,Invoiced,\n",
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """The files, in the folder, which is made if need be."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


class Books:
    """A database, and imports into it, each in a transaction of its own."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self._folder = folder
        self._number = 0

    def load(
        self,
        files: Mapping[str, str | bytes],
        *,
        update: bool = False,
        again: bool = False,
        skip_bad: io.StringIO | None = None,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Import the files as one folder."""
        self._number += 1
        folder = self.folder(f"import-{self._number}", files)
        return self.load_paths([folder], update=update, again=again, skip_bad=skip_bad, progress=progress)

    def folder(self, name: str, files: Mapping[str, str | bytes]) -> Path:
        """A folder with these files."""
        return write(self._folder / name, files)

    def load_paths(
        self,
        paths: list[Path],
        *,
        update: bool = False,
        again: bool = False,
        skip_bad: io.StringIO | None = None,
        progress: Progress | None = None,
    ) -> ImportReport:
        with self.database.write() as connection:
            return import_files(
                connection,
                paths,
                update=update,
                again=again,
                skip_bad=skip_bad,
                now=NOW,
                progress=progress,
            )

    def counts(self) -> dict[str, int]:
        """How many rows each table of the domain has."""
        with self.database.read() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in TABLES
            }

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, as texts where the two databases would differ."""
        with self.database.read() as connection:
            return [tuple(map(_plain, row)) for row in connection.execute(text(statement), parameters)]

    def change(self, statement: str, **parameters: Any) -> None:
        with self.database.write() as connection:
            connection.execute(text(statement), parameters)


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Books]:
    """The books of the database at the URL."""
    database = Database(url)
    try:
        yield Books(database, folder)
    finally:
        database.close()


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, int | str | None) else str(value)
