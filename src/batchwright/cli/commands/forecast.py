"""`batchwright forecast`."""

from __future__ import annotations

import click

from batchwright.cli.groups import Command
from batchwright.cli.options import format_option
from batchwright.cli.output import Column, Format, write_rows
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


@click.command(
    "forecast", cls=Command, example="batchwright forecast --by customer --from 2023-01 --to 2023-06"
)
@click.option(
    "--by", type=click.Choice(operation.CHOICES), default="month", help="One line for each (default: month)."
)
@click.option("--customer", "customer_id", metavar="ID", help="Only of one customer's assets.")
@click.option("--product", metavar="PRODUCT", help="Only what is of one product.")
@click.option("--from", "since", metavar="YYYY-MM", help="From this month on.")
@click.option("--to", "until", metavar="YYYY-MM", help="Up to this month, included.")
@format_option
def forecast(
    by: operation.By,
    customer_id: str | None,
    product: str | None,
    since: str | None,
    until: str | None,
    format: Format,
) -> None:
    """Draft amounts beside rated ones.

    Superseded schedules are left out; a period counts to the month it begins in.
    """
    with application() as app:
        rows = operation.forecast(app, by, customer_id=customer_id, product=product, since=since, until=until)
    write_rows(rows, (*GROUPS[by], *FIGURES), format=format, nothing="Nothing is drafted or rated yet.")
