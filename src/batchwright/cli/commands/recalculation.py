"""`batchwright recalculation`."""

from __future__ import annotations

import click

from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, json_option, limit_option
from batchwright.cli.output import Column, Format, say, write_facts, write_json, write_rows, write_table
from batchwright.cli.session import application
from batchwright.operations.billing import recalculation as operation

OFFER_COLUMNS = (
    Column("customer_id", "Customer"),
    Column("name", "Name"),
    Column("contract_ids", "Active contract", show=", ".join),
    Column("account_ids", "Accounts", show=", ".join),
    Column("periods", "Billing periods", show=lambda periods: _span(periods)),
    Column("estimated_seconds_per_period", "Estimate", show=lambda seconds: _estimate(seconds)),
    Column("live", "At work", show=lambda live: ", ".join(run["run_id"] for run in live)),
)
CHARGE_COLUMNS = (
    Column("customer_id", "Customer"),
    Column("account_id", "Account"),
    Column("period", "Period"),
    Column("line_item_id", "Line item"),
    Column("description", "Description"),
    Column("kind", "Kind"),
    Column("rate", "Rate", numeric=True),
    Column("base_amount", "Of", numeric=True),
    Column("amount", "Amount", numeric=True),
    Column("currency", "Currency"),
    Column("run_id", "Run"),
)


@click.group("recalculation", cls=Group, example="batchwright recalculation offer")
def recalculation() -> None:
    """Data recalculation: what is offered, and the account charges it left."""


@recalculation.command("offer", example="batchwright recalculation offer --customer C-1002")
@click.option("--customer", "customer_id", metavar="ID", help="Only this one.")
@as_json_option
def offer(customer_id: str | None, as_json: bool) -> None:
    """Which customers and months can be recalculated today, why, and how long it may take.

    A customer is offered that has an active contract and an account under it; a month that is over and under that
    contract.

    Then run it: `batchwright run data-recalculation`.
    """
    with application() as app:
        offered = operation.recalculation_offer(app, customer_id)
    if as_json:
        write_json(offered)
        return
    write_facts([("Today", offered["today"]), ("Reasons", "\n".join(offered["reasons"]))])
    say()
    if offered["customers"]:
        write_table(offered["customers"], OFFER_COLUMNS)
    else:
        say("No customer can be recalculated: none has an active contract with an account.", err=True)


@recalculation.command("charges", example="batchwright recalculation charges --customer C-1002")
@click.option("--customer", "customer_id", metavar="ID", help="Only this one.")
@limit_option
@json_option
def charges(customer_id: str | None, limit: int | None, format: Format) -> None:
    """What custom line items came to for each account and month, when it was last recalculated."""
    with application() as app:
        rows = operation.list_account_charges(app, customer_id, limit)
        nothing = "There is no account charge yet."
        write_rows(rows, CHARGE_COLUMNS, format=format, nothing=nothing)


def _span(periods: list[str]) -> str:
    if not periods:
        return "none yet"
    return periods[0] if len(periods) == 1 else f"{periods[-1]} to {periods[0]}"


def _estimate(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:g} s a month"
