"""`batchwright billing-schedules`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from batchwright.cli.answers import Column, say, write_facts, write_json, write_rows
from batchwright.cli.groups import Group
from batchwright.cli.options import actor_option, as_json_option, limit_option, reason_option
from batchwright.cli.session import acting, application
from batchwright.cli.show import joined
from batchwright.notifications.words import counted
from batchwright.operations.billing import billing_schedules as operation

COLUMNS = (
    Column("billing_schedule_id", "Schedule id"),
    Column("asset_line_item_id", "Asset line item"),
    Column("period_start_date", "Period start"),
    Column("period_end_date", "Period end"),
    Column("ready_for_invoice_date", "Ready for invoice"),
    Column("status", "Status"),
    Column("type", "Type"),
    Column("currency", "Currency"),
    Column("fee_amount", "Fee amount", numeric=True),
)


@click.group("billing-schedules", cls=Group, example="batchwright billing-schedules list")
def billing_schedules() -> None:
    """Billing schedules and their status."""


@billing_schedules.command("list", example="batchwright billing-schedules list --asset-line-item ALI-0001")
@click.option("--asset-line-item", metavar="ID", help="Only those of one asset line item.")
@limit_option
@as_json_option
def list_(asset_line_item: str | None, limit: int | None, as_json: bool) -> None:
    """List billing schedules by asset line item and period, superseded ones too."""
    with application() as app:
        rows = operation.list_billing_schedules(app, asset_line_item, limit)
        write_rows(
            rows, COLUMNS, format="json" if as_json else "table", nothing="There is no billing schedule."
        )


@billing_schedules.command("show", example="batchwright billing-schedules show BS-01311820")
@click.argument("billing_schedule_id", metavar="ID")
@as_json_option
def show(billing_schedule_id: str, as_json: bool) -> None:
    """Show one billing schedule."""
    with application() as app:
        schedule = operation.show_billing_schedule(app, billing_schedule_id)
    if as_json:
        write_json(schedule)
    else:
        write_facts((column.title, schedule[column.field]) for column in COLUMNS)


@billing_schedules.command(
    "set-status", example="batchwright billing-schedules set-status BS-01311820 --status invoiced"
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--status", type=click.Choice(list(operation.STATUSES)), required=True, help="The status they get."
)
@actor_option
@reason_option
@as_json_option
def set_status(ids: Sequence[str], status: str, actor: str | None, reason: str | None, as_json: bool) -> None:
    """Set the status of billing schedules: all of them, or none."""
    with application() as app:
        report = operation.set_billing_schedule_status(
            app, ids, status, actor=acting(app, actor), reason=reason
        )
    if as_json:
        write_json(report)
    else:
        name = operation.STATUSES[status]
        say(f"Set {counted(len(report['moved']), 'billing schedule')} to {name}.")
        if report["untouched"]:
            say(f"{name} already: {joined(report['untouched'])}")
