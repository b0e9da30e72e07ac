"""`batchwright config`: works without a database."""

from __future__ import annotations

from contextlib import closing

import click

from batchwright.cli.exits import DONE, FAILED
from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, json_option
from batchwright.cli.output import Column, Format, say, write_json, write_rows
from batchwright.cli.session import current_settings
from batchwright.config.errors import Problem
from batchwright.config.settings import Settings, SettingsError

COLUMNS = (Column("setting", "Setting"), Column("value", "Value"), Column("origin", "From"))


@click.group("config", cls=Group, example="batchwright config show")
def config() -> None:
    """The settings in force."""


@config.command("show", example="batchwright config show --json")
@json_option
def show(format: Format) -> None:
    """Show every setting, its value and where it came from; passwords are hidden."""
    rows = [
        {"setting": line.name, "value": line.value, "origin": line.origin}
        for line in current_settings().lines()
    ]
    write_rows(rows, COLUMNS, format=format, nothing="There is no setting.")


@config.command("check", example="batchwright config check")
@as_json_option
def check(as_json: bool) -> int:
    """Check the settings, the jobs they name and schedules' pings; every problem is shown, and the exit code is 1."""
    try:
        problems = problems_of(current_settings())
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


def problems_of(settings: Settings) -> list[Problem]:
    """What is wrong with settings that could be read: secrets in the open, jobs, the driver, pings."""
    # Not at the top: `config show` does without all that jobs import.
    from batchwright.engine.errors import Refused
    from batchwright.operations.app import make_application
    from batchwright.operations.runs.jobs import broken_jobs
    from batchwright.operations.schedules.pings import refused_pings

    origins = {line.name: line.origin for line in settings.lines()}
    problems = settings.exposed_secrets()
    with closing(make_application(settings)) as app:
        problems += [
            Problem("jobs", origins["jobs"], None, reason, "Correct its path or its module, or take it out")
            for reason in broken_jobs(app)
        ]
        try:
            _ = app.database.engine  # connects to nothing, but needs a driver
        except Refused as refusal:
            origin = origins["database_url"]
            return [*problems, Problem("database_url", origin, None, refusal.message, refusal.remedy or "")]
        problems += [
            Problem("ping_private", origins["ping_private"], None, reason, remedy)
            for reason, remedy in refused_pings(app)
        ]
    return problems
