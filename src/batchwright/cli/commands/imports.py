"""`batchwright import`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from batchwright.cli.exits import DONE, WITH_ERRORS
from batchwright.cli.groups import Command
from batchwright.cli.output import Column, printable, say, write_json, write_table
from batchwright.cli.progress import shown_import
from batchwright.cli.session import Act, act_options, application
from batchwright.cli.show import duration
from batchwright.cli.verbosity import Verbosity
from batchwright.notifications.humanize import counted
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.views import View

COLUMNS = (
    Column("file", "File"),
    Column("loaded", "Loaded", numeric=True),
    Column("updated", "Updated", numeric=True),
    Column("skipped", "Skipped", numeric=True),
)


@click.command(
    "import",
    cls=Command,
    example="batchwright import company/\nbatchwright import usage_inputs.csv --skip-bad refused.csv",
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--skip-bad",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Leave out bad lines and write them to FILE with the reason; exit code 3 when there were any.",
)
@click.option(
    "--update",
    is_flag=True,
    help="Let a line change the record of the same id. A column that is not in the file keeps its values.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Load once more a file of usage inputs that gives no ids and was imported before.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be loaded.")
@act_options
@click.pass_obj
def import_(
    verbosity: Verbosity,
    paths: Sequence[Path],
    skip_bad: Path | None,
    update: bool,
    again: bool,
    dry_run: bool,
    act: Act,
) -> int:
    """Load CSV files into the database.

    A path is a file or a folder of them; an embedded database is made where it is missing. Everything is loaded or
    nothing, unless bad lines are left out with --skip-bad.
    """
    with application() as app, shown_import(quiet=verbosity.level < 0) as progress:
        report = import_paths(
            app,
            paths,
            update=update,
            again=again,
            skip_bad=skip_bad,
            dry_run=dry_run,
            **act.by(app),
            progress=progress,
        )
        place = app.database.display_url
    if act.as_json:
        write_json(report)
    else:
        _answer(report, place, skip_bad, dry_run)
    return WITH_ERRORS if report["skipped"] else DONE


def _answer(report: View, place: str, skip_bad: Path | None, dry_run: bool) -> None:
    write_table(report["files"], COLUMNS)
    done = "A dry run, nothing was loaded" if dry_run else f"Done in {duration(report['seconds'])}"
    say(f"\n{done}. Database: {place}")
    made = [counted(report[f"{kind}_schedules_made"], f"{kind} schedule") for kind in ("billing", "usage")]
    if report["billing_schedules_made"]:
        say(f"{'Would make' if dry_run else 'Made'} {' and '.join(made)} for new assets.")
    if report["skipped"]:
        say(f"{counted(report['skipped'], 'bad line')} left out and written to {skip_bad}:")
        for problem in report["problems"]:
            say(f"  {printable(problem)}")
