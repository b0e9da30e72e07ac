"""`batchwright run`: a command for each job that comes with the program; `cli.job_commands` makes those of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from batchwright.billing.recalculation import EXPLANATION, REASONS
from batchwright.cli.job_commands import RunGroup
from batchwright.cli.options import ids_from_option, where_option
from batchwright.cli.run_options import RunOptions, dry_run_option, run_options
from batchwright.cli.submitting import selected, submit_and_drive
from batchwright.cli.verbosity import Verbosity


@click.group("run", cls=RunGroup, example="batchwright run draft-usage-rating")
def run() -> None:
    """Run a batch job.

    Jobs of your own, registered by the setting `jobs` or an entry point, are listed after those that come with the
    program.
    """


def _usage_command(name: str, summary: str, status: str = "Loaded") -> None:
    """`batchwright run NAME` for a job over usage inputs: all of them, or those that are named."""

    @run.command(
        name,
        help=summary,
        example=f"batchwright run {name}\n"
        f"batchwright run {name} --asset-line-item ALI-0001 --dry-run\n"
        f"batchwright run {name} --where status={status},customer_id=C-1002\n"
        f"batchwright run {name} --usage-input IN-00007052 --usage-input IN-00007053 --sync",
    )
    @click.option(
        "--usage-input", "usage_inputs", metavar="ID", multiple=True, help="Only this one; may be repeated."
    )
    @click.option(
        "--asset-line-item",
        "asset_line_items",
        metavar="ID",
        multiple=True,
        help="Only the inputs of this one; may be repeated.",
    )
    @ids_from_option
    @where_option
    @dry_run_option
    @run_options
    @click.pass_obj
    def command(
        verbosity: Verbosity,
        usage_inputs: Sequence[str],
        asset_line_items: Sequence[str],
        ids_from: list[str] | None,
        where: str | None,
        dry_run: bool,
        options: RunOptions,
    ) -> int:
        parameters = _named(usage_inputs, asset_line_items, ids_from)
        if where is not None:
            if parameters:
                raise click.UsageError("Give a filter with --where, or ids, not both.")
            parameters = selected(where, options.actor)
        return submit_and_drive(verbosity, name, parameters, dry_run, options)


_usage_command(
    "draft-usage-rating", "Forecast what usage inputs will be rated at: all of them, or those that are named."
)
_usage_command(
    "usage-rating",
    "Rate Loaded usage inputs, all of them or those that are named: what they cost is added to their schedules.",
)
_usage_command(
    "usage-unrating",
    "Take the rating of usage inputs back, of all that are Rated or of those that are named.\n\n"
    "They are left in Error; `usage-inputs reset` makes them Loaded again.",
    "Rated",
)
_usage_command(
    "usage-input-reset",
    "Set usage inputs in Error back to Loaded, those that are named or match a filter.",
    "Error",
)
_usage_command(
    "usage-input-deletion",
    "Delete usage inputs that are not Rated, those that are named or match a filter. Their ids stay taken.",
)


@run.command(
    "data-recalculation",
    help="Rate past months of a customer again, by the active contract and the newest prices.\n\n"
    "What is not rated, and what is on its way to an invoice, is left alone and told. `batchwright recalculation "
    "offer` shows who can be recalculated, and for which months.\n\n"
    f"A --reason must be given, one of: {', '.join(REASONS)}.",
    example="batchwright run data-recalculation --customer C-1002 --period 2023-06 --period 2023-07"
    ' --reason "Incorrect Charges" --dry-run\n'
    "batchwright run data-recalculation --customer C-1002 --period 2023-06 --reason Other"
    ' --explanation "Tiers were agreed in June"',
)
@click.option("--customer", "customer_id", metavar="ID", required=True, help="Whose usage.")
@click.option(
    "--period",
    "periods",
    metavar="YYYY-MM",
    multiple=True,
    required=True,
    help="A past month under the contract; may be repeated.",
)
@click.option("--explanation", metavar="TEXT", help=f"{EXPLANATION[:1].upper()}{EXPLANATION[1:]}.")
@dry_run_option
@run_options
@click.pass_obj
def data_recalculation(
    verbosity: Verbosity,
    customer_id: str,
    periods: Sequence[str],
    explanation: str | None,
    dry_run: bool,
    options: RunOptions,
) -> int:
    """Recalculate; the reason is an option of every run, and here one of those of the dialog."""
    if options.reason is None:
        raise click.BadOptionUsage(
            "--reason", f"Missing option '--reason'. Choose from: {', '.join(REASONS)}."
        )
    parameters = {
        "customer_id": customer_id,
        "periods": list(periods),
        "reason": options.reason,
        "explanation": explanation,
    }
    return submit_and_drive(verbosity, "data-recalculation", parameters, dry_run, options)


def _named(
    usage_inputs: Sequence[str], asset_line_items: Sequence[str], ids_from: list[str] | None
) -> dict[str, Any]:
    """The parameters; what was not given is left out, since an empty list is not *everything*."""
    usage_input_ids = [*usage_inputs, *(ids_from or ())]
    named = {"usage_input_ids": usage_input_ids, "asset_line_item_ids": list(asset_line_items)}
    return {name: ids for name, ids in named.items() if ids}
