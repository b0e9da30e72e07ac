"""`batchwright asset-line-items`."""

from __future__ import annotations

import sys

import click

from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, json_option, limit_option
from batchwright.cli.output import Column, Format, say, write_json, write_rows, write_table, write_view
from batchwright.cli.session import Act, act_options, application
from batchwright.cli.show import joined
from batchwright.notifications.humanize import counted
from batchwright.operations.billing import amendments
from batchwright.operations.billing import asset_line_items as operation
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

COLUMNS = (
    Column("asset_line_item_id", "Asset line item"),
    Column("asset_number", "Asset no."),
    Column("customer_id", "Customer"),
    Column("account_id", "Account"),
    Column("product", "Product"),
    Column("start_date", "Start"),
    Column("end_date", "End"),
    Column("first_billing_date", "First billing"),
    Column("billing_frequency", "Billing"),
    Column("usage_frequency", "Usage"),
    Column("selling_frequency", "Selling"),
    Column("price_book_id", "Price book"),
    Column("price_type", "Price type"),
    Column("currency", "Currency"),
    Column("list_price", "List price", numeric=True),
)

TERMS = (
    ("end_date", "End"),
    ("price_book_id", "Price book"),
    ("billing_frequency", "Billing"),
    ("usage_frequency", "Usage"),
)
AMENDED_COLUMNS = (
    Column("what", "What"),
    Column("billing_schedule_id", "Schedule id"),
    Column("period_start_date", "Period start"),
    Column("period_end_date", "Period end"),
    Column("ready_for_invoice_date", "Ready for invoice"),
    Column("fee_amount", "Fee amount", numeric=True),
)


@click.group("asset-line-items", cls=Group, example="batchwright asset-line-items list")
def asset_line_items() -> None:
    """Asset line items."""


@asset_line_items.command("list", example="batchwright asset-line-items list --json")
@limit_option
@json_option
def list_(limit: int | None, format: Format) -> None:
    """List asset line items."""
    with application() as app:
        rows = operation.list_asset_line_items(app, limit)
        write_rows(rows, COLUMNS, format=format, nothing="There is no asset line item.")


@asset_line_items.command("show", example="batchwright asset-line-items show ALI-0001")
@click.argument("asset_line_item_id", metavar="ID")
@as_json_option
def show(asset_line_item_id: str, as_json: bool) -> None:
    """Show one asset line item."""
    with application() as app:
        asset = operation.show_asset_line_item(app, asset_line_item_id)
    write_view(asset, COLUMNS, as_json=as_json)


@asset_line_items.command(
    "amend", example="batchwright asset-line-items amend ALI-0001 --end-date 2024-06-30"
)
@click.argument("asset_line_item_id", metavar="ID")
@click.option("--end-date", metavar="D", help="Its last day.")
@click.option("--price-book", "price_book_id", metavar="ID", help="The price book it is priced by.")
@click.option("--billing-frequency", metavar="F", help="Monthly, Quarterly, Half Yearly or Yearly.")
@click.option("--usage-frequency", metavar="F", help="The same; it must divide the billing frequency.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@act_options
def amend(
    asset_line_item_id: str,
    dry_run: bool,
    yes: bool,
    act: Act,
    **changes: str | None,
) -> int:
    """Amend an asset line item: its pending schedules are superseded by new ones.

    Draft and rated amounts of the usage inputs on them go to zero, Rated ones are Loaded again. What is invoiced or
    pending invoice stays. Shows what it will do, asks where it is called from a terminal, and then does it.
    """
    with application() as app:
        by = act.by(app)
        plan = amendments.preview_amendment(app, asset_line_item_id, actor=by["actor"], **changes)
        if not act.as_json:
            _write_plan(plan)
        if dry_run:
            amended = plan
        else:
            if not (yes or act.as_json) and sys.stdin.isatty() and not click.confirm("Amend it?", err=True):
                say("Nothing was changed.", err=True)
                return FAILED
            amended = amendments.amend_asset_line_item(
                app, asset_line_item_id, seen=[version_of(plan)], **by, **changes
            )
    if act.as_json:
        write_json({"dry_run": dry_run, **amended})
    elif dry_run:
        say("Nothing was changed: a dry run.")
    else:
        made = [row["billing_schedule_id"] for row in amended["billing_schedules"]["created"]]
        say(f"Amended {asset_line_item_id}. New billing schedules: {joined(made) or 'none'}")
    return DONE


def _write_plan(plan: View) -> None:
    before, after = plan["terms"]["before"], plan["terms"]["after"]
    for name, title in TERMS:
        if before[name] != after[name]:
            say(f"{title}: {before[name] or 'that of the contract'} -> {after[name]}")
    bills = plan["billing_schedules"]
    rows = [{"what": "superseded", **row} for row in bills["superseded"]]
    rows += [{"what": "new", **row} for row in bills["created"]]
    write_table(rows, AMENDED_COLUMNS)
    meters, inputs = plan["usage_schedules"], plan["usage_inputs"]
    rated = [row for row in inputs if row["before"]["status"] == "Rated"]
    say(
        f"With them: {counted(len(meters['superseded']), 'usage schedule')} superseded,"
        f" {counted(len(meters['created']), 'new one')}."
    )
    say(f"Amounts to zero: {counted(len(inputs), 'usage input')}; Rated to Loaded: {len(rated)}.")
    lost = [
        f"{row['billing_schedule_id']} ({row['currency']} {row['amount']})"
        for row in plan["charged_elsewhere"]
    ]
    if lost:
        say(f"Taken over with a fee that no usage input stands for, and not charged again: {joined(lost)}")
    for row in plan["invoiced"]:
        told = "could not be priced without"
        if row["would_be"] is not None:
            sign = "" if row["difference"].startswith("-") else "+"
            told = f"would be {row['would_be']} (difference {sign}{row['difference']}) without"
        say(
            f"{row['billing_schedule_id']} is {row['status']}: what came in its window after usage that goes to zero"
            f" stays at {row['amount']} {row['currency']}, and {told} that."
        )
    bare = [row["usage_input_id"] for row in inputs if not row["covered"]]
    if bare:
        say(f"Without a schedule for their day: {joined(bare[:20])}{' …' if len(bare) > 20 else ''}")
