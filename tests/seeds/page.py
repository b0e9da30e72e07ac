"""Commands and calls on the company of the vendor's page, and what they left as the page's tables have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchwright.engine import BatchJob
from batchwright.operations import execute_batch
from batchwright.operations.app import Application
from batchwright.operations.billing.service import BillingService
from batchwright.operations.views import View
from tests.seeds.conftest import Batchwright, Load

# A second asset of the customer, priced like the first, with one input in June.
OTHER = "IN-00000001"
SECOND_ASSET: Mapping[str, str] = {
    "asset_line_items.csv": (
        "asset_line_item_id,asset_number,customer_id,product,start_date,end_date,billing_frequency\n"
        "AL-2,second,C-1,Internet Plans,2023-01-01,2023-12-31,Half Yearly\n"
    ),
    "usage_inputs.csv": (
        f"usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n{OTHER},AL-2,2023-06-10,7,Each\n"
    ),
}

Table = dict[str, tuple[Any, ...]]


class Page:
    """Commands and calls over one database, and what they left as the page's tables have it."""

    def __init__(self, batchwright: Batchwright, load: Load, app: Application) -> None:
        self.run = batchwright
        self.load = load
        self.app = app
        self.service = BillingService(app)

    def add(self, day: str, quantity: str) -> str:
        """Add an input of AL-1; its id."""
        words = ("--asset-line-item", "AL-1", "--usage-date", day, "--quantity", quantity)
        return str(self.run("usage-inputs", "add", *words, "--product-uom", "Each")["usage_input_id"])

    def execute(self, job: BatchJob) -> View:
        """A batch job, submitted from Python and then driven to its end; as `ended`."""
        return self.ended(execute_batch(job, app=self.app))

    def ended(self, run_id: str) -> View:
        """A run that was left to a worker, after it has ended; with its mails."""
        self.run("runs", "resume", run_id)
        shown: View = self.run("runs", "show", run_id)
        assert shown["status"] == "Completed"
        return shown

    def inputs(self) -> Table:
        """Status, Rated Amount and (Draft) Rated Amount by input."""
        return self._table("usage-inputs", "status", "rated_amount", "draft_rated_amount")

    def usage_schedules(self) -> Table:
        """Status, Actual Quantity, Fee Amount, (Draft) Rated Quantity and (Draft) Fee Amount by usage schedule."""
        drafts = ("draft_rated_quantity", "draft_fee_amount")
        return self._table("usage-schedules", "status", "actual_quantity", "fee_amount", *drafts)

    def drafts(self) -> list[tuple[Any, ...]]:
        """(Draft) Rated Quantity and (Draft) Fee Amount, usage schedule by usage schedule."""
        return [row[3:] for row in self.usage_schedules().values()]

    def billing_schedules(self) -> Table:
        """Period, Fee Amount, Ready for Invoice Date, type, status and *superseded* by billing schedule."""
        period = ("period_start_date", "period_end_date")
        terms = ("fee_amount", "ready_for_invoice_date", "type", "status", "superseded")
        return self._table("billing-schedules", *period, *terms)

    def fees(self) -> dict[str, str]:
        """Fee Amount by billing schedule."""
        return {an_id: row[2] for an_id, row in self.billing_schedules().items()}

    def _table(self, of: str, *columns: str) -> Table:
        an_id = f"{of.removesuffix('s').replace('-', '_')}_id"
        return {row[an_id]: tuple(row[column] for column in columns) for row in self.run(of, "list")}
