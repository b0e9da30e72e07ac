"""`batchwright usage-schedules`."""

from __future__ import annotations

import click

from batchwright.cli.groups import Group
from batchwright.cli.options import json_option, limit_option
from batchwright.cli.output import Column, Format, write_rows
from batchwright.cli.session import application
from batchwright.operations.billing import usage_schedules as operation

COLUMNS = (
    Column("usage_schedule_id", "Schedule id"),
    Column("asset_line_item_id", "Asset line item"),
    Column("billing_schedule_id", "Billing schedule"),
    Column("period_start_date", "Period start"),
    Column("period_end_date", "Period end"),
    Column("status", "Status"),
    Column("type", "Type"),
    Column("included_quantity", "Included quantity", numeric=True),
    Column("actual_quantity", "Actual quantity", numeric=True),
    Column("currency", "Currency"),
    Column("fee_amount", "Fee amount", numeric=True),
    Column("draft_rated_quantity", "(Draft) rated quantity", numeric=True),
    Column("draft_fee_amount", "(Draft) fee amount", numeric=True),
)


@click.group("usage-schedules", cls=Group, example="batchwright usage-schedules list")
def usage_schedules() -> None:
    """Usage schedules."""


@usage_schedules.command("list", example="batchwright usage-schedules list --asset-line-item ALI-0001")
@click.option("--asset-line-item", metavar="ID", help="Only those of one asset line item.")
@limit_option
@json_option
def list_(asset_line_item: str | None, limit: int | None, format: Format) -> None:
    """List usage schedules by asset line item and period, superseded ones too."""
    with application() as app:
        rows = operation.list_usage_schedules(app, asset_line_item, limit)
        write_rows(rows, COLUMNS, format=format, nothing="There is no usage schedule.")
