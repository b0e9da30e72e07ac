"""`batchwright jobs`."""

from __future__ import annotations

import click

from batchwright.cli.commands.run import run
from batchwright.cli.groups import Command, Group
from batchwright.cli.options import as_json_option, json_option
from batchwright.cli.output import Column, Format, say, write_facts, write_json, write_rows, write_table
from batchwright.cli.parameters import COLUMNS as PARAMETER_COLUMNS
from batchwright.cli.parameters import example_of, parameter_rows
from batchwright.cli.session import application
from batchwright.operations.runs import jobs as operation
from batchwright.operations.views import View

COLUMNS = (
    Column("name", "Job"),
    Column("type", "Type"),
    Column("scope_size", "Scope size", numeric=True),
    Column("retry_unit", "Retry unit"),
    Column("description", "Description"),
)


@click.group("jobs", cls=Group, example="batchwright jobs list")
def jobs() -> None:
    """The jobs there are and their parameters."""


@jobs.command("list", example="batchwright jobs list")
@json_option
def list_(format: Format) -> None:
    """List the jobs; what is registered but cannot be imported is named on stderr."""
    with application() as app:
        rows = operation.list_jobs(app)
        broken = operation.broken_jobs(app)
    write_rows(rows, COLUMNS, format=format, nothing="There is no job.")
    for problem in broken:
        say(problem, err=True)


@jobs.command("show", example="batchwright jobs show draft-usage-rating")
@click.argument("name", metavar="JOB")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Show a job, its parameters and how it is run."""
    with application() as app:
        job = operation.show_job(app, name)
    if as_json:
        write_json(job)
        return
    facts = [(column.title, job[column.field]) for column in COLUMNS]
    facts.append(("Dry run", "yes" if job["dry_run"] else "no"))
    facts.append(("Example", _example(job)))
    write_facts(facts)
    if rows := parameter_rows(job["parameters"]):
        say()
        write_table(rows, PARAMETER_COLUMNS)


def _example(job: View) -> str:
    """As on the job's own page: a command that comes with the program has options where others have parameters."""
    command = run.commands.get(job["name"])
    return command.example if isinstance(command, Command) else example_of(job)
