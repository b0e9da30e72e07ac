"""`batchwright config`: works without a database."""

from __future__ import annotations

import click

from batchwright.cli.answers import Column, say, write_json, write_rows
from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option
from batchwright.cli.session import current_settings
from batchwright.config.errors import Problem
from batchwright.config.settings import SettingsError

COLUMNS = (Column("setting", "Setting"), Column("value", "Value"), Column("origin", "From"))


@click.group("config", cls=Group, example="batchwright config show")
def config() -> None:
    """The settings in force."""


@config.command("show", example="batchwright config show --json")
@as_json_option
def show(as_json: bool) -> None:
    """Show every setting, its value and where it came from; passwords are hidden."""
    rows = [
        {"setting": line.name, "value": line.value, "origin": line.origin}
        for line in current_settings().lines()
    ]
    write_rows(rows, COLUMNS, format="json" if as_json else "table", nothing="There is no setting.")


@config.command("check", example="batchwright config check")
@as_json_option
def check(as_json: bool) -> int:
    """Check the settings, and the jobs they name, and tell every problem; the exit code is 1 when there is one."""
    # Not at the top: `config show` does without all that jobs import.
    from batchwright.engine.errors import Refused
    from batchwright.operations.app import make_application
    from batchwright.operations.runs.jobs import broken_jobs

    try:
        settings = current_settings()
        origin = next(line.origin for line in settings.lines() if line.name == "jobs")
        app = make_application(settings)
        problems = settings.exposed_secrets()
        problems += [
            Problem("jobs", origin, None, reason, "Correct its path or its module, or take it out")
            for reason in broken_jobs(app)
        ]
        try:
            _ = app.database.engine  # connects to nothing, but needs a driver
        except Refused as refusal:
            origin = next(line.origin for line in settings.lines() if line.name == "database_url")
            problems.append(Problem("database_url", origin, None, refusal.message, refusal.remedy or ""))
    except SettingsError as error:
        problems = list(error.problems)
    if as_json:
        write_json(
            [
                {"setting": p.setting, "origin": p.origin, "reason": p.reason, "remedy": p.remedy}
                for p in problems
            ]
        )
    else:
        for problem in problems:
            say(str(problem))
        if not problems:
            say("The settings are good.")
    return FAILED if problems else DONE
