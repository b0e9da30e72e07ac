"""`batchwright asset-line-items`."""

from __future__ import annotations

import click

from cli.answers import Column, write_facts, write_json, write_rows
from cli.groups import Group
from cli.options import as_json_option, limit_option
from cli.session import application
from operations import asset_line_items as operation

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


@click.group("asset-line-items", cls=Group, example="batchwright asset-line-items list")
def asset_line_items() -> None:
    """Asset line items."""


@asset_line_items.command("list", example="batchwright asset-line-items list --json")
@limit_option
@as_json_option
def list_(limit: int | None, as_json: bool) -> None:
    """List asset line items."""
    with application() as app:
        rows = operation.list_asset_line_items(app, limit)
        write_rows(
            rows, COLUMNS, format="json" if as_json else "table", nothing="There is no asset line item."
        )


@asset_line_items.command("show", example="batchwright asset-line-items show ALI-0001")
@click.argument("asset_line_item_id", metavar="ID")
@as_json_option
def show(asset_line_item_id: str, as_json: bool) -> None:
    """Show one asset line item."""
    with application() as app:
        asset = operation.show_asset_line_item(app, asset_line_item_id)
    if as_json:
        write_json(asset)
    else:
        write_facts((column.title, asset[column.field]) for column in COLUMNS)
