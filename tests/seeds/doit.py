"""A reseller's customer as CSV files: one account, one contract, usage of May and June at 2 each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.seeds.conftest import Batchwright, Load

PRICES = "price_book_id,product,effective_from,model,product_uom,unit_price\n"
CONTRACTS = "contract_id,customer_id,price_book_id,start_date,end_date,status,discount_percent,account_ids\n"
LINE_ITEMS = "line_item_id,contract_id,description,kind,amount,start_date\n"
CUSTOMERS, ACCOUNTS = "customer_id,name\n", "account_id,customer_id,name\n"
ASSETS = (
    "asset_line_item_id,asset_number,customer_id,account_id,product,start_date,end_date,billing_frequency\n"
)
INPUTS = "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n"

FILES: Mapping[str, str] = {
    "customers.csv": CUSTOMERS + "CU-1,End customer\n",
    "accounts.csv": ACCOUNTS + "AC-1,CU-1,First account\n",
    "price_books.csv": "price_book_id,name,currency\nPB-1,List,USD\n",
    "prices.csv": PRICES + "PB-1,data,2023-01-01,per_unit,Each,2\n",
    "contracts.csv": CONTRACTS + "CO-1,CU-1,PB-1,2023-01-01,,Active,,\n",
    "asset_line_items.csv": ASSETS + "AL-1,first,CU-1,AC-1,data,2023-01-01,2023-12-31,Monthly\n",
    "usage_inputs.csv": INPUTS + "IN-MAY,AL-1,2023-05-05,10,Each\nIN-JUNE,AL-1,2023-06-05,10,Each\n",
}
JUNE = ("2023-06",)


class Reseller:
    """What a reseller does, by commands."""

    def __init__(self, batchwright: Batchwright, load: Load) -> None:
        self._run = batchwright
        self.load = load

    def revise(self, **files: str) -> None:
        """New revisions: the lines of a file, by its name, under the file's header."""
        headers = {"prices": PRICES, "contracts": CONTRACTS, "custom_line_items": LINE_ITEMS}
        self.load({f"{name}.csv": headers[name] + lines for name, lines in files.items()}, "--update")

    def rate(self) -> None:
        self._run("run", "usage-rating")

    def recalculate(self, *options: str, periods: Sequence[str] = JUNE, exit_code: int = 0) -> Any:
        """The JSON of a recalculation of CU-1, ended; `options` go over a reason."""
        reason = () if "--reason" in options else ("--reason", "Incorrect Charges")
        words = ("run", "data-recalculation", "--customer", "CU-1", *reason, *options)
        months = [word for month in periods for word in ("--period", month)]
        return self._run(*words, *months, exit_code=exit_code)

    def offered(self) -> Any:
        """What the dialog offers."""
        return self._run("recalculation", "offer")

    def rated(self) -> dict[str, str | None]:
        """Rated Amount by input."""
        return {row["usage_input_id"]: row["rated_amount"] for row in self._run("usage-inputs", "list")}

    def log(self, *options: str) -> Any:
        """The run queue and log."""
        return self._run("runs", "list", *options)

    def show(self, run_id: str) -> Any:
        return self._run("runs", "show", run_id)
