"""`batchwright import`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cli.answers import Column, write_json, write_table
from cli.exits import DONE, WITH_ERRORS
from cli.groups import Command
from cli.options import actor_option, as_json_option
from cli.session import acting, application
from cli.show import duration
from operations.imports import import_paths

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
@click.option("--update", is_flag=True, help="Let a line change the record of the same id.")
@actor_option
@as_json_option
def import_(
    paths: Sequence[Path], skip_bad: Path | None, update: bool, actor: str | None, as_json: bool
) -> int:
    """Load CSV files into the database.

    A path is a file or a folder of them; an embedded database is made where it is missing. Everything is loaded or
    nothing, unless bad lines are left out with --skip-bad.
    """
    with application() as app:
        report = import_paths(app, paths, update=update, skip_bad=skip_bad, actor=acting(app, actor))
        place = app.database.place
    skipped = sum(file["skipped"] for file in report["files"])
    if as_json:
        write_json(report)
    else:
        write_table(report["files"], COLUMNS)
        click.echo(f"\nDone in {duration(report['seconds'])}. Database: {place}")
        if skipped:
            click.echo(f"{skipped:,} bad lines were left out; see {skip_bad}.")
    return WITH_ERRORS if skipped else DONE
