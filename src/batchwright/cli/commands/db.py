"""`batchwright db`."""

from __future__ import annotations

from pathlib import Path

import click

from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Group
from batchwright.cli.options import actor_option, as_json_option
from batchwright.cli.output import say, write_answer, write_json
from batchwright.cli.session import acting, application
from batchwright.operations import database as operation


@click.group("db", cls=Group, example="batchwright db upgrade")
def db() -> None:
    """Make, upgrade, check and back up the database."""


@db.command("upgrade", example="batchwright db upgrade")
@actor_option
@as_json_option
def upgrade(actor: str | None, as_json: bool) -> None:
    """Make the database if it is missing, and bring it up to this program."""
    with application() as app:
        report = operation.upgrade_database(app, actor=acting(app, actor))
    if as_json:
        write_json(report)
    elif report["before"] == report["after"]:
        say(f"The database {report['place']} is up to date.")
    else:
        done = "upgraded" if report["before"] else "made"
        say(f"The database {report['place']} is {done}, at revision {report['after']}.")


@db.command("check", example="batchwright db check")
@as_json_option
def check(as_json: bool) -> int:
    """Check what must hold in the database; the exit code is 1 when something does not."""
    with application() as app:
        problems = operation.check_database(app)
        place = app.database.display_url
    if as_json:
        write_json(problems)
    else:
        for problem in problems:
            say(problem)
        if not problems:
            say(f"The database {place} is in order.")
    return FAILED if problems else DONE


@db.command("backup", example="batchwright db backup backup.db")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@as_json_option
def backup(file: Path, as_json: bool) -> None:
    """Write a copy of an embedded database to a new file, also while runs are working."""
    with application() as app:
        operation.backup_database(app, file)
        place = app.database.display_url
    write_answer({"place": place, "file": str(file)}, f"{place} is backed up in {file}.", as_json=as_json)
