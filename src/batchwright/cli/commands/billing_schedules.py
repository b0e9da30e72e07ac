"""`batchwright billing-schedules`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Unpack

import click

from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, format_option, ids_from_option, limit_option
from batchwright.cli.output import Column, Format, say, write_json, write_rows, write_view
from batchwright.cli.session import Act, act_options, application
from batchwright.cli.show import joined
from batchwright.notifications.humanize import counted
from batchwright.operations.billing import billing_schedules as operation
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

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
IN_FILES = Column("superseded", "Superseded")


@click.group("billing-schedules", cls=Group, example="batchwright billing-schedules list")
def billing_schedules() -> None:
    """Billing schedules and their status."""


@billing_schedules.command(
    "list", example="batchwright billing-schedules list --status 'Pending Billing' --ready-by 2023-07-01"
)
@click.option("--asset-line-item", metavar="ID", help="Only those of one asset line item.")
@click.option("--status", metavar="S", help="Only those in one status, as shown or in snake case.")
@click.option("--customer", "customer_id", metavar="ID", help="Only those of one customer's assets.")
@click.option("--period", metavar="YYYY-MM", help="Only those whose period has a day of that month.")
@click.option("--ready-by", metavar="DATE", help="Only those that are ready for invoice by that day.")
@limit_option
@format_option
def list_(
    asset_line_item: str | None, limit: int | None, format: Format, **narrowing: Unpack[operation.Narrowing]
) -> None:
    """List billing schedules by asset line item and period, superseded ones too."""
    with application() as app:
        rows = operation.list_billing_schedules(app, asset_line_item, limit, **narrowing)
        write_rows(
            rows,
            (*COLUMNS, IN_FILES) if format == "csv" else COLUMNS,
            format=format,
            nothing="There is no such billing schedule.",
        )


@billing_schedules.command("show", example="batchwright billing-schedules show BS-01311820")
@click.argument("billing_schedule_id", metavar="ID")
@as_json_option
def show(billing_schedule_id: str, as_json: bool) -> None:
    """Show one billing schedule."""
    with application() as app:
        schedule = operation.show_billing_schedule(app, billing_schedule_id)
    write_view(schedule, COLUMNS, as_json=as_json)


@billing_schedules.command(
    "set-status",
    example="batchwright billing-schedules set-status BS-01311820 --status invoiced\n"
    "batchwright billing-schedules set-status --ready-by 2023-07-01 --status 'Pending Invoice'",
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@ids_from_option
@click.option(
    "--ready-by", metavar="DATE", help="All that are ready for invoice by that day, not as far yet."
)
@click.option("--status", metavar="S", required=True, help="The status they get, as shown or in snake case.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@act_options
def set_status(
    ids: Sequence[str],
    ids_from: list[str] | None,
    ready_by: str | None,
    status: str,
    dry_run: bool,
    yes: bool,
    act: Act,
) -> int:
    """Set the status of billing schedules: all of them, or none.

    With --ids-from or --ready-by it shows in numbers what it will do, asks where it is called from a terminal, and then
    does it. By a day schedules only move on, to Pending Invoice or Invoiced.
    """
    given = [
        name for name, value in (("ID", ids), ("--ids-from", ids_from), ("--ready-by", ready_by)) if value
    ]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other.")
    named = None if ready_by is not None else ids_from or ids
    with application() as app:
        by = act.by(app)
        plan = operation.preview_billing_schedule_status(
            app, named, status, ready_by=ready_by, actor=by["actor"]
        )
        if not act.as_json and (dry_run or not ids):
            _write_plan(plan)
        if dry_run:
            act.answer({"dry_run": True, **plan}, "Nothing was changed: a dry run.")
            return DONE
        if not (ids or yes or act.as_json) and sys.stdin.isatty() and not click.confirm("Do it?", err=True):
            say("Nothing was changed.", err=True)
            return FAILED
        report = operation.set_billing_schedule_status(
            app,
            named,
            status,
            ready_by=ready_by,
            seen=None if ids else [version_of(plan)],
            **by,
        )
    if act.as_json:
        write_json(report)
        return DONE
    say(f"Set {counted(len(report['moved']), 'billing schedule')} to {plan['status']}.")
    if report["untouched"]:
        say(f"{plan['status']} already: {joined(report['untouched'])}")
    return DONE


def _write_plan(plan: View) -> None:
    say(f"To {plan['status']}: {counted(plan['moving'], 'billing schedule')}")
    for status, count in plan["by_status"].items():
        say(f"  from {status}: {count}")
    if plan["untouched"]:
        say(f"{plan['status']} already: {plan['untouched']}")
    fees = [f"{currency} {amount}" for currency, amount in plan["fee_amounts"].items()]
    if fees:
        say(f"Fee amounts: {joined(fees)}")
