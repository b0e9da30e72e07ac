"""`batchwright run`: one command for each job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.driving import finish_submitted
from cli.groups import Group
from cli.options import ids_from_option
from cli.run_options import RunOptions, run_options
from cli.session import acting, application
from cli.state import Session
from operations.runs import drive_run, submit_run


@click.group("run", cls=Group, example="batchwright run draft-usage-rating")
def run() -> None:
    """Run a batch job."""


@run.command(
    "draft-usage-rating",
    example="batchwright run draft-usage-rating\n"
    "batchwright run draft-usage-rating --asset-line-item ALI-0001 --dry-run\n"
    "batchwright run draft-usage-rating --usage-input IN-00007052 --usage-input IN-00007053 --sync",
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
@click.option("--dry-run", is_flag=True, help="Compute only; change no billing record.")
@run_options
@click.pass_obj
def draft_usage_rating(
    session: Session,
    usage_inputs: Sequence[str],
    asset_line_items: Sequence[str],
    ids_from: list[str] | None,
    dry_run: bool,
    options: RunOptions,
) -> int:
    """Forecast what usage inputs will be rated at: all of them, or those that are named."""
    parameters = _named(usage_inputs, asset_line_items, ids_from)
    return _submit_and_drive(session, "draft-usage-rating", parameters, dry_run, options)


def _named(
    usage_inputs: Sequence[str], asset_line_items: Sequence[str], ids_from: list[str] | None
) -> dict[str, list[str]]:
    """The parameters; what was not given is left out, since an empty list is not *everything*."""
    usage_input_ids = [*usage_inputs, *(ids_from or ())]
    named = {"usage_input_ids": usage_input_ids, "asset_line_item_ids": list(asset_line_items)}
    return {name: ids for name, ids in named.items() if ids}


def _submit_and_drive(
    session: Session, job: str, parameters: dict[str, Any], dry_run: bool, options: RunOptions
) -> int:
    with application() as app:
        submitted = submit_run(
            app,
            job,
            parameters,
            actor=acting(app, options.actor),
            mode="dry_run" if dry_run else "sync" if options.way == "sync" else "batch",
            **options.for_submit(),
        )
        run_id = submitted["run_id"]
        return finish_submitted(
            app,
            session,
            submitted,
            lambda stop: drive_run(app, run_id, stop),
            way=options.way,
            as_json=options.as_json,
        )
