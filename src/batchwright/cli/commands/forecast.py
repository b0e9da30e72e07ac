"""`batchwright forecast`."""

from __future__ import annotations

import click

from batchwright.cli.answers import Column, Format, write_rows
from batchwright.cli.groups import Command
from batchwright.cli.options import format_option
from batchwright.cli.session import application
from batchwright.operations.billing import forecast as operation

GROUPS = {
    "month": (Column("month", "Month"),),
    "customer": (Column("customer_id", "Customer"), Column("customer_name", "Name")),
    "product": (Column("product", "Product"),),
}
FIGURES = (
    Column("currency", "Currency"),
    Column("draft_rated_quantity", "(Draft) rated quantity", numeric=True),
    Column("draft_fee_amount", "(Draft) fee amount", numeric=True),
    Column("actual_quantity", "Actual quantity", numeric=True),
    Column("fee_amount", "Fee amount", numeric=True),
)


@click.command("forecast", cls=Command, example="batchwright forecast --by customer")
@click.option(
    "--by", type=click.Choice(operation.CHOICES), default="month", help="A line for each; month without."
)
@format_option
def forecast(by: operation.By, format: Format) -> None:
    """Draft amounts beside rated ones.

    Superseded schedules are left out; a period counts to the month it begins in.
    """
    with application() as app:
        rows = operation.forecast(app, by)
    write_rows(rows, (*GROUPS[by], *FIGURES), format=format, nothing="Nothing is drafted or rated yet.")
